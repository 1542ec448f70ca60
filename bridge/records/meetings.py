"""Meetings: no minute is promised twice, and every meeting is promised together with its news.

1. A meeting, its minutes and its deliveries are committed together.
2. Bookings are made one after the other, on PostgreSQL by an advisory lock. So a minute that a booking finds free stays
   free until it commits. If anything else writes to the database, the database itself refuses a double booking.
3. A booking that is asked for twice gets the same answer and changes nothing. Its key is the caller and the instant.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger, Connection, Double, Row, Select, Text, bindparam, delete, exists, insert, select, text, tuple_, update,
)

from bridge.meetings.meeting import Meeting
from bridge.records.database import Database
from bridge.records.deliveries import Delivery, overtaken, promise, undo
from bridge.records.news import About, NewDelivery
from bridge.records.tables import meetings, slots

#: The advisory lock of bookings. Any number will do that nothing else in the database uses.
BOOKING_LOCK = 7_261_940_518


class SlotTaken(Exception):
    """Another meeting has some of these minutes."""


class NotYours(Exception):
    """This caller has no such meeting."""


class Overtaken(Exception):
    """The receiver that refused this news has been promised later news of the meeting."""


#: Makes the news of a meeting as it now stands, one delivery for each receiver. It is called within the transaction, in
#: a thread of the database, perhaps twice. So it may depend on the meeting only, and on nothing that changes.
Deliveries = Callable[[Meeting], Sequence[NewDelivery]]


class Meetings:
    """All meetings. `now` gives seconds since 1970. Every method raises StoreFailed."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database, self._now = database, now

    async def book(self, meeting: Meeting, deliveries: Deliveries) -> tuple[Meeting, list[Delivery]]:
        """Books a meeting. Returns it as it is stored, and the deliveries that were promised. Raises SlotTaken.

        If the caller has booked this start already, that meeting is returned without deliveries.
        """
        new = replace(meeting, start=meeting.start.astimezone(meeting.zone), status="booked", sequence=0)

        def work(connection: Connection) -> tuple[Meeting, list[Delivery]]:
            if not connection.execute(_ADD_IF_FREE, _columns(new) | _among(new)).rowcount:
                stored = new.repeated(_all(connection, _WITHIN, **_within(new.start, new.end)))
                if stored is None:
                    raise SlotTaken(new.start.isoformat())
                return stored, []
            _take(connection, new)
            return new, self._announce(connection, new, deliveries)
        return await self._database.write(work, BOOKING_LOCK)

    async def change(
        self, meeting_id: str, caller: str, changes: Mapping[str, Any], deliveries: Deliveries, *,
        undoing: Delivery | None = None,
    ) -> tuple[Meeting, list[Delivery]]:
        """Changes fields of the caller's booked meeting, and its `sequence`. Returns it, and the promised deliveries.

        Fields that `changes` does not name stay as they are stored. If nothing differs, nothing is done.
        `undoing`: a dead letter with news that this change makes untrue.
        Raises SlotTaken and Overtaken: the meeting stays as it was. Raises NotYours also for a cancelled meeting, so
        that nobody books it again by correcting it.
        """
        def work(connection: Connection) -> tuple[Meeting, list[Delivery]]:
            stored = _of(connection, meeting_id, caller)
            if stored.status != "booked":
                raise NotYours(meeting_id)
            changed = replace(stored, **changes)
            changed = replace(changed, start=changed.start.astimezone(stored.zone))
            if undoing:
                _undo(connection, undoing)
            if changed == stored:
                return stored, []
            changed = replace(changed, sequence=stored.sequence + 1)
            taken = _all(connection, _WITHIN, **_within(changed.start, changed.end))
            if any(each.id != changed.id for each in taken):
                raise SlotTaken(changed.start.isoformat())
            _free(connection, stored)
            _store(connection, changed)
            _take(connection, changed)
            return changed, self._announce(connection, changed, deliveries)
        return await self._database.write(work, BOOKING_LOCK)

    async def cancel(
        self, meeting_id: str, caller: str, deliveries: Deliveries, *, undoing: Delivery | None = None,
    ) -> tuple[Meeting, list[Delivery]]:
        """Cancels the caller's meeting and frees its minutes. Returns it, and the promised deliveries.

        Cancelling twice changes nothing more. `undoing`: a dead letter with news that this makes untrue. Raises
        NotYours and Overtaken.
        """
        def work(connection: Connection) -> tuple[Meeting, list[Delivery]]:
            stored = _of(connection, meeting_id, caller)
            if stored.status == "cancelled":
                return stored, []
            if undoing:
                _undo(connection, undoing)
            cancelled = replace(stored, status="cancelled", sequence=stored.sequence + 1)
            _free(connection, stored)
            _store(connection, cancelled)
            return cancelled, self._announce(connection, cancelled, deliveries)
        return await self._database.write(work, BOOKING_LOCK)

    async def of_caller(self, caller: str, after: datetime) -> list[Meeting]:
        """The caller's booked meetings that begin after a moment, the next one first."""
        return await self._database.read(lambda connection: _all(connection, _UPCOMING, **_upcoming(caller, after)))

    async def within(self, start: datetime, end: datetime) -> list[Meeting]:
        """The booked meetings that have a minute in [start, end), in order."""
        return await self._database.read(lambda connection: _all(connection, _WITHIN, **_within(start, end)))

    async def find(self, meeting_id: str) -> Meeting | None:
        query = select(meetings).where(meetings.c.id == meeting_id)
        return await self._database.read(lambda connection: _first(connection, query))

    async def all(self, limit: int = 1000, after: Meeting | None = None) -> list[Meeting]:
        """Booked and cancelled meetings by their start, `limit` at most. `after`: the last one of the page before."""
        query = select(meetings).limit(limit)
        if after:
            query = query.where(tuple_(meetings.c.start_at, meetings.c.id) > (_seconds(after.start), after.id))
        return await self._database.read(lambda connection: _all(connection, query.order_by(*_IN_ORDER)))

    def _announce(self, connection: Connection, meeting: Meeting, deliveries: Deliveries) -> list[Delivery]:
        return promise(
            connection, About("meeting", meeting.id), deliveries(meeting), self._now(), first=meeting.sequence == 0)


