"""Websockets of ours, of both kinds, with a peer at the other end that is not."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from yarl import URL

from bridge.sim.demo import serving
from bridge.wire import handshake
from bridge.wire.direct import Wire
from bridge.wire.websocket import Websocket

#: The two ways in which a websocket is read and written.
WAYS = ["direct", "relayed"]
#: For the client's side of each.
CLASSES = {"direct": handshake.TakenOver, "relayed": aiohttp.ClientWebSocketResponse}


@dataclass
class Listening:
    """Where we accept websockets, and those that were accepted."""

    origin: str
    accepted: asyncio.Queue[Websocket]

    @property
    def address(self) -> tuple[str, int]:
        url = URL(self.origin)
        assert url.host and url.port
        return url.host, url.port

    @property
    def url(self) -> str:
        return self.origin.replace("http", "ws", 1)


@asynccontextmanager
async def listening(way: str, *, most: int = 64 * 1024) -> AsyncIterator[Listening]:
    """Accepts websockets; each is closed at the end."""
    async def serve(request: web.Request) -> web.StreamResponse:
        response, socket = await handshake.accept(request, most=most, direct=way == "direct")
        assert isinstance(socket, Wire) is (way == "direct")
        sockets.append(socket)
        world.accepted.put_nowait(socket)
        if way != "direct":
            await over.wait()
        return response

    sockets: list[Websocket] = []
    over, app = asyncio.Event(), web.Application()
    app.router.add_get("/", serve)
    async with serving(app) as origin:
        world = Listening(origin, asyncio.Queue())
        try:
            yield world
        finally:
            await asyncio.gather(*(socket.close(1000) for socket in sockets))
            over.set()


@asynccontextmanager
async def accepted(way: str, *, most: int = 64 * 1024) -> AsyncIterator[
        tuple[Websocket, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A websocket that was accepted, and a peer that writes bytes."""
    async with listening(way, most=most) as world:
        reader, writer = await upgraded(world)
        try:
            yield await world.accepted.get(), reader, writer
        finally:
            writer.transport.abort()


async def upgraded(world: Listening, said: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client's side after the handshake; `said`: what it has sent in one piece with it."""
    reader, writer = await asyncio.open_connection(*world.address, limit=2 ** 26)
    writer.write(b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + said)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 ")
    return reader, writer


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A client's frame, with a mask of zeros."""
    head = bytes([final << 7 | opcode])
    if len(payload) < 126:
        return head + bytes([0x80 | len(payload)]) + bytes(4) + payload
    if len(payload) < 65_536:
        return head + struct.pack("!BH4x", 0xFE, len(payload)) + payload
    return head + struct.pack("!BQ4x", 0xFF, len(payload)) + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """A server's frame: its opcode and its bytes."""
    first, size = await reader.readexactly(2)
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    assert first & 0x80
    return first & 0x0F, await reader.readexactly(size)


@asynccontextmanager
async def connected(
    way: str, serve: Callable[[web.WebSocketResponse], Awaitable[None]],
) -> AsyncIterator[Websocket]:
    """A websocket that we have opened at a server of aiohttp's."""
    async def handle(request: web.Request) -> web.WebSocketResponse:
        peer = web.WebSocketResponse(autoping=False)
        await peer.prepare(request)
        await serve(peer)
        return peer

    app = web.Application()
    app.router.add_get("/", handle)
    async with serving(app) as origin, aiohttp.ClientSession(ws_response_class=CLASSES[way]) as http:
        socket = await handshake.connect(http, URL(origin.replace("http", "ws", 1)), {})
        assert isinstance(socket, Wire) is (way == "direct")
        try:
            yield socket
        finally:
            await socket.close(1000)


class Ears:
    """Listens to a websocket: what it has said, and how it ended."""

    def __init__(self, socket: Websocket) -> None:
        self.heard: list[bytes] = []
        self.codes: list[int] = []
        self._something = asyncio.Event()
        self._socket = socket
        self.listen()

    def listen(self) -> None:
        self._socket.listen(self._text, self._end)

    def _text(self, message: bytes | bytearray, now: float) -> None:
        assert abs(asyncio.get_running_loop().time() - now) < 60
        self.heard.append(bytes(message))
        self._something.set()

    def _end(self, code: int) -> None:
        self.codes.append(code)
        self._something.set()

    async def until(self, count: int) -> list[bytes]:
        """So many messages."""
        await self._until(lambda: len(self.heard) >= count)
        return self.heard

    async def end(self) -> int:
        """The code of the close."""
        await self._until(lambda: bool(self.codes))
        return self.codes[0]

    async def _until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not true():
                self._something.clear()
                await self._something.wait()
