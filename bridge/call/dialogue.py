"""What each side hears next: events of the phone and of the model in, steps out.

Pure: no socket, no clock. `now` is ms on any monotonic clock; the phone's own time comes with its frames.

The line opens when the model's session is ready and the phone has started. Then the assistant greets.
1. Caller audio is kept (its newest seconds) until the line is open, and until a protected greeting was heard (`Ear`).
2. Audio runs ahead of the caller's ear: what was sent is not what was heard (`Playback`).
3. When the caller speaks the server cancels the response under way by itself. Here the phone's queue is
   cleared, each item is cut at what was heard of it, and what still comes of that response is dropped.
4. A response is asked for only when none is active, none is on its way and no function is still running:
   one for a batch. One that the server starts by itself and that sees the outputs takes its place. One that fails, or
   brings no sound, is asked for again, RETRIES times; then the call ends, for the caller must not wait in silence. One
   that breaks off in mid-sentence is gone on with; where that was for a filter or a limit, once.
5. A session that is lost, or that does not answer, is followed by another one, which is told what was said so far
   (`History`) and goes on where the other stopped. Meanwhile the caller's newest audio is kept.
6. A caller who waits for us hears a word after a while: the model's own about a slow function, else a recorded one.
7. A caller who says nothing is asked once, then the call ends; so it does when its time or its money is used up.
8. A caller's turn without an end, as on a noisy line, is ended here and answered. The caller is not listened to until
   that answer was heard, or the noise would cut it.
9. What must happen has a bound. Any event may be lost: what waits for it goes on at its bound.
10. The call ends, or is transferred, after a goodbye that was heard; the caller's speech takes that back, and a key
    takes back an end, unless there is no choice. Where even the goodbye does not come, it ends at a bound.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, assert_never

import msgspec

from bridge.call import words
from bridge.call.ear import Ear
from bridge.call.history import History
from bridge.call.outcome import outcome, reason
from bridge.call.playback import Playback
from bridge.call.steps import (
    Clip, ClipName, Figures, HangUp, Measured, Plan, Reconnect, RunFunction, Step, ToCaller, ToModel, Transfer,
)
from bridge.openai_side import prices, realtime
from bridge.twilio_side import media_streams

log = logging.getLogger(__name__)

#: How much of the caller is kept while nobody listens, in frames of 20 ms: 2 s, or 5 s behind a greeting.
KEPT_FRAMES = 100
KEPT_FRAMES_GREETING = 250
#: How many cut responses and items are remembered, for audio of theirs that is still on its way.
CUTS_REMEMBERED = 32
#: How long a greeting or a goodbye may take to begin, ms.
BEGIN_MS = 10_000
#: How much longer than its audio a greeting or a goodbye may play, ms.
OVERRUN_MS = 3_000
#: How long a call goes on at most that has to end, ms.
LAST_MS = 20_000
#: Between the last heard word and the end of the call, ms: the way from Twilio to the caller's ear.
TAIL_MS = 300
#: How long the server may take to answer a caller's turn by itself before it is asked for a response, ms.
ANSWER_MS = 3_000
#: How long a caller waits for a function without a word of the model's, ms.
FILLER_MS = 1_000
#: How long a caller waits in silence, ms: while there is a model, at the call's beginning, while there is none, and
#: after each word said into that silence.
HUSH_MS, HUSH_FIRST_MS, HUSH_LOST_MS, HUSH_AGAIN_MS = 2_200, 2_000, 1_000, 2_000
#: How many such words a caller hears in a row at most before the model is given up.
MOST_HUSHES = 10
#: How long the server may take to confirm what was asked of it, ms: a response, or to listen to the caller.
REQUEST_MS = 5_000
#: How long a response may bring nothing, ms.
MUTE_MS = 10_000
#: How long the phone may take longer than the audio lasts to say that it has played, ms.
UNPLAYED_MS = 10_000
#: How many turns without an end are answered, one after the other.
MOST_ENDLESS = 3
#: A timer may fire this much early, ms.
TIMER_MS = 1
#: How often in a row a failed response is asked for again, and the pause before that, ms, longer each time.
RETRIES = 2
RETRY_MS = 500
#: Keys that are pressed within this time belong together, ms; `#` ends them.
DIGITS_MS = 2_000
MOST_DIGITS = 64
#: How long before its end a call is announced to end, ms; and from which part of its money on it is wrapped up.
WARNING_MS = 60_000
WRAP_UP_PART = 0.8

Bound = Literal[
    "protected", "goodbye", "turn", "answer", "filler", "request", "retry", "listen", "hush", "mute", "played",
    "digits", "silence", "warning", "time",
]

END_CALL, TRANSFER_CALL = "end_call", "transfer_call"
#: The item of a recorded sentence, for `Playback`: the model knows nothing of it.
CLIP = ""


class Wish(NamedTuple):
    """A response that is wanted: what for, and the instructions that take the place of the session's."""

    purpose: Literal["greeting", "answer", "filler", "notice", "farewell"]
    instructions: str | None = None
    note: str = ""               # what the model is told before


ANSWER = Wish("answer")
GO_ON = Wish("answer", note=words.GO_ON)


