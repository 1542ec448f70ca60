"""`python -m tests.load --bookings`: what bookings cost, and what they do to the calls beside them.

First the bookings per second that one process sustains, then the audio of many calls, without bookings and with some;
each on a SQLite file, and on PostgreSQL where there is an address of one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from tests.load import beside, sustained
from tests.load.beside import Beside
from tests.load.databases import POSTGRES, empty_database
from tests.load.ledger import Ledger
from tests.load.table import number, spread, times
from tests.load.side import p99_ratios, too_high
from tests.load.sustained import Sustained

__all__ = ["POSTGRES", "run"]

_Columns = tuple[tuple[str, int], ...]

_SUSTAINED: _Columns = (
    ("database", 10), ("callers", 7), ("bookings/s", 10), ("answer ms", 13), ("news/s", 8), ("CPU ms each", 11),
    ("faults", 6),
)
_BESIDE: _Columns = (
    ("database", 10), ("calls", 5), ("bookings/s", 10), ("answer ms", 13), ("CPU ms each", 11),
    ("to model ms", 13), ("booking", 13), ("p99 ratio", 9), ("to phone ms", 13), ("booking", 13), ("p99 ratio", 9),
    ("faults", 6),
)


async def run(
    server: str | None, *, callers: int, calls: list[int], rate: float, seconds: float, core: int | None,
) -> list[dict[str, Any]]:
    """All figures, printed as they come. `server`: the address of a PostgreSQL."""
    kinds: list[tuple[str, str | None]] = [("SQLite", None), *([("PostgreSQL", server)] if server else [])]
    runs: list[dict[str, Any]] = []
    remarks: list[str] = []
    print(_header(_SUSTAINED), flush=True)
    for kind, address in kinds:
        with empty_database(address) as database:
            found = await sustained.measure(database, callers, seconds, core)
        runs.append({"run": "sustained", "database": kind, "callers": callers, **_sustained(found)})
        remarks += _remarks(runs[-1], found.ledger)
        print(_sustained_row(runs[-1]), flush=True)
    print(_header(_BESIDE), flush=True)
    for kind, address in kinds:
        for count in calls:
            with empty_database(address) as database:
                shown = await beside.measure(database, count, seconds, rate, core)
            runs.append({"run": "beside", "database": kind, "calls": count, "rate": rate, **_beside(shown)})
            remarks += _remarks(runs[-1], shown.ledger) + _crowded(runs[-1], shown)
            print(_beside_row(runs[-1]), flush=True)
    for remark in remarks:
        print(remark)
    return runs


# ---- figures, ready for JSON

def _sustained(run: Sustained) -> dict[str, Any]:
    return {
        "seconds": run.seconds, "bookings_per_s": run.booked / run.seconds, "news_per_s": run.delivered / run.seconds,
        "answer": spread(run.ledger.delays), "cpu_ms_per_booking": 1000 * run.cpu_s / max(run.booked, 1),
        "statuses": dict(run.ledger.statuses), "faults": asdict(run.faults),
    }


def _beside(run: Beside) -> dict[str, Any]:
    alone, booking = run.alone.figures(), run.booking.figures()
    more_cpu = run.booking.cpu_s / run.booking.seconds - run.alone.cpu_s / run.alone.seconds
    return {
        "answer": spread(run.ledger.delays), "bookings_per_s": len(run.ledger.delays) / run.booking.seconds,
        "cpu_ms_per_booking": 1000 * more_cpu / run.rate, "alone": alone, "booking": booking,
        "p99_ratio": p99_ratios(run.booking, run.alone),
        "statuses": dict(run.ledger.statuses), "faults": run.faults,
    }


# ---- the tables

def _header(columns: _Columns) -> str:
    return _line([name for name, _ in columns], columns)


def _line(cells: Iterable[object], columns: _Columns) -> str:
    return "  ".join(f"{cell!s:>{width}}" for cell, (_, width) in zip(cells, columns))


def _sustained_row(run: Mapping[str, Any]) -> str:
    return _line((
        run["database"], run["callers"], f"{run['bookings_per_s']:.1f}", times(run["answer"]),
        f"{run['news_per_s']:.1f}", number(run["cpu_ms_per_booking"]), sum(run["faults"].values())), _SUSTAINED)


def _beside_row(run: Mapping[str, Any]) -> str:
    ways = [cell for way in ("to_model", "to_phone") for cell in (
        times(run["alone"][way]), times(run["booking"][way]), run["p99_ratio"][way])]
    return _line((
        run["database"], run["calls"], f"{run['bookings_per_s']:.1f}", times(run["answer"]),
        number(run["cpu_ms_per_booking"]), *ways, sum(run["faults"].values())), _BESIDE)


# ---- what a reader of the rows must know

def _remarks(run: Mapping[str, Any], ledger: Ledger) -> list[str]:
    faults = [f"{count} {fault}" for fault, count in run["faults"].items() if count]
    found = [f"FAULTS on {run['database']} ({run['run']}): {', '.join(faults)}"] if faults else []
    return [*found, *(f"refused: {reason}" for reason in dict.fromkeys(ledger.refusals))]


def _crowded(run: Mapping[str, Any], shown: Beside) -> list[str]:
    name = f"{run['calls']} calls beside bookings on {run['database']}"
    found = [f"{name}: {slower}" for slower in too_high(run["p99_ratio"], "without")]
    for condition, side in ("without", shown.alone), ("with", shown.booking):
        found += side.disturbances(f"{name}: {condition} them")
    return [*found, shown.said] if sum(run["faults"].values()) else found
