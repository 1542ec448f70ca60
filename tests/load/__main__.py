"""`python -m tests.load`: measure the bridge beside the relay, print a table, fail if anything was lost.

With --bookings, --stalled or --strangers: what bookings, a peer that stops reading, or strangers at the door do to the
calls beside. With --soak: what becomes of calls in which something breaks, and of the calls beside them.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from bridge.sim.process import NoServer
from tests.load import benchmark, beside, soak, strangers, table
from tests.load.faults import DO
from tests.load.relay import new_event_loop
from tests.load.server import share_cores

Number = TypeVar("Number", int, float)

_POSTGRES = ("postgres://", "postgresql://")


def main() -> int:
    """Runs the benchmark. Returns the exit code: 1 if there was any fault or a server failed, else 0."""
    options = _options()
    machine = table.machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runs = runner.run(_run(options))
    except asyncio.CancelledError:
        return 143
    except KeyboardInterrupt:
        return 130
    except (NoServer, OSError) as problem:           # a TimeoutError is an OSError
        print(f"the benchmark failed: {str(problem) or repr(problem)}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1) + "\n")
    return 1 if any(sum(run["faults"].values()) for run in runs) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument(
        "--calls", type=_counts, help="at once, for example 1,50,200, the default; with --soak 100, else 50")
    parser.add_argument(
        "--seconds", type=between(float, 0.1, 600, "seconds"),
        help="how long each run is measured; with --strangers 60, with --bookings and --stalled 30, else 10: a ratio "
             "of p99s needs many samples")
    parser.add_argument("--only", choices=["bridge", "relay"], help="one server alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all figures go")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--bookings", action="store_true", help="calls beside bookings, each with its webhook")
    mode.add_argument("--stalled", action="store_true", help="calls beside one that stops reading")
    mode.add_argument("--strangers", action="store_true", help="calls beside slow connections that are not let in")
    mode.add_argument("--soak", action="store_true", help="many calls, while something goes wrong in some of them")
    bookings = parser.add_argument_group("with --bookings")
    bookings.add_argument(
        "--rate", type=between(float, 0.1, 1000, "bookings a second"), default=20.0, help="bookings a second")
    bookings.add_argument(
        "--callers", type=between(int, 1, 1000, "callers"), default=0,
        help="instead of a rate, so many who book at once, each as soon as the one before is answered")
    bookings.add_argument(
        "--database", default=os.environ.get("DATABASE_URL", ""), metavar="postgres://...",
        help="a PostgreSQL besides SQLite, in new databases that are dropped again; DATABASE_URL unless given")
    crowd = parser.add_argument_group("with --strangers")
    crowd.add_argument("--connections", type=between(int, 1, 10_000, "connections"), default=1000, help="of strangers")
    crowd.add_argument("--again", type=between(float, 0.1, 600, "seconds"), default=5.0,
                       help="seconds until one that was closed comes back")
    faults = parser.add_argument_group("with --soak")
    faults.add_argument("--minutes", type=between(float, 0.1, 24 * 60, "minutes"), default=10.0, help="how long")
    faults.add_argument("--share", type=between(float, 0.001, 20, "of the calls"), default=0.1,
                        help="of the calls, in which a fault happens each minute")
    faults.add_argument("--seed", type=int, default=1, help="the same seed, the same faults at the same moments")
    faults.add_argument("--kinds", type=_kinds, default=[*DO], metavar="KIND,...", help=", ".join(DO))
    return parser.parse_args()


def between(kind: type[Number], least: float, most: float, what: str) -> Callable[[str], Number]:
    """A parser for a number in an argument, within these bounds."""
    def read(text: str) -> Number:
        with suppress(ValueError):
            value = kind(text)
            if least <= value <= most:
                return value
        raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:g} {what}")
    return read


def _counts(text: str) -> list[int]:
    return [between(int, 1, 9999, "calls")(each) for each in text.split(",")]


def _kinds(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in DO]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: none of " + ", ".join(DO))
    return names


async def _run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Runs the mode that is asked for. Returns all figures, which are printed as they come."""
    # SIGTERM must not leave a server behind either.
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    core, calls, seconds = share_cores(), options.calls, options.seconds
    if options.soak:
        return [await soak.run(calls=count, minutes=options.minutes, share=options.share, kinds=options.kinds,
                               seed=options.seed, core=core) for count in calls or [100]]
    if options.strangers:
        return [await strangers.run(calls=count, connections=options.connections, again=options.again,
                                    seconds=seconds or 60, core=core) for count in calls or [50]]
    if options.stalled:
        return [run for count in calls or [50]
                for run in await beside.stalled(calls=count, seconds=seconds or 30, core=core)]
    if options.bookings:
        # Imported here, because only bookings need a database's driver.
        from tests.load import bookings
        server = options.database if options.database.startswith(_POSTGRES) else ""
        return await bookings.run(server, callers=options.callers, calls=calls or [50], rate=options.rate,
                                  seconds=seconds or 30, core=core)
    return await benchmark.run(counts=calls or [1, 50, 200], seconds=seconds or 10, only=options.only, core=core)


if __name__ == "__main__":
    sys.exit(main())
