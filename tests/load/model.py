"""The model: the least that a server of the Realtime API (GA) must do, and the faults that it can have.

It speaks all the time, a delta of 250 ms every 250 ms, and is interrupted every four seconds. It calls a function if
it is told to. The order of events is that of recorded sessions. A call may have one connection after the other. The
caller's number in the session's instructions tells the model which call it is, and it goes on in the same voice.

bridge.sim.realtime is another one: it listens to the caller like the real one, and is too slow for this.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket
"""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter
from typing import Any, Literal

from tests.load.audio import CALLER, REPLY, TOO_LATE, Ear, Tally, Voice
from tests.load.stage import HURRY, KERNEL_BYTES, Stage
from tests.load.wire import Answered

#: A response's length in beats of 250 ms. It is one delta ahead of the phone, as the real one is by many.
WHOLE_BEATS = 10
INTERRUPTED_BEATS = 4

#: From the set-up of a connection in mid-call to the end of the caller's turn, in seconds. The caller never pauses.
TURN_S = 0.75
#: The owner of a connection's voice until its call is known.
NOBODY = 9999
#: The distance between the numbers of the responses of two connections of one call.
_RESPONSES = 10_000
#: Bytes of a message with a piece of audio, about.
_MESSAGE_BYTES = 2800

_WORDS = " and so on"
_NUMBER = re.compile(r"\+1555\d{7}")

_SESSION: dict[str, Any] = {
    "type": "realtime", "object": "realtime.session", "id": "sess_load", "model": "gpt-realtime-2.1",
    "output_modalities": ["audio"], "instructions": "", "tools": [], "tool_choice": "auto",
    "max_output_tokens": "inf", "truncation": "auto", "tracing": None, "prompt": None, "include": None,
    "expires_at": 4102444800,
    "audio": {
        "input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": None,
                  "noise_reduction": None,
                  "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                                     "silence_duration_ms": 500, "idle_timeout_ms": None,
                                     "create_response": True, "interrupt_response": True}},
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.0},
    },
}


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with the fields that `new` has. A format and a turn detection are replaced as a whole."""
    result = {**old, **new}
    for name in new.keys() & old.keys() - {"format", "turn_detection"}:
        if isinstance(old[name], dict) and isinstance(new[name], dict):
            result[name] = merged(old[name], new[name])
    return result


class Conversation:
    """The model's part of a call. `models`: its connections, one after the other."""

    def __init__(self, voice: Voice, tally: Tally) -> None:
        self.voice, self.tally = voice, tally
        self.models: list[Model] = []


