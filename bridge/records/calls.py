"""Calls: how many are under way in all processes that share the database, and how each one ended.

1. A webhook admits its call, which then counts for PENDING_S. Every few seconds the process that carries the call's
   stream renews the leases of all its calls at once. If a process dies, its calls soon stop counting by themselves.
2. Admissions are made one after the other, on PostgreSQL by an advisory lock, so that two calls never take the last
   line. A webhook that Twilio repeats for a call is the same admission.
3. A call may have several streams, one after the other and in different processes, because a caller may come back after
   a transfer. An end is written only by the process that carries the call, and never over a later beginning.
4. A call is kept for a day, to count how often a number calls, and to answer Twilio when it asks what follows.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import (
    Connection, ColumnElement, Double, Integer, Select, Text, and_, bindparam, delete, func, literal, null, or_,
    select, update,
)
from sqlalchemy.dialects import postgresql, sqlite

from bridge.records.database import Database
from bridge.records.endings import Ending
from bridge.records.statement import Insert, QuickStatement, Returning
from bridge.records.tables import calls

#: The advisory lock of admissions. Any number will do that nothing else in the database uses.
ADMISSION_LOCK = 7_261_940_519
#: How long an admitted call counts without a stream, and how long a stream's lease lasts (s).
PENDING_S, LEASE_S = 30.0, 15.0
HOUR_S, DAY_S = 3600.0, 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The most calls at once, at once and in an hour from one number, and at once from hidden numbers. 0: no limit."""

    calls: int = 0
    per_caller: int = 0
    per_hour: int = 0
    hidden: int = 0

    def value(self, setting: str) -> int:
        """The value of the limit that `refusal` has named."""
        return {"MAX_CALLS": self.calls, "MAX_CALLS_PER_CALLER": self.per_caller,
                "CALLS_PER_HOUR_PER_CALLER": self.per_hour, "MAX_CALLS_HIDDEN": self.hidden}[setting]

    def refusal(self, caller: str, live: int, of_caller: int, in_hour: int) -> str | None:
        """The setting that one more call would exceed. None: the call may come.

        `live`: the calls under way. `of_caller`: those of this caller. `in_hour`: this caller's calls of the last hour.
        Callers who hide their number (`caller` is "") cannot be told apart. They count as one, with a limit of its own.
        """
        if self.calls and live >= self.calls:
            return "MAX_CALLS"
        if not caller and self.hidden and of_caller >= self.hidden:
            return "MAX_CALLS_HIDDEN"
        if caller and self.per_caller and of_caller >= self.per_caller:
            return "MAX_CALLS_PER_CALLER"
        if caller and self.per_hour and in_hour >= self.per_hour:
            return "CALLS_PER_HOUR_PER_CALLER"
        return None


class Calls:
    """All calls. `process` names this process, which carries some of them. Moments are seconds since 1970.

    Every method raises StoreFailed.
    """

    def __init__(self, database: Database, process: str) -> None:
        self._database, self._process = database, process

    async def admit(self, call_sid: str, caller: str, limits: Limits, now: float) -> str | None:
        """Admits a call at its webhook. None: it may come, and counts from now on. Else the setting it would exceed.

        `caller` is a number in E.164, or "" for a hidden one.
        """
        told = {"call_sid": call_sid, "caller": caller, "now": now, "lease_until": now + PENDING_S,
                "hour_ago": now - HOUR_S}
        if await self._database.quick(_ADMIT, told | asdict(limits)):
            return None
        waiting = {"process": "", "lease_until": now + PENDING_S, "ended_at": None, "reason": ""}

        def work(connection: Connection) -> str | None:
            admitted, *others = (connection.execute(_COUNTS, told)).one()
            if not admitted and (refusal := limits.refusal(caller, *others)):
                return refusal
            _put(connection, [_new(call_sid, caller, now) | waiting], waiting,
                 where=~(_live(now) & (calls.c.process != "")))
            return None
        return await self._database.write(work, ADMISSION_LOCK)

    async def opened(self, call_sid: str, caller: str, now: float) -> None:
        """A stream of the call began at `now`. This process carries it, whether or not the call was admitted."""
        carried = {"process": self._process, "lease_until": now + LEASE_S, "ended_at": None, "reason": ""}
        await self._write([_new(call_sid, caller, now) | carried], carried,
                          where=or_(calls.c.ended_at.is_(None), calls.c.ended_at < now))

    async def renew(self, carried: Mapping[str, str], now: float) -> None:
        """Renews the leases of the calls that this process carries. `carried`: their callers, by CallSid.

        A call that the database does not know is added. It did not answer when that call came.
        """
        values = {"process": self._process, "lease_until": now + LEASE_S}
        rows = [_new(call_sid, carried[call_sid], now) | values for call_sid in sorted(carried)]
        if rows:
            await self._write(rows, values, where=calls.c.ended_at.is_(None))

    async def closed(self, call_sid: str, ending: Ending, now: float) -> None:
        """The stream that this process carries ended at `now`."""
        values: dict[str, Any] = {"lease_until": now, "ended_at": now, "reason": ending.value}
        if not ending.comes_back:
            values["history"] = ""
        await self._write([_new(call_sid, "", now) | {"process": self._process} | values], values,
                          where=calls.c.process.in_(["", self._process]))

    async def ending(self, call_sid: str) -> Ending | Literal[""] | None:
        """How the call ended. "": it has not, or it died with its process. None: there is no such call."""
        def work(connection: Connection) -> str | None:
            reason: str | None = connection.scalar(select(calls.c.reason).where(calls.c.call_sid == call_sid))
            return reason
        reason = await self._database.read(work)
        return Ending.read(reason) if reason else "" if reason == "" else None

    async def keep_history(self, call_sid: str, text: str) -> None:
        """Keeps the conversation of a call, until it is taken or the call ends. The caller may come back."""
        await self._database.execute(update(calls).where(calls.c.call_sid == call_sid).values(history=text))

    async def take_history(self, call_sid: str) -> str:
        """Takes the kept conversation, once. "": there is none."""
        this = calls.c.call_sid == call_sid

        def work(connection: Connection) -> str:
            kept: str = connection.scalar(select(calls.c.history).where(this).with_for_update()) or ""
            if kept:
                connection.execute(update(calls).where(this).values(history=""))
            return kept
        return await self._database.write(work)

    async def sweep(self, now: float) -> None:
        """Forgets a call a day after it ended or its lease did, and its conversation after an hour."""
        def work(connection: Connection) -> None:
            connection.execute(delete(calls).where(calls.c.lease_until < now - DAY_S))
            connection.execute(update(calls).where(
                calls.c.lease_until < now - HOUR_S, calls.c.history != "").values(history=""))
        await self._database.write(work)

    async def _write(
        self, rows: list[dict[str, Any]], values: dict[str, Any], *, where: ColumnElement[bool],
    ) -> None:
        await self._database.write(lambda connection: _put(connection, rows, values, where=where))


