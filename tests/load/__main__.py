"""`python -m tests.load`: measure the bridge beside the relay, print a table, fail when anything was lost.

With --bookings: how many meetings a second it books, and what that does to the calls beside them. With --soak,
--recovery or --stalled: what becomes of calls in which something breaks, and of those beside them. With --strangers or
--malformed: what who is not let in, or sends what no phone sends, does to the calls.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.load import malformed, recovery, table, soak, stalled, strangers
from tests.load.faults import KINDS, Kind
from tests.load.benchmark import measure
from tests.load.server import MODULES, NoServer
from tests.load.relay import new_event_loop


def main() -> int:
    """The exit code: 1 when there was any fault (tally.py), or a server failed; 0 otherwise."""
    options = _options()
    machine = table.machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runs = runner.run(_chosen(options))
    except asyncio.CancelledError:
        return 143
    except KeyboardInterrupt:
        return 130
    except (NoServer, OSError) as problem:           # a TimeoutError is an OSError
        print(f"the benchmark failed: {problem!r}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1) + "\n")
    return 1 if any(sum(run["faults"].values()) for run in runs) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument(
        "--calls", type=_counts,
        help="at once, for example 1,50,200, the default; with --soak 100, with --malformed 5, else 50")
    parser.add_argument(
        "--seconds", type=_duration,
        help="how long each run is measured; with --strangers 60, with --bookings and --stalled 30, else 10: a ratio "
             "of p99s needs many samples")
    parser.add_argument("--only", choices=sorted(MODULES), help="one server alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all figures go")
    bookings = parser.add_argument_group("with bookings")
    bookings.add_argument("--bookings", action="store_true", help="measure bookings, and calls beside them")
    bookings.add_argument("--rate", type=_rate, default=20.0, help="bookings a second beside the calls")
    bookings.add_argument("--callers", type=_callers, default=32, help="who book at once, as fast as they can")
    bookings.add_argument(
        "--database", default=os.environ.get("DATABASE_URL", ""), metavar="postgres://...",
        help="a PostgreSQL besides SQLite, in new databases that are dropped again; DATABASE_URL unless given")
    faulty = parser.add_argument_group("with faults")
    faulty.add_argument("--soak", action="store_true", help="many calls, while something goes wrong in some of them")
    faulty.add_argument("--recovery", action="store_true", help="the silence when the connection to the model breaks")
    faulty.add_argument("--stalled", action="store_true", help="calls beside one that stops reading")
    faulty.add_argument("--minutes", type=_minutes, default=10.0, help="how long")
    faulty.add_argument("--share", type=_share, default=0.1, help="of the calls, in which a fault happens each minute")
    faulty.add_argument("--seed", type=int, default=1, help="the same seed, the same faults at the same moments")
    faulty.add_argument("--kinds", type=_kinds, default=[*KINDS.values()], metavar="KIND,...", help=", ".join(KINDS))
    hostile = parser.add_argument_group("with strangers")
    hostile.add_argument("--strangers", action="store_true", help="calls beside slow connections that are not let in")
    hostile.add_argument("--connections", type=_connections, default=1000, help="of strangers")
    hostile.add_argument("--again", type=_again, default=5.0, help="seconds until one that was closed comes back")
    hostile.add_argument("--malformed", action="store_true", help="calls whose phone sends what no phone sends")
    hostile.add_argument("--frames", type=_frames, default=1_000_000, help="that are malformed; --seed chooses them")
    options = parser.parse_args()
    long = 60.0 if options.strangers else 30.0 if options.bookings or options.stalled else 10.0
    options.seconds = options.seconds or long
    return options


def _counts(text: str) -> list[int]:
    counts = [int(each) for each in text.split(",")]
    if not all(1 <= count < 10_000 for count in counts):
        raise argparse.ArgumentTypeError("from 1 to 9999 calls")
    return counts


def _duration(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 600:
        raise argparse.ArgumentTypeError("from 0 to 600 seconds")
    return seconds


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError("from 0 to 1000 bookings a second")
    return rate


def _callers(text: str) -> int:
    callers = int(text)
    if not 1 <= callers <= 1000:
        raise argparse.ArgumentTypeError("from 1 to 1000 callers")
    return callers


def _connections(text: str) -> int:
    connections = int(text)
    if not 1 <= connections <= 10_000:
        raise argparse.ArgumentTypeError("from 1 to 10000 connections")
    return connections


def _again(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 600:
        raise argparse.ArgumentTypeError("from 0.1 to 600 seconds")
    return seconds


def _frames(text: str) -> int:
    frames = int(text)
    if not 1 <= frames <= 100_000_000:
        raise argparse.ArgumentTypeError("from 1 to 100 million frames")
    return frames


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes <= 24 * 60:
        raise argparse.ArgumentTypeError("from 0 minutes to a day")
    return minutes


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 20:
        raise argparse.ArgumentTypeError("from 0 to 20")
    return share


def _kinds(text: str) -> list[Kind]:
    try:
        return [KINDS[name.strip()] for name in text.split(",")]
    except KeyError as error:
        raise argparse.ArgumentTypeError(f"{error} is none of " + ", ".join(KINDS)) from None


def _chosen(options: argparse.Namespace) -> Coroutine[Any, Any, list[dict[str, Any]]]:
    if options.bookings:
        return _bookings(options)
    if options.soak or options.recovery or options.stalled:
        return _faulty(options)
    if options.strangers or options.malformed:
        return _hostile(options)
    return _all(options)


async def _faulty(options: argparse.Namespace) -> list[dict[str, Any]]:
    _end_in_order()
    core = _share_cores()
    runs: list[dict[str, Any]] = []
    for calls in options.calls or [100 if options.soak else 50]:
        if options.soak:
            runs.append(await soak.run(
                calls=calls, minutes=options.minutes, share=options.share, kinds=options.kinds, seed=options.seed,
                core=core))
        elif options.recovery:
            runs.append(await recovery.run(calls=calls, seed=options.seed, core=core))
        else:
            runs += await stalled.run(calls=calls, seconds=options.seconds, core=core)
    return runs


async def _hostile(options: argparse.Namespace) -> list[dict[str, Any]]:
    _end_in_order()
    core = _share_cores()
    runs: list[dict[str, Any]] = []
    for calls in options.calls or [50 if options.strangers else 5]:
        if options.strangers:
            runs.append(await strangers.run(
                calls=calls, connections=options.connections, again=options.again, seconds=options.seconds,
                core=core))
        else:
            runs.append(await malformed.run(calls=calls, frames=options.frames, seed=options.seed, core=core))
    return runs


async def _bookings(options: argparse.Namespace) -> list[dict[str, Any]]:
    # Imported here: the other runs share no code with the server.
    from tests.load import bookings
    _end_in_order()
    server = options.database if options.database.startswith(bookings.POSTGRES) else None
    return await bookings.run(
        server, callers=options.callers, calls=options.calls or [50], rate=options.rate, seconds=options.seconds,
        core=_share_cores())


async def _all(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Every run's figures, printed as they come: for each count the relay, then the bridge."""
    _end_in_order()
    core = _share_cores()
    counts, seconds, only = options.calls or [1, 50, 200], options.seconds, options.only
    runs: list[dict[str, Any]] = []
    remarks: list[str] = []
    print(table.header(), flush=True)
    for calls in counts:
        floor = None
        for server in [only] if only else ["relay", "bridge"]:
            run = await measure(server, calls, seconds, core)
            figures = table.figures(run)
            print(table.row(figures, floor), flush=True)
            remarks += table.remarks(figures)
            if sum(figures["faults"].values()):
                remarks.append(run.said)
            runs.append(figures)
            floor = figures
    for remark in remarks:
        print(remark)
    return runs


def _end_in_order() -> None:
    """SIGTERM, too, must not leave a server behind."""
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _share_cores() -> int | None:
    """One core for the load, another for the server, which is returned; None: there is but one."""
    own, *others = sorted(os.sched_getaffinity(0))
    if not others:
        print("warning: load and server share the only core")
        return None
    os.sched_setaffinity(0, {own})
    # What waits for our own core would count as the server's delay. The servers that we start do not inherit this.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    return others[-1]


if __name__ == "__main__":
    sys.exit(main())
