"""The figures of all runs: as a table for people, and whole for a file."""

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.load.benchmark import Run

#: Above these our own lateness (ms), our own use of our core, or others' use of the server's core while it was
#: ready to run (both as shares of the time) say more than the server does.
LATE_MS = 5.0
BUSY = 0.8
CROWDED = 0.03

#: The columns: what stands above each, and its width.
_COLUMNS = (
    ("calls", 5), ("server", 6), ("CPU s/call-min", 14), ("ratio", 5), ("to model ms", 13), ("to phone ms", 13),
    ("barge-in ms", 13), ("set-up ms", 13), ("KiB/call", 8), ("faults", 6), ("load late ms", 12), ("load CPU", 8),
)


def percentile(samples: Iterable[float], share: float) -> float | None:
    """The sample that `share` of all do not exceed (nearest rank); None without any."""
    ordered = sorted(samples)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


def spread(seconds: list[float]) -> dict[str, float | int | None]:
    """Of times in seconds: how many, and their p50, p99 and maximum in ms."""
    in_ms = [each * 1000 for each in seconds]
    return {"count": len(in_ms), "p50_ms": percentile(in_ms, .5), "p99_ms": percentile(in_ms, .99),
            "max_ms": max(in_ms, default=None)}


def figures(run: Run) -> dict[str, Any]:
    """One run, ready for JSON."""
    tally = run.tally
    return {
        "server": run.server, "calls": run.calls, "seconds": run.seconds,
        "cpu_s": run.cpu_s, "cpu_s_per_call_minute": run.cpu_s / (run.calls * run.seconds / 60),
        "waited_for_core_s": run.waited_s,
        "to_model": spread(tally.to_model), "to_phone": spread(tally.to_phone),
        "barge_in": spread(tally.barge_in), "set_up": spread(tally.set_up),
        "idle_kib": run.idle_kib, "kib_per_call": (run.busy_kib - run.idle_kib) / run.calls,
        "faults": asdict(tally.faults),
        "load": {"lateness": spread(tally.lateness), "cpu_share": run.load_cpu_s / run.seconds},
    }


def header() -> str:
    """Times are p50/p99: added on the way to the model, to the phone; the last two are the load's own."""
    return "  ".join(f"{name:>{width}}" for name, width in _COLUMNS)


def row(run: Mapping[str, Any], floor: Mapping[str, Any] | None) -> str:
    """One line of the table; the ratio is to the relay's run with as many calls."""
    cost, load = run["cpu_s_per_call_minute"], run["load"]
    cells = (
        run["calls"], run["server"], f"{cost:.3f}", f"{cost / floor['cpu_s_per_call_minute']:.2f}" if floor else "",
        times(run["to_model"]), times(run["to_phone"]), times(run["barge_in"]), times(run["set_up"]),
        f"{run['kib_per_call']:.0f}", sum(run["faults"].values()),
        number(load["lateness"]["p99_ms"]), f"{load['cpu_share']:.0%}",
    )
    return "  ".join(f"{cell:>{width}}" for cell, (_, width) in zip(cells, _COLUMNS))


def times(found: Mapping[str, Any]) -> str:
    """A spread's p50/p99, ms."""
    return f"{number(found['p50_ms'])}/{number(found['p99_ms'])}" if found["count"] else "-"


def number(value: float | None) -> str:
    """Five characters at most, below 100 000."""
    return "-" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def remarks(run: Mapping[str, Any]) -> list[str]:
    """What a reader of the row must know: faults by name, and why its figures may not be the server's."""
    load, name = run["load"], f"{run['server']} with {run['calls']} calls"
    faults = [f"{count} {fault}" for fault, count in run["faults"].items() if count]
    late = load["lateness"]["p99_ms"] or 0.0
    found = [f"FAULTS in {name}: {', '.join(faults)}"] if faults else []
    if late > LATE_MS or load["cpu_share"] > BUSY:
        found.append(f"{name}: the load itself was late (p99 {late:.1f} ms) or busy "
                     f"({load['cpu_share']:.0%}): the delays are partly its own")
    if run["waited_for_core_s"] > CROWDED * run["seconds"]:
        found.append(f"{name}: other programs used the server's core, which it waited for during "
                     f"{run['waited_for_core_s']:.2f} s of {run['seconds']:.0f} s")
    return found


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
