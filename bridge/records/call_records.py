"""What was said and heard in each call, kept as the call goes on.

1. A call is written by the process that carries it, a portion at a time. The first portion of a stream makes the call's
   row; where an earlier stream of the same call has made it, this one goes on behind its turns and adds to its figures.
2. A call that was erased stays erased: what its process still has of it is not written.
3. A call's end is written once, with the news of it, in one transaction. One that comes back from a transfer goes on.
4. A call whose process is gone is ended by another process: as it is known to have ended, else as "server lost".
5. Words come from anywhere. A letter that a database cannot hold is replaced, and the rest is kept.
"""

import re

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from bridge.meetings.meeting import Meeting
from bridge.records.call_record import Call, CallRecord, Turn
from bridge.records.calls import LEASE_S
from bridge.records.database import Database, overwrite
from bridge.records.deliveries import promise
from bridge.records.endings import Ending
from bridge.records.meetings import made_in
from bridge.records.news import About, NewDelivery
from bridge.records.tables import call_records, call_turns, calls

#: How long after a transfer a call is taken for over, if nothing more is heard of it, seconds: Twilio's longest call.
TRANSFERRED_S = 4 * 3600.0
#: A process that has written nothing of a call for so long is looked at, seconds.
SILENT_S = 2 * LEASE_S
#: No stream has so many turns. The next one's are numbered from there: the earlier one may not be written to its end.
MOST_TURNS = 10_000
#: How many calls are ended, or reported, in one transaction.
PORTION = 50

#: The news of a call that is over and of the meetings made in it, for each of its receivers.
Report = Callable[[CallRecord, Sequence[Meeting]], Sequence[NewDelivery]]

_encode = msgspec.json.Encoder().encode
#: What PostgreSQL refuses, and what is no letter in UTF-8.
_NO_LETTER = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Before:
    """What earlier streams of a call have left: its head as it was, and turns whose `n` are below `turns`."""

    head: Call | None = None
    turns: int = 0


