"""A websocket that reads its connection itself: each message is handed over in the transport's own callback.

So a frame costs no task, no queue and no switch between tasks.

1. What has come is read at once, up to BURST frames in one turn of the loop; the rest waits its turn in the loop's
   queue, and the transport is paused until then. The turn that ends a backlog reads nothing new.
2. While nobody listens (`hold`) the transport is paused. Pings wait meanwhile, and so does the end.
3. What is sent is written at once. The transport says when the peer takes less (`pause_writing`): from then on
   `stalled_s` counts, and beyond MOST_WAITING everything is dropped.
4. A ping rides in the next write, or goes by itself when there is none within RIDE_S. A ping of the peer's is answered.
5. The peer's close is answered with its own code, and the connection closed. Ours is answered within CLOSE_S, or the
   connection is cut. So is one whose peer broke the protocol; it is told the code of that first.
6. A connection that is lost without a close ends with 1006.
"""

import asyncio
from collections.abc import Callable

from bridge.wire import frames
from bridge.wire.frames import Broken, Reader
from bridge.wire.websocket import BURST, CLOSE_S, MOST_WAITING, OnEnd, OnText, one_message

#: How long a ping waits for something to go out with, seconds: a caller's frame comes every 20 ms.
RIDE_S = 0.1


class Wire(asyncio.Protocol):
    """See `Websocket`. `is_client`: the connection is one that we opened. `most`: a message must be shorter, bytes."""

    __slots__ = (
        "heard", "stuck", "close_code", "on_full", "_loop", "_transport", "_is_client", "_reader", "_on_text",
        "_on_end", "_reading", "_turn", "_left", "_drained", "_again", "_full_since", "_open", "_gone", "_ping_due")

    def __init__(self, transport: asyncio.Transport, *, is_client: bool, most: int) -> None:
        self.heard = self.stuck = False
        self.close_code: int | None = None
        self.on_full: Callable[[bool], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._transport, self._is_client = transport, is_client
        self._reader = Reader(masked=not is_client, most=most)
        self._on_text: OnText | None = None          # None: it is held
        self._on_end: OnEnd | None = None
        self._reading = True                         # the transport is not paused
        self._turn, self._left = 0.0, BURST          # of the loop, and how many frames may still be read in it
        self._drained = True                         # all that has come is read, but for part of a frame
        self._again: asyncio.Handle | None = None    # goes on with a backlog
        self._full_since: float | None = None        # when the peer began to take less
        self._open = True                            # we have sent no close
        self._gone: asyncio.Future[None] | None = self._loop.create_future()       # None: the connection is gone
        self._ping_due = False

    # ---- reading

    def data_received(self, data: bytes) -> None:
        if self.close_code is not None:              # it is over, and only the connection's end is awaited
            return
        self.heard = True
        now = self._loop.time()
        if now != self._turn:
            self._turn, self._left = now, BURST
        on_text = self._on_text
        if on_text and self._left and (message := self._reader.whole(data)) is not None:
            self._left -= 1
            on_text(message, now)
            return
        self._reader.feed(data)
        self._drained = False
        if on_text:
            self._read(now)
        else:
            self._reading = True                     # or nothing would have come
            self._pause()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """What aiohttp hands over of the bytes that came with the handshake; its parsers have this name."""
        if data:
            self.data_received(bytes(data))
        return False, b""

    def feed_eof(self) -> None:
        """As aiohttp tells its parsers."""

    def _read(self, now: float) -> None:
        """Hands over what has come, as long as this turn is ours and somebody listens."""
        while self._left and (on_text := self._on_text):
            try:
                taken = self._reader.take()
                if taken is None:
                    self._drained = True
                    return
                self._left -= 1
                opcode, payload = taken
                if opcode == frames.TEXT:
                    on_text(payload, now)
                elif opcode >= frames.CLOSE:
                    self._control(opcode, payload)
            except Broken as problem:
                self._break_off(problem.code)
        if self._on_text:                            # the turn is over
            self._pause()
            self._later()

    def _go_on(self) -> None:
        """A later turn: first what is left of an earlier one, and only in the next turn what comes from the socket."""
        self._again = None
        if self._on_text is None:
            return
        self._turn, self._left = self._loop.time(), BURST
        if not self._drained:
            self._read(self._turn)
            self._later()
        elif not self._reading and self.close_code is None:
            self._reading = True
            self._transport.resume_reading()

    def _later(self) -> None:
        if self._on_text is not None and not self._again:
            self._again = self._loop.call_soon(self._go_on)

    def _pause(self) -> None:
        if self._reading and self.close_code is None:
            self._reading = False
            self._transport.pause_reading()

    def listen(self, on_text: OnText, on_end: OnEnd) -> None:
        self._on_text, self._on_end = on_text, on_end
        if self.close_code is not None:
            self._on_text = None
            self._loop.call_soon(self._tell_end)
        else:
            self._later()

    def hold(self) -> None:
        self._on_text = self._on_end = None
        self._pause()

    async def receive(self) -> bytes | bytearray | None:
        return await one_message(self)

    def _control(self, opcode: int, payload: bytearray) -> None:
        """Raises Broken."""
        if opcode == frames.PING:
            self._write(frames.encode(frames.PONG, payload, self._is_client))
        elif opcode == frames.CLOSE:
            self._answer_close(frames.close_code(payload))

    # ---- writing

    def send(self, *messages: bytes) -> None:
        if len(messages) == 1:
            self._write(frames.encode(frames.TEXT, messages[0], self._is_client))
        else:
            self._write(b"".join([frames.encode(frames.TEXT, each, self._is_client) for each in messages]))

    def _write(self, data: bytes) -> None:
        if not self._open:
            return
        if self._full_since is not None and (
                self.stuck or self._transport.get_write_buffer_size() + len(data) > MOST_WAITING):
            self.stuck = True
            return
        if self._ping_due:
            self._ping_due = False
            data = frames.encode(frames.PING, b"", self._is_client) + data
        self._transport.write(data)

    def ping(self) -> None:
        if self._open and not self._ping_due:
            self._ping_due = True
            self._loop.call_later(RIDE_S, self._ping_now)

    def _ping_now(self) -> None:
        if self._ping_due:
            self._write(b"")

    def pause_writing(self) -> None:
        self._full_since = self._loop.time()
        if self.on_full:
            self.on_full(True)

    def resume_writing(self) -> None:
        self._full_since = None
        if self.on_full:
            self.on_full(False)

    def stalled_s(self) -> float:
        return 0.0 if self._full_since is None else self._loop.time() - self._full_since

    # ---- the end

    async def close(self, code: int) -> None:
        self._on_end = None
        if self.close_code is None:
            self._on_text = _nobody                  # the peer's close is still to be read
            self._say_close(code)
            self._later()
        if self._gone is None:
            return
        try:
            async with asyncio.timeout(0 if self.stuck else CLOSE_S):
                await asyncio.shield(self._gone)
        except TimeoutError:
            self.abort()

    def _say_close(self, code: int) -> None:
        """Ours, if none was sent before."""
        self._write(frames.encode_close(code, self._is_client))
        self._open = False

    def _answer_close(self, code: int) -> None:
        """Both have said goodbye; what was sent before has CLOSE_S to be taken."""
        self._say_close(code)
        self._end(code)
        self._transport.close()
        self._loop.call_later(CLOSE_S, self.abort)

    def _break_off(self, code: int) -> None:
        """The peer broke the protocol. It gets to know why, for which it must be read on, and nothing of it counts."""
        self._say_close(code)
        self._end(code)
        self._loop.call_later(CLOSE_S, self.abort)

    def abort(self) -> None:
        """Cuts the connection, whatever is on its way."""
        if self._gone is not None:
            self._transport.abort()

    def _end(self, code: int) -> None:
        """Says so once to whoever listens, or will."""
        self._open = False
        if self.close_code is None:
            self.close_code = code
            self._on_text = None
            self._tell_end()

    def _tell_end(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end and self.close_code is not None:
            on_end(self.close_code)

    def connection_lost(self, error: Exception | None) -> None:
        gone, self._gone = self._gone, None
        self._end(frames.LOST)
        self.on_full = None
        if gone and not gone.done():
            gone.set_result(None)


def _nobody(message: bytes | bytearray, now: float) -> None:
    """Listens to what comes before the peer's close."""
