"""One connection of the simulated Realtime API: reads the client's events, keeps the conversation, answers.

Every decision is made without waiting, and its events are queued (connection.py). So the events of two decisions are
never interleaved, and reading never waits for writing.
Source: https://developers.openai.com/api/reference/resources/realtime/server-events
"""

import asyncio
import copy
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias

from aiohttp import WSMsgType, web

from bridge.sim.clock import Clock
from bridge.sim.realtime import schema
from bridge.sim.realtime.config import PCM, check_unchangeable, default_session, updated
from bridge.sim.realtime.connection import ABORT, Connection, Event
from bridge.sim.realtime.hearing import InputBuffer
from bridge.sim.realtime.items import Conversation, Item
from bridge.sim.realtime.response import Manner, Outage, Response
from bridge.sim.realtime.schema import Refused
from bridge.sim.realtime.script import AFTERWARDS, Faults, Turn
from bridge.sim.realtime.usage import NOTHING, Tokens, shared
from bridge.sim.realtime.vad import Edge

#: Each response takes the next turn, and every session begins at the first. After the last comes AFTERWARDS, unless
#: Faults says otherwise. A callable is asked for each turn, and finds the response's parameters in `session.asked`. A
#: turn without output is a response that is completed without a word or a sound.
Script: TypeAlias = "Sequence[Turn] | Callable[[RealtimeSession], Turn]"
#: Called with (session, kind, detail) for every entry of a session's log.
Listener: TypeAlias = "Callable[[RealtimeSession, str, dict[str, Any]], None]"


class Server(Manner, Protocol):
    """What a session needs of the server that it belongs to."""

    clock: Clock
    script: Script
    listener: "Listener | None"

    async def stopped(self) -> None:
        """Waits until the server stops."""


