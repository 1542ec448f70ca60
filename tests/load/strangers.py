"""`python -m tests.load --strangers`: what slow connections of nobody knows whom do to the calls.

By turns in one run: the calls alone, then while a crowd (crowd.py) stands at the door. The server requires Twilio's
signature, and has the limits of its door; the crowd comes from the loopback's many addresses, which are private, so
that of these limits only that for all together counts, and that in time.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from tests.load import census
from tests.load.census import Census
from tests.load.crowd import standing
from tests.load.calls import SETTINGS
from tests.load.journal import Journal, read
from tests.load.table import times
from tests.load.benchmark import WARM_UP_S, Play
from tests.load.server import Server, environment, free_port, running
from tests.load.side import Side, p99_ratios, too_high
from tests.load.soak import LET_GO_S

#: How long a turn is measured, s.
TURN_S = 5.0
#: So many connections of strangers the server bears, as README.md says; for a moment some more are being closed.
DOOR, CLOSING = 1000, 100
_LOOK_S = 1.0
#: After a crowd has come, or gone, s.
_CALM_S = 1.0
#: Before the idle server is looked at it has had so many calls and strangers: what is made once is made.
_REHEARSAL = 20
_TOKEN = "the-auth-token-of-the-load"

_COLUMNS = (
    ("strangers", 9), ("came/s", 7), ("at once", 7), ("calls", 5), ("to model ms", 13), ("beside", 13),
    ("p99 ratio", 9), ("to phone ms", 13), ("beside", 13), ("p99 ratio", 9), ("faults", 6),
)


async def run(*, calls: int, connections: int, again: float, seconds: float, core: int | None) -> dict[str, Any]:
    """All figures, printed as they come. `again`: after so many seconds who was closed comes back.

    Raises NoServer, TimeoutError where nobody answers at first, OSError.
    """
    model_port, port = free_port(), free_port()
    settings = {**environment(port, model_port), **SETTINGS, "ALLOW_UNSIGNED": "0", "TWILIO_AUTH_TOKEN": _TOKEN}
    async with running("tests.load.watched", port, settings, core) as server:
        async with Play(server, model_port, plain=False, token=_TOKEN) as play:
            await play.ring(min(calls, _REHEARSAL))
            async with standing(port, connections, again):
                await asyncio.sleep(_CALM_S)
        await asyncio.sleep(WARM_UP_S)
        show = _Show(server, connections, again)
        idle, show.idle_kib = await census.take(server), server.resident_kib()
        async with Play(server, model_port, plain=False, token=_TOKEN) as play:
            await play.ring(calls)
            await asyncio.sleep(WARM_UP_S)
            async with play.stage.measuring():
                for _ in range(max(1, round(seconds / TURN_S))):
                    await show.turn(play)
        after = await census.settled(server, idle, LET_GO_S)
        show.after_kib = server.resident_kib()
        faults = asdict(play.stage.tally.faults)
        figures = show.figures(faults, read(server.said().splitlines()), idle, after)
    found = {"run": "strangers", "calls": calls, "connections": connections, "again_s": again, **figures}
    print("\n".join(_lines(found, show)), flush=True)
    return found


class _Show:
    """The turns of one run, and the most that the server held in them."""

    def __init__(self, server: Server, connections: int, again_s: float) -> None:
        self.alone, self.beside = Side(), Side()
        self.idle_kib = self.after_kib = self.most_kib = 0
        self._server, self._connections, self._again_s = server, connections, again_s
        self._busy = self._most = 0                  # descriptors with the calls alone, and with strangers
        self._crowds: list[dict[str, Any]] = []

    async def turn(self, play: Play) -> None:
        tally = play.stage.tally
        with self.alone.turn(tally, self._server):
            await asyncio.sleep(TURN_S)
        self._busy = max(self._busy, self._server.open_descriptors())
        async with standing(self._server.port, self._connections, self._again_s) as crowd:
            await asyncio.sleep(_CALM_S)
            with self.beside.turn(tally, self._server):
                for _ in range(round(TURN_S / _LOOK_S)):
                    await asyncio.sleep(_LOOK_S)
                    self._most = max(self._most, self._server.open_descriptors())
                    self.most_kib = max(self.most_kib, self._server.resident_kib())
        self._crowds.append(crowd.seen)
        await asyncio.sleep(_CALM_S)

    def figures(self, lost: Mapping[str, int], journal: Journal, idle: Census, after: Census) -> dict[str, Any]:
        ratios = p99_ratios(self.beside, self.alone)
        slow = any(ratio.too_high for ratio in ratios.values())
        disturbed = [*self.alone.disturbances(""), *self.beside.disturbances("")]
        crowd = together(self._crowds)
        return {
            "alone": self.alone.figures(), "beside": self.beside.figures(), "p99_ratio": ratios, "crowd": crowd,
            "descriptors": {
                "idle": idle.descriptors, "calls": self._busy, "most": self._most, "after": after.descriptors},
            "memory_kib": {"idle": self.idle_kib, "most": self.most_kib, "after": self.after_kib},
            "faults": {
                **lost, "exceptions": len(journal.unhandled), "let_in": let_in(crowd["answers"]),
                "beyond_the_door": max(0, self._most - self._busy - DOOR - CLOSING),
                "unreached": crowd["unreached"],
                **{f"leaked_{kind}": count for kind, count in after.beyond(idle).items()},
                "slower": int(slow and not disturbed)},
            "log": journal.unhandled,
        }


def together(crowds: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the crowds of all turns have seen."""
    total: dict[str, Any] = {"came": {}, "answers": {}, "longest_s": {}, "unreached": 0, "most": 0, "seconds": 0.0}
    for crowd in crowds:
        for kind, count in crowd["came"].items():
            total["came"][kind] = total["came"].get(kind, 0) + count
        for kind, answers in crowd["answers"].items():
            known = total["answers"].setdefault(kind, {})
            for status, count in answers.items():
                known[status] = known.get(status, 0) + count
        for kind, seconds in crowd["longest_s"].items():
            total["longest_s"][kind] = max(total["longest_s"].get(kind, 0.0), seconds)
        total["most"] = max(total["most"], crowd["most"])
        for name in "unreached", "seconds":
            total[name] += crowd[name]
    return total


