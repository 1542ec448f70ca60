"""A whole imagined call: a phone and a model that do anything that the two vendors' protocols allow.

Pure: no socket, and the clock is `now`. A move is one thing that may happen next. `moves` are the legal ones.
The dialogue's answers are checked as they come. A broken rule raises AssertionError.
"""

import json
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from bridge.call.dialogue import Dialogue
from bridge.call.steps import HangUp, Plan, Reconnect, RunFunction, Step, ToCaller, ToModel, Transfer
from bridge.openai_side import errors, realtime
from bridge.openai_side.prices import DEAREST
from bridge.records.endings import Ending
from bridge.tools.hand_over import hand_over
from bridge.tools.registry import Tools
from bridge.tools.tool import Output
from bridge.twilio_side import media_streams
from tests.stage.imagined_phone import BYTES_PER_MS, CLIPS, DELTA_250_MS, FRAME_MS, ImaginedPhone

STREAM = "MZ" + "0" * 32
PCMU = {"format": {"type": "audio/pcmu"}}
ERRORS = (("server_error", "server_error"), ("rate_limit_exceeded", "inference_rate_limit_exceeded"))


class Active:
    """A response under way."""

    def __init__(self, response_id: str) -> None:
        self.id = response_id
        self.item = ""                               # the message that it speaks, or "" before the first sound
        self.cancelled = False


