"""`python -m tests.load --strangers`: the effect of slow connections of strangers on the calls.

The server requires Twilio's signature, and its door has its limits. The strangers hold connections and say as little
as they can. They come from the loopback's many addresses. Those are private, so only two of the door's limits
count: the one for all together, and the one in time.

`python -m tests.load.strangers` is a crowd in a process of its own: COUNT strangers before the server at HOST and PORT.
It prints a line when each of them has come once, and what it has seen when its standard input ends. A
stranger whose connection is closed comes back AGAIN seconds later.
"""

import asyncio
import json
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, NamedTuple, cast

from bridge.sim.phone.signature import HEADER
from bridge.sim.process import HOST, ROOT, NoServer
from tests.load.beside import TABLE, Beside
from tests.load.calls import REHEARSAL_S, Exchange
from tests.load.relay import new_event_loop
from tests.load.server import LOGGED, Census, Measured, census, free_port, serving, settled, stand_back

#: The time between two bytes of a stranger, in seconds.
DRIP_S = 0.5
#: The number of loopback addresses from which the strangers come.
ADDRESSES = 200
_READY = b"all have come\n"
_READY_S, _END_S = 60.0, 20.0

_SIGNATURE = f"{HEADER}: bWFkZSB1cCBieSBub2JvZHkgYXQgYWw=\r\n"


class Stranger(NamedTuple):
    """The first bytes of a stranger, and the byte that follows every DRIP_S. b"": nothing follows."""

    name: str
    first: bytes
    drip: bytes = b""