class RealtimeSession(Connection):
    """One session: what the client sent, the answers, and what the model believes was said. Times are ms of `clock`."""

    def __init__(
        self, server: Server, number: int, model: str, headers: Mapping[str, str], faults: Faults,
    ) -> None:
        super().__init__(number, server.clock, faults)
        self.server, self.headers = server, headers
        self.id, self.conversation_id = self.new_id("sess"), self.new_id("conv")
        # In real seconds, whatever the speed of the clock, because the client compares it with its own calendar.
        expires_at = int(time.time() + faults.expire_after_ms / 1000 / self.clock.speed)
        self.config: Event = default_session(self.id, model, faults.says_expires_at or expires_at)
        self.conversation = Conversation()
        self.active: Response | None = None
        self.asked: Event = {}              # the parameters of the newest response
        self.buffer = InputBuffer(self.config["audio"]["input"])
        self._turns = iter(()) if callable(server.script) else iter(server.script)
        self._responses: dict[str, Response] = {}
        self._unanswered: list[Item] = []   # the caller's items without a response
        self._speech_id = ""
        self._speech_ms = 0
        self._idle: asyncio.Task[None] | None = None
        self._cache = "", NOTHING           # what the newest response has read: the prefix, and its tokens in all
        self._spent: Counter[str] = Counter()   # how often each fault of a limited number has struck

    # -- for tests and demos

    @property
    def items(self) -> dict[str, Item]:
        """Every item of the conversation by id, deleted ones too."""
        return self.conversation.items

    @property
    def appended(self) -> bytearray:
        """All audio the client appended."""
        return self.buffer.appended

    def note(self, kind: str, **detail: Any) -> None:
        """Adds to the log, and calls the server's listener."""
        self.log.append((self.clock.ms(), kind, detail))
        if self.server.listener:
            self.server.listener(self, kind, detail)

    def error(
        self, code: str, message: str, param: str | None = None, event_id: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        """Logs and sends an `error`."""
        self.note("error", code=code, message=message)
        super().error(code, message, param, event_id, kind)

    # -- the connection

    async def run(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        """Serve the connection until it ends."""
        self._transport = request.transport
        try:
            async with asyncio.TaskGroup() as self._tasks:
                writer = self._tasks.create_task(self._send_all(socket))
                expiry = self._tasks.create_task(self._expire())
                self._greet("OpenAI-Beta" in request.headers)
                await self._read(socket)
                self._end(expiry)
                await writer
        finally:
            self.closed, self.close_code = True, socket.close_code
            self.note("closed", code=socket.close_code)
            self.changed()
        if not socket.closed:       # a silent session does not answer the client's close
            await self.server.stopped()

    async def _read(self, socket: web.WebSocketResponse) -> None:
        """Does what the client asks until it leaves, and answers its close."""
        async for message in socket:
            await self._flows.wait()
            if self.silent or message.type is WSMsgType.PONG:
                continue
            if message.type is WSMsgType.PING:
                self.pings += 1
                if not self.faults.no_pongs:
                    with suppress(ConnectionError):
                        await socket.pong(message.data)
                continue
            self._receive(message.data if message.type is WSMsgType.TEXT else "")
            if self.faults.stop_reading and self.received:
                await self.server.stopped()
        if not self.silent:
            await socket.close(drain=False)

    def _end(self, expiry: asyncio.Task[None]) -> None:
        self._stop_sending()
        expiry.cancel()
        self._stop_idle()
        for response in self._responses.values():
            response.stop()

    async def _expire(self) -> None:
        await self.clock.sleep(self.faults.expire_after_ms)
        self.error("session_expired", "Your session hit the maximum duration of 60 minutes.")
        self.close(1001)

    def _greet(self, beta: bool) -> None:
        self.note("connected", model=self.config["model"])
        if self.faults.never_created:
            self._over = True
        elif beta:
            self.error("beta_api_shape_disabled", "The Realtime Beta API is no longer supported. "
                       "Please use /v1/realtime for the GA API.")
            self.close(4000)
        elif code := self.faults.refuse_session:
            self.error(code, f"The session was refused: {code}.")
            self.close(1000)
        else:
            self.emit("session.created", session=copy.deepcopy(self.config))
        if code := self.faults.error_after_created:
            self.error(code, f"The request was refused: {code}.")
            self.close(1000)

    def _receive(self, text: str) -> None:
        event_id = None
        try:
            event = json.loads(text)
            if isinstance(event, dict):
                event_id = event.get("event_id") if isinstance(event.get("event_id"), str) else None
                if event.get("type") != "input_audio_buffer.append":
                    self.received.append(event)
            schema.check(event)
            HANDLERS[event["type"]](self, event)
        except json.JSONDecodeError as broken:
            self.error("invalid_event", f"The event is not JSON: {broken}.")
        except Refused as refused:
            self.error(refused.code, refused.message, refused.param, None if refused.anonymous else event_id,
                       refused.kind)
        if self.faults.drop_after and self.received and self.received[-1].get("type") == self.faults.drop_after:
            self.close(ABORT)
        self.changed()

    # -- the client's events

    def _update(self, event: Event) -> None:
        config = updated(self.config, event["session"], voice_locked=self._has_spoken())
        if self.faults.wrong_format:
            config["audio"]["output"]["format"] = dict(PCM)
        hearing_changed = any(
            config["audio"]["input"][name] != self.config["audio"]["input"][name]
            for name in ("format", "turn_detection"))
        self.config = config
        if hearing_changed:
            self._stop_idle()
            self.buffer.configure(config["audio"]["input"])
        self.note("session_updated")
        self.emit("session.updated", session=copy.deepcopy(config))
        if self.faults.malformed:
            self._outbox.put_nowait("this is not JSON {")
            self._outbox.put_nowait('["neither", "an", "object"]')

    def _has_spoken(self) -> bool:
        return any(item.role == "assistant" and item.audio for item in self.items.values())

    def _append(self, event: Event) -> None:
        for edge in self.buffer.append(event["audio"]):
            self._hear(edge)

    def _commit(self, event: Event) -> None:
        self._committed(self._speech_id or self.new_id("item"), self.buffer.commit())

    def _clear(self, event: Event) -> None:
        self.buffer.clear()
        self._speech_id = ""
        self.note("cleared")
        self.emit("input_audio_buffer.cleared")

    def _create_item(self, event: Event) -> None:
        body = dict(event["item"])
        kind = body.pop("type")
        item = Item(body.pop("id", None) or self.new_id("item"), kind, body, body.pop("status", "completed"))
        body.pop("object", None)
        if kind == "function_call":
            body.setdefault("call_id", self.new_id("call"))
        if kind == "function_call_output":
            self.conversation.check_answer(body["call_id"])
        self.add_item(item, event.get("previous_item_id"))
        self.item_done(item)
        if kind == "function_call_output":
            self.note("function_output", call_id=body["call_id"], output=body["output"])

    def _truncate(self, event: Event) -> None:
        item = self.conversation.truncate(event["item_id"], event["audio_end_ms"])
        self.note("truncated", item_id=item.id, audio_end_ms=item.truncated_ms, audio_ms=item.audio_ms,
                  transcript=item.transcript)
        self.emit("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=item.truncated_ms)

    def _delete(self, event: Event) -> None:
        self.conversation.delete(event["item_id"])
        self.note("deleted", item_id=event["item_id"])
        self.emit("conversation.item.deleted", item_id=event["item_id"])

    def _retrieve(self, event: Event) -> None:
        item = self.conversation.find(event["item_id"], "retrieve")
        self.emit("conversation.item.retrieved", item=item.wire())

    def _create_response(self, event: Event) -> None:
        asked = event.get("response", {})
        for index, entry in enumerate(asked.get("input", ())):
            if entry["type"] == "item_reference" and entry["id"] not in self.conversation.order:
                raise Refused("invalid_value", f"Item '{entry['id']}' does not exist.", f"response.input[{index}].id")
        # The session's rules for a voice and for reasoning hold for a response too.
        check_unchangeable(self.config, asked, "response", voice_locked=self._has_spoken())
        if self._strikes("limit_responses"):
            raise Refused("rate_limit_exceeded", self.faults.limit, kind="requests")
        self._respond(asked)

    def _cancel(self, event: Event) -> None:
        active = self.active.id if self.active else ""
        response = self._responses.get(event.get("response_id", active))
        if not response:
            raise Refused("response_cancel_not_active", "Cancellation failed: no active response found")
        response.cancel("client_cancelled", self.faults.late_deltas)

    # -- the caller's turns

    @property
    def _turn_detection(self) -> Event:
        return self.config["audio"]["input"]["turn_detection"] or {}

    def _hear(self, edge: Edge) -> None:
        if edge.kind == "started":
            self._stop_idle()
            self._speech_id, self._speech_ms = self.new_id("item"), edge.at_ms
            self.note("speech_started", audio_start_ms=edge.at_ms)
            self.emit("input_audio_buffer.speech_started", audio_start_ms=edge.at_ms, item_id=self._speech_id)
            if self.active and self._turn_detection["interrupt_response"]:
                self.active.cancel("turn_detected", self.faults.late_deltas)
            return
        self.note("speech_stopped", audio_end_ms=edge.at_ms)
        self.emit("input_audio_buffer.speech_stopped", audio_end_ms=edge.at_ms, item_id=self._speech_id)
        self._committed(self._speech_id, self.buffer.take(self._speech_ms, edge.at_ms))
        if self._turn_detection["create_response"] and not self._strikes("ignore_turns"):
            self._respond_unasked()

    def _committed(self, item_id: str, audio: bytes) -> None:
        """Makes an item of the caller's audio."""
        self._speech_id = ""
        self.emit("input_audio_buffer.committed", item_id=item_id, previous_item_id=self.conversation.last)
        content = {"type": "input_audio", "transcript": None}
        item = Item(item_id, "message", {"role": "user", "content": [content]}, audio=bytearray(audio),
                    bytes_per_ms=self.buffer.bytes_per_ms)
        self.add_item(item)
        self.item_done(item)
        self._unanswered.append(item)

    def transcribed(self, item: Item) -> None:
        """Sends the caller's words, if the session asked for them."""
        settings = self.config["audio"]["input"]["transcription"]
        if not settings:
            return
        self.note("transcript", role="user", text=item.transcript, item_id=item.id)
        item.body["content"][0]["transcript"] = item.transcript
        about: Event = {"item_id": item.id, "content_index": 0}
        event = "conversation.item.input_audio_transcription"
        if item.transcript:
            self.emit(f"{event}.delta", **about, delta=item.transcript)
        usage: Event = {"type": "duration", "seconds": item.audio_ms / 1000}
        if settings["model"].startswith("gpt-4o"):
            heard, words = item.audio_ms // 100, len(item.transcript) // 4
            usage = {"type": "tokens", "input_tokens": heard, "output_tokens": words, "total_tokens": heard + words}
        self.emit(f"{event}.completed", **about, transcript=item.transcript, usage=usage)

    def _watch_idle(self, audio_ms: int) -> None:
        """Waits for `idle_timeout_ms` of silence. It counts from the end of the answer, as if that played at once."""
        if idle_ms := self._turn_detection.get("idle_timeout_ms"):
            self._idle = self._tasks.create_task(self._idle_for(audio_ms + idle_ms, self.buffer.now_ms))

    async def _idle_for(self, ms: float, start_ms: int) -> None:
        await self.clock.sleep(ms)
        self._idle = None
        item_id, end_ms = self.new_id("item"), self.buffer.now_ms
        self.note("idle", audio_end_ms=end_ms)
        self.emit("input_audio_buffer.timeout_triggered", audio_start_ms=start_ms, audio_end_ms=end_ms,
                  item_id=item_id)
        self._committed(item_id, self.buffer.take(start_ms, end_ms))
        self._respond_unasked()

    def _stop_idle(self) -> None:
        if self._idle:
            self._idle.cancel()
            self._idle = None

    # -- responses

    def _respond_unasked(self) -> None:
        """Starts a response to the caller's turn. If another one runs, the error names no client event."""
        try:
            self._respond({})
        except Refused as refused:
            self.error(refused.code, refused.message)

    def _respond(self, asked: Event) -> None:
        in_conversation = asked.get("conversation") != "none"
        if in_conversation and self.active:
            raise Refused("conversation_already_has_active_response",
                          f"Conversation already has an active response in progress: {self.active.id}. "
                          "Wait until the response is finished before creating a new one.")
        self._stop_idle()
        self.asked = asked
        heard: list[Item] = []
        turn = self._next_turn()
        if isinstance(turn, Turn) and in_conversation:
            heard, self._unanswered = self._unanswered, []
            if heard:
                heard[-1].transcript = turn.caller
        response = Response(self, turn, asked, heard)
        self._responses[response.id] = response
        if in_conversation:
            self.active = response
        response.start(self._tasks)

    def _next_turn(self) -> Turn | Outage:
        """The script's next turn, or an outage, which uses up no turn."""
        if self._strikes("fail_responses"):
            return "failed"
        if self._strikes("mute_responses"):
            return "mute"
        script = self.server.script
        if callable(script):
            return script(self)
        return next(self._turns, Turn() if self.faults.empty_when_used_up else AFTERWARDS)

    def _strikes(self, fault: str) -> bool:
        """Whether a fault that strikes the first n times strikes now."""
        strikes: bool = self._spent[fault] < getattr(self.faults, fault)
        self._spent[fault] += strikes
        return strikes

    def billed(self, prefix: str, context: Tokens) -> tuple[Tokens, Tokens]:
        """The tokens that a response reads, and how many of them are cached.

        Cached are those that the response before it has read after the same prefix.
        """
        last_prefix, last = self._cache
        self._cache = prefix, context
        return context, shared(last, context) if prefix == last_prefix else NOTHING

    def finished(self, response: Response) -> None:
        """A response has ended. Its `response.done` is sent next."""
        del self._responses[response.id]
        if self.active is response:
            self.active = None
            if response.status == "completed" and not self.buffer.speaking:
                self._watch_idle(response.audio_ms)
        self.note("response_done", status=response.status)

    def add_item(self, item: Item, after: str | None = None) -> None:
        previous = self.conversation.add(item, after)
        self.emit("conversation.item.added", item=item.wire(), previous_item_id=previous)

    def item_done(self, item: Item) -> None:
        if item.role == "assistant" and item.transcript:
            self.note("transcript", role="assistant", text=item.transcript, item_id=item.id)
        if item.type == "function_call":
            self.note("function_call", name=item.body["name"], arguments=item.body["arguments"], status=item.status)
        self.emit("conversation.item.done", item=item.wire(), previous_item_id=self.conversation.before(item.id))


HANDLERS: dict[str, Callable[[RealtimeSession, Event], None]] = {
    "session.update": RealtimeSession._update,
    "input_audio_buffer.append": RealtimeSession._append,
    "input_audio_buffer.commit": RealtimeSession._commit,
    "input_audio_buffer.clear": RealtimeSession._clear,
    "conversation.item.create": RealtimeSession._create_item,
    "conversation.item.truncate": RealtimeSession._truncate,
    "conversation.item.delete": RealtimeSession._delete,
    "conversation.item.retrieve": RealtimeSession._retrieve,
    "response.create": RealtimeSession._create_response,
    "response.cancel": RealtimeSession._cancel,
}
