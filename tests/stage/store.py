"""Meetings and their news for tests of the store, and a check of all that it holds."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from bridge.meetings.meeting import Meeting
from bridge.records import tables
from bridge.records.database import Database
from bridge.records.news import NewDelivery

DHAKA = ZoneInfo("Asia/Dhaka")
#: Ten in the morning.
TEN = datetime(2030, 11, 26, 10, 0, tzinfo=DHAKA)
NOW = 1_900_000_000.0
ALICE, BOB = "+8801711111111", "+8801722222222"
RECEIVERS = ("https://one.example/hook", "https://two.example/hook")

_numbers = count(1)


def make_meeting(after: float = 0, *, caller: str = ALICE, minutes: int = 30, **more: Any) -> Meeting:
    """A meeting that begins `after` minutes past ten."""
    fields: dict[str, Any] = {
        "id": f"meeting-{next(_numbers):04}", "caller": caller, "call_sid": "CA1", "name": "Ada",
        "email": "a@b.example", "description": "A tooth, and “quotes” 🦷", "phone_number": caller,
        "start": TEN + timedelta(minutes=after), "minutes": minutes, "zone": DHAKA, "read_back": "Tuesday at ten",
    }
    return Meeting(**fields | more)


def news(meeting: Meeting, urls: Sequence[str] = RECEIVERS) -> list[NewDelivery]:
    return [NewDelivery(f"msg-{next(_numbers):06}", url, f"meeting.{meeting.status}", f'{{"id": "{meeting.id}"}}')
            for url in urls]


def no_news(meeting: Meeting) -> list[NewDelivery]:
    return []


async def rows(database: Database, table: str) -> list[Any]:
    def work(connection: Connection) -> list[Any]:
        return list(connection.execute(select(tables.metadata.tables[table])))
    return await database.read(work)


async def check(database: Database) -> None:
    """Checks what holds at any time: booked meetings take each of their minutes, and no other minute is taken."""
    wanted = Counter(
        (row.start_at // 60 + minute, row.id) for row in await rows(database, "meetings") if row.status == "booked"
        for minute in range((row.end_at - row.start_at) // 60))
    assert wanted == Counter((row.minute, row.meeting_id) for row in await rows(database, "slots"))
    assert len({minute for minute, _ in wanted}) == len(wanted)
    told = Counter(row.about_id for row in await rows(database, "deliveries"))
    # Every receiver was told every version of a meeting, once.
    assert told == {row.id: len(RECEIVERS) * (row.sequence + 1) for row in await rows(database, "meetings")}
