"""`python -m tests.load`: the cost of calls in the bridge, and in the relay, which is the floor."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tests.load.calls import REHEARSAL_S, Exchange
from tests.load.server import free_port, serving
from tests.load.table import Table, disturbances, number, remarks, spread, times

#: Times are p50/p99, added on the way to the model and to the phone. The last two columns are the load's own.
_TABLE = Table(
    ("calls", 5), ("server", 6), ("CPU s/call-min", 14), ("ratio", 5), ("to model ms", 13), ("to phone ms", 13),
    ("barge-in ms", 13), ("set-up ms", 13), ("KiB/call", 8), ("faults", 6), ("load late ms", 12), ("load CPU", 8),
)


async def run(
    *, counts: list[int], seconds: float, only: str | None, core: int | None,
) -> list[dict[str, Any]]:
    """Measures the relay, then the bridge, for each count of calls. Returns all figures, printed as they come.

    Raises NoServer, TimeoutError if a call was never answered, and OSError.
    """
    runs: list[dict[str, Any]] = []
    said: list[str] = []
    print(_TABLE.header, flush=True)
    for calls in counts:
        floor = None
        for server in [only] if only else ["relay", "bridge"]:
            found, log = await measure(server, calls, seconds, core)
            print(_row(found, floor), flush=True)
            said += _remarks(found, log)
            runs.append(found)
            floor = found
    for remark in said:
        print(remark)
    return runs


async def measure(kind: str, calls: int, seconds: float, core: int | None) -> tuple[dict[str, Any], list[str]]:
    """The figures of `calls` calls through a fresh server, ready for JSON, and the lines that the server wrote."""
    model_port, plain = free_port(), kind == "relay"
    async with serving(kind, model_port, core) as server:
        # A first call makes everything that is made once. That belongs to the idle server.
        async with Exchange(server, model_port, plain=plain) as exchange:
            await exchange.open(1, REHEARSAL_S)
            await exchange.end()
        idle_kib = server.resident_kib()
        async with Exchange(server, model_port, plain=plain) as exchange:
            await exchange.open(calls)
            async with exchange.measuring():
                before = server.clocks()
                await asyncio.sleep(seconds)
                after = server.clocks()
            busy_kib = server.resident_kib()
            await exchange.end()
    lasted, cpu_s, waited_s, load_cpu_s = (end - start for start, end in zip(before, after))
    tally = exchange.stage.tally
    return {
        "server": kind, "calls": calls, "seconds": lasted,
        "cpu_s": cpu_s, "cpu_s_per_call_minute": cpu_s / (calls * lasted / 60), "waited_for_core_s": waited_s,
        "to_model": spread(tally.to_model), "to_phone": spread(tally.to_phone),
        "barge_in": spread(tally.barge_in), "set_up": spread(tally.set_up),
        "idle_kib": idle_kib, "kib_per_call": (busy_kib - idle_kib) / calls,
        "faults": asdict(exchange.faults),
        "load": {"lateness": spread(tally.lateness), "cpu_share": load_cpu_s / lasted},
    }, server.said.splitlines()


def _row(run: Mapping[str, Any], floor: Mapping[str, Any] | None) -> str:
    """One line of the table. The ratio is to the relay's run with as many calls."""
    cost, load = run["cpu_s_per_call_minute"], run["load"]
    return _TABLE.row(
        run["calls"], run["server"], f"{cost:.3f}", f"{cost / floor['cpu_s_per_call_minute']:.2f}" if floor else "",
        times(run["to_model"]), times(run["to_phone"]), times(run["barge_in"]), times(run["set_up"]),
        f"{run['kib_per_call']:.0f}", sum(run["faults"].values()),
        number(load["lateness"]["p99_ms"]), f"{load['cpu_share']:.0%}")


def _remarks(run: Mapping[str, Any], log: list[str]) -> list[str]:
    name = f"{run['server']} with {run['calls']} calls"
    return remarks(name, run, log) + disturbances(
        name, late_ms=run["load"]["lateness"]["p99_ms"], waited_s=run["waited_for_core_s"], seconds=run["seconds"],
        busy=run["load"]["cpu_share"])