# ---- statements, built once

_IN_ORDER = meetings.c.start_at, meetings.c.id
#: As text, not as a parameter. Otherwise SQLite would not use the index of booked meetings.
_BOOKED = select(meetings).where(text("status = 'booked'"))
_UPCOMING = _BOOKED.where(
    meetings.c.caller == bindparam("caller"), meetings.c.start_at > bindparam("after", type_=Double),
).order_by(*_IN_ORDER)
_AMONG = slots.c.minute.between(bindparam("first"), bindparam("last"))
#: By the minutes, which are indexed in order. No index serves "began before one moment and ends after another".
_WITHIN = select(meetings).where(meetings.c.id.in_(select(slots.c.meeting_id).where(_AMONG))).order_by(*_IN_ORDER)
_ADD_IF_FREE = insert(meetings).from_select(
    meetings.c.keys(), select(*(bindparam(each.name, type_=each.type) for each in meetings.c))
    .where(~exists().where(_AMONG))).execution_options(preserve_rowcount=True)
_FIRST = select(bindparam("first", type_=BigInteger).label("minute")).cte("minutes", recursive=True)
_MINUTES = _FIRST.union_all(select(_FIRST.c.minute + 1).where(_FIRST.c.minute < bindparam("last")))
#: One statement for all minutes. Thirty rows sent one by one take as long as all the rest of a booking.
_OCCUPY = insert(slots).from_select(
    ["minute", "meeting_id"], select(_MINUTES.c.minute, bindparam("meeting", type_=Text)))
_OWN = delete(slots).where(_AMONG, slots.c.meeting_id == bindparam("meeting"))


def _upcoming(caller: str, after: datetime) -> dict[str, Any]:
    return {"caller": caller, "after": after.timestamp()}


def _within(start: datetime, end: datetime) -> dict[str, Any]:
    return {"first": int(start.timestamp() // 60), "last": int(-(-end.timestamp() // 60)) - 1}


def _among(meeting: Meeting) -> dict[str, Any]:
    minutes = _minutes(meeting)
    return {"first": minutes[0], "last": minutes[-1], "meeting": meeting.id}


# ---- within a transaction

def made_in(connection: Connection, call_sid: str) -> list[Meeting]:
    """The meetings that were made in this call, as they now stand, in the order in which they begin."""
    of_call = select(meetings).where(meetings.c.call_sid == call_sid).order_by(meetings.c.start_at, meetings.c.id)
    return [_meeting(row) for row in connection.execute(of_call)]


def _all(connection: Connection, query: Select[Any], **values: Any) -> list[Meeting]:
    return [_meeting(row) for row in connection.execute(query, values)]


def _first(connection: Connection, query: Select[Any], **values: Any) -> Meeting | None:
    row = connection.execute(query, values).first()
    return _meeting(row) if row else None


def _of(connection: Connection, meeting_id: str, caller: str) -> Meeting:
    """The caller's meeting, locked until the transaction ends, so that it is not erased while its news is written."""
    stored = _first(connection, select(meetings).where(
        meetings.c.id == meeting_id, meetings.c.caller == caller).with_for_update())
    if stored is None:
        raise NotYours(meeting_id)
    return stored


def _undo(connection: Connection, refused: Delivery) -> None:
    if overtaken(connection, refused):
        raise Overtaken(refused.id)
    undo(connection, refused)


def _store(connection: Connection, meeting: Meeting) -> None:
    connection.execute(update(meetings).where(meetings.c.id == meeting.id).values(_columns(meeting)))


def _take(connection: Connection, meeting: Meeting) -> None:
    connection.execute(_OCCUPY, _among(meeting))


def _free(connection: Connection, meeting: Meeting) -> None:
    connection.execute(_OWN, _among(meeting))


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
