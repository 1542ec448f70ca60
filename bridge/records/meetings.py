"""Meetings: no minute is promised twice, and none is promised without the news of it being promised too.

1. A meeting, the minutes it takes and its deliveries are committed together.
2. Bookings are made one after the other, on PostgreSQL by an advisory lock: what one finds free stays free until it
   commits. The database refuses a double booking by itself, should anything else write to it.
3. What is asked for again is answered again, and changes nothing: the key of a booking is caller and instant.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, Select, delete, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bridge.meetings.meeting import Meeting, NewDelivery
from bridge.records.database import Database, StoreFailed
from bridge.records.tables import deliveries as deliveries_table
from bridge.records.tables import meetings, slots

__all__ = ["Deliveries", "Meetings", "NewDelivery", "NotYours", "SlotTaken", "StoreFailed"]

#: Any number that nothing else in the database uses as an advisory lock.
BOOKING_LOCK = 7_261_940_518


class SlotTaken(Exception):
    """Another meeting has some of these minutes."""


class NotYours(Exception):
    """This caller has no such meeting."""


#: The news of a meeting as it now stands, one for each receiver. Called within the transaction; it may be called twice.
Deliveries = Callable[[Meeting], Sequence[NewDelivery]]


class Meetings:
    """All meetings. `now` gives seconds since 1970. Everything raises StoreFailed."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database, self._now = database, now

    async def book(self, meeting: Meeting, deliveries: Deliveries) -> tuple[Meeting, bool]:
        """Takes its minutes: the meeting as it is stored, True.

        What the caller has booked at this start already is returned as it is, with False. Raises SlotTaken.
        """
        new = replace(meeting, start=meeting.start.astimezone(meeting.zone), status="booked", sequence=0)

        async def work(connection: AsyncConnection) -> tuple[Meeting, bool]:
            await _one_at_a_time(connection)
            stored = await _first(connection, select(meetings).where(
                meetings.c.caller == new.caller, meetings.c.start_at == _seconds(new.start),
                meetings.c.status == "booked"))
            if stored:
                return stored, False
            await _require_free(connection, new)
            await connection.execute(insert(meetings).values(_columns(new)))
            await _take(connection, new)
            await self._announce(connection, new, deliveries)
            return new, True
        return await self._database.write(work)

    async def change(self, meeting: Meeting, deliveries: Deliveries) -> Meeting:
        """Makes the caller's meeting of this id what is given, booked, with the next `sequence`; the stored one.

        Where nothing differs nothing is done. Raises SlotTaken, and the meeting stays as it was; NotYours.
        """
        async def work(connection: AsyncConnection) -> Meeting:
            await _one_at_a_time(connection)
            stored = await _of(connection, meeting.id, meeting.caller)
            changed = replace(meeting, start=meeting.start.astimezone(meeting.zone), call_sid=stored.call_sid,
                              status="booked", sequence=stored.sequence)
            if changed == stored:
                return stored
            changed = replace(changed, sequence=stored.sequence + 1)
            await _require_free(connection, changed)
            await _free(connection, stored)
            await _store(connection, changed)
            await _take(connection, changed)
            await self._announce(connection, changed, deliveries)
            return changed
        return await self._database.write(work)

    async def cancel(self, meeting_id: str, caller: str, deliveries: Deliveries) -> Meeting:
        """Frees the minutes of the caller's meeting; the stored one. Cancelled twice is cancelled once. NotYours."""
        async def work(connection: AsyncConnection) -> Meeting:
            await _one_at_a_time(connection)
            stored = await _of(connection, meeting_id, caller)
            if stored.status == "cancelled":
                return stored
            cancelled = replace(stored, status="cancelled", sequence=stored.sequence + 1)
            await _free(connection, stored)
            await _store(connection, cancelled)
            await self._announce(connection, cancelled, deliveries)
            return cancelled
        return await self._database.write(work)

    async def of_caller(self, caller: str, after: datetime) -> list[Meeting]:
        """What the caller has booked that begins after a moment, the next one first."""
        return await self._list(select(meetings).where(
            meetings.c.caller == caller, meetings.c.status == "booked", meetings.c.start_at > after.timestamp()))

    async def taken(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """Beginning and end of each booked meeting that has a minute in [start, end), in order."""
        return [(each.start, each.end) for each in await self._list(select(meetings).where(
            meetings.c.status == "booked", meetings.c.start_at < end.timestamp(),
            meetings.c.end_at > start.timestamp()))]

    async def find(self, meeting_id: str) -> Meeting | None:
        query = select(meetings).where(meetings.c.id == meeting_id)
        return await self._database.read(lambda connection: _first(connection, query))

    async def all(self, limit: int = 1000, after: Meeting | None = None) -> list[Meeting]:
        """Booked and cancelled ones by their beginning, `limit` at most; those behind `after`, for the next page."""
        query = select(meetings).limit(limit)
        if after:
            query = query.where(tuple_(meetings.c.start_at, meetings.c.id) > (_seconds(after.start), after.id))
        return await self._list(query)

    async def _list(self, query: Select[Any]) -> list[Meeting]:
        ordered = query.order_by(meetings.c.start_at, meetings.c.id)

        async def work(connection: AsyncConnection) -> list[Meeting]:
            return [_meeting(row) for row in await connection.execute(ordered)]
        return await self._database.read(work)

    async def _announce(self, connection: AsyncConnection, meeting: Meeting, deliveries: Deliveries) -> None:
        now = self._now()
        rows = [{
            **asdict(each), "meeting_id": meeting.id, "created_at": now, "since": now, "next_at": now, "attempts": 0,
            "state": "pending", "last_error": "", "answer": "",
        } for each in deliveries(meeting)]
        if rows:
            await connection.execute(insert(deliveries_table), rows)


async def _one_at_a_time(connection: AsyncConnection) -> None:
    """Until this transaction ends no other one books; on SQLite there is only one writer anyway."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(BOOKING_LOCK)))


async def _first(connection: AsyncConnection, query: Select[Any]) -> Meeting | None:
    row = (await connection.execute(query)).first()
    return _meeting(row) if row else None


async def _of(connection: AsyncConnection, meeting_id: str, caller: str) -> Meeting:
    stored = await _first(connection, select(meetings).where(
        meetings.c.id == meeting_id, meetings.c.caller == caller))
    if stored is None:
        raise NotYours(meeting_id)
    return stored


async def _require_free(connection: AsyncConnection, meeting: Meeting) -> None:
    """Raises SlotTaken where another meeting has a minute of this one."""
    others = select(slots).where(_among(_minutes(meeting)), slots.c.meeting_id != meeting.id).limit(1)
    if (await connection.execute(others)).first():
        raise SlotTaken(meeting.start.isoformat())


async def _store(connection: AsyncConnection, meeting: Meeting) -> None:
    await connection.execute(update(meetings).where(meetings.c.id == meeting.id).values(_columns(meeting)))


async def _take(connection: AsyncConnection, meeting: Meeting) -> None:
    await connection.execute(
        insert(slots), [{"minute": minute, "meeting_id": meeting.id} for minute in _minutes(meeting)])


async def _free(connection: AsyncConnection, meeting: Meeting) -> None:
    await connection.execute(delete(slots).where(_among(_minutes(meeting)), slots.c.meeting_id == meeting.id))


def _among(minutes: range) -> ColumnElement[bool]:
    return slots.c.minute.between(minutes[0], minutes[-1])


def _minutes(meeting: Meeting) -> range:
    first, seconds = divmod(_seconds(meeting.start), 60)
    if seconds or meeting.minutes < 1:
        raise ValueError("a meeting begins at a whole minute and lasts for one at least")
    return range(first, first + meeting.minutes)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _columns(meeting: Meeting) -> dict[str, Any]:
    return {
        "id": meeting.id, "caller": meeting.caller, "call_sid": meeting.call_sid, "name": meeting.name,
        "email": meeting.email, "description": meeting.description, "phone_number": meeting.phone_number,
        "start_at": _seconds(meeting.start), "end_at": _seconds(meeting.end), "zone": meeting.zone.key,
        "read_back": meeting.read_back, "status": meeting.status, "sequence": meeting.sequence,
    }


def _meeting(row: Row[Any]) -> Meeting:
    zone = ZoneInfo(row.zone)
    return Meeting(
        id=row.id, caller=row.caller, call_sid=row.call_sid, name=row.name, email=row.email,
        description=row.description, phone_number=row.phone_number, start=datetime.fromtimestamp(row.start_at, zone),
        minutes=(row.end_at - row.start_at) // 60, zone=zone, read_back=row.read_back, status=row.status,
        sequence=row.sequence)
