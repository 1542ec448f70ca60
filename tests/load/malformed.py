"""`python -m tests.load --malformed`: what a phone that sends no end of garbage (garbage.py) does to a server.

First without a limit to the messages: as many frames as asked for, as fast as the server takes them, into calls under
way, which must go on. Then what no stream can go on after, in calls of their own. Then, with the limit that there is by
default, a flood that must be closed. All the time a healthy call goes on beside, and must lose nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from time import perf_counter
from typing import Any

from tests.load import census
from tests.load.census import Census
from tests.load.calls import SETTINGS, Exchange, Line
from tests.load.faulty import Call
from tests.load.garbage import CLOSES, Fatal, Frame, frames as garbage
from tests.load.journal import Journal, read
from tests.load.table import CROWDED, LATE_MS, number, spread, times
from tests.load.benchmark import WARM_UP_S
from tests.load.server import Server, environment, free_port, running
from tests.load.soak import LET_GO_S
from tests.load.tally import Faults
from tests.load.trend import Trend, trend
from tests.load.wire import frame

#: How a flood is closed that is faster than a phone can be, and how soon, s.
TOO_FAST, TOO_FAST_S = "phone too fast", 20.0
#: The first part of the flood is no sample of the memory; in the rest of it it may grow by so much, KiB.
_WARM_UP_SHARE = 0.25
MOST_GROWTH_KIB = 4096
_SAMPLE_S = 0.5
#: So many frames are written at once, and so many bytes may wait for the server.
_BATCH, _WAITING = 100, 256 * 1024
_LOOK_S = 0.001
#: Until what was sent after the flood is heard, s; until a stream is closed, s.
_READ_S, _CLOSE_S = 60.0, 10.0


@dataclass
class Flood:
    """What was sent, by kind, and how long the server took to read it."""

    sent: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def per_s(self) -> float:
        return self.sent.total() / self.seconds if self.seconds else 0.0


async def run(*, calls: int, frames: int, seed: int, core: int | None) -> dict[str, Any]:
    """All figures, printed as they come. `calls`: with the healthy one.

    Raises NoServer, TimeoutError where nobody answers at first, OSError.
    """
    flooding = await _without_limit(max(1, calls - 1), frames, seed, core)
    print("\n".join(_lines(flooding)), flush=True)
    limited = await _with_limit(seed, core)
    print("\n".join(_limited_lines(limited)), flush=True)
    faults = {name: count + limited["faults"].get(name, 0) for name, count in flooding["faults"].items()}
    faults["not_stopped"] = limited["faults"]["not_stopped"]
    wrong = [f"{count} {name.replace('_', ' ')}" for name, count in faults.items() if count]
    print("FAULTS: " + ", ".join(wrong) if wrong else
          "healthy calls lost nothing, and every flooded call went on or was closed on purpose")
    for line in [*flooding["log"], *limited["log"]][:5]:
        print(line)
    return {"run": "malformed", "calls": calls, "frames": frames, "seed": seed, **flooding, "limited": limited,
            "faults": faults}


async def _without_limit(flooded: int, frames: int, seed: int, core: int | None) -> dict[str, Any]:
    model_port, port = free_port(), free_port()
    settings = {**environment(port, model_port), **SETTINGS, "MAX_MESSAGES_PER_S": "0"}
    async with running("tests.load.watched", port, settings, core) as server:
        async with Exchange(server, model_port) as exchange:
            rehearsal = await exchange.open_line()
            assert rehearsal.call
            await exchange.hang_up(rehearsal.call)
        await asyncio.sleep(WARM_UP_S)
        idle = await census.take(server)
        async with Exchange(server, model_port) as exchange:
            show = _Show(exchange, server)
            await show.open(flooded)
            async with exchange.stage.measuring():
                await show.flood(frames, seed)
            for name, fatal in CLOSES.items():
                await show.close(name, fatal)
            await show.end()
        after = await census.settled(server, idle, LET_GO_S)
        return show.figures(read(server.said().splitlines()), idle, after)


async def _with_limit(seed: int, core: int | None) -> dict[str, Any]:
    """One call floods a server as it is by default, until it is closed."""
    model_port, port = free_port(), free_port()
    async with (
        running("bridge", port, {**environment(port, model_port), **SETTINGS}, core) as server,
        Exchange(server, model_port) as exchange,
    ):
        show = _Show(exchange, server)
        await show.open(1)
        [call] = show.flooded
        assert call.phone
        began = perf_counter()
        pouring = asyncio.create_task(show.pour(call, garbage(seed)))
        await asyncio.wait([call.phone.closed], timeout=TOO_FAST_S)
        seconds = perf_counter() - began
        pouring.cancel()
        await asyncio.wait([pouring])
        await show.end()
    # Only now: it closes the stream before it says why.
    journal = read(server.said().splitlines())
    reason = journal.reasons.get(call.sid, "")
    return {
        "seconds": seconds, "sent": show.poured.sent.total(), "reason": reason,
        "faults": {**asdict(show.healthy), "exceptions": len(journal.unhandled),
                   "not_stopped": int(reason != TOO_FAST)},
        "log": journal.unhandled,
    }


class _Show:
    """One healthy call, and those that are flooded. `healthy`: what the first one lost; `beside`: what the others did.

    `closed`: the code with which the server closed a stream, by what was sent.
    """

    def __init__(self, exchange: Exchange, server: Server) -> None:
        self.healthy, self.beside, self.poured = Faults(), Faults(), Flood()
        self.flooded: list[Call] = []
        self.closed: dict[str, int | None] = {}
        self._exchange, self._server = exchange, server
        self._healthy = Line(0)
        self._survived = 0
        self._memory: list[tuple[float, float]] = []
        self._waited_s = 0.0
        self._delays: dict[str, list[float]] = {}

    async def open(self, flooded: int) -> None:
        self._healthy = await self._exchange.open_line()
        for _ in range(flooded):
            line = await self._exchange.open_line()
            assert line.call
            self.flooded.append(line.call)
        await asyncio.sleep(WARM_UP_S)
        assert self._healthy.call
        self._healthy.call.tally.measuring = True

    # ---- the flood

    async def flood(self, frames: int, seed: int) -> None:
        """So many frames into all flooded calls together, and until the server has read them."""
        began, self._waited_s = perf_counter(), self._server.waited_s()
        watching = asyncio.create_task(self._watch(began))
        shares = [frames * (each + 1) // len(self.flooded) - frames * each // len(self.flooded)
                  for each in range(len(self.flooded))]
        await asyncio.gather(*(
            self.pour(call, islice(garbage(seed + each), share))
            for each, (call, share) in enumerate(zip(self.flooded, shares))))
        self._survived = sum(await asyncio.gather(*map(self._goes_on, self.flooded)))
        self.poured.seconds = perf_counter() - began
        self._waited_s = self._server.waited_s() - self._waited_s
        watching.cancel()
        await asyncio.wait([watching])
        tally = self._exchange.stage.tally
        self._delays = {"to_model": [*tally.to_model], "to_phone": [*tally.to_phone], "late": [*tally.lateness]}

    async def pour(self, call: Call, frames: Iterator[tuple[str, Frame]]) -> None:
        """As fast as the server takes them, and as long as it does."""
        assert call.phone
        phone, transport = call.phone, call.phone.transport
        while phone.live and (batch := [*islice(frames, _BATCH)]):
            transport.write(b"".join(frame(first, payload, masked=True) for _, (first, payload) in batch))
            self.poured.sent.update(name for name, _ in batch)
            await asyncio.sleep(0)
            while phone.live and transport.get_write_buffer_size() > _WAITING:
                await asyncio.sleep(_LOOK_S)

    async def _goes_on(self, call: Call) -> bool:
        """Whether both ends hear what the other says from now on: then all that was sent before has been read."""
        moment = perf_counter()
        while call.live and perf_counter() < moment + _READ_S:
            if call.flows_since(moment):
                return True
            await asyncio.sleep(0.02)
        return False

    async def _watch(self, began: float) -> None:
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self._memory.append((perf_counter() - began, float(self._server.resident_kib())))

    # ---- what a stream cannot go on after

    async def close(self, name: str, fatal: Fatal) -> None:
        line = await self._exchange.open_line()
        assert line.call and line.call.phone
        phone = line.call.phone
        phone.transport.write(b"".join(frame(first, payload, masked=True) for first, payload in fatal.frames))
        await asyncio.wait([phone.closed], timeout=_CLOSE_S)
        self.closed[name] = phone.close_code
        line.steady = False
        line.call.close_account(self.beside, measuring=False)
        self.healthy.left_open += await self._exchange.hang_up(line.call)

    # ---- the end

    async def end(self) -> None:
        """The healthy call must have gone on to the end, and lost nothing."""
        call = self._healthy.call
        assert call
        await self._exchange.drain()
        self.healthy.lost += sum(call.outstanding)
        self.healthy.dropped += not call.live
        call.close_account(self.healthy, measuring=False)
        for each in self.flooded:
            each.close_account(self.beside, measuring=False)
        ends = await asyncio.gather(*map(self._exchange.hang_up, (call, *self.flooded)))
        self.healthy.left_open += sum(ends)

    def figures(self, journal: Journal, idle: Census, after: Census) -> dict[str, Any]:
        memory = trend(self._memory, _WARM_UP_SHARE * self.poured.seconds)
        grown = growth(memory, self.poured.seconds)
        return {
            "sent": dict(self.poured.sent), "seconds": self.poured.seconds, "frames_per_s": self.poured.per_s,
            "flooded": len(self.flooded), "survived": self._survived, "closed": self.closed,
            "memory": {"trend_kib": memory._asdict() if memory else None, "grown_kib": grown,
                       "first_kib": self._memory[0][1] if self._memory else None,
                       "last_kib": self._memory[-1][1] if self._memory else None},
            "waited_for_core_s": self._waited_s,
            **{name: spread(delays) for name, delays in self._delays.items()},
            "beside": asdict(self.beside), "idle": asdict(idle), "after": asdict(after),
            "faults": {
                **asdict(self.healthy), "exceptions": len(journal.unhandled),
                "ended": len(self.flooded) - self._survived,
                "closed_otherwise": sum(self.closed.get(name) != fatal.code for name, fatal in CLOSES.items()),
                "growing": int(grown > MOST_GROWTH_KIB),
                **{f"leaked_{kind}": count for kind, count in after.beyond(idle).items()}},
            "log": journal.unhandled,
        }


def growth(memory: Trend | None, seconds: float) -> float:
    """By how many KiB it grew after the warm-up of a flood that took so long; 0 where nobody can tell."""
    return memory.per_minute * seconds * (1 - _WARM_UP_SHARE) / 60 if memory else 0.0


# ---- for people

def _lines(found: dict[str, Any]) -> list[str]:
    memory = found["memory"]
    lines = [
        f"{sum(found['sent'].values())} frames of {len(found['sent'])} kinds into {found['flooded']} calls in "
        f"{found['seconds']:.1f} s: {found['frames_per_s']:.0f} a second; {found['survived']} calls went on",
        f"the healthy call beside: to model {times(found['to_model'])} ms, to phone {times(found['to_phone'])} ms",
        "memory: too few samples for a trend" if memory["trend_kib"] is None else
        f"memory: {memory['first_kib'] / 1024:.1f} MiB at first, {memory['last_kib'] / 1024:.1f} MiB at last; after "
        f"the first quarter {memory['grown_kib']:+.0f} KiB ({memory['trend_kib']['per_minute']:+.0f} KiB a minute)",
        "closed: " + ", ".join(f"after {name} with {code}" for name, code in found["closed"].items())]
    beside = [f"{count} {name.replace('_', ' ')}" for name, count in found["beside"].items() if count]
    lines += [f"in the flooded calls: {', '.join(beside)}"] if beside else []
    late = found["late"]["p99_ms"] or 0.0
    if late > LATE_MS or found["waited_for_core_s"] > CROWDED * found["seconds"]:
        lines.append(f"the load itself was late (p99 {number(late)} ms), or others used the server's core "
                     f"({found['waited_for_core_s']:.1f} s): it took longer than the server needs")
    return lines


def _limited_lines(found: dict[str, Any]) -> list[str]:
    return [f"with the usual MAX_MESSAGES_PER_S a flood was closed after {found['seconds']:.1f} s and "
            f"{found['sent']} frames: {found['reason'] or 'no reason'}"]