STRANGERS = (
    Stranger("only connects", b""),
    Stranger("drips headers", b"GET / HTTP/1.1\r\nHost: bridge\r\nX-Slow: ", b"a"),
    Stranger("drips a body", (
        f"POST /incoming-call HTTP/1.1\r\nHost: bridge\r\n{_SIGNATURE}"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n").encode(), b"a"),
    Stranger("opens a stream", (
        f"GET /media-stream/15550000001 HTTP/1.1\r\nHost: bridge\r\n{_SIGNATURE}"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: c3RyYW5nZXJzLWFyZS1vdXQ=\r\n\r\n").encode()),
)


@dataclass
class Seen:
    """By kind: connections that `came`, `answers` by their status, the longest time of one (`longest_s`).

    `unreached`: attempts that did not even connect. `now`, `most`: connections at once.
    """

    came: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Counter[str]] = field(default_factory=lambda: {kind.name: Counter() for kind in STRANGERS})
    longest_s: dict[str, float] = field(default_factory=dict)
    unreached: int = 0
    now: int = 0
    most: int = 0

    def connected(self, kind: Stranger) -> None:
        self.came[kind.name] += 1
        self.now += 1
        self.most = max(self.most, self.now)

    def answered(self, kind: Stranger, data: bytes) -> None:
        """Counts an answer by its first bytes. Bytes that are no HTTP count as themselves."""
        self.answers[kind.name][data.decode(errors="replace").partition("\r\n")[0].removeprefix("HTTP/1.1 ")[:3]] += 1

    def closed(self, kind: Stranger, seconds: float) -> None:
        self.now -= 1
        self.longest_s[kind.name] = max(self.longest_s.get(kind.name, 0.0), seconds)


class Held(asyncio.Protocol):
    """One connection of a stranger."""

    def __init__(self, kind: Stranger, seen: Seen) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._kind, self._seen, self._since, self._answered = kind, seen, perf_counter(), False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._seen.connected(self._kind)
        self.transport.write(self._kind.first)

    def data_received(self, data: bytes) -> None:
        if not self._answered:
            self._answered = True
            self._seen.answered(self._kind, data)

    def connection_lost(self, error: Exception | None) -> None:
        self._seen.closed(self._kind, perf_counter() - self._since)
        self.closed.set_result(None)


class Crowd:
    """`count` strangers before this port, as many of each kind. A closed one comes back `again_s` later."""

    def __init__(self, port: int, count: int, again_s: float) -> None:
        self.seen = Seen()
        self._port, self._count, self._again_s = port, count, again_s
        self._tasks: list[asyncio.Task[None]] = []
        self._tried = 0
        self.all_came = asyncio.Event()

    def begin(self) -> None:
        self._tasks = [asyncio.create_task(self._stranger(number)) for number in range(self._count)]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _stranger(self, number: int) -> None:
        kind, address = STRANGERS[number % len(STRANGERS)], f"127.0.0.{2 + number % ADDRESSES}"
        await asyncio.sleep(self._again_s * number / self._count)          # spread out, now and later
        first = True
        while True:
            _between_beats()
            held = await self._come(kind, address)
            if first:
                first = False
                self._tried += 1
                if self._tried == self._count:
                    self.all_came.set()
            if held:
                await self._hold(held, kind.drip)
            await asyncio.sleep(self._again_s)

    async def _come(self, kind: Stranger, address: str) -> Held | None:
        try:
            _, held = await asyncio.get_running_loop().create_connection(
                lambda: Held(kind, self.seen), HOST, self._port, local_addr=(address, 0))
        except OSError:
            self.seen.unreached += 1
            return None
        return held

    async def _hold(self, held: Held, drip: bytes) -> None:
        """Waits until the server closes the connection."""
        try:
            while not held.closed.done():
                await asyncio.wait([held.closed], timeout=DRIP_S if drip else None)
                if drip and not held.closed.done():
                    _between_beats()
                    held.transport.write(drip)
        finally:
            held.transport.abort()


def _between_beats() -> None:
    """Waits for a random moment within this millisecond.

    uvloop's timers go off at whole milliseconds of the machine's clock. So do the timers that send the phones' audio:
    strangers would come just before it again and again, and two or three calls of each beat would suffer from all.
    """
    time.sleep(random.random() / 1000)


@asynccontextmanager
async def standing(port: int, count: int, again_s: float) -> AsyncIterator[dict[str, Any]]:
    """Starts a crowd in a process of its own. Each stranger has come when the block begins.

    The crowd's Seen is complete when the block has ended. Raises NoServer.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.load.strangers", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "PORT": str(port), "COUNT": str(count), "AGAIN": str(again_s)})
    assert process.stdin and process.stdout
    seen: dict[str, Any] = {}
    try:
        async with asyncio.timeout(_READY_S):
            if await process.stdout.readline() != _READY:
                raise NoServer("the crowd of strangers did not come")
        yield seen
        process.stdin.close()
        async with asyncio.timeout(_END_S):
            said = await process.stdout.read()
        if not said:
            raise NoServer("the crowd of strangers did not stay")
        seen |= json.loads(said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# ---- the calls beside it

#: The most connections of strangers, as README.md says. For a moment some more are being closed.
DOOR, CLOSING = 1000, 100
_LOOK_S = 1.0
#: The pause after a crowd has come or gone, in seconds.
_CALM_S = 1.0
#: The calls and strangers of the rehearsal, in which the server makes everything that is made once.
_REHEARSAL = 20
_TOKEN = "the-auth-token-of-the-load"


async def run(*, calls: int, connections: int, again: float, seconds: float, core: int | None) -> dict[str, Any]:
    """Measures calls beside strangers. Returns all figures. A closed stranger comes back `again` seconds later.

    Raises NoServer, TimeoutError if nobody answers at first, and OSError.
    """
    model_port = free_port()
    settings = {**LOGGED, "ALLOW_UNSIGNED": "0", "TWILIO_AUTH_TOKEN": _TOKEN}
    print(TABLE.header, flush=True)
    async with serving("watched", model_port, core, settings) as server:
        async with Exchange(server, model_port, token=_TOKEN) as exchange:
            await exchange.open(min(calls, _REHEARSAL), REHEARSAL_S)
            async with standing(server.port, connections, again):
                await asyncio.sleep(_CALM_S)
            await exchange.end()
        await asyncio.sleep(_CALM_S)
        idle, idle_kib = await census(server), server.resident_kib()
        async with Exchange(server, model_port, token=_TOKEN) as exchange:
            await exchange.open(calls)
            beside, strangers = Beside(exchange, server), Strangers(server, connections, again)
            await beside.measure(strangers, seconds)
            await exchange.end()
        after = await settled(server, idle)
        journal, after_kib = server.journal(), server.resident_kib()
    found = {
        "run": "strangers", "calls": calls, "connections": connections, "again_s": again, **beside.figures(),
        "crowd": together(strangers.crowds),
        "descriptors": {"idle": idle.descriptors, "calls": strangers.busy, "most": strangers.most,
                        "after": after.descriptors},
        "memory_kib": {"idle": idle_kib, "most": strangers.most_kib, "after": after_kib},
        "faults": {
            **asdict(exchange.faults), "exceptions": len(journal.unhandled), **strangers.faults(idle, after),
            "slower": int(beside.slower)},
    }
    lines = beside.lines(f"{connections} strangers", found, journal.unhandled)
    print("\n".join([*lines, *_lines(found)]), flush=True)
    return found


class Strangers:
    """A crowd that comes and goes, and the most that the server held.

    It counts descriptors: with the calls alone (`busy`), and with strangers (`most`).
    """

    turn_s = 5.0

    def __init__(self, server: Measured, connections: int, again_s: float) -> None:
        self.busy = self.most = self.most_kib = 0
        self.crowds: list[dict[str, Any]] = []
        self._server, self._connections, self._again_s = server, connections, again_s

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        yield
        self.busy = max(self.busy, self._server.open_descriptors())

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        async with standing(self._server.port, self._connections, self._again_s) as crowd:
            await asyncio.sleep(_CALM_S)
            watching = asyncio.create_task(self._watch())
            yield
            watching.cancel()
            await asyncio.wait([watching])
            self._look()
        self.crowds.append(crowd)
        await asyncio.sleep(_CALM_S)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self._look()

    def _look(self) -> None:
        self.most = max(self.most, self._server.open_descriptors())
        self.most_kib = max(self.most_kib, self._server.resident_kib())

    def faults(self, idle: Census, after: Census) -> dict[str, int]:
        crowd = together(self.crowds)
        return {"let_in": let_in(crowd["answers"]), "unreached": crowd["unreached"],
                "beyond_the_door": max(0, self.most - self.busy - DOOR - CLOSING), **after.beyond(idle)}


def together(crowds: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the crowds of all turns have seen together."""
    total: dict[str, Any] = {"came": {}, "answers": {}, "longest_s": {}, "unreached": 0, "most": 0, "seconds": 0.0}
    for crowd in crowds:
        for kind, count in crowd["came"].items():
            total["came"][kind] = total["came"].get(kind, 0) + count
        for kind, answers in crowd["answers"].items():
            known = total["answers"].setdefault(kind, {})
            for status, count in answers.items():
                known[status] = known.get(status, 0) + count
        for kind, seconds in crowd["longest_s"].items():
            total["longest_s"][kind] = max(total["longest_s"].get(kind, 0.0), seconds)
        total["most"] = max(total["most"], crowd["most"])
        for name in "unreached", "seconds":
            total[name] += crowd[name]
    return total


def let_in(answers: Mapping[str, Mapping[str, int]]) -> int:
    """How many strangers got another answer than a refusal."""
    return sum(count for statuses in answers.values() for status, count in statuses.items()
               if not status.startswith("4"))


def _lines(run: Mapping[str, Any]) -> list[str]:
    """Lines about the strangers, and about what the server held."""
    crowd = run["crowd"]
    lines = [f"{sum(crowd['came'].values()) / crowd['seconds']:.0f} strangers came a second, "
             f"{crowd['most']} were there at once"]
    for kind, count in crowd["came"].items():
        answers = ", ".join(f"{each} got {status}" for status, each in crowd["answers"].get(kind, {}).items())
        longest = crowd["longest_s"].get(kind, 0.0)
        lines.append(f"who {kind}: {count} connections, {answers or 'no answers'}, {longest:.1f} s at most")
    held = ", ".join(f"{count} {name}" for name, count in run["descriptors"].items())
    memory = ", ".join(f"{kib / 1024:.1f} MiB {name}" for name, kib in run["memory_kib"].items())
    return [*lines, f"open descriptors: {held}; memory: {memory}"]


# ---- the crowd's own process

async def _stand() -> None:
    crowd = Crowd(int(os.environ["PORT"]), int(os.environ["COUNT"]), float(os.environ["AGAIN"]))
    began = perf_counter()
    crowd.begin()
    await crowd.all_came.wait()
    _say(_READY)
    await asyncio.to_thread(sys.stdin.read)
    seconds = perf_counter() - began
    await crowd.end()
    _say(json.dumps({**vars(crowd.seen), "seconds": seconds}).encode())


def _say(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.flush()


def main() -> None:
    stand_back()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_stand())


if __name__ == "__main__":
    main()