@dataclass(frozen=True, slots=True)
class Portion:
    """What is new of one stream's record. `before`: what `write` said of the first portion; None: this is the first.

    `forget_words`: what was kept of the call's words is removed first.
    """

    call: Call
    turns: Sequence[Turn]
    before: Before | None
    forget_words: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which calls are looked for; what is None or empty does not matter. Moments are seconds since 1970."""

    since: float | None = None
    until: float | None = None
    caller: str = ""
    agent: str = ""
    endings: Sequence[str] = field(default=())
    words: str = ""


class CallRecords:
    """The records of all calls. Moments are seconds since 1970. Everything raises StoreFailed."""

    def __init__(self, database: Database, report: Report = lambda record, meetings: ()) -> None:
        self._database, self._report = database, report

    # ---- as calls go on

    async def write(self, portions: Sequence[Portion], now: float) -> Sequence[Before | None]:
        """Keeps what is new of these calls, all of it or nothing.

        Returns, for each in turn, what the call had before this stream. None: nothing of it is to be written any more,
        because the call was erased, or goes on with the assistant though a webhook of it was answered otherwise.
        """
        def work(connection: Connection) -> list[Before | None]:
            return [self._write(connection, portion, now) for portion in portions]
        return await self._database.write(work)

    def _write(self, connection: Connection, portion: Portion, now: float) -> Before | None:
        before = portion.before
        if before is None:
            before = _before(connection, portion.call.call_sid)
            if portion.call.answered_by != "assistant" and before.head and before.head.ended_at is None:
                return None                          # a webhook that was repeated, of a call that goes on
            _insert(connection, _head(_merged(portion.call, before.head), now))
        elif not _update(connection, _head(_merged(portion.call, before.head), now)):
            return None
        if portion.forget_words:
            _forget_words(connection, portion.call.call_sid)
        _put_turns(connection, portion, before)
        if portion.call.ended_at is not None and not Ending.read(portion.call.ending).comes_back:
            self._finish(connection, portion.call.call_sid, now)
        return before

    def _finish(self, connection: Connection, call_sid: str, now: float) -> None:
        """The call is over: the owner is told, once."""
        this = call_records.c.call_sid == call_sid
        unreported = update(call_records).where(this, ~call_records.c.reported).values(reported=True)
        if connection.execute(unreported).rowcount and (record := _read(connection, call_sid)):
            news = self._report(record, made_in(connection, call_sid))
            promise(connection, About("call", call_sid), news, now, first=True)

    # ---- what was left open

    async def end_lost(self, now: float, but: Sequence[str] = ()) -> int:
        """Ends the calls whose process is gone, and those that nobody came back to after a transfer; how many.

        `but`: the CallSids of those that go on here, whatever the database knows of them.
        """
        return await self._database.write(lambda connection: self._end_lost(connection, now, but))

    def _end_lost(self, connection: Connection, now: float, but: Sequence[str]) -> int:
        # A lease is renewed every few seconds, and a record is written when something happens. Either is a sign of
        # life. After a time without the database the leases of calls that go on have ended too.
        goes_on = and_(calls.c.ended_at.is_(None), calls.c.lease_until > now + LEASE_S - SILENT_S)
        left = select(
            call_records.c.call_sid, call_records.c.ended_at, call_records.c.seen_at, calls.c.reason,
        ).outerjoin(calls, calls.c.call_sid == call_records.c.call_sid).where(
            call_records.c.call_sid.not_in(but), or_(
                and_(call_records.c.ended_at.is_(None), call_records.c.seen_at < now - SILENT_S,
                     or_(calls.c.call_sid.is_(None), ~goes_on)),
                and_(call_records.c.ended_at < now - TRANSFERRED_S, ~call_records.c.reported))).limit(PORTION)
        rows = connection.execute(left).all()
        for row in rows:
            if row.ended_at is None:
                ending = row.reason or Ending.SERVER_LOST.value
                connection.execute(update(call_records).where(
                    call_records.c.call_sid == row.call_sid, call_records.c.ended_at.is_(None),
                ).values(ended_at=row.seen_at, ending=ending))
            self._finish(connection, row.call_sid, now)
        return len(rows)

    # ---- to look at

    async def read(self, call_sid: str) -> CallRecord | None:
        """One call with its turns, in their order."""
        return await self._database.read(lambda connection: _read(connection, call_sid))

    async def read_with_meetings(self, call_sid: str) -> tuple[CallRecord, list[Meeting]] | None:
        """One call with its turns, and the meetings that were made or changed in it."""
        def work(connection: Connection) -> tuple[CallRecord, list[Meeting]] | None:
            record = _read(connection, call_sid)
            return (record, made_in(connection, call_sid)) if record else None
        return await self._database.read(work)

    async def newest(
        self, wanted: Wanted = Wanted(), limit: int = 50, before: tuple[float, str] | None = None,
    ) -> list[Call]:
        """The newest first, `limit` at most; `before`: those behind this moment and CallSid, for the next page."""
        query = select(call_records).where(*_conditions(wanted)).order_by(
            call_records.c.started_at.desc(), call_records.c.call_sid.desc()).limit(limit)
        if before:
            query = query.where(tuple_(call_records.c.started_at, call_records.c.call_sid) < before)

        def work(connection: Connection) -> list[Call]:
            return [_call(row) for row in connection.execute(query)]
        return await self._database.read(work)

    async def beginning(self, call_sid: str, limit: int) -> list[str]:
        """The CallSids that begin so, `limit` at most."""
        query = select(call_records.c.call_sid).where(
            call_records.c.call_sid.startswith(call_sid, autoescape=True)).limit(limit)

        def work(connection: Connection) -> list[str]:
            return [*connection.scalars(query)]
        return await self._database.read(work)

    async def finish(self, call_sid: str, now: float) -> None:
        """Nobody comes back to this call after its transfer: it is over."""
        def work(connection: Connection) -> None:
            this = call_records.c.call_sid == call_sid
            if connection.scalar(select(call_records.c.ended_at).where(this)) is not None:
                self._finish(connection, call_sid, now)
        await self._database.write(work)


# ---- in a transaction

def _before(connection: Connection, call_sid: str) -> Before:
    head = connection.execute(select(call_records).where(call_records.c.call_sid == call_sid)).first()
    if head is None:
        return Before()
    newest = connection.scalar(select(func.max(call_turns.c.n)).where(call_turns.c.call_sid == call_sid)) or 0
    return Before(_call(head), (newest // MOST_TURNS + 1) * MOST_TURNS)


def _merged(call: Call, earlier: Call | None) -> Call:
    """A call of several streams: it began with the first, and its figures are of all of them."""
    if earlier is None:
        return call
    return msgspec.structs.replace(
        call, started_at=earlier.started_at, caller=call.caller or earlier.caller, called=call.called or earlier.called,
        answered_by="assistant" if earlier.answered_by == "assistant" else call.answered_by,
        turns=earlier.turns + call.turns, interruptions=earlier.interruptions + call.interruptions,
        sessions=earlier.sessions + call.sessions, usd=earlier.usd + call.usd,
        first_audio_ms=call.first_audio_ms if earlier.first_audio_ms is None else earlier.first_audio_ms,
        answer_p50_ms=call.answer_p50_ms if earlier.answer_p50_ms is None else earlier.answer_p50_ms,
        answer_max_ms=_most(call.answer_max_ms, earlier.answer_max_ms),
        silence_ms=_most(call.silence_ms, earlier.silence_ms),
        tokens={name: earlier.tokens.get(name, 0) + call.tokens.get(name, 0)
                for name in {**earlier.tokens, **call.tokens}},
        consent=call.consent or earlier.consent,
        recording="\n".join(filter(None, [earlier.recording, call.recording])))


def _most(one: int | None, other: int | None) -> int | None:
    known = [each for each in (one, other) if each is not None]
    return max(known) if known else None


def _head(call: Call, now: float) -> dict[str, Any]:
    return {**_held(msgspec.structs.asdict(call)), "tokens": _encode(call.tokens).decode(), "seen_at": now}


@cache
def _put(dialect: str, table_name: str) -> Any:
    """Inserts rows; one that is there already gets the new values."""
    table = {each.name: each for each in (call_records, call_turns)}[table_name]
    new = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    keys = [column.name for column in table.primary_key]
    kept = {*keys, "reported", "levels"}
    return new.on_conflict_do_update(
        index_elements=keys, set_={each.name: new.excluded[each.name] for each in table.c if each.name not in kept})


def _insert(connection: Connection, head: Mapping[str, Any]) -> None:
    connection.execute(_put(connection.dialect.name, "call_records"), [{**head, "reported": False}])


#: Put together once: that takes as long as to carry it out. What it sets are its other parameters.
_GOES_ON = update(call_records).where(call_records.c.call_sid == bindparam("this_call"))


def _update(connection: Connection, head: Mapping[str, Any]) -> bool:
    """Whether the call is still there."""
    values = {name: value for name, value in head.items() if name != "call_sid"}
    return bool(connection.execute(_GOES_ON, {**values, "this_call": head["call_sid"]}).rowcount)


def _put_turns(connection: Connection, portion: Portion, before: Before) -> None:
    if not portion.turns:
        return
    later_ms = max(0, round((portion.call.started_at - before.head.started_at) * 1000)) if before.head else 0
    connection.execute(_put(connection.dialect.name, "call_turns"), [{
        **_held(msgspec.structs.asdict(turn)), "call_sid": portion.call.call_sid, "n": before.turns + turn.n,
        "position": before.turns + turn.position, "at_ms": later_ms + turn.at_ms,
        "data": _encode(_held(turn.data)).decode()} for turn in portion.turns])


def _held(value: Any) -> Any:
    """The same, with every text in it as a database can hold it."""
    match value:
        case str():
            return _NO_LETTER.sub("\ufffd", value)
        case dict():
            return {_held(name): _held(each) for name, each in value.items()}
        case list() | tuple():
            return [*map(_held, value)]
    return value


def _forget_words(connection: Connection, call_sid: str) -> None:
    """All that was said, typed, asked or answered in a call. Figures stay."""
    overwrite(connection)
    said = and_(call_turns.c.call_sid == call_sid, call_turns.c.kind != "event")
    connection.execute(update(call_turns).where(said).values(data="{}"))
    connection.execute(update(call_turns).where(said, call_turns.c.kind != "function").values(text=""))


def _read(connection: Connection, call_sid: str) -> CallRecord | None:
    head = connection.execute(select(call_records).where(call_records.c.call_sid == call_sid)).first()
    if head is None:
        return None
    turns = select(call_turns).where(call_turns.c.call_sid == call_sid).order_by(call_turns.c.position, call_turns.c.n)
    return CallRecord(_call(head), [_turn(row) for row in connection.execute(turns)])


def _call(row: Row[Any]) -> Call:
    values = row._asdict()
    for name in ("seen_at", "reported", "levels"):
        del values[name]
    return Call(**values | {"tokens": msgspec.json.decode(values["tokens"])})


def _turn(row: Row[Any]) -> Turn:
    values = row._asdict()
    del values["call_sid"]
    return Turn(**values | {"data": msgspec.json.decode(values["data"])})


# ---- which calls

def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.since is not None:
        yield call_records.c.started_at >= wanted.since
    if wanted.until is not None:
        yield call_records.c.started_at < wanted.until
    if wanted.caller:
        yield call_records.c.caller == wanted.caller
    if wanted.agent:
        yield call_records.c.agent == wanted.agent
    if wanted.endings:
        yield call_records.c.ending.in_(wanted.endings)
    if wanted.words:
        yield call_records.c.call_sid.in_(_said(wanted.words))


def _said(words: str) -> Select[tuple[str]]:
    """The calls in which these words were said, by either side."""
    return select(call_turns.c.call_sid).where(
        call_turns.c.kind == "words", func.lower(call_turns.c.text).contains(words.lower(), autoescape=True))
