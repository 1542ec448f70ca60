"""Whether something can be booked, and why it cannot be."""

from typing import Any

import pytest

from bridge.records.database import Database, StoreFailed
from bridge.records.meetings import Meetings
from tests.stage.store import check, make_meeting, news, rows


async def reason(database: Database, **more: Any) -> str:
    """Why nothing can be booked now."""
    with pytest.raises(StoreFailed) as failure:
        await Meetings(database).book(make_meeting(**more), news)
    assert "\n" not in str(failure.value) and failure.value.__cause__ is None
    return str(failure.value)


async def works(database: Database) -> None:
    """A meeting is booked, and all that must hold does."""
    before = len(await rows(database, "meetings"))
    await Meetings(database).book(make_meeting(6000 + 30 * before), news)
    assert len(await rows(database, "meetings")) == before + 1
    await check(database)
