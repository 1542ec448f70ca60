"""Strangers who hold connections to a server that does not know them, and say as little as they can.

`python -m tests.load.crowd` is a crowd in a process of its own: COUNT strangers before the server at HOST and
PORT. It says on a line of its own when each of them has come once, and what it has seen when its standard input ends.
A stranger whose connection is closed comes back AGAIN seconds later.
"""

import asyncio
import json
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple, cast

from tests.load.server import HOST, NoServer, own_environment
from bridge.sim.phone.signature import HEADER
from tests.load.relay import new_event_loop

#: Between two bytes of a stranger's, s.
DRIP_S = 0.5
#: The loopback has many addresses; the strangers come from so many of them.
ADDRESSES = 200
_READY = b"all have come\n"
_READY_S, _END_S = 60.0, 20.0

_SIGNATURE = f"{HEADER}: bWFkZSB1cCBieSBub2JvZHkgYXQgYWw=\r\n"


class Kind(NamedTuple):
    """What a stranger begins with, and the byte that follows every DRIP_S; b"": nothing follows."""

    name: str
    first: bytes
    drip: bytes = b""


KINDS = (
    Kind("only connects", b""),
    Kind("drips headers", b"GET / HTTP/1.1\r\nHost: bridge\r\nX-Slow: ", b"a"),
    Kind("drips a body", (
        f"POST /incoming-call HTTP/1.1\r\nHost: bridge\r\n{_SIGNATURE}"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n").encode(), b"a"),
    Kind("opens a stream", (
        f"GET /media-stream/15550000001 HTTP/1.1\r\nHost: bridge\r\n{_SIGNATURE}"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: c3RyYW5nZXJzLWFyZS1vdXQ=\r\n\r\n").encode()),
)


@dataclass
class Seen:
    """By kind: connections that `came`, `answers` by their status, for how long one lasted at most (`longest_s`).

    `unreached`: attempts that did not even connect. `now`, `most`: connections at once.
    """

    came: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Counter[str]] = field(default_factory=lambda: {kind.name: Counter() for kind in KINDS})
    longest_s: dict[str, float] = field(default_factory=dict)
    unreached: int = 0
    now: int = 0
    most: int = 0

    def connected(self, kind: Kind) -> None:
        self.came[kind.name] += 1
        self.now += 1
        self.most = max(self.most, self.now)

    def answered(self, kind: Kind, data: bytes) -> None:
        """The first bytes of an answer; whatever is not HTTP counts as itself."""
        self.answers[kind.name][data.decode(errors="replace").partition("\r\n")[0].removeprefix("HTTP/1.1 ")[:3]] += 1

    def closed(self, kind: Kind, seconds: float) -> None:
        self.now -= 1
        self.longest_s[kind.name] = max(self.longest_s.get(kind.name, 0.0), seconds)


class Held(asyncio.Protocol):
    """One connection of a stranger's."""

    def __init__(self, kind: Kind, seen: Seen) -> None:
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
    """`count` strangers, of each kind as many, before this port; who is closed comes back `again_s` later."""

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
        kind, address = KINDS[number % len(KINDS)], f"127.0.0.{2 + number % ADDRESSES}"
        await asyncio.sleep(self._again_s * number / self._count)          # not all at once, then or later
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

    async def _come(self, kind: Kind, address: str) -> Held | None:
        try:
            _, held = await asyncio.get_running_loop().create_connection(
                lambda: Held(kind, self.seen), HOST, self._port, local_addr=(address, 0))
        except OSError:
            self.seen.unreached += 1
            return None
        return held

    async def _hold(self, held: Held, drip: bytes) -> None:
        """Until the server closes it."""
        try:
            while not held.closed.done():
                await asyncio.wait([held.closed], timeout=DRIP_S if drip else None)
                if drip and not held.closed.done():
                    _between_beats()
                    held.transport.write(drip)
        finally:
            held.transport.abort()


def _between_beats() -> None:
    """Waits for a moment within this millisecond.

    Timers of uvloop's go off at whole milliseconds of the machine's clock, and so do those that send the phones' audio:
    strangers would come just before it again and again, and to two or three calls of each beat they would seem many.
    """
    time.sleep(random.random() / 1000)


class Away:
    """A crowd in a process of its own; `seen`, as Seen has it, when it is gone."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}


@asynccontextmanager
async def standing(port: int, count: int, again_s: float) -> AsyncIterator[Away]:
    """A crowd on our own core, where it stands back for what is measured; each has come when the block begins.

    Raises NoServer.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**own_environment(), "PORT": str(port), "COUNT": str(count), "AGAIN": str(again_s)})
    assert process.stdin and process.stdout
    away = Away()
    try:
        async with asyncio.timeout(_READY_S):
            if await process.stdout.readline() != _READY:
                raise NoServer("the crowd of strangers did not come")
        yield away
        process.stdin.close()
        async with asyncio.timeout(_END_S):
            said = await process.stdout.read()
        if not said:
            raise NoServer("the crowd of strangers did not stay")
        away.seen = json.loads(said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


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
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))       # whatever the load itself was given
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_stand())


if __name__ == "__main__":
    main()
