"""`python -m tests.load --soak`: many calls for many minutes, while something goes wrong in some of them.

The server must survive it: no exception that nobody handled, nothing left behind, no growth; each fault ends in a
documented way, and the calls beside it lose nothing. With the same seed the same faults come at the same moments.
"""

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import asdict
from time import perf_counter
from typing import Any

from tests.load import census
from tests.load.census import Census
from tests.load.calls import SETTINGS, Exchange, Line
from tests.load.faults import ENDINGS, UNEXPLAINED, Kind, Planned, by_kind, plan
from tests.load.inject import Injector
from tests.load.journal import Journal, read
from tests.load.table import CROWDED, LATE_MS, number, percentile, times
from tests.load.benchmark import CALL_EVERY_S, WARM_UP_S
from tests.load.server import Server, environment, free_port, running
from tests.load.trend import Trend, trend

#: Before the idle server is looked at it has had so many calls at once, at most: what is made once is made.
_REHEARSAL = 20
#: The first part of the run, but no more than this, is no sample of the memory, s.
_WARM_UP_SHARE, _WARM_UP_MOST_S = 0.25, 120.0
#: Memory may grow by this share of itself a minute, taken over this many minutes, before it counts as a leak.
GROWTH, _GROWTH_MINUTES = 0.01, 5.0
_MEANWHILE_S = 1.0
#: How long the server may take to let go of everything, s.
LET_GO_S = 20.0


async def run(
    *, calls: int, minutes: float, share: float, kinds: Sequence[Kind], seed: int, core: int | None,
) -> dict[str, Any]:
    """All figures, printed as they come. Raises NoServer, TimeoutError where nobody answers at first, OSError."""
    model_port, port = free_port(), free_port()
    settings = {**environment(port, model_port), **SETTINGS, "MAX_MESSAGES_PER_S": "0"}     # see _HURRY
    async with running("tests.load.watched", port, settings, core) as server:
        async with Exchange(server, model_port) as exchange:
            await _rehearse(exchange, min(calls, _REHEARSAL))
        idle = await census.take(server)
        async with Exchange(server, model_port) as exchange:
            soak = _Soak(exchange, server, seed)
            await soak.open(calls)
            await soak.go_on(plan(seed, kinds, calls, share, minutes), minutes)
            await soak.end()
            after = await census.settled(server, idle, LET_GO_S)
        figures = soak.figures(read(server.said().splitlines()), idle, after)
    print("\n".join(_table(figures)), flush=True)
    return {"run": "soak", "calls": calls, "minutes": minutes, "share": share, "seed": seed, **figures}