class ImaginedCall:
    """The phone, the model and the time of one call.

    `echoes`: whether the server repeats a response's metadata, as OpenAI's does.
    """

    def __init__(self, plan: Plan, dice: random.Random, echoes: bool = True) -> None:
        self.dialogue, self.dice, self.echoes = Dialogue(plan), dice, echoes
        self.now = 0.0
        self.over: str | None = None                 # why the call ended
        self.started = False
        self.log: list[str] = []
        self.phone = ImaginedPhone()
        # The model.
        self.session = False
        self.lost = False
        self.listening = False
        self.speaking = False
        self.turn_open = False                       # the server is about to answer the caller's turn
        self.requested: deque[str] = deque()         # names of the requested responses
        self.overtaken = False                       # the caller has spoken since
        self.active: Active | None = None
        self.names = 0
        self.sounds: dict[str, int] = {}             # bytes sent to the phone, by item
        self.settled: set[str] = set()
        self.debt = False                            # the caller said or asked something, and nothing followed
        self.late: deque[tuple[str, str]] = deque()  # audio of a cancelled response that is still on its way
        # The functions.
        self.running: dict[str, str] = {}
        self.transferring = False
        self.stopping = False
        self.waiting_since: float | None = None      # when the caller began to wait for us in silence
        self.longest_wait_ms = 0.0

    # ---- what may happen next

    @property
    def moves(self) -> dict[str, Callable[[], None]]:
        """The legal moves by name, each with its function. Time can always pass."""
        if self.over is not None:
            return {}
        moves: dict[str, Callable[[], None]] = {"time": self.some_time}
        if not self.started:
            moves["start"] = self.start
        if not self.session and not self.transferring:
            moves["session"] = self.session_ready
        if self.session:
            moves["lost"] = self.session_lost
            if self.dialogue.quiet and not self.stopping:
                moves["renewed"] = self.renewed
        if self.started and not self.transferring:
            moves["key"] = self.key
        if self.session and self.started:
            moves |= self._model_moves()
        for call_id in self.running:
            moves[f"returns {call_id}"] = partial(self.function_returns, call_id)
        if self.transferring:
            moves["transfer failed"] = self.transfer_fails
        if self.started and not self.stopping and not self.transferring:
            moves["stop"] = self.server_stops
        return moves

    def _model_moves(self) -> dict[str, Callable[[], None]]:
        moves: dict[str, Callable[[], None]] = {}
        if self.listening and not self.speaking:
            moves["caller speaks"] = self.caller_speaks
        if self.speaking:
            moves["caller stops"] = self.caller_stops
        if self.active is None:
            if self.requested:
                moves["begins"] = self.begins
                moves["refused"] = self.refused
            elif self.turn_open:
                moves["server answers"] = self.server_answers
                moves["rate limit"] = self.rate_limit
        else:
            if self.requested:
                moves["already active"] = self.already_active
            if not self.active.cancelled:
                moves["speaks"] = self.speaks
                moves["calls"] = self.calls
            moves["done"] = self.done
        if self.late:
            moves["late audio"] = self.late_audio
        return moves

    # ---- both sides are there

    def start(self) -> None:
        self.started = True
        self.do("started", STREAM)

    def session_ready(self) -> None:
        self.session, self.lost, self.listening = True, False, self.dialogue.listens
        self.do("model_ready", listens=self.listening)

    def session_lost(self) -> None:
        self._forget_session()
        self.session, self.lost = False, True
        self.do("model_lost")

    def renewed(self) -> None:
        self._forget_session()
        self.do("model_renewed")

    def _forget_session(self) -> None:
        self.requested.clear()
        self.late.clear()
        self.active, self.speaking, self.turn_open = None, False, False
        self.listening = self.dialogue.listens

    # ---- the caller

    def caller_speaks(self) -> None:
        self.speaking, self.turn_open, self.debt = True, False, False
        self.overtaken = bool(self.requested)
        if self.active:
            self.active.cancelled = True             # by the server itself
        self.event(type="input_audio_buffer.speech_started")

    def caller_stops(self) -> None:
        self.speaking, self.turn_open, self.debt = False, True, True
        self.event(type="input_audio_buffer.speech_stopped")
        item = self.name("said")
        self.event(type="conversation.item.added", item={"id": item, "type": "message", "role": "user"})
        if self.dice.random() < 0.7:
            self.event(type="conversation.item.input_audio_transcription.completed", item_id=item, transcript="Yes.")

    def key(self) -> None:
        self.debt = False                            # typed keys take the place of spoken words
        self.do("from_caller", media_streams.Dtmf(media_streams.DtmfBody(self.dice.choice("0123#"))))

    # ---- the model

    def begins(self) -> None:
        name = self.requested.popleft()
        self.turn_open = self.turn_open and self.overtaken        # else it has answered the turn
        self._begin({"request": name} if self.echoes else None)

    def server_answers(self) -> None:
        self.turn_open = False
        self._begin(None)

    def _begin(self, metadata: dict[str, str] | None) -> None:
        self.active = Active(self.name("resp"))
        self.event(type="response.created", response={"id": self.active.id, "metadata": metadata})

    def refused(self) -> None:
        name = self.requested.popleft()
        kind, code = self.dice.choice(ERRORS)
        self.event(type="error", error={"type": kind, "code": code, "event_id": name, "message": "no"})

    def rate_limit(self) -> None:
        self.turn_open = False
        self.event(type="error", error={
            "type": "requests", "code": "rate_limit_exceeded", "event_id": None, "message": "no"})

    def already_active(self) -> None:
        name = self.requested.popleft()
        self.event(type="error", error={
            "type": "invalid_request_error", "code": errors.ALREADY_ACTIVE, "event_id": name, "message": "no"})

    def speaks(self) -> None:
        active = self.active
        assert active
        if not active.item:
            active.item = self.name("item")
            self.event(type="conversation.item.added", item={
                "id": active.item, "type": "message", "role": "assistant"})
        self.event(type="response.output_audio_transcript.delta", response_id=active.id, item_id=active.item,
                   delta="some words ")
        for _ in range(self.dice.randint(1, 6)):
            if self.over is None and self.active is active:
                self._audio(active.id, active.item)

    def _audio(self, response_id: str, item: str) -> None:
        self.event(type="response.output_audio.delta", response_id=response_id, item_id=item, delta=DELTA_250_MS)

    def late_audio(self) -> None:
        self._audio(*self.late.popleft())

    def calls(self) -> None:
        active = self.active
        assert active
        name = self.dice.choice(("check_availability", "schedule_meeting", "end_call", "transfer_call"))
        self.event(type="response.output_item.done", response_id=active.id, item={
            "id": self.name("f"), "type": "function_call", "status": "completed", "name": name,
            "call_id": self.name("call"), "arguments": "{}"})

    def done(self) -> None:
        active, self.active = self.active, None
        assert active
        status = "cancelled" if active.cancelled else self.dice.choice(
            ("completed", "completed", "completed", "completed", "failed", "incomplete"))
        if active.item:
            if active.cancelled and self.dice.random() < 0.5:
                self.late.append((active.id, active.item))
            self.event(type="response.output_item.done", response_id=active.id, item={
                "id": active.item, "type": "message", "role": "assistant",
                "status": "completed" if status == "completed" else "incomplete"})
        if self.over is None and self.session:
            usage = {"input_token_details": {"audio_tokens": 400}, "output_token_details": {"audio_tokens": 400}}
            self.event(type="response.done", response={"id": active.id, "status": status, "usage": usage})

    # ---- functions, the transfer, the server

    def function_returns(self, call_id: str) -> None:
        del self.running[call_id]
        self.debt = not self.speaking
        self.do("function_returned", call_id, Output({"status": self.dice.choice(("confirmed", "refused"))}))

    def transfer_fails(self) -> None:
        self.transferring = False
        self.do("transfer_failed")

    def server_stops(self) -> None:
        self.stopping = True
        self.do("stopping", Ending.SERVER_STOPPING)

    # ---- time

    def some_time(self) -> None:
        self.pass_time(self.dice.choice((20, 100, 300, 1000, 3000)))

    def pass_time(self, ms: float) -> None:
        """Lets time pass: frames come, audio plays, marks come back, and the dialogue's bounds fall due."""
        until = self.now + ms
        while self.now < until and self.over is None:
            self.now += FRAME_MS
            if self.started and not self.transferring:
                self._frame()
            while self.over is None and self.dialogue.deadline is not None and self.dialogue.deadline <= self.now:
                self.do("time_passed")

    def _frame(self) -> None:
        self.do("from_caller", self.phone.frame())
        self.phone.play()
        while self.phone.marks_back and self.over is None:
            self.do("from_caller", media_streams.Mark(media_streams.MarkBody(self.phone.marks_back.popleft())))

    # ---- what the dialogue answers

    def event(self, **event: Any) -> None:
        if self.over is None and self.session:
            parsed = realtime.parse(json.dumps(event))
            assert parsed is not None
            self.do("from_model", parsed)

    def do(self, method: str, *arguments: Any, **named: Any) -> None:
        """Calls a method of the dialogue, and carries out its answer."""
        if method != "from_caller" or not isinstance(arguments[0], media_streams.Media):
            self.log.append(f"{self.now:.0f} {method} {arguments} {named}")
        steps = getattr(self.dialogue, method)(*arguments, now=self.now, **named)
        if method == "from_model" and isinstance(arguments[0], realtime.AudioDelta) and any(
                isinstance(step, ToCaller) for step in steps):
            self.debt = False
            item = arguments[0].item_id
            assert item not in self.settled, f"{item} was heard after it was settled"
            self.sounds[item] = self.sounds.get(item, 0) + arguments[0].size
        for step in steps:
            self._obey(step)
        self._look()

    def _look(self) -> None:
        """Checks how long the caller has waited in silence."""
        if not self.caller_waits or not self.phone.silent:
            self.waiting_since = None
            return
        if self.waiting_since is None:
            self.waiting_since = self.now
        self.longest_wait_ms = max(self.longest_wait_ms, self.now - self.waiting_since)

    def _obey(self, step: Step) -> None:
        match step:
            case ToCaller(message):
                self._phone_is_told(json.loads(message))
            case ToModel(message):
                event = json.loads(message)
                if event["type"] != "input_audio_buffer.append":
                    self._model_is_told(event)
            case RunFunction():
                self.running[step.call_id] = step.name
            case Transfer():
                self.transferring = True
            case HangUp(reason):
                self.over = self.over or reason
            case Reconnect():
                if self.session:
                    self.session_lost()

    def _phone_is_told(self, message: dict[str, Any]) -> None:
        assert self.started and message["streamSid"] == STREAM
        self.log.append(f"   to phone {message['event']}")
        self.phone.told(message)

    def _model_is_told(self, event: dict[str, Any]) -> None:
        if not self.session:                         # the line drops it, because the next session is told everything
            return
        self.log.append(f"   to model {event['type']} {event.get('event_id')}")
        match event["type"]:
            case "response.create":
                assert not self.requested, "a second response was asked for before the first one began"
                assert self.active is None or self.active.cancelled, "a response was asked for while one was active"
                self.requested.append(event["event_id"])
                self.overtaken = False
            case "response.cancel":
                if self.active and self.active.id == event["response_id"]:
                    self.active.cancelled = True
            case "conversation.item.truncate":
                item, ms = event["item_id"], event["audio_end_ms"]
                assert item in self.sounds, f"{item} was cut and never heard"
                assert 0 < ms <= self.sounds[item] / BYTES_PER_MS, f"{item} was cut at {ms} ms of {self.sounds[item]}"
                self._settle(item)
            case "conversation.item.delete":
                self._settle(event["item_id"])
            case "conversation.item.create":
                item = event["item"]
                self.event(type="conversation.item.added", item={
                    key: value for key, value in item.items() if key in ("id", "type", "role", "call_id")})
            case "input_audio_buffer.commit":
                self.speaking, self.debt = False, True
            case "session.update":
                detection = event["session"]["audio"]["input"]["turn_detection"]
                self.listening = detection is not None
                self.event(type="session.updated", session={"audio": {
                    "input": {**PCMU, "turn_detection": detection}, "output": PCMU}})

    def _settle(self, item: str) -> None:
        assert item not in self.settled, f"{item} was settled twice"
        self.settled.add(item)

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}_{self.names}"

    # ---- who waits

    @property
    def caller_waits(self) -> bool:
        """Whether the caller waits for us, by what both sides were told."""
        if self.over is not None or not self.started or self.speaking or self.transferring or self.stopping:
            return False
        return not self.session or bool(
            self.requested or self.active or self.turn_open or self.running or self.debt)


def plan(dice: random.Random) -> Plan:
    """A random plan of a call."""
    people = dice.choice(((), ("sales",), ("sales", "support")))
    return Plan(
        greeting="Say hello.", protect_greeting=dice.random() < 0.5, turn_detection={"type": "server_vad"}, clips=CLIPS,
        silence_prompt_ms=dice.choice((0, 5_000, 12_000)), most_turn_ms=dice.choice((0, 10_000)),
        most_ms=dice.choice((0, 90_000)),
        most_usd=dice.choice((0.0, 0.5)), prices=DEAREST, immediate=Tools(hand_over(people)).for_call().immediate,
        operator_key=dice.choice(("", "0")), operator=next(iter(people), ""))