def _put(
    connection: Connection, rows: list[dict[str, Any]], values: dict[str, Any], *, where: ColumnElement[bool],
) -> None:
    """Inserts the rows. A row that is there already gets the values instead, if the condition holds for it."""
    new = postgresql.insert(calls) if connection.dialect.name == "postgresql" else sqlite.insert(calls)
    connection.execute(
        new.on_conflict_do_update(index_elements=[calls.c.call_sid], set_=values, where=where), rows)


def _new(call_sid: str, caller: str, now: float) -> dict[str, Any]:
    return {"call_sid": call_sid, "caller": caller, "process": "", "admitted_at": now, "lease_until": now,
            "ended_at": None, "reason": "", "history": ""}


def _live(now: float | ColumnElement[float]) -> ColumnElement[bool]:
    return calls.c.ended_at.is_(None) & (calls.c.lease_until > now)


# ---- the admission of a call

_CALL_SID, _CALLER = bindparam("call_sid", type_=Text), bindparam("caller", type_=Text)
_NOW, _LEASE_UNTIL = bindparam("now", type_=Double), bindparam("lease_until", type_=Double)
_OTHER, _OF_CALLER, _LIVE = calls.c.call_sid != _CALL_SID, calls.c.caller == _CALLER, _live(_NOW)
_IN_HOUR = calls.c.admitted_at > bindparam("hour_ago", type_=Double)


def _count(*conditions: ColumnElement[bool]) -> Any:
    return select(func.count()).where(*conditions).scalar_subquery()


_UNDER_WAY = _count(calls.c.call_sid == _CALL_SID, _LIVE)
_OTHERS, _ITS_CALLERS = _count(_OTHER, _LIVE), _count(_OTHER, _LIVE, _OF_CALLER)
_LAST_HOUR = _count(_OTHER, _OF_CALLER, _IN_HOUR)

#: Whether the call is under way (1); how many others are, how many of the caller's, and of its last hour's.
_COUNTS: Select[tuple[int, int, int, int]] = select(_UNDER_WAY, _OTHERS, _ITS_CALLERS, _LAST_HOUR)


def _room(limit: str, counted: Any, *, hidden: bool | None = None) -> ColumnElement[bool]:
    """Whether one more is allowed by this limit; of callers who hide their number, or of those who do not."""
    most = bindparam(limit, type_=Integer)
    room = or_(most == 0, counted < most)
    return room if hidden is None else or_(_CALLER != "" if hidden else _CALLER == "", room)


def _admission(insert: Insert) -> Returning:
    """Writes and returns the row of a call that may come: what Limits.refusal says, as a condition.

    It writes nothing for a call that is refused, nor for one whose stream is carried already.
    """
    values = {"call_sid": _CALL_SID, "caller": _CALLER, "process": literal(""), "admitted_at": _NOW,
              "lease_until": _LEASE_UNTIL, "ended_at": null(), "reason": literal(""), "history": literal("")}
    may_come = or_(_UNDER_WAY > 0, and_(
        _room("calls", _OTHERS), _room("hidden", _ITS_CALLERS, hidden=True),
        _room("per_caller", _ITS_CALLERS, hidden=False), _room("per_hour", _LAST_HOUR, hidden=False)))
    return insert.from_select(list(values), select(*values.values()).where(may_come)).on_conflict_do_update(
        index_elements=[calls.c.call_sid],
        set_={"process": "", "lease_until": _LEASE_UNTIL, "ended_at": None, "reason": ""},
        where=~(_LIVE & (calls.c.process != ""))).returning(calls.c.call_sid)


_ADMIT = QuickStatement(calls, _admission, ADMISSION_LOCK)
