"""`python -m tests.load --stalled`: what one call whose phone, or whose model, stops reading does to the others.

By turns in one run: the calls beside one more that is as healthy as they are, then beside the same one stalled. What
lies between the server and the stalled peer is filled first; from then on the server has to hold what it cannot send.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tests.load.calls import SETTINGS, Exchange, Line
from tests.load.faults import KINDS, Kind
from tests.load.inject import Injector
from tests.load.journal import Journal, read
from tests.load.table import times
from tests.load.benchmark import CALL_EVERY_S, WARM_UP_S
from tests.load.server import Server, environment, free_port, running
from tests.load.side import Side, p99_ratios, too_high

#: How long a turn is measured, s: as long as a stalled peer is borne with.
TURN_S = 5.0
#: From the begin of the call that is going to stall to its healthy turn, s.
CALM_S = 0.5
_FILLED_S = 15.0
_SIDES = {"phone": KINDS["phone stops reading"], "model": KINDS["model stops reading"]}

_COLUMNS = (
    ("stalled", 7), ("calls", 5), ("to model ms", 13), ("stalled", 13), ("p99 ratio", 9), ("to phone ms", 13),
    ("stalled", 13), ("p99 ratio", 9), ("faults", 6),
)


async def run(*, calls: int, seconds: float, core: int | None) -> list[dict[str, Any]]:
    """All figures, printed as they come: for a stalled phone, then for a stalled model, among `calls` calls."""
    runs: list[dict[str, Any]] = []
    remarks: list[str] = []
    print("  ".join(f"{name:>{width}}" for name, width in _COLUMNS), flush=True)
    for side, kind in _SIDES.items():
        model_port, port = free_port(), free_port()
        settings = {**environment(port, model_port), **SETTINGS, "MAX_MESSAGES_PER_S": "0"}     # see _HURRY
        async with running("bridge", port, settings, core) as server, Exchange(server, model_port) as exchange:
            show = _Show(exchange, server, kind)
            await show.open(calls - 1)
            async with exchange.stage.measuring():
                show.take_delays()
                for _ in range(max(1, round(seconds / TURN_S))):
                    await show.turn()
            await show.end()
        figures = show.figures(read(server.said().splitlines()))        # it closes a stream before it says why
        runs.append({"run": "stalled", "stalled": side, "calls": calls, **figures})
        remarks += _remarks(runs[-1], show)
        print(_row(runs[-1]), flush=True)
    for remark in remarks:
        print(remark)
    return runs


class _Show:
    """The turns of one run."""

    def __init__(self, exchange: Exchange, server: Server, kind: Kind) -> None:
        self.healthy, self.stalled = Side(), Side()
        self.injector = Injector(exchange, 0)
        self._exchange, self._server, self._kind = exchange, server, kind
        self._others: list[Line] = []

    async def open(self, calls: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(calls):
                tasks.create_task(self._exchange.open_line())
                await asyncio.sleep(CALL_EVERY_S)
        self._others = [*self._exchange.lines]
        await asyncio.sleep(WARM_UP_S)

    def take_delays(self) -> None:
        for line in self._others:
            assert line.call
            line.call.tally.measuring = True

    async def turn(self) -> None:
        tally = self._exchange.stage.tally
        line = await self._exchange.open_line()
        await asyncio.sleep(CALM_S)
        with self.healthy.turn(tally, self._server):
            await asyncio.sleep(TURN_S)
        call = line.call
        assert call and call.phone and call.model
        stalling = asyncio.create_task(self.injector.inject(line, self._kind))
        await asyncio.sleep(0)
        async with asyncio.timeout(_FILLED_S):
            while not stalling.done() and (call.phone.hurries or call.model.hurries):
                await asyncio.sleep(0.02)
        with self.stalled.turn(tally, self._server):
            await asyncio.sleep(TURN_S)
        await stalling
        if line.call:
            line.steady = False
            line.call.close_account(self.injector.faulted, measuring=False)
            self.injector.healthy.left_open += await self._exchange.hang_up(line.call)

    async def end(self) -> None:
        """The healthy calls must have gone on to the end, and lost nothing."""
        healthy = self.injector.healthy
        await self._exchange.drain()
        for line in self._others:
            assert line.call
            healthy.lost += sum(line.call.outstanding)
            healthy.dropped += not line.call.live
            line.call.close_account(healthy, measuring=False)

    def figures(self, journal: Journal) -> dict[str, Any]:
        ratios = p99_ratios(self.stalled, self.healthy)
        slow = any(ratio.too_high for ratio in ratios.values())
        disturbed = [*self.healthy.disturbances(""), *self.stalled.disturbances("")]
        reasons = [journal.reasons.get(one.call_sid, "") for one in self.injector.outcomes]
        return {
            "beside_healthy": self.healthy.figures(), "beside_stalled": self.stalled.figures(), "p99_ratio": ratios,
            "endings": [one.ending for one in self.injector.outcomes], "reasons": reasons,
            "faults": {
                **asdict(self.injector.healthy), "exceptions": len(journal.unhandled),
                "undocumented": sum(not one.documented for one in self.injector.outcomes),
                "slower": int(slow and not disturbed)},
            "log": journal.unhandled,
        }


def _row(run: Mapping[str, Any]) -> str:
    ways = [cell for way in ("to_model", "to_phone") for cell in (
        times(run["beside_healthy"][way]), times(run["beside_stalled"][way]), run["p99_ratio"][way])]
    cells = (run["stalled"], run["calls"], *ways, sum(run["faults"].values()))
    return "  ".join(f"{cell!s:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS))


def _remarks(run: Mapping[str, Any], show: _Show) -> list[str]:
    name = f"one stalled {run['stalled']}"
    wrong = [f"{count} {fault.replace('_', ' ')}" for fault, count in run["faults"].items() if count]
    found = [f"FAULTS beside {name}: {', '.join(wrong)}"] if wrong else []
    found += [f"{name}: {slower}" for slower in too_high(run["p99_ratio"], "beside a healthy one")]
    found += show.healthy.disturbances(f"{name}: before it")
    found += show.stalled.disturbances(f"{name}: beside it")
    return [*found, *run["log"][:20]]
