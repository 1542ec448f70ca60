"""A dialogue without sockets: the events for it, and what it has sent to each side."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from bridge.call.dialogue import Dialogue
from bridge.call.events import Event
from bridge.call.history import History
from bridge.call.steps import Clip, Plan, Served, Step, Told, ToCaller, ToModel
from bridge.call.timing import Timing
from bridge.openai_side import realtime
from bridge.tools.hand_over import hand_over
from bridge.tools.registry import Tools
from bridge.tools.tool import Output
from bridge.twilio_side import media_streams

STREAM = "MZ" + "0" * 32
DELTA_250_MS = "/" * 2664 + "=="        # stands for 1998 bytes
CLIPS = {"moment": Clip("bW9tZW50", 4000), "still_here": Clip("c3RpbGw=", 4000), "goodbye": Clip("Ynll", 8000)}
PEOPLE = ("sales", "support")
#: How long a call waits that nobody has set otherwise.
TIMING = Timing()


class Talk:
    """A dialogue, and what it has sent to each side. `steps` are those of the last event,
    without the ones that are only counted."""

    def __init__(
        self, *, protect: bool = False, history: History | None = None, people: Sequence[str] = (), **plan: Any,
    ) -> None:
        self.protect = protect
        plan = {"immediate": Tools(hand_over(people)).for_call().immediate, "operator": next(iter(people), "")} | plan
        self.dialogue = Dialogue(Plan(
            greeting="Say hello.", protect_greeting=protect, turn_detection={"type": "server_vad"}, **plan), history)
        self.now = 0.0
        self.to_model: list[dict[str, Any]] = []
        self.to_caller: list[dict[str, Any]] = []
        self.steps: list[Step] = []
        self.told: list[Event] = []                  # the events for the call's listeners
        self.served = 0                              # how many answers were heard to their end

    def take(self, steps: list[Step]) -> None:
        self.steps = [step for step in steps if not isinstance(step, Told | Served)]
        self.served += sum(isinstance(step, Served) for step in steps)
        self.told += [step.event for step in steps if isinstance(step, Told)]
        self.to_model += [json.loads(step.message) for step in steps if isinstance(step, ToModel)]
        self.to_caller += [json.loads(step.message) for step in steps if isinstance(step, ToCaller)]

    def open(self) -> "Talk":
        self.take(self.dialogue.started(STREAM, self.now))
        self.connects()
        return self

    def connects(self) -> None:
        self.take(self.dialogue.model_ready(self.now, listens=self.dialogue.listens))

    def breaks(self) -> None:
        self.take(self.dialogue.model_lost(self.now))

    def frame(self, payload: str = "////", at: int = 0, track: str = "inbound") -> None:
        body = media_streams.MediaBody(base64.b64decode(payload), track, at)
        self.take(self.dialogue.from_caller(media_streams.Media(body), self.now))

    def marks_return(self) -> None:
        """The phone has played everything that was sent."""
        for message in list(self.to_caller):
            if message["event"] == "mark" and not message.get("back"):
                message["back"] = True
                self.mark_back(message["mark"]["name"])

    def mark_back(self, name: str) -> None:
        """The phone has played everything before this mark."""
        self.take(self.dialogue.from_caller(media_streams.Mark(media_streams.MarkBody(name)), self.now))

    def model(self, **event: Any) -> None:
        parsed = realtime.parse(json.dumps(event))
        assert parsed is not None
        self.take(self.dialogue.from_model(parsed, self.now))

    def begins(self, response: str, request: str | None = None) -> None:
        metadata = {"request": request} if request else None
        self.model(type="response.created", response={"id": response, "metadata": metadata})

    def speaks(self, response: str, item: str = "item") -> None:
        self.model(type="response.output_audio.delta", response_id=response, item_id=item, delta=DELTA_250_MS)

    def calls(self, response: str, name: str, call_id: str = "call", status: str = "completed") -> None:
        self.model(type="response.output_item.done", response_id=response, item={
            "id": "f", "type": "function_call", "status": status, "name": name, "call_id": call_id, "arguments": "{}"})

    def done(self, response: str, status: str = "completed") -> None:
        self.model(type="response.done", response={"id": response, "status": status})

    def caller_speaks(self) -> None:
        self.model(type="input_audio_buffer.speech_started")

    def caller_stops(self) -> None:
        self.model(type="input_audio_buffer.speech_stopped")

    def returns(self, call_id: str = "call") -> None:
        self.take(self.dialogue.function_returned(call_id, Output({"ok": True}), self.now))

    def time_passes(self) -> None:
        assert self.dialogue.deadline is not None
        self.now = self.dialogue.deadline
        self.take(self.dialogue.time_passed(self.now))

    def sent(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.to_model if message["type"] == kind]

    @property
    def requests(self) -> list[str]:
        return [message["event_id"] for message in self.sent("response.create")]

    def heard(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.to_caller if message["event"] == kind]


# ---- what often happens

def greeted(**plan: Any) -> Talk:
    """A talk whose greeting was heard. The caller may speak."""
    talk = Talk(**plan).open()
    says(talk, "greeting", "hello", "Hello there.", request="greeting_1")
    return talk


def begins(talk: Talk, response: str, item: str, text: str, request: str | None = None) -> None:
    talk.begins(response, request)
    talk.model(type="conversation.item.added", item={"id": item, "type": "message", "role": "assistant"})
    talk.model(type="response.output_audio_transcript.delta", response_id=response, item_id=item, delta=text)
    talk.speaks(response, item)


def says(talk: Talk, response: str, item: str, text: str, request: str | None = None) -> None:
    """The model gives a whole answer, which is heard to its end."""
    begins(talk, response, item, text, request)
    ends(talk, response, item)


def ends(talk: Talk, response: str, item: str) -> None:
    talk.model(type="response.output_item.done", response_id=response, item={
        "id": item, "type": "message", "role": "assistant", "status": "completed"})
    talk.done(response)
    talk.marks_return()


def asks(talk: Talk, item: str, text: str) -> None:
    """The caller takes a turn."""
    talk.caller_speaks()
    talk.caller_stops()
    talk.model(type="conversation.item.added", item={"id": item, "type": "message", "role": "user"})
    talk.model(type="conversation.item.input_audio_transcription.completed", item_id=item, transcript=text)


def press(talk: Talk, keys: str) -> None:
    for key in keys:
        talk.take(talk.dialogue.from_caller(media_streams.Dtmf(media_streams.DtmfBody(key)), talk.now))


def retold(talk: Talk) -> list[str]:
    """The texts that the newest session was given, its notes last."""
    items = [message["item"] for message in talk.sent("conversation.item.create")]
    return [item["content"][0]["text"] for item in items if item["type"] == "message"]


def clips(talk: Talk) -> list[str]:
    payloads = [message["media"]["payload"] for message in talk.heard("media")]
    return [name for payload in payloads for name, clip in CLIPS.items() if clip.payload == payload]


def until(talk: Talk, ms: float) -> None:
    """Lets everything happen that falls due by `ms`, and makes that the present moment."""
    while talk.dialogue.deadline is not None and talk.dialogue.deadline <= ms:
        talk.time_passes()
    talk.now = ms
