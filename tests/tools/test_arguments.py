"""What the model passes on and cannot be used is refused with a sentence that it can say."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.tools.hand_over import hand_over
from bridge.tools.registry import Tools
from tests.stage.booking import CALL, WANTED, office, run


@pytest.mark.parametrize("arguments, reason", [
    ("{broken", "arguments are wrong"),
    ("[]", "arguments are wrong"),
    ("[" * 100_000, "arguments are wrong"),
    (json.dumps(WANTED | {"name": "x" * 1000}), "name is too long"),
    (json.dumps(WANTED | {"email": "ada at example"}), "e-mail"),
    (json.dumps(WANTED | {"datetime": "some day"}), ""),
    (json.dumps(WANTED | {"datetime": "2001-01-01T10:00"}), ""),
    (json.dumps(WANTED | {"time_zone": "Atlantis"}), ""),
    (json.dumps({"name": "Ada"}), "missing"),
])
async def test_what_cannot_be_booked_is_refused_with_a_sentence(tmp_path: Path, arguments: str, reason: str) -> None:
    async with office(tmp_path) as world:
        output = (await world.functions().run("schedule_meeting", arguments, CALL)).answer
        assert output["status"] == "refused" and reason in output["message"] and output["message"].strip()
        assert world.bodies == []


@pytest.mark.parametrize("nothing", [None, "", "  "])
async def test_an_argument_that_is_null_or_empty_is_as_if_left_out(tmp_path: Path, nothing: str | None) -> None:
    left_out = {"description": nothing, "time_zone": nothing, "confirmation_id": nothing, "meeting_id": nothing,
                "earliest_day": nothing}
    async with office(tmp_path) as world:
        for function, given in [
            ("schedule_meeting", WANTED), ("reschedule_meeting", {"datetime": "Friday at 15:00"}),
            ("check_availability", {}), ("cancel_meeting", {}),
        ]:
            output = (await world.functions().run(function, json.dumps({**given, **left_out}), CALL)).answer
            assert output.get("status") == "confirmed" or len(output["free"]) == 3
        assert [body["description"] for body in world.bodies] == [""] * 3
        without = json.dumps({**WANTED, "datetime": nothing})
        required = (await world.functions().run("schedule_meeting", without, CALL)).answer
        assert required["message"] == "The date and time is missing: ask the caller for it."


@pytest.mark.parametrize("argument, what", [
    ("name", "name"), ("datetime", "date and time"), ("email", "e-mail address"), ("description", "description"),
    ("time_zone", "time zone")])
@pytest.mark.parametrize("value", [["a"], {"a": 1}, True, "x" * 3000])
async def test_what_is_wrong_with_an_argument_is_said_of_the_matter(
    tmp_path: Path, argument: str, what: str, value: Any,
) -> None:
    async with office(tmp_path) as world:
        wanted = json.dumps(WANTED | {argument: value})
        output = (await world.functions().run("schedule_meeting", wanted, CALL)).answer
        assert output["status"] == "refused" and output["message"].startswith(f"The {what} ")
        assert not any(word in output["message"] for word in ("$", "`", "JSON", "str", "byte"))


async def test_an_unknown_function_is_an_error_to_speak_about(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        assert "no function 'launch'" in (await run(world.functions(), "launch"))["error"]
    assert "no function" in (await run(Tools(hand_over()).for_call(), "schedule_meeting"))["error"]
