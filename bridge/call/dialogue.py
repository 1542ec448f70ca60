"""What each side hears next: events of the phone and of the model in, steps out.

Pure: no socket, no clock. `now` is ms on any monotonic clock; the phone's own time comes with its frames.

The line opens when the model's session is ready and the phone has started. Then the assistant greets.
1. Caller audio is kept (its newest seconds) until the line is open, and until a protected greeting was heard.
2. Audio runs ahead of the caller's ear: what was sent is not what was heard (`Playback`).
3. When the caller speaks the server cancels the response under way by itself. Here the phone's queue is
   cleared, each item is cut at what was heard of it, and what still comes of that response is dropped.
4. A response is asked for only when none is active, none is on its way and no function is still running:
   one for a batch. One that the server starts by itself and that sees the outputs takes its place.
5. A function that takes longer than FILLER_MS is bridged by a word to the caller.
6. `end_call` ends the call after its goodbye was heard, unless the caller speaks first.
"""

import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from bridge.call.playback import Playback
from bridge.openai_side import realtime
from bridge.twilio_side import media_streams

log = logging.getLogger(__name__)

#: How much of the caller is kept while the line is not open, in frames of 20 ms: 2 s, or 5 s behind a greeting.
KEPT_FRAMES = 100
KEPT_FRAMES_GREETING = 250
#: How many cut responses and items are remembered, for audio of theirs that is still on its way.
CUTS_REMEMBERED = 32
#: How long a greeting or a goodbye may take to begin, ms.
BEGIN_MS = 10_000
#: How much longer than its audio a greeting or a goodbye may play, ms.
OVERRUN_MS = 3_000
#: Between the last heard word and the end of the call, ms: the way from Twilio to the caller's ear.
TAIL_MS = 300
#: How long the server may take to answer a caller's turn by itself before a response that is owed is asked for, ms.
ANSWER_MS = 3_000

#: How long a caller waits for a function without a word, ms.
FILLER_MS = 1_000

Bound = Literal["greeting", "goodbye", "answer", "filler"]

END_CALL = "end_call"
FILLER = "Tell the caller in a few words, in the language of the call, that you need a moment. Say nothing else."
FAREWELL = "Say goodbye to the caller in one short sentence, in the language of the call. Say nothing else."


@dataclass(frozen=True, slots=True)
class ToCaller:
    message: bytes


@dataclass(frozen=True, slots=True)
class ToModel:
    message: bytes


@dataclass(frozen=True, slots=True)
class RunFunction:
    """A function is to be run beside the conversation; `function_returned` takes its answer."""

    call_id: str
    name: str
    arguments: str
    turn: int                    # of the caller's: how many there had been


@dataclass(frozen=True, slots=True)
class HangUp:
    """The call is over; `reason` is one of `Ending`'s in session.py."""

    reason: str


Step = ToCaller | ToModel | RunFunction | HangUp


@dataclass(frozen=True, slots=True)
class Plan:
    """How a call is to go: the words of the greeting's instructions, and when the caller's turn ends."""

    greeting: str
    protect_greeting: bool
    turn_detection: dict[str, Any]


@dataclass(slots=True)
class Figures:
    """What happened in a call, for its closing line."""

    turns: int = 0
    interruptions: int = 0
    first_audio_ms: float | None = None      # from the stream's start to the first audio for the caller


@dataclass(slots=True)
class _Goodbye:
    """The assistant wants to end the call: after `response_id`, or after a farewell asked for since."""

    response_id: str
    said: bool = False           # the farewell is complete; only the caller's ear is awaited
    heard: bool = False


