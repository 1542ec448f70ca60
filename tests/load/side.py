"""One of two conditions that are measured by turns, in the same calls through the same server."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import log, sqrt
from statistics import stdev
from time import perf_counter, process_time
from typing import Any, NamedTuple

from tests.load.table import CROWDED, LATE_MS, number, percentile, spread
from tests.load.server import Server
from tests.load.tally import Tally

#: How many times longer audio may take beside what is measured, 99th percentile.
ALLOWED_RATIO = 1.2


class Ratio(NamedTuple):
    """In JSON a list of both. `value` is None where nothing was heard, `error` (standard) where there was one turn."""

    value: float | None
    error: float | None

    def __str__(self) -> str:
        return number(self.value) + (f"±{self.error:.2f}" if self.error is not None else "")

    @property
    def too_high(self) -> bool:
        return self.value is not None and self.value > ALLOWED_RATIO


@dataclass
class Side:
    """One condition over all its turns; times and delays in seconds. `turns`: the 99th percentile of each turn."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    waited_s: float = 0.0
    load_cpu_s: float = 0.0
    to_model: list[float] = field(default_factory=list)
    to_phone: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    turns: dict[str, list[float]] = field(default_factory=lambda: {"to_model": [], "to_phone": []})

    @contextmanager
    def turn(self, tally: Tally, server: Server) -> Iterator[None]:
        """What is noticed and used up within the block is this side's."""
        for delays in tally.to_model, tally.to_phone, tally.lateness:
            delays.clear()
        before = _clocks(server)
        yield
        after = _clocks(server)
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

    def disturbances(self, name: str) -> Iterable[str]:
        """Why its figures may not be the server's; `name` begins the sentence."""
        if self.waited_s > CROWDED * self.seconds:
            yield (f"{name} the server waited for its core, which others used, during "
                   f"{self.waited_s:.2f} s of {self.seconds:.0f} s")
        late = percentile(self.lateness, .99) or 0.0
        if late * 1000 > LATE_MS:
            yield f"{name} the load itself was late (p99 {late * 1000:.1f} ms)"


def p99_ratios(one: Side, other: Side) -> dict[str, Ratio]:
    """How many times as long audio took with the one as with the other, 99th percentile, both ways."""
    return {"to_model": _ratio(one.to_model, other.to_model, one.turns["to_model"], other.turns["to_model"]),
            "to_phone": _ratio(one.to_phone, other.to_phone, one.turns["to_phone"], other.turns["to_phone"])}


def too_high(ratios: Mapping[str, Ratio], other: str) -> list[str]:
    """A sentence for each ratio that is; `other`: what audio is compared with."""
    return [f"p99 {way.replace('_', ' ')} is {ratio} times what it is {other}, more than {ALLOWED_RATIO}"
            for way, ratio in ratios.items() if ratio.too_high]


def _ratio(one: list[float], other: list[float], ones: list[float], others: list[float]) -> Ratio:
    """Of all delays; its error is that of the mean of the turns' own ratios, each of which compares neighbours."""
    above, below = percentile(one, .99), percentile(other, .99)
    if not above or not below:
        return Ratio(None, None)
    logs = [log(each / its) for each, its in zip(ones, others) if each and its]
    error = above / below * stdev(logs) / sqrt(len(logs)) if len(logs) > 1 else None
    return Ratio(above / below, error)


def _clocks(server: Server) -> tuple[float, float, float, float]:
    return perf_counter(), server.cpu_s(), server.waited_s(), process_time()