@dataclass(slots=True)
class _Goodbye:
    """The caller is to be left: `then` is done once a goodbye was heard.

    `response_id`: the response in which the model wanted that, and may have said goodbye; "" where that is to be asked
    for. `firm`: whatever the caller says; `until`: ... and then at the latest, ms.
    """

    then: HangUp | Transfer
    words: str
    response_id: str = ""
    firm: bool = False
    until: float = float("inf")
    said: bool = False           # the goodbye is complete; only the caller's ear is awaited
    heard: bool = False


class Dialogue:
    """One call's conversation. With a `history` it goes on with that of an earlier stream; `note` says why."""

    def __init__(self, plan: Plan, history: History | None = None, note: str = words.RESUMED) -> None:
        self.figures = Figures()
        self.history = history or History()
        self._plan = plan
        self._playback = Playback()
        self._stream = ""
        self._started_at = 0.0
        self._model_ready = False
        self._listening = False                      # the session finds the caller's turns
        self._opened = history is not None           # the assistant has spoken, or was asked to
        self._note = note                            # what the next session is told of why it begins
        kept_behind_greeting = plan.protect_greeting and not self._opened
        self._ear = Ear(KEPT_FRAMES_GREETING if kept_behind_greeting else KEPT_FRAMES)
        self._now = 0.0                              # of the event that is being looked at, ms
        self._protected = False                      # the caller is not listened to before this was heard to its end
        self._protected_said = False                       # its response is complete
        self._names = 0                              # of our own requests and items
        self._requested: str | None = None           # a response.create without its response.created,
        self._wanted = ANSWER                        # ... and what for
        self._unwanted = False                       # ... which the caller's speech overtook,
        self._overtaken = False                      # ... or a response of the server's own,
        self._answered = False                       # ... which knows as much
        self._echoes = False                         # the server says which request a response is for
        self._active: str | None = None              # the response under way
        self._active_wish = ANSWER
        self._active_spoke = self._active_called = False
        self._active_whole = False                   # what it has brought so far is complete
        self._ended = ""                             # the one before it
        self._failures = 0                           # in a row
        self._again = ANSWER                         # what is asked for again when "retry" has come
        self._wishes: list[Wish] = []                # what is to be said when the model is free
        self._dropped: list[str] = []                # responses that the caller cut
        self._settled: list[str] = []                # their items, truncated or deleted
        self._speaking = False                       # the caller, as the server hears it
        self._endless = 0                            # turns without an end, in a row
        self._answering = False                      # the server is about to answer a turn
        self._turn_over: float | None = None         # when the caller's turn ended that was not answered yet
        self._answer_mark = ""                       # comes back when the answer begins to be heard
        self._running: set[str] = set()              # functions
        self._unseen: set[str] = set()               # outputs that the server has not yet acknowledged
        self._owed = self._opened                    # there is something that no response has seen
        self._goodbye: _Goodbye | None = None
        self._connecting = False                     # the caller is being connected with a person
        self._stopping = False                       # nothing of the model is heard any more
        self._filled = False                         # the caller was told that this takes a moment
        self._hushes = 0                             # recorded sentences in a row
        self._digits = ""
        self._prompts = 0                            # how often in a row the silent caller was asked
        self._wrapped_up = False
        self._made: list[str] = []                   # meetings of this call
        self._bounds: dict[Bound, float] = {}        # what must have happened by when, ms

    # ---- the two sides are there

    def started(self, stream_sid: str, now: float) -> list[Step]:
        """The phone's stream has begun."""
        self._now = self._started_at = now
        self._stream = stream_sid
        if self._plan.most_ms:
            self._bounds["time"] = now + self._plan.most_ms
            if self._plan.most_ms > WARNING_MS:
                self._bounds["warning"] = now + self._plan.most_ms - WARNING_MS
        if self._model_ready:
            return self._line()
        if self._plan.clips:
            self._bounds["hush"] = now + HUSH_FIRST_MS
        return []

    def followed_by(self, history: History, note: str) -> "Dialogue":
        """One that goes on with an earlier stream's conversation, in the place of this one, which has not begun."""
        other = Dialogue(self._plan, history, note)
        other._model_ready, other._listening = self._model_ready, self._listening
        return other

    def model_ready(self, now: float, *, listens: bool) -> list[Step]:
        """The model's session is set up, and its echo was right: the first one, or one after `model_lost`.

        `listens`: whether it was set up to find the caller's turns.
        """
        self._now = now
        self._model_ready, self._listening = True, listens
        return self._line() if self._stream and not self._stopping else []

    def model_lost(self, now: float) -> list[Step]:
        """The model's session is gone, in the middle of whatever was said and done."""
        self._now = now
        self._model_ready = False
        goodbye_under_way = bool(self._goodbye and self._active and self._active == self._goodbye.response_id)
        self._owed = self._owed or self._speaking or self._answering or not goodbye_under_way and any(
            wish.purpose in ("greeting", "answer") for wish in self._under_way())
        if not self._speaking and not self._answering:       # else what the caller says has put it out of date
            self._wishes[:0] = [wish for wish in self._under_way() if wish.purpose == "notice"]
        self._ear.hold(KEPT_FRAMES)
        self._forget_session()
        if self.history.empty:
            self._opened = self._owed = False        # nothing was said yet: the next session greets
        self._expect_sound()
        return []

    def _under_way(self) -> Iterator[Wish]:
        """What a response was asked for, or is about to be asked for again."""
        if self._active:
            yield self._active_wish
        if self._requested:
            yield self._wanted
        if "retry" in self._bounds:
            yield self._again

    def model_renewed(self, now: float) -> list[Step]:
        """Another session takes the place of the one so far, at a moment when nothing is going on."""
        self._now = now
        self._forget_session()
        steps = [*self._retell(), *self._answer()]
        self._expect_caller()
        return steps

    @property
    def quiet(self) -> bool:
        """Whether nothing is going on: nobody speaks, and nothing is awaited."""
        return self._model_ready and self._idle and not self._protected and not self._goodbye and not self._digits

    @property
    def listens(self) -> bool:
        """Whether a session that begins now listens to the caller from its beginning."""
        return self._opened or not self._plan.protect_greeting

    def _line(self) -> list[Step]:
        return self._resume() if self._opened else self._open()

    def _open(self) -> list[Step]:
        self._opened = True
        self._protected = self._plan.protect_greeting
        greet = self._request(Wish("greeting", self._plan.greeting))
        return [greet] if self._protected else [greet, *self._release()]

    def _resume(self) -> list[Step]:
        """A new session is told what was said, hears what the caller says meanwhile, and answers what is open."""
        if self._goodbye:
            self._goodbye.response_id = ""           # what it said of it was lost
        steps = [*self._retell(), *(self._release() if self._listening else self._listen()), *self._answer()]
        self._expect_caller()
        return steps

    def _retell(self) -> list[Step]:
        note = self._note + words.made(self._made)
        if self.history.inaudible:
            note = f"{note} {words.INAUDIBLE}"
        if self._wrapped_up:
            note = f"{note} {words.WRAP_UP}"
        return [*map(ToModel, self.history.replay()), ToModel(realtime.system_text(note))]

    def _forget_session(self) -> None:
        """What was true of a session only."""
        self.history.lost()
        self._protected = False
        self._requested = self._active = None
        self._unwanted = self._speaking = self._answering = False
        self._dropped, self._settled = [], []
        self._unseen.clear()
        for bound in ("protected", "turn", "answer", "filler", "request", "retry", "listen", "mute", "silence"):
            self._bounds.pop(bound, None)

    def _release(self) -> list[Step]:
        """The caller's kept audio, in order; from here on it is live."""
        return [ToModel(realtime.append(payload)) for payload in self._ear.release()]

    @property
    def unheard_ms(self) -> int:
        """How much audio the caller still has to hear."""
        return self._playback.unheard_ms(self._ear.phone_ms)

    # ---- events of the phone

    def from_caller(self, event: media_streams.Event, now: float) -> list[Step]:
        self._now = now
        match event:
            case media_streams.Media(media=frame):
                return self._caller_audio(frame)
            case media_streams.Mark(mark=mark):
                return self._mark_back(mark.name)
            case media_streams.Dtmf(dtmf=key):
                return self._pressed(key.digit)
            case media_streams.Stop():
                return [HangUp("caller hung up")]
            case media_streams.Connected() | media_streams.Start():
                return []
        assert_never(event)

    def _caller_audio(self, frame: media_streams.MediaBody) -> list[Step]:
        if frame.track != "inbound":
            return []
        return [ToModel(realtime.append(payload)) for payload in self._ear.hear(frame, self._now)]

    def frames_missing(self, now: float) -> list[Step]:
        """Called every second or so: silence in the place of what the phone does not send."""
        self._now = now
        return [ToModel(realtime.append(payload)) for payload in self._ear.missing(now)]

    def _mark_back(self, name: str) -> list[Step]:
        self._playback.returned(name, self._ear.phone_ms)
        steps: list[Step] = []
        if name == self._answer_mark and self._turn_over is not None:
            steps.append(Measured("turn", (self._now - self._turn_over) / 1000))
            self._answer_mark, self._turn_over = "", None
        return steps + self._heard() if self._playback.finished else steps

    def _heard(self) -> list[Step]:
        """The caller has heard all that was sent."""
        self._bounds.pop("played", None)
        if self._protected and self._protected_said:
            return self._listen()
        if self._goodbye and self._goodbye.said and not self._goodbye.heard:
            self._goodbye.heard = True
            self._bounds["goodbye"] = self._now + TAIL_MS
        self._expect_filler()
        self._expect_sound()
        self._expect_caller()
        return []

    def _listen(self) -> list[Step]:
        """The protected greeting is over: the caller is heard, first what was said meanwhile."""
        self._protected = False
        self._bounds.pop("protected", None)
        self._listening = True
        self._bounds["listen"] = self._now + REQUEST_MS
        self._expect_caller()
        return [ToModel(realtime.listen(self._plan.turn_detection)), *self._release(), *self._answer()]

    # ---- events of the model

    def from_model(self, event: realtime.Event, now: float) -> list[Step]:
        self._now = now
        if self._stopping:
            return []
        match event:
            case realtime.AudioDelta():
                return self._reply_audio(event)
            case realtime.TranscriptDelta():
                self.history.said(event.item_id, event.delta)
                return []
            case realtime.SpeechStarted():
                return self._barge_in()
            case realtime.SpeechStopped():
                return self._caller_stopped()
            case realtime.ResponseCreated(response=response):
                return self._response_created(response)
            case realtime.ResponseDone(response=response):
                return self._used(response.usage) + self._response_done(response)
            case realtime.OutputItemDone(item=item):
                return self._item_done(event.response_id, item)
            case realtime.ItemAdded(item=item):
                self._unseen.discard(item.call_id)
                self.history.added(item)
                return []
            case realtime.Transcribed():
                self.history.transcribed(event.item_id, event.transcript)
                self._endless = 0 if event.transcript.strip() else self._endless
                return self._spent(prices.transcription_cost(event.usage, self._plan.prices)) if event.usage else []
            case realtime.Error(error=error):
                return self._error(error)
            case realtime.SessionUpdated(session=session):
                return self._session_updated(session)
            case realtime.SessionCreated() | realtime.TranscriptDone():
                return []
        assert_never(event)

    def _session_updated(self, session: realtime.Session) -> list[Step]:
        if session.listens:
            self._bounds.pop("listen", None)
        return [HangUp("wrong audio format")] if session.speaks_otherwise() else []

    def _caller_stopped(self) -> list[Step]:
        self.figures.turns += 1
        self._speaking, self._answering, self._endless = False, True, 0
        self._bounds.pop("turn", None)
        self._turn_over = self._now - self._plan.turn_detection.get("silence_duration_ms", 0)
        self._bounds["answer"] = self._now + ANSWER_MS
        self._expect_sound()
        return []

    def _end_turn(self) -> list[Step]:
        """The server finds no end of the caller's turn: it is ended here, and the caller is not heard for an answer."""
        log.warning("the caller's turn has no end: what was said so far is answered")
        self._speaking = self._listening = False
        self._endless += 1
        self._ear.hold(KEPT_FRAMES_GREETING)
        steps: list[Step] = [
            Measured("fault", name="endless turn"), ToModel(realtime.commit()), ToModel(realtime.stop_listening())]
        if self._endless > MOST_ENDLESS:
            return steps + self._leave(HangUp("line too noisy"), words.NOT_UNDERSTOOD, firm=True)
        self.figures.turns += 1
        self._owed = True
        self._protected, self._protected_said = not self._goodbye, False
        self._bounds["protected"] = self._now + BEGIN_MS
        return [*steps, ToModel(realtime.system_text(words.NO_PAUSE)), *self._answer()]

    def _reply_audio(self, event: realtime.AudioDelta) -> list[Step]:
        steps = self._begun_unseen(event.response_id) if event.response_id != self._active else []
        if event.response_id in self._dropped:
            return steps + self._forget(event.item_id)
        if self.figures.first_audio_ms is None:
            self.figures.first_audio_ms = self._now - self._started_at
            steps.append(Measured("first audio", self.figures.first_audio_ms / 1000))
        self._active_spoke, self._active_whole, self._hushes = True, False, 0
        self._bounds.pop("hush", None)
        self.history.sounded(event.item_id, event.size / media_streams.BYTES_PER_MS)
        steps += self._play(event.item_id, event.delta, event.size, answers=True)
        if self._active:
            self._bounds["mute"] = self._now + self.unheard_ms + MUTE_MS
        if self._protected:
            self._bounds["protected"] = self._now + self.unheard_ms + OVERRUN_MS
        elif self._goodbye and (not self._goodbye.firm or self._active_wish.purpose == "farewell"):
            self._bounds["goodbye"] = min(self._now + self.unheard_ms + OVERRUN_MS, self._goodbye.until)
        return steps

    def _play(self, item_id: str, payload: str, size: int, *, answers: bool = False) -> list[Step]:
        """Audio for the caller, and the marks that tell when it was heard."""
        before, after = self._playback.sending(item_id, size, self._ear.phone_ms)
        self._bounds["played"] = self._now + self.unheard_ms + UNPLAYED_MS
        if answers and self._turn_over is not None and not self._answer_mark:
            self._answer_mark = before or after
        steps: list[Step] = [
            ToCaller(media_streams.media(self._stream, payload)), ToCaller(media_streams.mark(self._stream, after))]
        if before is not None:
            steps.insert(0, ToCaller(media_streams.mark(self._stream, before)))
        return steps

    def _play_clip(self, clip: Clip | None) -> list[Step]:
        return self._play(CLIP, clip.payload, clip.size) if clip else []

    def _forget(self, item_id: str) -> list[Step]:
        """An item of which nothing was heard leaves the model's memory: it cannot be cut at 0."""
        if item_id in self._settled:
            return []
        self._settle(item_id)
        self.history.cut(item_id, 0)
        return [ToModel(realtime.delete_item(item_id))]

    def _drop(self, response_id: str) -> None:
        self._dropped = [*self._dropped[-CUTS_REMEMBERED:], response_id]

    def _settle(self, item_id: str) -> None:
        self._settled = [*self._settled[-CUTS_REMEMBERED:], item_id]

    def _barge_in(self) -> list[Step]:
        self._speaking, self._answering = True, False
        self._unwanted = self._requested is not None
        self._turn_over, self._answer_mark, self._prompts = None, "", 0
        if self._goodbye and not self._goodbye.firm:
            self._take_back()
        elif self._goodbye:
            self._goodbye.said = self._goodbye.heard = False
            self._bounds["goodbye"] = self._goodbye.until
        for bound in ("listen", "retry", "answer", "hush", "silence"):
            self._bounds.pop(bound, None)
        if self._plan.most_turn_ms:
            self._bounds.setdefault("turn", self._now + self._plan.most_turn_ms)
        return self._cut_off()

    def _cut_off(self) -> list[Step]:
        """The assistant falls silent; each item is cut at what was heard of it."""
        if self._active:
            self._drop(self._active)
        if self._playback.finished:
            return []
        self.figures.interruptions += 1
        steps: list[Step] = [ToCaller(media_streams.clear(self._stream)), Measured("interruption")]
        self._bounds.pop("played", None)
        for cut in self._playback.interrupt(self._ear.phone_ms):
            if cut.item_id != CLIP:
                steps += self._cut(cut.item_id, cut.heard_ms)
        return steps

    def _cut(self, item_id: str, heard_ms: int) -> list[Step]:
        if self.history.retold(item_id):
            self.history.cut(item_id, heard_ms)
            return [*map(ToModel, self.history.again(item_id))]
        if heard_ms <= 0:
            return self._forget(item_id)
        self._settle(item_id)
        self.history.cut(item_id, heard_ms)
        return [ToModel(realtime.truncate(item_id, heard_ms))]

    # ---- responses

    def _response_created(self, response: realtime.Response) -> list[Step]:
        request = (response.metadata or {}).get("request")
        self._echoes = self._echoes or request is not None
        if self._requested and (request == self._requested if self._echoes else self._unexplained):
            return self._ours_begins(response.id)
        self._begins(response.id)
        self._speaking = False                       # the server answers a turn when it is over
        self._bounds.pop("turn", None)
        self._active_wish, self._answered, self._overtaken = ANSWER, not self._unseen, True
        self._owed = self._owed and not self._answered
        return []

    @property
    def _unexplained(self) -> bool:
        """Whether a new response can only be the one that was asked for: no turn of the caller's waits for one."""
        return self._requested is not None and not self._answering

    def _begins(self, response_id: str) -> None:
        self._active, self._answering = response_id, False
        self._active_spoke = self._active_called = self._active_whole = False
        for bound in ("answer", "silence"):
            self._bounds.pop(bound, None)
        self._bounds["mute"] = self._now + MUTE_MS

    def _ours_begins(self, response_id: str) -> list[Step]:
        self._begins(response_id)
        self._active_wish = self._wanted
        self._settle_request()
        if not self._unwanted:
            return []
        # The caller's speech was under way when this one started, so the server lets it run.
        self._unwanted = False
        self._drop(response_id)
        return [ToModel(realtime.cancel_response(response_id))]

    def _begun_unseen(self, response_id: str) -> list[Step]:
        """A response that is under way, or over, though its beginning was lost."""
        if response_id in (self._active, self._ended, *self._dropped):
            return []
        if self._unexplained:
            return self._ours_begins(response_id)
        return self._response_created(realtime.Response(response_id))

    def _response_done(self, response: realtime.Response) -> list[Step]:
        if not self._active and (self._requested or self._answering):
            self._begun_unseen(response.id)
        if response.id != self._active:
            return []
        self._active, self._ended, wish = None, response.id, self._active_wish
        self._bounds.pop("mute", None)
        if response.status == "completed":
            self._note = words.RESUMED               # what it says has been acted upon
        what = outcome(response, spoke=self._active_spoke, called=self._active_called)
        if what != "answer" and response.id not in self._dropped:
            log.warning("the model did not answer to the end: %s", reason(response))
            if what == "nothing" and wish.purpose != "farewell" and not (self._goodbye and self._goodbye.firm):
                return [Measured("fault", name="response failed"), *self._failed(wish)]
            again = response.status == "failed" or not self._failures        # a filter, or a limit, would strike again
            if what == "half" and again and wish.purpose in ("greeting", "answer") and not self._goodbye:
                return [Measured("fault", name="response broken off"), *self._failed(GO_ON)]
        if self._active_spoke:
            self._failures = 0
        if self._protected and not self._active_called:
            self._protected_said = True
            return self._heard() if self._playback.finished else []
        goodbye = self._goodbye
        if goodbye and not (goodbye.said or self._running) and (goodbye.firm or not self._owed):
            return self._farewell(goodbye, response.id)
        self._expect_filler()
        self._expect_sound()
        self._expect_caller()
        return self._answer()

    @property
    def _busy(self) -> bool:
        """Whether a response is under way or about to be, or the caller has the floor."""
        return bool(self._active or self._requested or self._speaking or self._answering)

    @property
    def _idle(self) -> bool:
        """Whether the next word is the caller's, and all of ours was heard."""
        return not (
            self._busy or self._owed or self._running or self._wishes or self._connecting or "retry" in self._bounds
        ) and self._playback.finished

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}_{self._names}"

    def _item_name(self, kind: str) -> str:
        """One that no other stream of the same call gives, either."""
        return f"{self._name(kind)}_{self._stream[-8:]}"

    def _request(self, wish: Wish) -> ToModel:
        self._requested, self._wanted = self._name(wish.purpose), wish
        self._unwanted = self._overtaken = self._answered = False
        self._bounds["request"] = self._now + REQUEST_MS
        self._bounds.pop("silence", None)
        if self._protected:
            self._bounds["protected"] = self._now + BEGIN_MS
        self._expect_sound()
        return ToModel(realtime.create_response(self._requested, wish.instructions))

    def _settle_request(self) -> None:
        self._requested = None
        self._bounds.pop("request", None)

    def _answer(self) -> list[Step]:
        """The response that is owed, the goodbye, or what is wished for, when the model is free to give it."""
        if not self._model_ready or self._running or self._busy or self._stopping:
            return []
        goodbye = self._goodbye
        if goodbye and not (goodbye.said or goodbye.response_id) and (goodbye.firm or not self._owed):
            self._owed = False
            return [self._request(Wish("farewell", goodbye.words))]
        if self._owed:
            self._owed = False
            return [self._request(ANSWER)]
        return [self._request(self._wishes.pop(0))] if self._wishes else []

    def _say(self, instructions: str) -> list[Step]:
        """The caller is told something as soon as the model is free."""
        self._wishes.append(Wish("notice", instructions))
        return self._answer()

    def _failed(self, wish: Wish) -> list[Step]:
        """A response was not given: it is asked for again, after a pause, or the call is given up."""
        if wish.purpose in ("filler", "notice") or self._speaking:
            steps = self._answer()                   # the one can be spared, the other makes it out of date
            self._expect_caller()
            return steps
        self._failures += 1
        if self._failures > RETRIES:
            return [HangUp("model failed")]
        self._again = wish
        self._bounds["retry"] = self._now + RETRY_MS * self._failures
        self._expect_sound()
        return []

    def _error(self, error: realtime.ErrorDetails) -> list[Step]:
        if error.fatal or error.event_id == realtime.LISTEN:
            log.error("the model refused to go on (%s): %s", error.code or error.type, error.message)
            return [HangUp("model refused")]
        if not error.benign:
            log.warning("the model complained (%s): %s", error.code or error.type, error.message)
        if error.event_id is None and self._answering and (error.back_off or error.code == realtime.ALREADY_ACTIVE):
            self._answering = False                  # it is about the server's own answer to the caller's turn
            self._bounds.pop("answer", None)
            if error.back_off or not self._active:
                return [Measured("fault", name="rate limit"), *self._failed(ANSWER)]
            self._owed = True
        if self._requested is None or not self._is_about_request(error):
            return []
        if not error.benign or not self._active:
            self._settle_request()
            return self._failed(self._wanted)
        self._give_way()
        return []

    def _is_about_request(self, error: realtime.ErrorDetails) -> bool:
        """Where the server never says what an error is about, nothing else explains one like this."""
        if error.event_id is not None:
            return error.event_id == self._requested
        return not (self._echoes or self._answering) and (error.back_off or error.code == realtime.ALREADY_ACTIVE)

    def _give_way(self) -> None:
        """Another response was faster than the one asked for, which follows it unless that one knows as much."""
        self._settle_request()
        self._owed = self._owed or self._wanted.purpose == "answer" and not self._answered
        if self._wanted.purpose == "notice" and not self._unwanted:
            self._wishes.insert(0, self._wanted)

    def _dead(self, reason: str) -> list[Step]:
        """The session does not do what every session does: another one may."""
        log.warning("%s", reason)
        self._failures += 1
        return [HangUp("model failed")] if self._failures > RETRIES else [Reconnect(reason)]

    def _used(self, usage: realtime.Usage | None) -> list[Step]:
        """A response was given: what it has cost."""
        if usage is None:
            return []
        tokens = [Measured("tokens", count, kind) for kind, count in usage.counts().items()]
        return [*tokens, *self._spent(prices.cost(usage, self._plan.prices))]

    def _spent(self, usd: float) -> list[Step]:
        """What the call has cost so far decides how it goes on."""
        self.figures.usd += usd
        steps: list[Step] = [Measured("spent", usd)]
        if not self._plan.most_usd or self.figures.usd < WRAP_UP_PART * self._plan.most_usd:
            return steps
        if self.figures.usd >= self._plan.most_usd:
            return steps + self._leave(HangUp("money used up"), words.TIME_OVER, firm=True)
        if not self._wrapped_up:
            self._wrapped_up = True
            steps.append(ToModel(realtime.system_text(words.WRAP_UP)))
        return steps

    # ---- functions

    def _item_done(self, response_id: str, item: realtime.Item) -> list[Step]:
        if item.type == "message" and item.status == "completed":
            self.history.completed(item.id)
            self._active_whole = True
        if item.type != "function_call" or item.status not in ("completed", "") or not item.call_id:
            return []                                # an interrupted call comes as incomplete, with half its JSON
        self.history.called(item)
        self._active_called = self._active_whole = True
        if self._active:
            self._bounds["mute"] = self._now + self.unheard_ms + MUTE_MS
        if self._protected:
            self._bounds["protected"] = self._now + self.unheard_ms + BEGIN_MS
        if item.name == END_CALL:
            return self._end_call(response_id, item.call_id)
        if item.name == TRANSFER_CALL and self._plan.transfer_targets:
            return self._transfer_call(response_id, item)
        self._running.add(item.call_id)
        self._filled = False
        self._expect_sound()
        return [RunFunction(item.call_id, item.name, item.arguments, self.figures.turns)]

    def function_returned(self, call_id: str, output: dict[str, Any], now: float) -> list[Step]:
        """A function's answer, for the model to speak about."""
        self._now = now
        if output.get("status") in ("confirmed", "recorded") and "meeting_id" in output:
            self._made.append(f"{output.get('message')} (meeting_id {output['meeting_id']})")
        return self._function_returned(call_id, output)

    def _function_returned(self, call_id: str, output: dict[str, Any]) -> list[Step]:
        self._running.discard(call_id)
        if not self._running:
            self._bounds.pop("filler", None)
        self.history.returned(call_id, output)
        self._owed = True
        if self._answering:
            self._bounds.setdefault("answer", self._now + ANSWER_MS)
        if self._goodbye and not self._goodbye.firm:
            self._bounds["goodbye"] = self._now + BEGIN_MS       # first the caller hears what came of it
        return [*self._tell_output(call_id), *self._answer()]

    def _tell_output(self, call_id: str) -> list[Step]:
        if not self._model_ready:
            return []                                # the next session is told all
        self._unseen.add(call_id)
        return [*map(ToModel, self.history.function_output(call_id))]

    # ---- the end, and the transfer to a person

    def _end_call(self, response_id: str, call_id: str) -> list[Step]:
        note = "The call ends when your goodbye was heard, unless the caller speaks."
        goodbye = _Goodbye(HangUp("assistant ended"), words.FAREWELL, response_id)
        return self._agreed(goodbye, call_id, {"status": "ending", "note": note})

    def _transfer_call(self, response_id: str, item: realtime.Item) -> list[Step]:
        target = _target(item.arguments, self._plan.transfer_targets)
        if target is None:
            known = ", ".join(self._plan.transfer_targets)
            return self._function_returned(item.call_id, {"error": f"`to` must be one of: {known}."})
        note = "The caller is connected when your announcement was heard, unless the caller speaks."
        goodbye = _Goodbye(Transfer(target), words.CONNECTING, response_id)
        return self._agreed(goodbye, item.call_id, {"status": "connecting", "note": note})

    def _agreed(self, goodbye: _Goodbye, call_id: str, output: dict[str, Any]) -> list[Step]:
        """The model may leave the caller, unless the caller is speaking."""
        if self._speaking:
            output = {"status": "cancelled", "reason": "The caller is speaking: the call goes on."}
            return self._function_returned(call_id, output)
        if self._goodbye is None or not self._goodbye.firm:
            self._goodbye = goodbye
            self._bounds["goodbye"] = self._now + BEGIN_MS + self.unheard_ms
        self.history.returned(call_id, output)
        return self._tell_output(call_id)

    def _leave(self, then: HangUp | Transfer, instructions: str, *, firm: bool) -> list[Step]:
        """The server wants to leave the caller: a goodbye is asked for as soon as the model is free."""
        if self._goodbye and (self._goodbye.firm or not firm):
            return []
        self._goodbye = _Goodbye(then, instructions, firm=firm, until=self._now + LAST_MS)
        self._bounds["goodbye"] = self._goodbye.until if firm else self._now + BEGIN_MS + self.unheard_ms
        self._owed = False
        self._wishes.clear()
        return self._answer()

    def _take_back(self) -> None:
        """The caller has given a sign: the call goes on."""
        self._goodbye = None
        self._bounds.pop("goodbye", None)

    def _farewell(self, goodbye: _Goodbye, response_id: str) -> list[Step]:
        """A response is done while the call is ending: either it said goodbye, or one that does is asked for."""
        by_model = bool(goodbye.response_id) and (self._active_spoke or response_id != goodbye.response_id)
        if not by_model and (self._active_wish.purpose != "farewell" or response_id in self._dropped):
            goodbye.response_id = ""
            if not goodbye.firm:
                self._bounds["goodbye"] = self._now + BEGIN_MS
            return self._answer()
        goodbye.said = True
        return self._heard() if self._playback.finished else []

    def transfer_failed(self, now: float) -> list[Step]:
        """The caller could not be connected, and is still here."""
        self._now = now
        self._connecting = False
        self._owed = True
        item_id = self._item_name("note")
        self.history.noted(item_id, words.TRANSFER_FAILED, "system")
        note = [ToModel(realtime.system_text(words.TRANSFER_FAILED, item_id))] if self._model_ready else []
        return [*note, *self._answer()]

    def stopping(self, reason: str, now: float) -> list[Step]:
        """The server stops: the caller hears a recorded goodbye, and nothing else any more."""
        self._now = now
        if not self._stream or self._stopping:
            return [] if self._stopping else [HangUp(reason)]
        clip = self._plan.clips.get("goodbye")
        steps = [*self._cut_off(), *self._play_clip(clip)]
        self._stopping, self._protected = True, False
        self._bounds.clear()
        self._goodbye = _Goodbye(HangUp(reason), "", firm=True, said=True)
        self._bounds["goodbye"] = now + self.unheard_ms + OVERRUN_MS
        return [step for step in steps if not isinstance(step, ToModel)]

    # ---- the keypad

    def _pressed(self, key: str) -> list[Step]:
        if self._stopping:
            return []
        self._bounds.pop("silence", None)
        self._prompts = 0
        if self._goodbye and isinstance(self._goodbye.then, HangUp) and not self._goodbye.firm:
            self._take_back()
        if not self._digits and key and key == self._plan.operator_key and self._plan.transfer_targets:
            return self._operator()
        if key != "#":
            self._digits = (self._digits + key)[:MOST_DIGITS]
            self._bounds["digits"] = self._now + DIGITS_MS
            return []
        return self._typed()

    def _typed(self) -> list[Step]:
        """The caller has typed something: it counts as a turn."""
        digits, self._digits = self._digits, ""
        self._bounds.pop("digits", None)
        if not digits:
            self._expect_caller()
            return []
        self.figures.turns += 1
        self._owed = True
        item_id, text = self._item_name("keys"), words.pressed(digits)
        self.history.noted(item_id, text)
        if not self._model_ready:
            return []
        return [ToModel(realtime.user_text(text, item_id)), *self._answer()]

    def _operator(self) -> list[Step]:
        """The caller wants a person, whatever the assistant is saying."""
        steps = self._cut_off()
        self._unwanted = self._requested is not None
        if self._active:
            steps.append(ToModel(realtime.cancel_response(self._active)))
        return steps + self._leave(Transfer(self._plan.transfer_targets[0]), words.CONNECTING, firm=False)

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
            case "protected":
                log.warning("what the assistant says was not heard to its end in time: the caller is listened to")
                return self._listen()
            case "listen":
                return self._dead("the model does not say that it listens to the caller")
            case "goodbye":
                return self._part()
            case "request":
                if self._overtaken:
                    self._give_way()
                    return self._answer()
                return self._dead("the model did not begin to answer in time")
            case "played":
                log.warning("the phone does not say that it has played what it was sent: it is taken for heard")
                self._playback.assume_heard()
                return self._heard()
            case "turn":
                return self._end_turn()
            case "mute":
                return self._assume_done()
            case "retry":
                return self._retry()
            case "answer":
                self._answering, self._owed = False, True
                return self._answer()
            case "filler":
                return self._fill()
            case "hush":
                return self._break_silence()
            case "digits":
                return self._typed()
            case "silence":
                return self._ask_silent_caller()
            case "warning":
                return self._say(words.ONE_MINUTE)
            case "time":
                return self._leave(HangUp("time used up"), words.TIME_OVER, firm=True)

    def _assume_done(self) -> list[Step]:
        """A response brings nothing more: it is over, though its end was lost, or it is stuck."""
        if not self._active or not self._active_whole:
            return self._dead("the model answers with nothing")
        log.warning("the model does not say that its answer is over: it is taken for over")
        cancel = ToModel(realtime.cancel_response(self._active))
        return [cancel, *self._response_done(realtime.Response(self._active, "completed"))]

    def _part(self) -> list[Step]:
        """The goodbye was heard, or is not waited for any more. A transfer may take a while."""
        goodbye, self._goodbye = self._goodbye, None
        if goodbye and isinstance(goodbye.then, Transfer):
            self._connecting = True
            self._expect_sound()
        return [goodbye.then] if goodbye else []

    def _retry(self) -> list[Step]:
        if self._busy:
            return []                                # another response has taken its place
        if self._again.purpose == "answer":
            self._owed = False
        note = [ToModel(realtime.system_text(self._again.note))] if self._again.note else []
        return [*note, self._request(self._again)]

    def _expect_filler(self) -> None:
        """The caller hears nothing, and a function is still running."""
        if self._running and not self._filled and not self._active and self._playback.finished:
            self._bounds["filler"] = self._now + FILLER_MS

    def _fill(self) -> list[Step]:
        if not self._running or self._busy or not self._model_ready:
            return []
        self._filled = True
        return [self._request(Wish("filler", words.FILLER))]

    @property
    def _awaited(self) -> bool:
        """Whether the caller waits for a word of ours, and hears none."""
        if self._speaking or self._stopping or not self._playback.finished or not self._stream:
            return False
        return not self._model_ready or not self._idle

    def _expect_sound(self) -> None:
        if self._plan.clips and self._awaited:
            soon = HUSH_AGAIN_MS if self._hushes else HUSH_MS if self._model_ready else HUSH_LOST_MS
            self._bounds["hush"] = min(self._bounds.get("hush", float("inf")), self._now + soon)

    def _break_silence(self) -> list[Step]:
        if not self._awaited:
            return []
        if self._hushes >= MOST_HUSHES and self._model_ready and not self._running and not self._connecting:
            self._hushes = 0
            return self._dead("the model leaves the caller waiting")
        name: ClipName = "still_here" if self._hushes % 2 else "moment"
        self._hushes += 1
        return self._play_clip(self._plan.clips.get(name))

    def _expect_caller(self) -> None:
        """All was heard, and it is the caller's turn to speak."""
        if self._plan.silence_prompt_ms and self.quiet:
            self._bounds["silence"] = self._now + self._plan.silence_prompt_ms

    def _ask_silent_caller(self) -> list[Step]:
        if not self.quiet:
            return []
        self._prompts += 1
        if self._prompts == 1:
            return self._say(words.STILL_THERE)
        return self._leave(HangUp("caller silent"), words.NOBODY_THERE, firm=False)


class _TransferArguments(msgspec.Struct):
    to: str = ""


def _target(arguments: str, known: tuple[str, ...]) -> str | None:
    """Whom the model wants to connect the caller with; the only one there is needs no name."""
    try:
        to = msgspec.json.decode(arguments or "{}", type=_TransferArguments).to
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    if not to and len(known) == 1:
        return known[0]
    return to if to in known else None
