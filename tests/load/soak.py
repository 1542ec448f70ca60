"""`python -m tests.load --soak`: many calls for many minutes, while something goes wrong in some of them.

The server must survive it: no exception that nobody handled, nothing left behind, no growth. Each fault ends in a
promised way, and the calls beside it lose nothing. With the same seed the same faults come at the same moments.

The silence after a break begins when the audio before it has been played. It lasts to the first sound of any
kind, and to the assistant's next words. They come when the server asks for them, else when the caller's turn has
ended (model.TURN_S).
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import asdict
from time import perf_counter
from typing import Any

from tests.load.calls import REHEARSAL_S, WARM_UP_S, Exchange, Line
from tests.load.faults import ENDINGS, Injector, Planned, by_name, hushes, plan
from tests.load.server import LOGGED, Census, Journal, Measured, census, free_port, serving, settled
from tests.load.table import Table, Trend, disturbances, number, percentile, remarks, times, trend

#: The most calls of the rehearsal, in which the server makes everything that is made once.
_REHEARSAL = 20
#: The longest first part of the run that is no sample of the memory, in seconds.
_WARM_UP_SHARE, _WARM_UP_MOST_S = 0.25, 120.0
#: By which share of itself memory may grow in a minute before it counts as a leak, over this many minutes.
GROWTH, _GROWTH_MINUTES = 0.01, 5.0
_MEANWHILE_S = 1.0
#: The reasons in the server's log for the end of a call that no fault explains.
UNEXPLAINED = ("internal error",)
#: The goal for the silence until the assistant's next words, 99th percentile, in seconds.
AIM_S = 1.5

_TABLE = Table(
    ("fault", -20), ("count", 5), *((ending, 9) for ending in ENDINGS), ("until s", 13), ("quiet s", 13),
    ("the server's reasons", -20))


async def run(
    *, calls: int, minutes: float, share: float, kinds: Sequence[str], seed: int, core: int | None,
) -> dict[str, Any]:
    """Runs the soak. Returns all figures. Raises NoServer, TimeoutError if nobody answers at first, and OSError."""
    model_port = free_port()
    # Without a limit to the messages of a second, because the phone hurries in some faults.
    async with serving("watched", model_port, core, {**LOGGED, "MAX_MESSAGES_PER_S": "0"}) as server:
        async with Exchange(server, model_port, rough=True) as exchange:
            await exchange.open(min(calls, _REHEARSAL), REHEARSAL_S)
            await exchange.end()
        await asyncio.sleep(WARM_UP_S)
        idle = await census(server)
        async with Exchange(server, model_port, rough=True) as exchange:
            soak = _Soak(exchange, server, seed)
            await exchange.open(calls)
            async with exchange.measuring(collecting=True):
                await soak.go_on(plan(seed, kinds, calls, share, minutes), minutes)
            await exchange.end()
            after = await settled(server, idle)
        figures = soak.figures(server.journal(), idle, after)
    print("\n".join(_lines(figures)), flush=True)
    return {"run": "soak", "calls": calls, "minutes": minutes, "share": share, "seed": seed, **figures}


class _Soak:
    def __init__(self, exchange: Exchange, server: Measured, seed: int) -> None:
        self._exchange, self._server = exchange, server
        self._injector = Injector(exchange, seed)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._began = self._lasted = self._waited_s = 0.0
        self._memory: list[tuple[float, float]] = []
        self._minutes: list[dict[str, Any]] = []
        self._unprovoked = 0                         # new connections to the model without a fault
        self._postponed = 0                          # faults that found no call that was well

    @property
    def _lines(self) -> list[Line]:
        return self._exchange.lines

    def _elapsed(self) -> float:
        return perf_counter() - self._began

    async def go_on(self, planned: list[Planned], minutes: float) -> None:
        """Makes the faults at their moments, and waits for the end of each."""
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
        """The call in mid-speech that was well for the longest, so that all have their turn."""
        line = min((line for line in self._lines if line.steady and line.call and line.call.live),
                   key=lambda line: (not (line.call and line.call.speaks), line.since), default=None)
        if line is None:
            self._postponed += 1
            return
        line.steady = False
        self._spawn(self._injector.inject(line, fault.name))

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        task.result()

    async def _watch(self) -> None:
        """Samples each second the memory, and whether calls are still well. Prints a line each minute."""
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
            self._exchange.faults.dropped += 1
            self._spawn(self._injector.revive(line))
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

    # ---- what was found

    def figures(self, journal: Journal, idle: Census, after: Census) -> dict[str, Any]:
        injector, exchange = self._injector, self._exchange
        memory = trend(self._memory, min(_WARM_UP_SHARE * self._lasted, _WARM_UP_MOST_S))
        started = [call.sid for call in exchange.calls if call.phone and call.phone.begun]
        faults = {
            **asdict(exchange.faults), "exceptions": len(journal.unhandled),
            "undocumented": sum(not outcome.documented for outcome in injector.outcomes),
            "unexplained": sum(reason in UNEXPLAINED for reason in journal.reasons.values()),
            "unprovoked": self._unprovoked,
            "strangers": exchange.switchboard.strangers,
            "not_closed_once": sum(journal.closed[sid] != 1 for sid in started),
            **after.beyond(idle),
            "connections_left": len(exchange.switchboard.models),
            "growing": int(self._grows(memory)),
        }
        return {
            "faults": faults, "seconds": self._lasted, "waited_for_core_s": self._waited_s,
            "streams": len(started),
            "kinds": by_name(injector.outcomes, journal.reasons), "hushes": hushes(injector.outcomes),
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


def _lines(figures: Mapping[str, Any]) -> list[str]:
    """One line for each fault, then the silences, what the server held, and the counts that must be 0."""
    lines = [_TABLE.header]
    for name, found in figures["kinds"].items():
        reasons = ", ".join(f"{count} {reason}" for reason, count in found["reasons"].items())
        lines.append(_TABLE.row(name, found["count"], *(found[ending] for ending in ENDINGS),
                                times(found["until"], 1000), times(found["quiet"], 1000), reasons))
    held = [f"{name} {_holds(figures[name])}" for name in ("idle", "after")]
    lines += [*_silence(figures["hushes"]),
              f"the server held: {held[0]}; {held[1]} {figures['streams']} streams",
              _memory(figures["memory"]["trend_kib"])]
    lost = [f"{count} {name.replace('_', ' ')}" for name, count in figures["lost_with_faults"].items() if count]
    lines.append("with the broken connections went: " + (", ".join(lost) or "nothing"))
    lines += remarks("the soak", figures, figures["log"]["unhandled"]) or [
        "healthy calls lost nothing, and everything ended as documented"]
    late = max(minute["p99_late_ms"] or 0.0 for minute in figures["each_minute"])
    return lines + disturbances(
        "delays, silences and what was not cleared", late_ms=late, waited_s=figures["waited_for_core_s"],
        seconds=figures["seconds"])


def _silence(hushes: Mapping[str, Any]) -> list[str]:
    words: float | None = hushes["to_words"]["p99_ms"]
    if words is None:
        return []
    lines = [f"silence after a break, p50/p99: to the first sound {times(hushes['to_sound'])} ms, to the assistant's "
             f"next words {times(hushes['to_words'])} ms; "
             f"these come {times(hushes['break_to_words'])} ms after the break"]
    if words > AIM_S * 1000:
        lines.append(f"the silence to the next words is longer than the {AIM_S} s that are aimed at")
    return lines


def _holds(found: Mapping[str, Any]) -> str:
    return f"{len(found['tasks'])} tasks, {found['sockets']} sockets, {found['descriptors']} descriptors"


def _memory(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "memory: too few samples for a trend"
    return f"memory after warm-up: {found['per_minute']:+.0f} KiB a minute (r² {found['fit']:.2f}, " \
           f"{found['samples']} samples)"