class Model(Answered):
    """One connection. Its conversation is a script with one step per beat."""

    def __init__(self, stage: Stage, switchboard: "Switchboard") -> None:
        super().__init__()
        self._stage, self._switchboard = stage, switchboard
        self._voice = Voice(REPLY, NOBODY)
        self.ear = Ear(CALLER, stage.callers, stage.tally, stage.tally.to_model)
        self.owner: Conversation | None = None               # known when the session is set up
        self._session = _SESSION
        self._events = 0
        self._responses = 0
        self._responding = False                             # a response is under way, and not interrupted
        self._script: Iterator[None] | None = None
        self._metadata: dict[str, str] | None = None         # of the response that was asked for
        self._mute = False
        self._hurried = 0                                    # pieces that are still to be sent early
        self._trouble: Literal["failed", "rate limit"] | None = None

    def account(self, tally: Tally) -> None:
        """Events from now on go to this account."""
        self.ear.renew(tally)

    # ---- whose connection it is

    def shake(self, head: str) -> None:
        if perf_counter() < self._switchboard.refusing_until:
            self.transport.write(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.transport.close()
            return
        if self._stage.plain:                                # the relay passes on what the phone asked for
            self._join(head)
            if self.owner is None:
                return
        super().shake(head)

    def begin(self) -> None:
        super().begin()
        if self._stage.plain:
            self._talk()
        else:
            self._write("session.created", session=self._session)

    def _join(self, named: str) -> None:
        """The call of the caller whose number stands in the instructions."""
        found = _NUMBER.search(named)
        self.owner = self._switchboard.calls.get(found[0]) if found else None
        if self.owner is None:
            self._switchboard.strangers += 1
            self.reset()
            return
        self._voice = self.owner.voice
        self._responses = _RESPONSES * len(self.owner.models)
        self.owner.models.append(self)
        self.account(self.owner.tally)
        if len(self.owner.models) > 1:
            asyncio.get_running_loop().call_later(TURN_S, self._caller_turn)

    def _caller_turn(self) -> None:
        """Answers the caller in mid-call, unless a response was asked for meanwhile."""
        if not self.live or self._script is not None:
            return
        if self.ear.voice is None:
            asyncio.get_running_loop().call_later(TURN_S, self._caller_turn)
            return
        self._caller_speaks()
        self._talk()

    def _talk(self) -> None:
        self._script = self._turns()
        self._beat()
        self._stage.deltas.join(self._beat)

    def _beat(self) -> None:
        if self.live and self._script and not self._mute:
            next(self._script)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._stage.deltas.leave(self._beat)
        self._switchboard.models.discard(self)

    # ---- what the model hears

    def received(self, message: bytes) -> None:
        if not self.ear.hear(message, perf_counter()):
            self._act(json.loads(message))

    def _act(self, event: dict[str, Any]) -> None:
        match event:
            case {"type": "session.update", "session": session}:
                # Without instructions it belongs to no call: the server checks whether the model is back.
                if self.owner is None and (instructions := session.get("instructions")):
                    self._join(instructions)
                self._session = merged(self._session, session)
                self._write("session.updated", session=self._session)
            case {"type": "response.create"} if self._script is None:
                self._metadata = event.get("response", {}).get("metadata")
                self._talk()
            case {"type": "response.cancel"} if self._responding:
                self._end_response("cancelled")
                self._script = self._turns()
            case {"type": "response.create"} if self._responding:
                self._write("error", error={
                    "type": "invalid_request_error", "code": "conversation_already_has_active_response",
                    "message": "Wait until the response is finished.", "param": None,
                    "event_id": event.get("event_id")})
            case {"type": "response.create"}:        # it is the next one in any case
                self._metadata = event.get("response", {}).get("metadata")
            case {"type": "conversation.item.create", "item": item}:
                self._write("conversation.item.added", previous_item_id=None, item=item)
                self._write("conversation.item.done", previous_item_id=None, item=item)
                if item.get("type") == "function_call_output":
                    self._stage.on_output(item["call_id"], item["output"])
            case {"type": "conversation.item.truncate", "item_id": item, "audio_end_ms": int(end)}:
                self._write("conversation.item.truncated", item_id=item, content_index=0, audio_end_ms=end)
            case {"type": "conversation.item.delete", "item_id": item}:
                self._write("conversation.item.deleted", item_id=item)

    # ---- what the model does

    @property
    def can_call(self) -> bool:
        """Whether there is a response that a function call can be part of."""
        return self.live and self._responding

    def call(self, function: str, call_id: str, arguments: str) -> None:
        """Calls a function in the response under way."""
        item = {"id": f"item_{call_id}", "object": "realtime.item", "type": "function_call", "status": "in_progress",
                "name": function, "call_id": call_id, "arguments": ""}
        place = {"response_id": self._response_id, "output_index": 1}
        part = {**place, "item_id": item["id"], "call_id": call_id}
        self._write("response.output_item.added", **place, item=item)
        self._write("conversation.item.added", previous_item_id=self._item_id, item=item)
        self._write("response.function_call_arguments.delta", **part, delta=arguments)
        self._write("response.function_call_arguments.done", **part, name=function, arguments=arguments)
        item = {**item, "status": "completed", "arguments": arguments}
        self._write("conversation.item.done", previous_item_id=self._item_id, item=item)
        self._write("response.output_item.done", **place, item=item)

    # ---- what the model says

    def _turns(self) -> Iterator[None]:
        for response in cycle((self._interrupted_response, self._whole_response)):
            yield from response()
            if self._trouble == "failed":
                yield from self._failed_response()
            elif self._trouble == "rate limit":
                yield from self._refused_response()

    def _whole_response(self) -> Iterator[None]:
        yield from self._response(WHOLE_BEATS - 1)
        self._end_response("completed")
        yield

    def _interrupted_response(self) -> Iterator[None]:
        """The caller speaks. The response sends some more before it notices, like the real one."""
        yield from self._response(INTERRUPTED_BEATS)
        self._responding = False
        self._voice.cut(perf_counter())
        self._write("input_audio_buffer.speech_started", audio_start_ms=1000, item_id=self._caller_item_id)
        self._late_delta()
        yield
        self._late_delta()
        self._end_response("cancelled")
        self._caller_spoke()
        yield

    def _failed_response(self) -> Iterator[None]:
        self._caller_speaks()
        self._responses += 1
        self._write("response.created", response=self._response_object("in_progress"))
        self._metadata, self._responding = None, True
        yield
        self._responding = False
        error = {"type": "server_error", "code": "inference_rate_limit_exceeded"}
        self._write("response.done", response={
            **self._response_object("failed"), "status_details": {"type": "failed", "error": error}})
        yield from self._until_asked()

    def _refused_response(self) -> Iterator[None]:
        self._caller_speaks()
        self._write("error", error={
            "type": "requests", "code": "rate_limit_exceeded", "param": None, "event_id": None,
            "message": "Rate limit reached. Please try again in 1s."})
        yield from self._until_asked()

    def _until_asked(self) -> Iterator[None]:
        self._trouble = None
        while self._metadata is None:
            yield

    def _response(self, beats: int) -> Iterator[None]:
        """A response, from its begin to its end: one more delta than beats."""
        self._responses += 1
        self._write("response.created", response=self._response_object("in_progress"))
        self._metadata, self._responding = None, True
        place = {"response_id": self._response_id, "output_index": 0}
        self._write("response.output_item.added", **place, item=self._item("in_progress"))
        self._write("conversation.item.added", previous_item_id=None, item=self._item("in_progress"))
        self._write("response.content_part.added", **place, item_id=self._item_id, content_index=0,
                    part={"type": "audio", "transcript": ""})
        self._delta()
        for _ in range(beats):
            self._delta()
            yield

    def _end_response(self, status: str) -> None:
        self._responding = False
        item_status = "completed" if status == "completed" else "incomplete"
        place = {"response_id": self._response_id, "output_index": 0}
        part = {**place, "item_id": self._item_id, "content_index": 0}
        self._write("response.output_audio.done", **part)
        words = _WORDS * WHOLE_BEATS
        self._write("response.output_audio_transcript.done", **part, transcript=words)
        self._write("response.content_part.done", **part, part={"type": "audio", "transcript": words})
        self._write("conversation.item.done", previous_item_id=None, item=self._item(item_status))
        self._write("response.output_item.done", **place, item=self._item(item_status))
        self._write("response.done", response=self._response_object(status))

    def _caller_speaks(self) -> None:
        """A whole turn of the caller. The caller waits for an answer from then on."""
        self._write("input_audio_buffer.speech_started", audio_start_ms=0, item_id=self._caller_item_id)
        self._caller_spoke()

    def _caller_spoke(self) -> None:
        item = self._caller_item_id
        self._write("input_audio_buffer.speech_stopped", audio_end_ms=2000, item_id=item)
        self._write("input_audio_buffer.committed", item_id=item, previous_item_id=self._item_id)
        self._write("conversation.item.added", previous_item_id=self._item_id, item={
            "id": item, "object": "realtime.item", "type": "message", "role": "user", "status": "completed",
            "content": [{"type": "input_audio", "transcript": None}]})

    def _delta(self) -> None:
        self._say_more()
        if self._hurried > 0:
            self._hurried -= HURRY
            for _ in range(HURRY):
                self._say_more()

    def _say_more(self) -> None:
        self._write("response.output_audio_transcript.delta", response_id=self._response_id,
                    item_id=self._item_id, output_index=0, content_index=0, delta=_WORDS)
        self._send_audio(self._voice.say(perf_counter()))

    def _late_delta(self) -> None:
        self._send_audio(TOO_LATE.text(self._voice.number, self._responses))

    def _send_audio(self, text: bytes) -> None:
        self._events += 1
        self.send(
            b'{"type":"response.output_audio.delta","event_id":"event_%d","response_id":"%s","item_id":"%s",'
            b'"output_index":0,"content_index":0,"delta":"%s}'
            % (self._events, self._response_id.encode(), self._item_id.encode(), text))

    def _write(self, kind: str, **fields: Any) -> None:
        self._events += 1
        event = {"type": kind, "event_id": f"event_{self._events}", **fields}
        self.send(json.dumps(event, separators=(",", ":")).encode())

    @property
    def _response_id(self) -> str:
        return f"resp_{self._voice.number}_{self._responses}"

    @property
    def _item_id(self) -> str:
        return f"item_{self._voice.number}_{self._responses}"

    @property
    def _caller_item_id(self) -> str:
        return f"item_caller_{self._responses}"

    def _item(self, status: str) -> dict[str, Any]:
        return {"id": self._item_id, "object": "realtime.item", "type": "message", "role": "assistant",
                "status": status, "content": []}

    def _response_object(self, status: str) -> dict[str, Any]:
        reason = {"type": "cancelled", "reason": "turn_detected"} if status == "cancelled" else None
        return {"object": "realtime.response", "id": self._response_id, "status": status,
                "status_details": reason, "output": [], "conversation_id": "conv_load",
                "output_modalities": ["audio"], "max_output_tokens": "inf", "usage": None,
                "metadata": self._metadata}

    # ---- what goes wrong

    def fall_silent(self) -> None:
        """Sends neither an event nor a pong, and ignores everything that comes."""
        self._mute = True

    def _take(self, first_byte: int, payload: bytes) -> None:
        if not self._mute:
            super()._take(first_byte, payload)

    def hurry(self) -> None:
        """Fills the buffers between the server and a phone that does not read. The real model always runs ahead."""
        self._hurried = KERNEL_BYTES // _MESSAGE_BYTES

    @property
    def hurries(self) -> bool:
        return self.live and self._hurried > 0

    def fail_next(self, trouble: Literal["failed", "rate limit"]) -> None:
        """The response after this one fails. Then nothing is said until a response is asked for."""
        self._trouble = trouble

    @property
    def failing(self) -> bool:
        return self._trouble is not None


@dataclass
class Switchboard:
    """The model's end of all calls."""

    stage: Stage
    calls: dict[str, Conversation] = field(default_factory=dict)         # the newest call of each caller
    refusing_until: float = 0.0                                          # until then upgrades are answered with 503
    strangers: int = 0                                                   # sessions that belong to no call
    models: set[Model] = field(default_factory=set)                      # the open connections

    def new_model(self) -> Model:
        model = Model(self.stage, self)
        self.models.add(model)
        return model
