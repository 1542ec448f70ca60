"""A websocket that aiohttp reads and writes, through nothing but its public names.

The slower way, with a task for each direction. It is taken where aiohttp does not do what direct.py needs of it.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiohttp import ClientWebSocketResponse, WebSocketError, WSMsgType
from aiohttp.web import WebSocketResponse

from bridge.wire import frames
from bridge.wire.websocket import BURST, CLOSE_S, MOST_WAITING, OnEnd, OnText, one_message

log = logging.getLogger(__name__)

#: Opened with autoping=False, for pings are signs of life too, and with decode_text=False.
Socket = WebSocketResponse[bool] | ClientWebSocketResponse[bool]

_OVER = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})


class Relayed:
    """See `Websocket`."""

    def __init__(self, socket: Socket) -> None:
        self.heard = self.stuck = False
        self.close_code: int | None = None
        self.on_full: Callable[[bool], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._on_text: OnText | None = None
        self._on_end: OnEnd | None = None
        self._listening = asyncio.Event()
        self._waiting: deque[tuple[WSMsgType, bytes]] = deque()
        self._size = 0                               # of all that waits, bytes
        self._something_waits = asyncio.Event()
        self._since: float | None = None             # when the write under way began
        self._full = self._closing = False
        self._tasks = [self._loop.create_task(self._read()), self._loop.create_task(self._write())]

    # ---- reading

    async def _read(self) -> None:
        came = 0
        while True:
            await self._listening.wait()
            message = await self._socket.receive()
            if message.type in _OVER:
                break
            self.heard = True
            if message.type is WSMsgType.PING:
                self._enqueue(WSMsgType.PONG, message.data)
            elif message.type is WSMsgType.TEXT:
                while self._on_text is None:         # it was held while this one came
                    await self._listening.wait()
                self._on_text(message.data, self._loop.time())
            came += 1
            if not came % BURST:
                await asyncio.sleep(0)
        while self._on_end is None and not self._closing:
            await self._listening.wait()
        broken = isinstance(message.data, WebSocketError)        # the peer need not have answered our close
        self._end(message.data.code if broken else self._socket.close_code or frames.NO_CODE)

    def listen(self, on_text: OnText, on_end: OnEnd) -> None:
        self._on_text, self._on_end = on_text, on_end
        self._listening.set()
        if self.close_code is not None:
            self._loop.call_soon(on_end, self.close_code)

    def hold(self) -> None:
        self._on_text = self._on_end = None
        self._listening.clear()

    async def receive(self) -> bytes | bytearray | None:
        return await one_message(self)

    # ---- writing

    def send(self, *messages: bytes) -> None:
        for message in messages:
            self._enqueue(WSMsgType.TEXT, message)

    def ping(self) -> None:
        self._enqueue(WSMsgType.PING, b"")

    def _enqueue(self, kind: WSMsgType, data: bytes) -> None:
        if self._closing or self.close_code is not None or self.stuck:
            return
        if self._since is not None:                  # the peer keeps a write waiting
            self._tell_full(True)
            if self._size + len(data) > MOST_WAITING:
                self.stuck = True
                return
        self._waiting.append((kind, data))
        self._size += len(data)
        self._something_waits.set()

    async def _write(self) -> None:
        with suppress(ConnectionError):              # who reads it tells of the end
            while await self._something_waits.wait():
                while self._waiting:
                    kind, data = self._waiting.popleft()
                    self._size -= len(data)
                    self._since = self._loop.time()
                    await self._socket.send_frame(data, kind)
                    self._since = None
                self._something_waits.clear()
                self._tell_full(False)

    def _tell_full(self, full: bool) -> None:
        if self._full is not full:
            self._full = full
            if self.on_full:
                self.on_full(full)

    def stalled_s(self) -> float:
        return 0.0 if self._since is None else self._loop.time() - self._since

    # ---- the end

    def _end(self, code: int) -> None:
        """Says so once to whoever listens."""
        if self.close_code is None:
            self.close_code = code
            on_end, self._on_end = self._on_end, None
            if on_end:
                on_end(code)

    async def close(self, code: int) -> None:
        self._on_text, self._on_end = _nobody, None
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._flushed()
                if not self.stuck:
                    self._closing = True
                    await self._socket.close(code=code)
        except TimeoutError:
            pass
        finally:
            self._closing = True
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)
        self._end(self._socket.close_code or frames.LOST)
        self._cut()

    async def _flushed(self) -> None:
        """What was sent goes out before the close."""
        while self._waiting and self._since is None and not self._tasks[1].done():
            await asyncio.sleep(0)

    def _cut(self) -> None:
        """What the peer has not taken would keep the connection until it reads, which may be never.

        uvloop's stand-in for a socket cannot be shut down; a duplicate of what it stands for can.
        """
        connection = self._socket.get_extra_info("socket")
        with suppress(OSError, AttributeError, ValueError), socket.fromfd(
            connection.fileno(), connection.family, connection.type,
        ) as same:
            same.shutdown(socket.SHUT_RDWR)


def _nobody(message: bytes | bytearray, now: float) -> None:
    """Listens to what comes before the peer's close."""
