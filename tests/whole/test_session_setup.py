"""What the model is told and given when a call begins, to the byte, against what it was told before.

The snapshot is written anew with `python -m tests.test_session_setup`: for a change of words that is wanted.
"""

import asyncio
import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.stage.office import office

SNAPSHOT = Path(__file__).with_suffix(".json")
PEOPLE = {"TRANSFER_NUMBER": "sales=+15550000001,support=+15550000002"}

#: The settings of each kind of office, and whether its caller hides the number.
OFFICES: dict[str, tuple[dict[str, Any], bool]] = {
    "no webhook": ({"webhook": False}, False),
    "no webhook, open on weekdays": ({"webhook": False, "OPENING_HOURS": "Mon-Fri 09:00-17:00"}, False),
    "no webhook, one person": ({"webhook": False, "rest": True, "TRANSFER_NUMBER": "+15550000001"}, False),
    "in two steps": ({"CONFIRM_MEETINGS": "1"}, False),
    "in two steps, hidden number": ({"CONFIRM_MEETINGS": "1"}, True),
    "at once": ({}, False),
    "at once, hidden number, several people": ({"rest": True, **PEOPLE}, True),
    "e-mail required": ({"MEETING_EMAIL": "required", "CONFIRM_MEETINGS": "1"}, False),
    "e-mail required, hidden number": ({"MEETING_EMAIL": "required"}, True),
    "open on weekdays, several people": ({"rest": True, "OPENING_HOURS": "Mon-Fri 09:00-17:00", **PEOPLE}, False),
}


async def setup_of(settings: dict[str, Any], hidden: bool) -> str:
    """The first session.update of a call, without the present moment."""
    async with office(**settings) as world:
        await world.phone.dial("anonymous" if hidden else "+15557654321")
        session = await world.model.until_session()
        update = copy.deepcopy(await session.until_received("session.update"))
        del update["event_id"]
        told = update["session"]["instructions"]
        update["session"]["instructions"] = re.sub(r"It is now [^\n]*", "It is now.", told).split("\n\n")
    return json.dumps(update, indent=1, ensure_ascii=False)


@pytest.mark.parametrize("kind", OFFICES)
async def test_the_model_is_told_and_given_what_it_always_was(kind: str) -> None:
    known = json.loads(SNAPSHOT.read_text())[kind]
    assert await setup_of(*OFFICES[kind]) == json.dumps(known, indent=1, ensure_ascii=False)


async def _write() -> None:
    setups = {kind: json.loads(await setup_of(*settings)) for kind, settings in OFFICES.items()}
    SNAPSHOT.write_text(json.dumps(setups, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    asyncio.run(_write())
