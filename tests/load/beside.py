"""The effect of a disturbance on the calls beside it: the delays of all audio, by turns without it and with it.

Both are measured in the same calls through the same server, a few seconds each in turn. So the rest of the machine's
work, and the moments of each call's frames, are the same for both.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from math import log, sqrt
from statistics import stdev
from typing import Any, NamedTuple, Protocol

from tests.load.audio import Tally
from tests.load.calls import Exchange, Line
from tests.load.faults import Injector
from tests.load.server import LOGGED, Journal, Measured, free_port, serving
from tests.load.table import Table, disturbances, number, percentile, remarks, spread, times

#: How many times longer audio may take beside the disturbance, 99th percentile.
ALLOWED_RATIO = 1.2

TABLE = Table(
    ("beside", -24), ("calls", 5), ("to model ms", 13), ("beside it", 13), ("p99 ratio", 9), ("to phone ms", 13),
    ("beside it", 13), ("p99 ratio", 9), ("faults", 6))


class Disturbance(Protocol):
    """A disturbance: `quiet` while it is not there, `going_on` while it is, for `turn_s` seconds each."""

    turn_s: float

    def quiet(self) -> AbstractAsyncContextManager[None]: ...

    def going_on(self) -> AbstractAsyncContextManager[None]: ...


class Ratio(NamedTuple):
    """A ratio and its standard error, in JSON a list. `value` is None if nothing was heard, `error` with one turn."""

    value: float | None
    error: float | None

    def __str__(self) -> str:
        return number(self.value) + (f"±{self.error:.2f}" if self.error is not None else "")

    @property
    def too_high(self) -> bool:
        return self.value is not None and self.value > ALLOWED_RATIO


@dataclass
class Side:
    """One condition over all its turns, in seconds. `turns`: the 99th percentile of each turn."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    waited_s: float = 0.0
    load_cpu_s: float = 0.0
    to_model: list[float] = field(default_factory=list)
    to_phone: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    turns: dict[str, list[float]] = field(default_factory=lambda: {"to_model": [], "to_phone": []})

    @contextmanager
    def turn(self, tally: Tally, server: Measured) -> Iterator[None]:
        """Counts the delays and the CPU time within the block as this side's."""
        for delays in tally.to_model, tally.to_phone, tally.lateness:
            delays.clear()
        before = server.clocks()
        yield
        after = server.clocks()
        self.turns["to_model"].append(percentile(tally.to_model, .99) or 0.0)
        self.turns["to_phone"].append(percentile(tally.to_phone, .99) or 0.0)
        self.to_model += tally.to_model
        self.to_phone += tally.to_phone
        self.lateness += tally.lateness
        self.seconds, self.cpu_s, self.waited_s, self.load_cpu_s = (
            total + end - start for total, start, end in zip(
                (self.seconds, self.cpu_s, self.waited_s, self.load_cpu_s), before, after))

    def figures(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "seconds": self.seconds, "cpu_share": self.cpu_s / self.seconds, "waited_for_core_s": self.waited_s,
            "to_model": spread(self.to_model), "to_phone": spread(self.to_phone),
            "load": {"lateness": spread(self.lateness), "cpu_share": self.load_cpu_s / self.seconds},
        }

    def disturbances(self, name: str) -> list[str]:
        """Why its figures may not be the server's, as sentences that begin with `name`."""
        late_ms = (percentile(self.lateness, .99) or 0.0) * 1000
        return disturbances(name, late_ms=late_ms, waited_s=self.waited_s, seconds=self.seconds)


