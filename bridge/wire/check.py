"""Whether aiohttp, as it is installed, lets us take its connections over: tried, before any call comes.

Each side is given a message in one segment with the handshake, as a peer that is in a hurry sends it. It must arrive,
an answer must come, and the connection must stand after aiohttp has let go of it.
"""

import asyncio
import base64
import hashlib
import logging
from contextlib import suppress

import aiohttp
from aiohttp import web
from yarl import URL

from bridge.wire import frames, handshake
from bridge.wire.direct import Wire
from bridge.wire.websocket import Websocket

#: How long all of it may take, seconds: it takes some milliseconds.
WITHIN_S = 2.0
_HELLO, _ANSWER = b"h" * 200, b"a" * 200
_KEY = base64.b64encode(bytes(16)).decode()
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_unheard = logging.Logger("bridge.wire.check.unheard")
_unheard.addHandler(logging.NullHandler())

#: What was found, by the kind of event loop.
_found: dict[type[asyncio.AbstractEventLoop], str] = {}


async def problem() -> str:
    """Why connections cannot be taken over, or "". It is looked once for each kind of event loop."""
    kind = type(asyncio.get_running_loop())
    if kind not in _found:
        _found[kind] = await _look()
    return _found[kind]


async def _look() -> str:
    for side, trial in (("a server", _as_server), ("a client", _as_client)):
        try:
            async with asyncio.timeout(WITHIN_S):
                await trial()
        except Exception as error:
            return f"as {side}: {str(error) or type(error).__name__}"
    return ""


async def _talk(socket: Websocket) -> None:
    """Hears the message that came with the handshake, answers, and hears the next one."""
    if not isinstance(socket, Wire):
        raise RuntimeError("the connection was not handed over")
    for _ in range(2):
        heard = await socket.receive()
        if heard is None or bytes(heard) != _HELLO:
            raise RuntimeError("a message was lost")
        socket.send(_ANSWER)


async def _as_server() -> None:
    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        response, socket = await handshake.accept(request, most=1000, direct=True)
        talking.append(asyncio.ensure_future(_finish(socket)))
        return response

    talking: list[asyncio.Future[None]] = []
    server = web.Server(serve, logger=_unheard, access_log=None)     # what goes wrong is told in one line
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    try:
        hello = frames.encode(frames.TEXT, _HELLO, masked=True)
        writer.write((f"GET / HTTP/1.1\r\nHost: check\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n\r\n").encode() + hello)
        await reader.readuntil(b"\r\n\r\n")
        answer = frames.encode(frames.TEXT, _ANSWER, masked=False)
        for more in (hello, b""):
            if await reader.readexactly(len(answer)) != answer:
                raise RuntimeError("an answer was changed")
            writer.write(more)
    finally:
        writer.transport.abort()
        listening.close()
        await asyncio.gather(*talking)
        await server.shutdown(0)


async def _finish(socket: Websocket) -> None:
    try:
        await _talk(socket)
    except RuntimeError:
        pass                                         # no answer comes, and that is noticed
    finally:
        await socket.close(frames.NORMAL)


async def _as_client() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A server that is in a hurry."""
        asked = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        key = next(line.split(": ", 1)[1] for line in asked if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest()).decode()
        hello = frames.encode(frames.TEXT, _HELLO, masked=False)
        writer.write((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode() + hello)
        with suppress(asyncio.IncompleteReadError):      # the trial has failed, and says so itself
            answer, close = (len(frames.encode(kind, said, masked=True)) for kind, said in (
                (frames.TEXT, _ANSWER), (frames.CLOSE, b"..")))
            await reader.readexactly(answer)
            writer.write(hello)
            await reader.readexactly(answer + close)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        host, port = listening.sockets[0].getsockname()
        async with aiohttp.ClientSession(ws_response_class=handshake.TakenOver) as http:
            socket = await handshake.connect(http, URL.build(scheme="ws", host=host, port=port), {})
            try:
                await asyncio.sleep(0)
                await _talk(socket)
            finally:
                await socket.close(frames.NORMAL)
    finally:
        listening.close()
