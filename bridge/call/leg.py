"""One side of a call, as seen by what is sent to it."""

import asyncio
from collections import deque

from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp.web import WebSocketResponse

Socket = WebSocketResponse[bool] | ClientWebSocketResponse[bool]


class CallOver(Exception):
    """The call has ended; the message is the reason."""


class Leg:
    """Sends in the order given, from whichever task, without a queue while the socket keeps up.

    A task that finds another one waiting for the socket leaves its message and goes on reading; `stalled_s` says
    for how long the socket has taken nothing, so that the call can end before much is waiting.
    """

    def __init__(self, socket: Socket, gone: str) -> None:
        self._socket, self._gone = socket, gone
        self._time = asyncio.get_running_loop().time
        self._waiting: deque[bytes] = deque()
        self._since: float | None = None             # when the send under way began

    async def send(self, message: bytes) -> None:
        """Raises CallOver(gone) when the peer is not there any more."""
        self._waiting.append(message)
        if self._since is not None:
            return
        try:
            while self._waiting:
                self._since = self._time()
                await self._socket.send_frame(self._waiting.popleft(), WSMsgType.TEXT)
        except ConnectionError:
            raise CallOver(self._gone) from None
        finally:
            self._since = None

    def stalled_s(self) -> float:
        return 0.0 if self._since is None else self._time() - self._since
