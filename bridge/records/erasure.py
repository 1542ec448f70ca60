"""Erasure: removes a caller from every table on request, and removes settled, old rows in a sweep.

1. A meeting or message with undelivered news, dead letters too, is never swept. Such news is counted before a caller is
   erased.
2. A transaction is a plain function of a connection. A sweep's transaction takes PORTION rows at most, so that nobody
   waits long.
3. Rows to be removed are locked first. News of them from another process is then either seen, or not promised.
4. SQLite would leave deleted rows readable in the file. So it is told to overwrite them with zeros.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, delete, exists, func, or_, select

from bridge.records.database import Database, overwrite
from bridge.records.tables import call_records, call_turns, calls, deliveries, meetings, messages, slots

#: The most meetings, and the most messages, in one transaction of a sweep.
PORTION = 500
#: News that a receiver has not been told. A dead letter was not taken either, and may be sent again.
_UNTOLD = deliveries.c.state.in_(["pending", "dead"])


@dataclass(frozen=True, slots=True)
class Found:
    """How many rows there are about a caller.

    `upcoming`: the meetings that are booked and still to come. `untold`: the deliveries that wait, or are dead letters.
    `under_way`: the calls that have not ended. `recordings`: the addresses of what was recorded. They are no rows: who
    erases the rows has removed them before.
    """

    meetings: int = 0
    upcoming: int = 0
    messages: int = 0
    deliveries: int = 0
    untold: int = 0
    calls: int = 0
    under_way: int = 0
    records: int = 0
    recordings: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        return bool(self.meetings or self.messages or self.deliveries or self.calls or self.records)


class Erasure:
    """Removes what is kept of people. Moments are seconds since 1970. Every method raises StoreFailed.

    A caller is a number in E.164, or a CallSid if the caller hid the number.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, caller: str, now: float) -> Found:
        """Counts what is kept of a caller."""
        return await self._database.read(lambda connection: _found(connection, caller, now))

    async def erase(self, caller: str, now: float) -> Found:
        """Removes all that is kept of a caller, even what was not delivered yet. Returns what was removed."""
        return await self._database.write(lambda connection: _erase(connection, caller, now))

    async def held(self, before: float) -> int:
        """How many meetings and messages were over before `before`, and stay because of a dead letter."""
        return await self._database.read(lambda connection: _held(connection, before))

    async def sweep(self, before: float) -> int:
        """Removes meetings and messages that were over and settled before `before`. Returns how many."""
        swept = 0
        while portion := await self._database.write(lambda connection: _sweep(connection, before)):
            swept += portion
        return swept


# ---- a caller

_Whose = tuple[ColumnElement[bool], ColumnElement[bool], ColumnElement[bool], ColumnElement[bool]]
_Ids = Select[tuple[str]] | Sequence[str]


def _of(connection: Connection, caller: str) -> _Whose:
    """Whose meetings, messages, calls and records; a number's are those of hidden calls too in which it was said."""
    hidden = select(meetings.c.call_sid).where(
        meetings.c.phone_number == caller, meetings.c.caller == meetings.c.call_sid)
    names = [caller, *connection.scalars(hidden.distinct())]
    return (
        or_(meetings.c.caller.in_(names), meetings.c.phone_number == caller, meetings.c.call_sid.in_(names)),
        or_(messages.c.caller == caller, messages.c.call_sid.in_(names)),
        or_(calls.c.caller == caller, calls.c.call_sid.in_(names)),
        or_(call_records.c.caller == caller, call_records.c.call_sid.in_(names)))


def _news(of_meetings: _Ids, of_messages: _Ids, of_calls: _Ids) -> ColumnElement[bool]:
    """The deliveries of these meetings, messages and calls, by their ids."""
    return or_(*(and_(deliveries.c.about_kind == kind, deliveries.c.about_id.in_(ids))
                 for kind, ids in (("meeting", of_meetings), ("message", of_messages), ("call", of_calls))))