def let_in(answers: Mapping[str, Mapping[str, int]]) -> int:
    """How many got another answer than that they are not welcome."""
    return sum(count for statuses in answers.values() for status, count in statuses.items()
               if not status.startswith("4"))


def _lines(run: Mapping[str, Any], show: _Show) -> list[str]:
    """The table; what the server held; what a reader must know of the figures."""
    crowd, held, memory = run["crowd"], run["descriptors"], run["memory_kib"]
    ways = [cell for way in ("to_model", "to_phone") for cell in (
        times(run["alone"][way]), times(run["beside"][way]), run["p99_ratio"][way])]
    cells = (run["connections"], f"{sum(crowd['came'].values()) / crowd['seconds']:.0f}", crowd["most"], run["calls"],
             *ways, sum(run["faults"].values()))
    lines = ["  ".join(f"{name:>{width}}" for name, width in _COLUMNS),
             "  ".join(f"{cell!s:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS))]
    for kind, count in crowd["came"].items():
        answers = ", ".join(f"{each} got {status}" for status, each in crowd["answers"].get(kind, {}).items())
        longest = crowd["longest_s"].get(kind, 0.0)
        lines.append(f"who {kind}: {count} connections, {answers or 'no answers'}, {longest:.1f} s at most")
    lines.append("open descriptors: " + ", ".join(f"{count} {name}" for name, count in held.items()) + "; memory: "
                 + ", ".join(f"{kib / 1024:.1f} MiB {name}" for name, kib in memory.items()))
    wrong = [f"{count} {fault.replace('_', ' ')}" for fault, count in run["faults"].items() if count]
    lines += [f"FAULTS beside strangers: {', '.join(wrong)}"] if wrong else []
    lines += too_high(run["p99_ratio"], "without strangers")
    lines += show.alone.disturbances("without strangers")
    lines += show.beside.disturbances("beside strangers")
    return [*lines, *run["log"][:5]]
