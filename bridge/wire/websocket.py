"""What both kinds of websocket can do for a call: that which reads its connection itself (direct.py), and that which
leaves it to aiohttp (relayed.py).
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

#: Takes a text message, and the moment at which it was read, by the loop's clock. It never raises, and it never keeps
#: more of what it is given than it needs.
OnText = Callable[[bytes | bytearray, float], None]
#: Is told once that the websocket is over, with the code of its close: 1006 when there was none.
OnEnd = Callable[[int], None]

#: After so many messages of one side the other calls have their turn, however many more of them wait to be read: a
#: phone or a network that catches up on seconds of audio would keep all others waiting for 15 ms.
BURST = 8
#: As much may wait for a peer that takes nothing, bytes: minutes of audio.
MOST_WAITING = 1_000_000
#: How long a peer may take to answer a close, seconds.
CLOSE_S = 0.4


class Websocket(Protocol):
    """One side of a call, after its handshake. Nobody has to be told to answer a ping or a close: it does."""

    #: Something has come since it was last set to False, whatever it was: the other end lives.
    heard: bool
    #: More than MOST_WAITING is not taken. What is sent from then on is dropped.
    stuck: bool
    #: How it ended; None while it lasts.
    close_code: int | None
    #: Is told True when the peer takes less than it is sent, and False when it has caught up.
    on_full: Callable[[bool], None] | None

    def listen(self, on_text: OnText, on_end: OnEnd) -> None:
        """From now on each text message goes to `on_text`, in order, and never before this has returned."""

    def hold(self) -> None:
        """Until the next `listen` nothing is read: the peer waits, and not our memory. So waits its close, too."""

    async def receive(self) -> bytes | bytearray | None:
        """One text message, for the beginnings; None when it is over. Afterwards it is held."""

    def send(self, *messages: bytes) -> None:
        """Sends all of them as text, in order and at once, before anything that comes later. It never waits."""

    def ping(self) -> None:
        """Asks for a sign of life."""

    def stalled_s(self) -> float:
        """For how long the peer has not taken all that it was sent, seconds."""

    async def close(self, code: int) -> None:
        """Closes it, within CLOSE_S whatever the peer does. No message is handed on from now on."""


async def one_message(socket: Websocket) -> bytes | bytearray | None:
    """`receive`, by `listen` and `hold`."""
    answer: asyncio.Future[bytes | bytearray | None] = asyncio.get_running_loop().create_future()

    def take(message: bytes | bytearray, now: float) -> None:
        socket.hold()
        if not answer.done():
            answer.set_result(message)

    def end(code: int) -> None:
        if not answer.done():
            answer.set_result(None)
    socket.listen(take, end)
    try:
        return await answer
    finally:
        socket.hold()