def _found(connection: Connection, caller: str, now: float) -> Found:
    theirs, left, called, recorded = _of(connection, caller)
    news = _news(select(meetings.c.id).where(theirs), select(messages.c.id).where(left),
                 select(call_records.c.call_sid).where(recorded))

    def count(table: Table, *conditions: ColumnElement[bool]) -> int:
        return connection.scalar(select(func.count()).select_from(table).where(*conditions)) or 0
    return Found(
        meetings=count(meetings, theirs),
        upcoming=count(meetings, theirs, meetings.c.status == "booked", meetings.c.end_at > now),
        messages=count(messages, left), deliveries=count(deliveries, news),
        untold=count(deliveries, news, _UNTOLD), calls=count(calls, called),
        under_way=count(calls, called, calls.c.ended_at.is_(None), calls.c.lease_until > now),
        records=count(call_records, recorded),
        recordings=tuple(address for text in connection.scalars(select(call_records.c.recording).where(recorded))
                         for address in text.split("\n") if address))


def _erase(connection: Connection, caller: str, now: float) -> Found:
    overwrite(connection)
    found = _found(connection, caller, now)
    theirs, left, called, recorded = _of(connection, caller)
    _remove(connection, select(meetings.c.id).where(theirs), select(messages.c.id).where(left),
            select(call_records.c.call_sid).where(recorded))
    connection.execute(delete(calls).where(called))
    return found


def _remove(
    connection: Connection, theirs: Select[tuple[str]], left: Select[tuple[str]], recorded: Select[tuple[str]],
) -> int:
    """The meetings, messages and records with these ids, and all that belongs to them; how many."""
    of_meetings, of_messages, of_calls = (
        [*connection.scalars(ids.with_for_update())] for ids in (theirs, left, recorded))
    connection.execute(delete(deliveries).where(_news(of_meetings, of_messages, of_calls)))
    connection.execute(delete(call_turns).where(call_turns.c.call_sid.in_(of_calls)))
    connection.execute(delete(call_records).where(call_records.c.call_sid.in_(of_calls)))
    connection.execute(delete(slots).where(slots.c.meeting_id.in_(of_meetings)))
    connection.execute(delete(meetings).where(meetings.c.id.in_(of_meetings)))
    connection.execute(delete(messages).where(messages.c.id.in_(of_messages)))
    return len(of_meetings) + len(of_messages) + len(of_calls)


# ---- what is old

def _sweep(connection: Connection, before: float) -> int:
    overwrite(connection)
    return _remove(connection, _old_meetings(before).limit(PORTION), _old_messages(before).limit(PORTION),
                   _old_records(before).limit(PORTION))


def _old_meetings(before: float) -> Select[tuple[str]]:
    """Meetings that are over, or were cancelled with news, and of which nothing is unsettled or was settled since."""
    news = _of_this(meetings)
    cancelled = and_(meetings.c.status == "cancelled", exists().where(news))
    return select(meetings.c.id).where(or_(meetings.c.end_at < before, cancelled), ~_unsettled(news, before))


def _old_messages(before: float) -> Select[tuple[str]]:
    return select(messages.c.id).where(messages.c.recorded_at < before, ~_unsettled(_of_this(messages), before))


def _old_records(before: float) -> Select[tuple[str]]:
    """Of calls that are over and were reported. One with a recording waits until that was removed (retention.py)."""
    return select(call_records.c.call_sid).where(
        call_records.c.ended_at < before, call_records.c.reported, call_records.c.recording == "",
        ~_unsettled(_of_this(call_records), before))


def _of_this(table: Table) -> ColumnElement[bool]:
    """Whether a delivery is about the row of this table."""
    return deliveries.c.about_id == (table.c.call_sid if table is call_records else table.c.id)


def _unsettled(news: ColumnElement[bool], before: float) -> ColumnElement[bool]:
    """Whether a delivery waits, is a dead letter, or was settled since."""
    return exists().where(news, or_(_UNTOLD, deliveries.c.next_at >= before))


def _held(connection: Connection, before: float) -> int:
    dead = deliveries.c.state == "dead"
    of_meeting = exists().where(_of_this(meetings), dead)
    of_message = exists().where(_of_this(messages), dead)
    over = select(func.count()).select_from(meetings).where(meetings.c.end_at < before, of_meeting)
    left = select(func.count()).select_from(messages).where(messages.c.recorded_at < before, of_message)
    return (connection.scalar(over) or 0) + (connection.scalar(left) or 0)