class Dialogue:
    """One call's conversation."""

    def __init__(self, plan: Plan) -> None:
        self.figures = Figures()
        self._plan = plan
        self._playback = Playback()
        self._stream = ""
        self._started_at = 0.0
        self._phone_ms = 0                           # the phone's time: ms since the stream began
        self._model_ready = False
        kept = KEPT_FRAMES_GREETING if plan.protect_greeting else KEPT_FRAMES
        self._kept: deque[str] | None = deque(maxlen=kept)             # None: the caller is heard live
        self._greeting: str | None = None            # the request of a protected greeting not heard to its end
        self._greeted = False                        # its response is complete
        self._requests = 0
        self._requested: str | None = None           # a response.create without its response.created
        self._unwanted = False                       # ... which the caller's speech overtook
        self._active: str | None = None              # the response under way
        self._active_spoke = False
        self._dropped: list[str] = []                # responses that the caller cut
        self._settled: list[str] = []                # their items, truncated or deleted
        self._speaking = False                       # the caller, as the server hears it
        self._answering = False                      # the server is about to answer a turn
        self._running: set[str] = set()              # functions
        self._unseen: set[str] = set()               # outputs that the server has not yet acknowledged
        self._owed = False                           # outputs that no response has seen
        self._goodbye: _Goodbye | None = None
        self._filled = False                         # the caller was told that this takes a moment
        self._bounds: dict[Bound, float] = {}        # what must have happened by when, ms

    # ---- the two sides are there

    def started(self, stream_sid: str, now: float) -> list[Step]:
        """The phone's stream has begun."""
        self._stream, self._started_at = stream_sid, now
        return self._open(now) if self._model_ready else []

    def model_ready(self, now: float) -> list[Step]:
        """The model's session is set up, and its echo was right."""
        self._model_ready = True
        return self._open(now) if self._stream else []

    def _open(self, now: float) -> list[Step]:
        greet = self._request("greeting", self._plan.greeting)
        if not self._plan.protect_greeting:
            return [greet, *self._release()]
        self._greeting = self._requested
        self._bounds["greeting"] = now + BEGIN_MS
        return [greet]

    def _release(self) -> list[Step]:
        """The caller's kept audio, in order; from here on it is live."""
        kept, self._kept = self._kept or (), None
        return [ToModel(realtime.append(payload)) for payload in kept]

    @property
    def unheard_ms(self) -> int:
        """How much audio the caller still has to hear."""
        return self._playback.unheard_ms(self._phone_ms)

    # ---- events of the phone

    def from_caller(self, event: media_streams.Event, now: float) -> list[Step]:
        match event:
            case media_streams.Media(media=frame):
                return self._caller_audio(frame)
            case media_streams.Mark(mark=mark):
                self._playback.returned(mark.name, self._phone_ms)
                return self._heard(now) if self._playback.finished else []
            case media_streams.Stop():
                return [HangUp("caller hung up")]
            case media_streams.Connected() | media_streams.Start():
                return []
        assert_never(event)

    def _caller_audio(self, frame: media_streams.MediaBody) -> list[Step]:
        if frame.track != "inbound":
            return []
        self._phone_ms = frame.timestamp
        if self._kept is None:
            return [ToModel(realtime.append(frame.payload))]
        self._kept.append(frame.payload)
        return []

    def _heard(self, now: float) -> list[Step]:
        """The caller has heard all that was sent."""
        if self._greeting and self._greeted:
            return self._listen()
        if self._goodbye and self._goodbye.said and not self._goodbye.heard:
            self._goodbye.heard = True
            self._bounds["goodbye"] = now + TAIL_MS
        self._expect_filler(now)
        return []

    def _listen(self) -> list[Step]:
        """The protected greeting is over: the caller is heard, first what was said meanwhile."""
        self._greeting = None
        self._bounds.pop("greeting", None)
        return [ToModel(realtime.listen(self._plan.turn_detection)), *self._release()]

    # ---- events of the model

    def from_model(self, event: realtime.Event, now: float) -> list[Step]:
        match event:
            case realtime.AudioDelta():
                return self._reply_audio(event, now)
            case realtime.SpeechStarted():
                return self._barge_in()
            case realtime.SpeechStopped():
                self.figures.turns += 1
                self._speaking, self._answering = False, True
                if self._owed:
                    self._bounds["answer"] = now + ANSWER_MS
                return []
            case realtime.ResponseCreated(response=response):
                return self._response_created(response)
            case realtime.ResponseDone(response=response):
                return self._response_done(response, now)
            case realtime.OutputItemDone(item=item):
                return self._item_done(event.response_id, item, now)
            case realtime.ItemAdded(item=item):
                self._unseen.discard(item.call_id)
                return []
            case realtime.Error(error=error):
                return self._error(error)
            case realtime.SessionUpdated(session=session):
                return [] if session.speaks_pcmu() else [HangUp("wrong audio format")]
            case realtime.SessionCreated():
                return []
        assert_never(event)

    def _reply_audio(self, event: realtime.AudioDelta, now: float) -> list[Step]:
        if event.response_id in self._dropped:
            return self._forget(event.item_id)
        if self.figures.first_audio_ms is None:
            self.figures.first_audio_ms = now - self._started_at
        self._active_spoke = True
        before, after = self._playback.sending(event.item_id, event.size, self._phone_ms)
        if self._greeting or self._goodbye:
            self._bounds["greeting" if self._greeting else "goodbye"] = now + self.unheard_ms + OVERRUN_MS
        steps: list[Step] = [
            ToCaller(media_streams.media(self._stream, event.delta)),
            ToCaller(media_streams.mark(self._stream, after)),
        ]
        if before is not None:
            steps.insert(0, ToCaller(media_streams.mark(self._stream, before)))
        return steps

    def _forget(self, item_id: str) -> list[Step]:
        """An item of which nothing was heard leaves the model's memory: it cannot be cut at 0."""
        if item_id in self._settled:
            return []
        self._settle(item_id)
        return [ToModel(realtime.delete_item(item_id))]

    def _drop(self, response_id: str) -> None:
        self._dropped = [*self._dropped[-CUTS_REMEMBERED:], response_id]

    def _settle(self, item_id: str) -> None:
        self._settled = [*self._settled[-CUTS_REMEMBERED:], item_id]

    def _barge_in(self) -> list[Step]:
        self._speaking, self._answering = True, False
        self._unwanted = self._requested is not None
        self._goodbye = None
        self._bounds.pop("goodbye", None)
        if self._active:
            self._drop(self._active)
        if self._playback.finished:
            return []
        self.figures.interruptions += 1
        steps: list[Step] = [ToCaller(media_streams.clear(self._stream))]
        for cut in self._playback.interrupt(self._phone_ms):
            if cut.heard_ms > 0:
                steps.append(ToModel(realtime.truncate(cut.item_id, cut.heard_ms)))
                self._settle(cut.item_id)
            else:
                steps.extend(self._forget(cut.item_id))
        return steps

    def _response_created(self, response: realtime.Response) -> list[Step]:
        self._active, self._active_spoke, self._answering = response.id, False, False
        ours = (response.metadata or {}).get("request")
        if ours is None or ours != self._requested:
            self._owed = self._owed and bool(self._unseen)
            return []
        self._requested = None
        if not self._unwanted:
            return []
        # The caller's speech was under way when this one started, so the server lets it run.
        self._unwanted = False
        self._drop(response.id)
        return [ToModel(realtime.cancel_response(response.id))]

    def _response_done(self, response: realtime.Response, now: float) -> list[Step]:
        if response.status == "failed":
            error = response.status_details and response.status_details.error
            log.warning("the model failed to answer: %s", error and (error.code or error.type) or "no reason given")
        if response.id != self._active:
            return []
        self._active = None
        if self._greeting:
            self._greeted = True
            return self._heard(now) if self._playback.finished else []
        if self._goodbye and not self._goodbye.said and not self._running and not self._owed:
            return self._farewell(self._goodbye, response.id, now)
        self._expect_filler(now)
        return self._answer()

    # ---- responses

    def _request(self, purpose: str, instructions: str | None = None) -> ToModel:
        self._requests += 1
        self._requested, self._unwanted = f"{purpose}_{self._requests}", False
        return ToModel(realtime.create_response(self._requested, instructions))

    def _answer(self) -> list[Step]:
        """The response that is owed, when the model is free to give it."""
        if not self._owed or self._running or self._active or self._requested or self._speaking or self._answering:
            return []
        self._owed = False
        return [self._request("answer")]

    def _error(self, error: realtime.ErrorDetails) -> list[Step]:
        if error.fatal:
            log.error("the model refused to go on (%s): %s", error.code or error.type, error.message)
            return [HangUp("model refused")]
        if not error.benign:
            log.warning("the model complained (%s): %s", error.code or error.type, error.message)
        if error.code == realtime.ALREADY_ACTIVE and error.event_id is None:
            self._answering, self._owed = False, True        # the server's own answer to the caller's turn
        if error.event_id is None or error.event_id != self._requested:
            return []
        request, self._requested = self._requested, None
        if request == self._greeting:
            return self._listen()
        if error.benign and request.startswith("answer"):
            self._owed = True                        # another response was faster: asked for again after it
        return []

    # ---- functions

    def _item_done(self, response_id: str, item: realtime.Item, now: float) -> list[Step]:
        if item.type != "function_call" or item.status != "completed":
            return []                                # an interrupted call comes as incomplete, with half its JSON
        if item.name == END_CALL:
            return self._end_call(response_id, item.call_id, now)
        self._running.add(item.call_id)
        self._filled = False
        return [RunFunction(item.call_id, item.name, item.arguments, self.figures.turns)]

    def function_returned(self, call_id: str, output: dict[str, Any], now: float) -> list[Step]:
        """A function's answer, for the model to speak about."""
        self._running.discard(call_id)
        if not self._running:
            self._bounds.pop("filler", None)
        self._unseen.add(call_id)
        self._owed = True
        if self._goodbye:
            self._bounds["goodbye"] = now + BEGIN_MS     # first the caller hears what came of it
        return [ToModel(realtime.function_output(call_id, output)), *self._answer()]

    # ---- the end

    def _end_call(self, response_id: str, call_id: str, now: float) -> list[Step]:
        if self._speaking:
            output = {"status": "cancelled", "reason": "The caller is speaking: the call goes on."}
            return self.function_returned(call_id, output, now)
        self._goodbye = _Goodbye(response_id)
        self._bounds["goodbye"] = now + BEGIN_MS + self.unheard_ms
        output = {"status": "ending", "note": "The call ends when your goodbye was heard, unless the caller speaks."}
        return [ToModel(realtime.function_output(call_id, output))]

    def _farewell(self, goodbye: _Goodbye, response_id: str, now: float) -> list[Step]:
        """A response is done while the call is ending: either it said goodbye, or one that does is asked for."""
        if not self._active_spoke and response_id == goodbye.response_id:
            self._bounds["goodbye"] = now + BEGIN_MS
            return [self._request("farewell", FAREWELL)]
        goodbye.said = True
        return self._heard(now) if self._playback.finished else []

    # ---- time

    @property
    def deadline(self) -> float | None:
        """When `time_passed` wants to be called, ms."""
        return min(self._bounds.values()) if self._bounds else None

    def time_passed(self, now: float) -> list[Step]:
        """`deadline` has come: what was awaited has not happened in time."""
        if not self._bounds:
            return []
        bound = min(self._bounds, key=self._bounds.__getitem__)
        del self._bounds[bound]
        match bound:
            case "greeting":
                log.warning("the greeting was not heard to its end in time: the line is opened")
                return self._listen()
            case "goodbye":
                return [HangUp("assistant ended")]
            case "answer":
                self._answering = False
                return self._answer()
            case "filler":
                return self._fill()

    def _expect_filler(self, now: float) -> None:
        """The caller hears nothing, and a function is still running."""
        if self._running and not self._filled and not self._active and self._playback.finished:
            self._bounds["filler"] = now + FILLER_MS

    def _fill(self) -> list[Step]:
        if not self._running or self._active or self._requested or self._speaking or self._answering:
            return []
        self._filled = True
        return [self._request("filler", FILLER)]
