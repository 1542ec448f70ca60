"""One side of a call, for sending: messages go out in order, and a stalled socket is noticed."""

import asyncio
import socket
from contextlib import suppress

from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.web import WebSocketResponse

from bridge.records.endings import Ending

Socket = WebSocketResponse[bool] | ClientWebSocketResponse[bool]

#: How long a peer may take to answer a close (s).
CLOSE_S = 0.4
#: How much may be queued for a socket (bytes): minutes of audio.
MOST_WAITING = 1_000_000
#: After so many messages of one side the other calls have their turn. Otherwise a phone or a network that catches up on
#: seconds of audio would keep all other calls waiting for 15 ms.
BURST = 8


class CallOver(Exception):
    """The call has ended. `ending` says how."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.value)
        self.ending = ending


class Leg:
    """Sends messages in the order given, from any task. There is no queue while the socket keeps up.

    If one task waits for the socket, another task leaves its message in the queue and goes on reading. `stalled_s`
    tells how long the socket has accepted nothing, so that the call can end before much is queued.

    `is_phone`: losing the phone, or a stall of it, ends the call. For any other peer the reader of the socket deals
    with both.
    """

    def __init__(self, socket: Socket, *, is_phone: bool = False) -> None:
        self._socket, self._is_phone = socket, is_phone
        self._time = asyncio.get_running_loop().time
        self._waiting: list[bytes] = []              # a list costs a call a tenth of what a deque does
        self._since: float | None = None             # when the send under way began
        self.stuck = False                           # a send was given up: nothing more can be sent

    async def send(self, message: bytes, *more: bytes) -> None:
        """Sends these messages before any later one. Raises CallOver for a phone that has left or is stalled."""
        if self._since is not None:
            self._wait(message, *more)
            return
        self._waiting += more
        try:
            self._since = self._time()
            await self._socket.send_frame(message, WSMsgType.TEXT)
            while self._waiting:
                self._since = self._time()
                await self._socket.send_frame(self._waiting.pop(0), WSMsgType.TEXT)
        except ConnectionError:
            self._waiting.clear()
            if self._is_phone:
                raise CallOver(Ending.PHONE_LOST) from None
        except asyncio.CancelledError:
            self.stuck = True                        # only a socket that accepts nothing makes a send wait
            raise
        finally:
            self._since = None

    def _wait(self, *messages: bytes) -> None:
        self._waiting += messages
        if sum(map(len, self._waiting)) > MOST_WAITING:
            self.stuck = True
            self._waiting.clear()
            if self._is_phone:
                raise CallOver(Ending.PHONE_STALLED)

    def stalled_s(self) -> float:
        return 0.0 if self._since is None else self._time() - self._since

    async def close(self, code: int) -> None:
        """Closes the websocket, within CLOSE_S whatever the peer does."""
        connection = self._socket.get_extra_info("socket")
        try:
            async with asyncio.timeout(CLOSE_S):
                if not self.stuck:
                    await self._socket.close(code=code)
                    return
        except TimeoutError:
            pass
        # Unsent bytes would keep the connection open until the peer reads them, which may be never. uvloop's stand-in
        # for a socket cannot be shut down. A duplicate of the real socket can.
        with suppress(OSError, AttributeError), socket.fromfd(
            connection.fileno(), connection.family, connection.type,
        ) as same:
            same.shutdown(socket.SHUT_RDWR)
