"""Figures for people: spreads, trends, tables, and the sentences below them."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import StatisticsError, correlation, linear_regression
from typing import Any, NamedTuple

#: The bounds of our own lateness (ms), of our use of our core, and of others' use of the server's core while it was
#: ready to run (both as shares of the time). Above them the figures say more about the machine than about the server.
LATE_MS = 5.0
BUSY = 0.8
CROWDED = 0.03
#: How many lines of the server's log are shown.
_LINES = 20


class Table:
    """A table. Each column has a header and a width. A negative width aligns it to the left."""

    def __init__(self, *columns: tuple[str, int]) -> None:
        self._columns = columns

    @property
    def header(self) -> str:
        return self.row(*(name for name, _ in self._columns))

    def row(self, *cells: object) -> str:
        return "  ".join(
            f"{cell!s:<{-width}}" if width < 0 else f"{cell!s:>{width}}"
            for cell, (_, width) in zip(cells, self._columns, strict=True)).rstrip()


def remarks(name: str, run: Mapping[str, Any], log: Iterable[str] = ()) -> list[str]:
    """Lines about the faults of a run, by name, and about the server's log."""
    wrong = [f"{count} {fault.replace('_', ' ')}" for fault, count in run["faults"].items() if count]
    return [f"FAULTS in {name}: {', '.join(wrong)}", *[*log][:_LINES]] if wrong else []


def disturbances(
    name: str, *, late_ms: float | None, waited_s: float, seconds: float, busy: float = 0.0,
) -> list[str]:
    """Sentences that say why the figures of this run may not be the server's."""
    found = []
    if (late_ms or 0.0) > LATE_MS or busy > BUSY:
        found.append(f"{name}: the load itself was late (p99 {number(late_ms)} ms) or busy ({busy:.0%}): the delays "
                     "are partly its own")
    if waited_s > CROWDED * seconds:
        found.append(f"{name}: other programs used the server's core, which it waited for during {waited_s:.2f} s of "
                     f"{seconds:.0f} s")
    return found


def percentile(samples: Iterable[float], share: float) -> float | None:
    """The sample that `share` of all do not exceed (nearest rank). None without samples."""
    ordered = sorted(samples)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def spread(seconds: Iterable[float]) -> dict[str, float | int | None]:
    """The count of times in seconds, and their p50, p99 and maximum in ms."""
    in_ms = [each * 1000 for each in seconds]
    return {"count": len(in_ms), "p50_ms": percentile(in_ms, .5), "p99_ms": percentile(in_ms, .99),
            "max_ms": max(in_ms, default=None)}


def times(found: Mapping[str, Any], per: float = 1) -> str:
    """A spread's p50/p99 in ms. `per` 1000: in s."""
    return f"{number(found['p50_ms'] / per)}/{number(found['p99_ms'] / per)}" if found["count"] else "-"


def number(value: float | None) -> str:
    """A number in five characters at most, if it is below 100,000."""
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


class Trend(NamedTuple):
    """The growth a minute, and how well the line fits: r squared, from 0 to 1."""

    per_minute: float
    fit: float
    samples: int


def trend(samples: Sequence[tuple[float, float]], after_s: float) -> Trend | None:
    """A straight line through the samples (s, value) after the warm-up. None if they are too few."""
    warm = [(moment / 60, value) for moment, value in samples if moment >= after_s]
    if len(warm) < 3:
        return None
    minutes, values = zip(*warm)
    slope = linear_regression(minutes, values).slope
    try:
        fit = correlation(minutes, values) ** 2
    except StatisticsError:                          # the value never changed
        fit = 1.0
    return Trend(slope, fit, len(warm))


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    return {
        "cpu": _cpu_model(), "cores": len(os.sched_getaffinity(0)), "system": platform.platform(),
        "python": platform.python_version(),
        **{package: _version(package) for package in ("aiohttp", "uvloop", "msgspec")},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
