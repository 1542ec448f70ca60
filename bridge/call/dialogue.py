"""What each side hears next: events of the phone and of the model in, steps out.

Pure: no socket, no clock. `now` is ms on any monotonic clock; the phone's own time comes with its frames.

The line opens when the model's session is ready and the phone has started. Then the assistant greets.
1. Caller audio is kept (its newest seconds) until the line is open, and until a protected greeting was heard.
2. Audio runs ahead of the caller's ear: what was sent is not what was heard (`Playback`).
3. When the caller speaks the server cancels the response under way by itself. Here the phone's queue is
   cleared, each item is cut at what was heard of it, and what still comes of that response is dropped.
4. A response is asked for only when none is active, none is on its way and no function is still running:
   one for a batch. One that the server starts by itself and that sees the outputs takes its place. One that fails
   is asked for again, RETRIES times; then the call ends, for the caller must not wait in silence.
5. A function that takes longer than FILLER_MS is bridged by a word to the caller.
6. `end_call` ends the call after its goodbye was heard, unless the caller speaks first.
"""

import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, assert_never

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
#: How long the server may take to confirm what was asked of it, ms: a response, or to listen to the caller.
REQUEST_MS = 5_000
#: A timer may fire this much early, ms.
TIMER_MS = 1
#: How often in a row a failed response is asked for again, and the pause before that, ms, longer each time.
RETRIES = 2
RETRY_MS = 500

Bound = Literal["greeting", "goodbye", "answer", "filler", "request", "retry", "listen"]

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
    """The call is over; `reason` is one of those at the top of session.py."""

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


class Wish(NamedTuple):
    """A response that is wanted: what for, and the instructions that take the place of the session's."""

    purpose: Literal["greeting", "answer", "filler", "farewell"]
    instructions: str | None = None