async def _rehearse(exchange: Exchange, calls: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(calls):
            tasks.create_task(exchange.open_line())
    async with asyncio.TaskGroup() as tasks:
        for line in exchange.lines:
            assert line.call
            tasks.create_task(exchange.hang_up(line.call))
    await asyncio.sleep(WARM_UP_S)


class _Soak:
    def __init__(self, exchange: Exchange, server: Server, seed: int) -> None:
        self._exchange, self._server = exchange, server
        self._injector = Injector(exchange, seed)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._began = self._lasted = self._waited_s = 0.0
        self._memory: list[tuple[float, float]] = []
        self._minutes: list[dict[str, Any]] = []
        self._unprovoked = 0                         # new connections to the model without a fault
        self._postponed = 0                          # faults for which no call was left that was well

    @property
    def _lines(self) -> list[Line]:
        return self._exchange.lines

    def _elapsed(self) -> float:
        return perf_counter() - self._began

    async def open(self, calls: int) -> None:
        """All lines, one after the other."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(calls):
                tasks.create_task(self._exchange.open_line())
                await asyncio.sleep(CALL_EVERY_S)
        await asyncio.sleep(WARM_UP_S)
        gc.collect()
        gc.freeze()
        self._exchange.stage.tally.measuring = True
        for line in self._lines:
            assert line.call
            line.call.tally.measuring = True

    async def go_on(self, planned: list[Planned], minutes: float) -> None:
        """The faults at their moments; then until each has had its end."""
        self._began, self._waited_s = perf_counter(), self._server.waited_s()
        watching = asyncio.create_task(self._watch())
        for fault in planned:
            await asyncio.sleep(max(0.0, fault.at_s - self._elapsed()))
            self._start(fault)
        await asyncio.sleep(max(0.0, minutes * 60 - self._elapsed()))
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)
        watching.cancel()
        await asyncio.wait([watching])
        self._lasted, self._waited_s = self._elapsed(), self._server.waited_s() - self._waited_s
        self._say_minute()

    def _start(self, fault: Planned) -> None:
        """In the call that was well for the longest, so that in the end all have had their turn."""
        line = min((line for line in self._lines if line.steady), key=lambda line: line.since, default=None)
        if line is None:
            self._postponed += 1
            return
        line.steady = False
        self._spawn(line, fault.kind)

    def _spawn(self, line: Line, kind: Kind | None) -> None:
        work = self._injector.inject(line, kind) if kind else self._injector.revive(line)
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        task.result()

    async def _watch(self) -> None:
        """Each second: the memory, and whether the calls that were well still are; each minute a line."""
        while True:
            await asyncio.sleep(_MEANWHILE_S)
            self._memory.append((self._elapsed(), float(self._server.resident_kib())))
            for line in self._lines:
                if line.steady:
                    self._look_after(line)
            if self._elapsed() >= 60 * (len(self._minutes) + 1):
                self._say_minute()

    def _look_after(self, line: Line) -> None:
        assert line.call
        if not line.call.live:
            line.steady = False
            self._injector.healthy.dropped += 1
            self._spawn(line, None)
        elif len(line.call.models) != line.connections:
            self._unprovoked += 1
            line.settle()

    def _say_minute(self) -> None:
        tally, ended = self._exchange.stage.tally, [each.ending for each in self._injector.outcomes]
        minute: dict[str, Any] = {
            "minute": round(self._elapsed() / 60, 2),
            "live": sum(bool(line.call and line.call.live) for line in self._lines),
            "memory_kib": self._server.resident_kib(),
            **{f"p99_{name}_ms": _in_ms(percentile(delays, .99)) for name, delays in (
                ("to_model", tally.to_model), ("to_phone", tally.to_phone), ("late", tally.lateness))},
            **{ending: ended.count(ending) for ending in ENDINGS}, "under_way": len(self._tasks),
        }
        self._minutes.append(minute)
        for delays in tally.to_model, tally.to_phone, tally.lateness, tally.barge_in, tally.set_up:
            delays.clear()
        print(
            f"{minute['minute']:6.2f} min: {minute['live']} calls, {minute['memory_kib'] / 1024:.1f} MiB, "
            f"p99 to model {number(minute['p99_to_model_ms'])} ms, to phone {number(minute['p99_to_phone_ms'])} ms, "
            f"load late {number(minute['p99_late_ms'])} ms; faults: " + ", ".join(
                f"{minute[name]} {name.replace('_', ' ')}" for name in (*ENDINGS, "under_way")), flush=True)

    async def end(self) -> None:
        """Nothing is said any more: what is on its way is awaited, everybody hangs up."""
        gc.unfreeze()
        healthy = self._injector.healthy
        await self._exchange.drain()
        healthy.lost += sum(sum(line.call.outstanding) for line in self._lines if line.steady and line.call)
        async with asyncio.TaskGroup() as tasks:
            ends = []
            for line in self._lines:
                if line.call and line.call.phone:
                    healthy.uncleared += line.call.phone.awaits_clear
                    line.call.close_account(healthy, measuring=False)
                    ends.append(tasks.create_task(self._exchange.hang_up(line.call)))
        healthy.left_open += sum(end.result() for end in ends)

    # ---- what was found

    def figures(self, journal: Journal, idle: Census, after: Census) -> dict[str, Any]:
        injector, exchange = self._injector, self._exchange
        memory = trend(self._memory, min(_WARM_UP_SHARE * self._lasted, _WARM_UP_MOST_S))
        started = [call.sid for call in exchange.calls if call.phone and call.phone.begun]
        faults = {
            **asdict(injector.healthy),
            "exceptions": len(journal.unhandled),
            "undocumented": sum(not outcome.documented for outcome in injector.outcomes),
            "unexplained": sum(reason in UNEXPLAINED for reason in journal.reasons.values()),
            "unanswered": injector.unanswered, "unprovoked": self._unprovoked,
            "strangers": exchange.switchboard.strangers,
            "not_closed_once": sum(journal.closed[sid] != 1 for sid in started),
            **{f"leaked_{kind}": count for kind, count in after.beyond(idle).items()},
            "connections_left": len(exchange.switchboard.models),
            "growing": int(self._grows(memory)),
        }
        return {
            "faults": faults, "seconds": self._lasted, "waited_for_core_s": self._waited_s,
            "streams": len(started), "kinds": by_kind(injector.outcomes, journal.reasons),
            "lost_with_faults": asdict(injector.faulted), "postponed": self._postponed,
            "memory": {"trend_kib": memory._asdict() if memory else None, "samples": self._memory},
            "idle": asdict(idle), "after": asdict(after), "each_minute": self._minutes,
            "log": {"levels": dict(journal.levels), "unhandled": journal.unhandled},
        }

    def _grows(self, memory: Trend | None) -> bool:
        if memory is None or memory.samples * _MEANWHILE_S < 60 * _GROWTH_MINUTES:
            return False
        return memory.per_minute > GROWTH * self._memory[-1][1]


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _table(figures: dict[str, Any]) -> list[str]:
    """One line for each kind of fault, then what the server held, then what must be 0 and is not."""
    lines = [f"{'fault':<20}  {'count':>5}  " + "  ".join(f"{name:>9}" for name in ENDINGS)
             + f"  {'until s':>13}  {'silence s':>13}  the server's reasons"]
    for name, kind in figures["kinds"].items():
        reasons = ", ".join(f"{count} {reason}" for reason, count in kind["reasons"].items())
        lines.append(
            f"{name:<20}  {kind['count']:>5}  " + "  ".join(f"{kind[ending]:>9}" for ending in ENDINGS)
            + f"  {_seconds(kind['until']):>13}  {_seconds(kind['silence']):>13}  {reasons}")
    lines += [_held(figures), _memory(figures["memory"]["trend_kib"])]
    lost = {name: count for name, count in figures["lost_with_faults"].items() if count}
    lines.append("with the broken connections went: " + (_counts(lost) or "nothing"))
    wrong = {name: count for name, count in figures["faults"].items() if count}
    lines.append("NOT AS DOCUMENTED: " + _counts(wrong) if wrong else
                 "healthy calls lost nothing, and everything ended as documented")
    late = max(minute["p99_late_ms"] or 0.0 for minute in figures["each_minute"])
    crowded = figures["waited_for_core_s"] / figures["seconds"]
    if late > LATE_MS or crowded > CROWDED:
        lines.append(f"the load itself was late (p99 {late:.0f} ms), or others used the server's core ({crowded:.0%} of"
                     " the time): delays, silences and what was not cleared are partly their doing")
    return lines + [f"log: {line}" for line in figures["log"]["unhandled"][:20]]


def _seconds(found: dict[str, Any]) -> str:
    """A spread's p50/p99, s."""
    return times({**found, **{f"p{share}_ms": found[f"p{share}_ms"] and found[f"p{share}_ms"] / 1000
                              for share in (50, 99)}})


def _held(figures: dict[str, Any]) -> str:
    held = [f"{name} {_holds(figures[name])}" for name in ("idle", "after")]
    return f"the server held: {held[0]}; {held[1]} {figures['streams']} streams"


def _holds(found: dict[str, Any]) -> str:
    return f"{len(found['tasks'])} tasks, {found['sockets']} sockets, {found['descriptors']} descriptors"


def _memory(found: dict[str, Any] | None) -> str:
    if found is None:
        return "memory: too few samples for a trend"
    return f"memory after warm-up: {found['per_minute']:+.0f} KiB a minute (r² {found['fit']:.2f}, " \
           f"{found['samples']} samples)"


def _counts(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in found.items())
