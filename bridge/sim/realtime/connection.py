"""The sending half of a simulated connection: its queue, its log, and the faults of sending."""

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web

from bridge.sim.clock import Clock
from bridge.sim.realtime.script import Faults

#: A close code that is never sent: the connection breaks without a close frame.
ABORT = 1006
Event = dict[str, Any]


#: Fields that only inform, and wrong values that servers were seen to send in them.
_ODD: dict[str, Any] = {
    "content": None, "usage": {"total_tokens": "many", "input_tokens": 12.5, "output_tokens": [1]},
    "previous_item_id": 7, "audio_start_ms": "0", "audio_end_ms": 12.5, "output_index": "first", "content_index": None,
    "expires_at": "soon", "object": 1, "param": ["none"], "conversation_id": {}, "max_output_tokens": "unlimited",
    "event_id": 5, "tools": {}, "voice": None, "languages": None,
}


def odd(event: Event) -> Event:
    """The event with wrong values in the fields that only inform, at any depth."""
    def changed(name: str, value: Any) -> Any:
        if name in _ODD:
            return _ODD[name]
        if name == "metadata" and isinstance(value, dict):
            return {**value, "shard": 7}
        if isinstance(value, list):
            return None
        return {key: changed(key, inner) for key, inner in value.items()} if isinstance(value, dict) else value
    return {name: changed(name, value) for name, value in event.items()}


class Changing:
    """Something that tests wait for. `until` looks again whenever `changed` is called, and only then."""

    def __init__(self) -> None:
        self._change = asyncio.Event()

    def changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def until(self, predicate: Callable[[], object], timeout: float = 20) -> None:
        """Wait until the predicate holds. Raises TimeoutError after `timeout` real seconds."""
        async with asyncio.timeout(timeout):
            while not predicate():
                await self._change.wait()


class Connection(Changing):
    """Keeps what was sent and received, and sends more. Only the writer waits for the network."""

    def __init__(self, number: int, clock: Clock, faults: Faults) -> None:
        super().__init__()
        self.clock, self.faults = clock, faults
        self.received: list[Event] = []     # every event of the client except appends
        self.sent: list[Event] = []
        self.errors: list[Event] = []       # the errors in `sent`
        self.log: list[tuple[float, str, Event]] = []       # (ms of the clock, kind, detail)
        self.pings = 0                      # the client's
        self.closed = False
        self.silent = False                 # a half-open connection, which only a missing pong shows
        self.close_code: int | None = None
        self._number, self._ids, self._deltas = number, 0, 0
        self._outbox: asyncio.Queue[str | int | None] = asyncio.Queue()     # a text, a close code, or None to stop
        self._lost = Counter(faults.lost)   # how many events of each kind are still to be lost
        self._over = False                  # nothing more is queued
        self._writing = False               # the writer waits for the network
        self._flows = asyncio.Event()
        self._flows.set()
        self._transport: asyncio.Transport | None = None

    async def send(self, event: Event) -> None:
        """Send any event, and wait until it is written."""
        self._put(event)
        await self._outbox.join()

    async def until_received(self, kind: str, count: int = 1, timeout: float = 20) -> Event:
        """Waits for the client's `count`-th event of that type."""
        return await self._nth(self.received, kind, count, timeout)

    async def until_sent(self, kind: str, count: int = 1, timeout: float = 20) -> Event:
        """Waits for the server's `count`-th event of that type."""
        return await self._nth(self.sent, kind, count, timeout)

    async def _nth(self, events: list[Event], kind: str, count: int, timeout: float) -> Event:
        def found() -> list[Event]:
            return [event for event in events if event.get("type") == kind]
        await self.until(lambda: len(found()) >= count, timeout)
        return found()[count - 1]

    def new_id(self, prefix: str) -> str:
        """An id that nothing else of this server has."""
        self._ids += 1
        return f"{prefix}_sim{self._number}x{self._ids:05}"

    def emit(self, kind: str, **fields: Any) -> None:
        """Queue an event."""
        self._put({"type": kind, "event_id": self.new_id("event"), **fields})

    def close(self, code: int) -> None:
        """Close after everything queued is written. 1006 breaks the connection then, also a silent one.

        A connection that is closed already stays as it is.
        """
        if code == ABORT and self._writing:
            self._abort()                   # also if the client reads nothing
        elif not self._over or (code == ABORT and self.silent and not self.closed):
            self._over = True
            self._outbox.put_nowait(code)

    def reset(self) -> None:
        """Break the connection at once, by a TCP reset. Data under way is lost."""
        self._over = True
        if self._transport:
            # Zero lingering makes the kernel reset the connection in place of an orderly end.
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._abort()

    def go_silent(self) -> None:
        """From now on nothing is sent, and everything from the client is lost, pings too. The connection stays open."""
        self._over = self.silent = True
        self.changed()

    def hold_up(self) -> None:
        """From now on nothing passes either way, until `let_through`. Then everything does, in order."""
        self._flows.clear()

    def let_through(self) -> None:
        self._flows.set()

    def _abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def _put(self, event: Event) -> None:
        if self._over:
            return
        if self._lost[event["type"]] > 0:
            self._lost[event["type"]] -= 1
            return
        if self.faults.odd_fields:
            event = odd(event)
        if self.faults.unknown_events:
            event = event | {"x_unknown": {"field": True}}
            if len(self.sent) % 5 == 0:
                self._write({"type": "session.weather", "event_id": self.new_id("event"), "sky": ["grey"]})
        self._write(event)
        if event["type"] == "response.output_audio.delta":
            self._count_delta()
        if event["type"] == self.faults.drop_after:
            self.close(ABORT)

    def _write(self, event: Event) -> None:
        self.sent.append(event)
        if event["type"] == "error":
            self.errors.append(event)
        self._outbox.put_nowait(json.dumps(event))
        self.changed()

    def _count_delta(self) -> None:
        self._deltas += 1
        if self._deltas == self.faults.drop_after_deltas:
            self.close(ABORT)
        elif self._deltas == self.faults.silent_after_deltas:
            self.go_silent()
        elif self.faults.close_after_deltas and self._deltas == self.faults.close_after_deltas[0]:
            self.close(self.faults.close_after_deltas[1])

    def error(
        self, code: str, message: str, param: str | None = None, event_id: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        """Send an `error` of that kind. `event_id`: the client's event that it is about."""
        self.emit("error", error={"type": kind, "code": code, "message": message,
                                  "param": param, "event_id": None if self.faults.no_metadata else event_id})

    def _stop_sending(self) -> None:
        self._over = True
        self._outbox.put_nowait(None)

    async def _send_all(self, client: web.WebSocketResponse) -> None:
        """Writes the queue to the client until `_stop_sending`."""
        while (entry := await self._outbox.get()) is not None:
            self._writing = True
            await self._flows.wait()
            try:
                if isinstance(entry, str):
                    await client.send_str(entry)
                elif entry != ABORT:
                    await client.close(code=entry)
                else:
                    self._abort()
            except ConnectionError:
                pass        # the client has left, so reading ends too
            self._writing = False
            self._outbox.task_done()
        self._outbox.task_done()