class Beside:
    """The calls alone, and beside something."""

    def __init__(self, exchange: Exchange, server: Measured) -> None:
        self.alone, self.beside = Side(), Side()
        self._exchange, self._server = exchange, server

    async def measure(self, disturbance: Disturbance, seconds: float) -> None:
        """Measures the calls that are well now, by turns, about `seconds` in all for each condition."""
        tally = self._exchange.stage.tally
        async with self._exchange.measuring():
            for _ in range(max(1, round(seconds / disturbance.turn_s))):
                async with disturbance.quiet():
                    with self.alone.turn(tally, self._server):
                        await asyncio.sleep(disturbance.turn_s)
                async with disturbance.going_on():
                    with self.beside.turn(tally, self._server):
                        await asyncio.sleep(disturbance.turn_s)

    def ratios(self) -> dict[str, Ratio]:
        """How many times as long audio took with the disturbance, 99th percentile, both ways."""
        one, other = self.beside, self.alone
        return {"to_model": _ratio(one.to_model, other.to_model, one.turns["to_model"], other.turns["to_model"]),
                "to_phone": _ratio(one.to_phone, other.to_phone, one.turns["to_phone"], other.turns["to_phone"])}

    @property
    def slower(self) -> bool:
        """Whether audio took too long beside the disturbance, and nothing else explains it."""
        explained = [*self.alone.disturbances(""), *self.beside.disturbances("")]
        return not explained and any(ratio.too_high for ratio in self.ratios().values())

    def figures(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"alone": self.alone.figures(), "beside": self.beside.figures(), "p99_ratio": self.ratios()}

    def lines(self, name: str, run: Mapping[str, Any], log: list[str]) -> list[str]:
        """The table's row of this run, and the remarks below it. `log`: the server's lines."""
        ways = [cell for way in ("to_model", "to_phone") for cell in (
            times(run["alone"][way]), times(run["beside"][way]), run["p99_ratio"][way])]
        return [
            TABLE.row(name, run["calls"], *ways, sum(run["faults"].values())),
            *remarks(f"calls beside {name}", run, log),
            *(f"p99 {way.replace('_', ' ')} is {ratio} times what it is without {name}, more than {ALLOWED_RATIO}"
              for way, ratio in run["p99_ratio"].items() if ratio.too_high),
            *self.alone.disturbances(f"without {name}"), *self.beside.disturbances(f"beside {name}")]


def _ratio(one: list[float], other: list[float], ones: list[float], others: list[float]) -> Ratio:
    """The ratio of all delays. Its error is that of the mean of the turns' ratios, each of two neighbouring turns."""
    above, below = percentile(one, .99), percentile(other, .99)
    if not above or not below:
        return Ratio(None, None)
    logs = [log(each / its) for each, its in zip(ones, others) if each and its]
    error = above / below * stdev(logs) / sqrt(len(logs)) if len(logs) > 1 else None
    return Ratio(above / below, error)


# ---- `python -m tests.load --stalled`

async def stalled(*, calls: int, seconds: float, core: int | None) -> list[dict[str, Any]]:
    """Measures the other calls beside one whose phone, or whose model, stops reading. Returns all figures.

    Raises NoServer, TimeoutError if nobody answers at first, and OSError.
    """
    runs: list[dict[str, Any]] = []
    print(TABLE.header, flush=True)
    for side in "phone", "model":
        model_port = free_port()
        # Without a limit to the messages of a second, for the phone hurries.
        async with (
            serving("bridge", model_port, core, {**LOGGED, "MAX_MESSAGES_PER_S": "0"}) as server,
            Exchange(server, model_port, rough=True) as exchange,
        ):
            await exchange.open(calls - 1)
            beside, stall = Beside(exchange, server), Stalled(exchange, f"{side}-deaf")
            await beside.measure(stall, seconds)
            await exchange.end()
        journal = server.journal()                   # only now, because the server closes a stream before it logs why
        run = {"run": "stalled", "stalled": side, "calls": calls, **beside.figures(), **stall.figures(journal)}
        run["faults"] = {**asdict(exchange.faults), "exceptions": len(journal.unhandled), **stall.faults(),
                         "slower": int(beside.slower)}
        print("\n".join(beside.lines(f"one stalled {side}", run, journal.unhandled)), flush=True)
        runs.append(run)
    return runs


class Stalled:
    """One more call, at first as healthy as the others, then stalled.

    The buffers between the server and the stalled peer are filled first. From then on the server has to hold what it
    cannot send.
    """

    turn_s = 5.0                                     # as long as the server keeps a stalled peer
    _calm_s = 0.5                                    # from the begin of that call to its healthy turn
    _filled_s = 15.0

    def __init__(self, exchange: Exchange, fault: str) -> None:
        self.injector = Injector(exchange, 0)
        self._exchange, self._fault = exchange, fault
        self._line = Line(0)

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        self._line = await self._exchange.open_line()
        assert self._line.call
        self._line.call.tally.measuring = False      # its own delays do not count
        await asyncio.sleep(self._calm_s)
        yield

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        call = self._line.call
        assert call and call.phone and call.model
        stalling = asyncio.create_task(self.injector.inject(self._line, self._fault))
        await asyncio.sleep(0)
        async with asyncio.timeout(self._filled_s):
            while not stalling.done() and (call.phone.hurries or call.model.hurries):
                await asyncio.sleep(0.02)
        yield
        await stalling
        await self._exchange.leave(self._line, self.injector.faulted)

    def figures(self, journal: Journal) -> dict[str, Any]:
        outcomes = self.injector.outcomes
        return {"endings": [one.ending for one in outcomes],
                "reasons": [journal.reasons.get(one.call_sid, "") for one in outcomes]}

    def faults(self) -> dict[str, int]:
        return {"undocumented": sum(not one.documented for one in self.injector.outcomes)}