ANSWER = Wish("answer")


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
        self._now = 0.0                              # of the event that is being looked at, ms
        self._greeting = False                       # a protected greeting was not heard to its end
        self._greeted = False                        # its response is complete
        self._requests = 0
        self._requested: str | None = None           # a response.create without its response.created,
        self._wanted = ANSWER                        # ... and what for
        self._unwanted = False                       # ... which the caller's speech overtook
        self._active: str | None = None              # the response under way
        self._active_wish = ANSWER
        self._active_spoke = False
        self._failures = 0                           # in a row
        self._again = ANSWER                         # what is asked for again when "retry" has come
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
        self._now = self._started_at = now
        self._stream = stream_sid
        return self._open() if self._model_ready else []

    def model_ready(self, now: float) -> list[Step]:
        """The model's session is set up, and its echo was right."""
        self._now = now
        self._model_ready = True
        return self._open() if self._stream else []

    def _open(self) -> list[Step]:
        self._greeting = self._plan.protect_greeting
        greet = self._request(Wish("greeting", self._plan.greeting))
        return [greet] if self._greeting else [greet, *self._release()]

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
        self._now = now
        match event:
            case media_streams.Media(media=frame):
                return self._caller_audio(frame)
            case media_streams.Mark(mark=mark):
                self._playback.returned(mark.name, self._phone_ms)
                return self._heard() if self._playback.finished else []
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

    def _heard(self) -> list[Step]:
        """The caller has heard all that was sent."""
        if self._greeting and self._greeted:
            return self._listen()
        if self._goodbye and self._goodbye.said and not self._goodbye.heard:
            self._goodbye.heard = True
            self._bounds["goodbye"] = self._now + TAIL_MS
        self._expect_filler()
        return []

    def _listen(self) -> list[Step]:
        """The protected greeting is over: the caller is heard, first what was said meanwhile."""
        self._greeting = False
        self._bounds.pop("greeting", None)
        self._bounds["listen"] = self._now + REQUEST_MS
        return [ToModel(realtime.listen(self._plan.turn_detection)), *self._release()]

    # ---- events of the model

    def from_model(self, event: realtime.Event, now: float) -> list[Step]:
        self._now = now
        match event:
            case realtime.AudioDelta():
                return self._reply_audio(event)
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
                return self._response_done(response)
            case realtime.OutputItemDone(item=item):
                return self._item_done(event.response_id, item)
            case realtime.ItemAdded(item=item):
                self._unseen.discard(item.call_id)
                return []
            case realtime.Error(error=error):
                return self._error(error)
            case realtime.SessionUpdated(session=session):
                return self._session_updated(session)
            case (realtime.SessionCreated() | realtime.TranscriptDelta() | realtime.TranscriptDone()
                  | realtime.Transcribed()):
                return []
        assert_never(event)

    def _session_updated(self, session: realtime.Session) -> list[Step]:
        if session.listens:
            self._bounds.pop("listen", None)
        return [] if session.speaks_pcmu() else [HangUp("wrong audio format")]

    def _reply_audio(self, event: realtime.AudioDelta) -> list[Step]:
        if event.response_id in self._dropped:
            return self._forget(event.item_id)
        if self.figures.first_audio_ms is None:
            self.figures.first_audio_ms = self._now - self._started_at
        self._active_spoke, self._failures = True, 0
        before, after = self._playback.sending(event.item_id, event.size, self._phone_ms)
        if self._greeting or self._goodbye:
            self._bounds["greeting" if self._greeting else "goodbye"] = self._now + self.unheard_ms + OVERRUN_MS
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
        self._bounds.pop("retry", None)
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
        self._bounds.pop("answer", None)
        ours = (response.metadata or {}).get("request")
        if ours is None or ours != self._requested:
            self._active_wish = ANSWER
            self._owed = self._owed and bool(self._unseen)
            return []
        self._active_wish = self._wanted
        self._settle_request()
        if not self._unwanted:
            return []
        # The caller's speech was under way when this one started, so the server lets it run.
        self._unwanted = False
        self._drop(response.id)
        return [ToModel(realtime.cancel_response(response.id))]

    def _response_done(self, response: realtime.Response) -> list[Step]:
        if response.id != self._active:
            return []
        self._active, wish = None, self._active_wish
        if response.status == "failed":
            error = response.status_details and response.status_details.error
            log.warning("the model failed to answer: %s", error and (error.code or error.type) or "no reason given")
            if response.id not in self._dropped and wish.purpose != "farewell":
                return self._failed(wish)
        if self._greeting:
            self._greeted = True
            return self._heard() if self._playback.finished else []
        if self._goodbye and not self._goodbye.said and not self._running and not self._owed:
            return self._farewell(self._goodbye, response.id)
        self._expect_filler()
        return self._answer()

    # ---- responses

    @property
    def _busy(self) -> bool:
        """Whether a response is under way or about to be, or the caller has the floor."""
        return bool(self._active or self._requested or self._speaking or self._answering)

    def _request(self, wish: Wish) -> ToModel:
        self._requests += 1
        self._requested, self._wanted, self._unwanted = f"{wish.purpose}_{self._requests}", wish, False
        self._bounds["request"] = self._now + REQUEST_MS
        if self._greeting:
            self._bounds["greeting"] = self._now + BEGIN_MS
        return ToModel(realtime.create_response(self._requested, wish.instructions))

    def _settle_request(self) -> None:
        self._requested = None
        self._bounds.pop("request", None)

    def _answer(self) -> list[Step]:
        """The response that is owed, when the model is free to give it."""
        if not self._owed or self._running or self._busy:
            return []
        self._owed = False
        return [self._request(ANSWER)]

    def _failed(self, wish: Wish) -> list[Step]:
        """A response was not given: it is asked for again, after a pause, or the call is given up."""
        if wish.purpose == "filler" or self._speaking:
            return self._answer()                    # the one can be spared, the other makes it out of date
        self._failures += 1
        if self._failures > RETRIES:
            return [HangUp("model failed")]
        self._again = wish
        self._bounds["retry"] = self._now + RETRY_MS * self._failures
        return []

    def _error(self, error: realtime.ErrorDetails) -> list[Step]:
        if error.fatal or error.event_id == realtime.LISTEN:
            log.error("the model refused to go on (%s): %s", error.code or error.type, error.message)
            return [HangUp("model refused")]
        if not error.benign:
            log.warning("the model complained (%s): %s", error.code or error.type, error.message)
        if error.code == realtime.ALREADY_ACTIVE and error.event_id is None:
            self._answering, self._owed = False, True        # the server's own answer to the caller's turn
        if error.event_id is None or error.event_id != self._requested:
            return []
        wish = self._wanted
        self._settle_request()
        if not error.benign:
            return self._failed(wish)
        self._owed = self._owed or wish is ANSWER    # another response was faster: asked for again after it
        return []

    # ---- functions

    def _item_done(self, response_id: str, item: realtime.Item) -> list[Step]:
        if item.type != "function_call" or item.status != "completed":
            return []                                # an interrupted call comes as incomplete, with half its JSON
        if item.name == END_CALL:
            return self._end_call(response_id, item.call_id)
        self._running.add(item.call_id)
        self._filled = False
        return [RunFunction(item.call_id, item.name, item.arguments, self.figures.turns)]

    def function_returned(self, call_id: str, output: dict[str, Any], now: float) -> list[Step]:
        """A function's answer, for the model to speak about."""
        self._now = now
        return self._function_returned(call_id, output)

    def _function_returned(self, call_id: str, output: dict[str, Any]) -> list[Step]:
        self._running.discard(call_id)
        if not self._running:
            self._bounds.pop("filler", None)
        self._unseen.add(call_id)
        self._owed = True
        if self._answering:
            self._bounds.setdefault("answer", self._now + ANSWER_MS)
        if self._goodbye:
            self._bounds["goodbye"] = self._now + BEGIN_MS       # first the caller hears what came of it
        return [ToModel(realtime.function_output(call_id, output)), *self._answer()]

    # ---- the end

    def _end_call(self, response_id: str, call_id: str) -> list[Step]:
        if self._speaking:
            output = {"status": "cancelled", "reason": "The caller is speaking: the call goes on."}
            return self._function_returned(call_id, output)
        self._goodbye = _Goodbye(response_id)
        self._bounds["goodbye"] = self._now + BEGIN_MS + self.unheard_ms
        output = {"status": "ending", "note": "The call ends when your goodbye was heard, unless the caller speaks."}
        return [ToModel(realtime.function_output(call_id, output))]

    def _farewell(self, goodbye: _Goodbye, response_id: str) -> list[Step]:
        """A response is done while the call is ending: either it said goodbye, or one that does is asked for."""
        if not self._active_spoke and response_id == goodbye.response_id:
            self._bounds["goodbye"] = self._now + BEGIN_MS
            return [self._request(Wish("farewell", FAREWELL))]
        goodbye.said = True
        return self._heard() if self._playback.finished else []

    # ---- time

    @property
    def deadline(self) -> float | None:
        """When `time_passed` wants to be called, ms."""
        return min(self._bounds.values()) if self._bounds else None

    def time_passed(self, now: float) -> list[Step]:
        """`deadline` has come: what was awaited has not happened in time."""
        self._now = now
        bound = min(self._bounds, key=self._bounds.__getitem__, default=None)
        if bound is None or self._bounds[bound] > now + TIMER_MS:
            return []                                # it has happened, or was put off, just before
        del self._bounds[bound]
        match bound:
            case "greeting":
                log.warning("the greeting was not heard to its end in time: the line is opened")
                return self._listen()
            case "listen":
                log.error("the model does not say that it listens to the caller")
                return [HangUp("model refused")]
            case "goodbye":
                return [HangUp("assistant ended")]
            case "request":
                log.warning("the model did not begin to answer in time")
                self._requested = None
                return self._failed(self._wanted)
            case "retry":
                return self._retry()
            case "answer":
                self._answering = False
                return self._answer()
            case "filler":
                return self._fill()

    def _retry(self) -> list[Step]:
        if self._busy:
            return []                                # another response has taken its place
        if self._again is ANSWER:
            self._owed = False
        return [self._request(self._again)]

    def _expect_filler(self) -> None:
        """The caller hears nothing, and a function is still running."""
        if self._running and not self._filled and not self._active and self._playback.finished:
            self._bounds["filler"] = self._now + FILLER_MS

    def _fill(self) -> list[Step]:
        if not self._running or self._busy:
            return []
        self._filled = True
        return [self._request(Wish("filler", FILLER))]
