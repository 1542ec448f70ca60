"""The conversation: events of the phone and of the model go in, steps come out.

Pure: no socket, no clock. `now` is ms on any monotonic clock. The phone's own time comes with its frames.

1. The line opens when the model's session is ready and the phone has started. Then the assistant greets. Until then,
   and while the session does not listen, the caller's newest audio is kept (`Ear`).
2. When the caller speaks, the server cancels the response under way by itself. The dialogue cuts off the voice. It also
   cancels the goodbye, unless that is forced, and a response that was asked for and has not begun.
3. A session that is lost, or that does not answer, is followed by another one. The new session is told what was said so
   far (`History`), and goes on from there. Meanwhile the caller's newest audio is kept.
4. After every event `_then` checks who waits for whom, so that no wait goes unnoticed.
"""

import logging
from collections.abc import Sequence
from typing import assert_never

from bridge.call import words
from bridge.call.events import (
    Answered, AssistantSaid, AssistantSpeaks, AssistantUnheard, AssistantWrote, CallerSaid, CallerSpeaks, CallerUnclear,
    Event, Fault, FirstAudio, FunctionCalled, KeysPressed, Placed,
)
from bridge.call.floor import Wish
from bridge.call.history import History
from bridge.call.steps import HangUp, RunFunction, Step, Told, ToModel, Transfer
from bridge.call.turns import KEPT_FRAMES, KEPT_FRAMES_GREETING, Turns
from bridge.openai_side import prices, realtime
from bridge.records.endings import Ending
from bridge.tools.tool import Output
from bridge.twilio_side import media_streams

log = logging.getLogger(__name__)


class Dialogue(Turns):
    """One call's conversation. `CallSession` passes it each event and carries out the steps that it returns.

    With a `history` it goes on with the conversation of an earlier stream. `note` tells the model why.
    """

    # ---- the two sides are there

    def started(self, stream_sid: str, now: float) -> list[Step]:
        """The phone's stream has begun."""
        self._now = self._started_at = now
        self._voice.stream = stream_sid
        self._budget.begin(now)
        return self._then([*self._record_from_now(), *(self._line() if self._model == "ready" else [])])

    def followed_by(self, history: History, note: str) -> "Dialogue":
        """A dialogue that goes on with an earlier stream's conversation. It replaces this one, which has not begun."""
        other = Dialogue(self._plan, history, note)
        other._model, other._listening.on = self._model, self._listening.on
        return other

    def model_ready(self, now: float, *, listens: bool) -> list[Step]:
        """The model's session is set up, and its audio format was confirmed: the first one, or one after `model_lost`.

        `listens`: the session was set up to find the caller's turns.
        """
        self._now, self._model = now, "ready"
        self._listening.on = listens
        return self._then(self._line() if self._voice.stream and not self._stopping else [])

    def model_lost(self, now: float) -> list[Step]:
        """The model's session is gone, in the middle of anything that was said or done."""
        self._now, self._model = now, "lost"
        self._floor.lost(leaving=self._leaving.was_wanted_in(self._floor.active))
        self._ear.hold(KEPT_FRAMES)
        self._forget_session()
        if self.history.empty:                       # nothing was said yet: the next session greets
            self._listening.greeted = self._floor.owed = False
        return self._then([])

    def model_renewed(self, now: float) -> list[Step]:
        """Another session takes the place of the one so far, at a moment of silence (`quiet`)."""
        self._now = now
        self._forget_session()
        return self._then([*self._retell(), *self._answer()])

    @property
    def quiet(self) -> bool:
        """Whether nothing is going on: nobody speaks, and nothing is awaited."""
        return self._model == "ready" and self._idle and not (
            self._listening.protected or self._leaving or self._keypad.digits)

    @property
    def carried(self) -> bool:
        """Whether the session does its work: it is heard, hears the caller, waits for a function, or all is quiet."""
        heard = not self._voice.silent and not self._patience.hushes
        return self.quiet or self._floor.speaking or heard or bool(self._errands.running)

    @property
    def answered(self) -> bool:
        """Whether an answer of this session is complete and the caller is still hearing it."""
        return self._unserved

    @property
    def listens(self) -> bool:
        """Whether a session that is set up now is to listen to the caller from its beginning."""
        return self._listening.greeted or not self._plan.protect_greeting

    def _line(self) -> list[Step]:
        return self._resume() if self._listening.greeted else self._greet()

    def _greet(self) -> list[Step]:
        self._listening.greet(protected=self._plan.protect_greeting)
        greet = self._request(Wish("greeting", self._plan.greeting))
        return [greet] if self._listening.protected else [greet, *self._release()]

    def _resume(self) -> list[Step]:
        """A new session is told what was said, hears the caller's kept audio, and answers what is open."""
        self._leaving.forget_session()
        return [*self._retell(), *(self._release() if self._listening.on else self._listen()), *self._answer()]

    def _retell(self) -> list[Step]:
        note = self._note + words.made(self._errands.made)
        if self.history.inaudible:
            note = f"{note} {words.INAUDIBLE}"
        if self._budget.wrapped_up:
            note = f"{note} {words.WRAP_UP}"
        return [*map(ToModel, self.history.replay()), ToModel(realtime.system_text(note))]

    def _forget_session(self) -> None:
        """Drops the state that belongs to one session of the model."""
        self.history.lost()
        self._unserved = False
        for part in (self._listening, self._floor, self._voice, self._errands, self._patience):
            part.forget_session()

    # ---- events of the phone

    def from_caller(self, event: media_streams.Event, now: float) -> list[Step]:
        """The phone has sent an event."""
        self._now = now
        match event:
            case media_streams.Media(media=frame):
                return [ToModel(realtime.append(payload)) for payload in self.hear(frame, now)]
            case media_streams.Mark(mark=mark):
                return self._then(self._mark_back(mark.name))
            case media_streams.Dtmf(dtmf=key):
                return self._then(self._pressed(key.digit))
            case media_streams.Stop():
                return [HangUp(Ending.CALLER_HUNG_UP)]
            case media_streams.Connected() | media_streams.Start():
                return []
        assert_never(event)

    def hear(self, frame: media_streams.MediaBody, now: float) -> Sequence[bytes]:
        """The caller's frame: what the model is to hear now. It changes neither a deadline nor who waits for whom."""
        return self._ear.hear(frame, now) if frame.track == "inbound" else ()

    def frames_missing(self, now: float) -> list[Step]:
        """Silence for the model in place of missing frames. To be called every second or so."""
        self._now = now
        return [ToModel(realtime.append(payload)) for payload in self._ear.missing(now)]

    def _mark_back(self, name: str) -> list[Step]:
        self._voice.mark_back(name)
        steps: list[Step] = []
        if waited := self._latency.mark_back(name, self._now):
            steps.append(Told(Answered(waited.answer_ms / 1000, waited.first_ms / 1000, waited.silence_ms / 1000)))
        if not self._voice.silent:
            return steps
        self._latency.all_heard(self._now)
        return [*steps, *self._all_heard(), *self._served()]

    def _pressed(self, key: str) -> list[Step]:
        if self._stopping:
            return []
        self._patience.caller_gave_a_sign()
        self._leaving.key_pressed()
        if not self._keypad.digits and key and key == self._plan.operator_key and self._plan.operator:
            return self._operator()
        return self._typed() if self._keypad.press(key, self._now) else []

    def _typed(self) -> list[Step]:
        """The keys that the caller has typed count as a turn."""
        digits = self._keypad.typed()
        if not digits:
            return []
        self.figures.turns += 1
        self._floor.owed = True
        return [Told(KeysPressed(digits)), *self._tell("keys", words.pressed(digits), "caller"), *self._answer()]

    def _operator(self) -> list[Step]:
        """The caller wants a person, whatever the assistant is saying."""
        steps = self._cut_off()
        self._floor.unwant()
        if self._floor.active:
            steps.append(ToModel(realtime.cancel_response(self._floor.active)))
        return steps + self._leave(Transfer(self._plan.operator), words.CONNECTING, firm=False)

    # ---- events of the model

    def from_model(self, event: realtime.Event, now: float) -> list[Step]:
        """The model's session in force has sent an event."""
        self._now = now
        if self._stopping:
            return []
        match event:
            case realtime.AudioDelta():
                return self._then(self._reply_audio(event))
            case realtime.TranscriptDelta():
                self.history.said(event.item_id, event.delta)
                return []
            case realtime.SpeechStarted():
                return self._then([Told(CallerSpeaks(event.item_id)), *self._barge_in()])
            case realtime.SpeechStopped():
                return self._then(self._caller_stopped())
            case realtime.ResponseCreated(response=response):
                return self._then(self._response_created(response))
            case realtime.ResponseDone(response=response):
                return self._then([*self._used(response.usage), *self._response_done(response), *self._served()])
            case realtime.OutputItemDone(item=item):
                return self._then(self._item_done(event.response_id, item))
            case realtime.ItemAdded(item=item):
                self._errands.acknowledged(item.call_id)
                return self._added(item, event.previous_item_id)
            case realtime.Transcribed():
                return self._then(self._transcribed(event))
            case realtime.Error(error=error):
                return self._then(self._error(error))
            case realtime.SessionUpdated(session=session):
                return self._session_updated(session)
            case realtime.TranscriptDone():
                return [Told(AssistantWrote(event.item_id, event.transcript))]
            case realtime.TranscriptionFailed(item_id=item_id, error=details):
                return [Told(CallerUnclear(item_id, details.code or details.type or "" if details else ""))]
            case realtime.SessionCreated():
                return []
        assert_never(event)

    def _added(self, item: realtime.Item, after: str | None) -> list[Step]:
        if not self.history.added(item):
            return []
        return [Told(Placed(item.id, "caller" if item.role == "user" else "assistant", after))]

    def _transcribed(self, event: realtime.Transcribed) -> list[Step]:
        steps: list[Step] = []
        self.history.transcribed(event.item_id, event.transcript)
        if said := event.transcript.strip():
            self._floor.caller_was_understood()
            steps.append(Told(CallerSaid(said, event.item_id)))
        if event.usage is not None:
            steps += self._spent(prices.transcription_cost(event.usage, self._plan.prices))
        return steps

    def _session_updated(self, session: realtime.Session) -> list[Step]:
        if session.listens:
            self._listening.confirmed()
        return [HangUp(Ending.WRONG_AUDIO_FORMAT)] if session.speaks_otherwise() else []

    def _barge_in(self) -> list[Step]:
        self._floor.caller_speaks(self._now)
        self._listening.confirmed()
        self._leaving.caller_speaks()
        self._patience.caller_gave_a_sign()
        self._latency.caller_speaks()
        return self._cut_off()

    def _caller_stopped(self) -> list[Step]:
        self.figures.turns += 1
        self._floor.caller_stopped(self._now)
        self._latency.caller_stopped(self._now - self._plan.turn_detection.get("silence_duration_ms", 0))
        return []

    def _end_turn(self) -> list[Step]:
        """The server finds no end of the caller's turn: it is ended here. The answer to it cannot be interrupted."""
        log.warning("the model finds no end of the caller's turn: the turn is ended here")
        answered = self._floor.end_turn()
        self._listening.stop(self._now, protected=answered and not self._leaving)
        self._ear.hold(KEPT_FRAMES_GREETING)
        steps: list[Step] = [
            Told(Fault("endless turn")), ToModel(realtime.commit()), ToModel(realtime.stop_listening())]
        if not answered:
            return steps + self._leave(HangUp(Ending.LINE_TOO_NOISY), words.NOT_UNDERSTOOD, firm=True)
        self.figures.turns += 1
        self._floor.owed = True
        return [*steps, ToModel(realtime.system_text(words.NO_PAUSE)), *self._answer()]

    def _reply_audio(self, event: realtime.AudioDelta) -> list[Step]:
        steps = [] if event.response_id == self._floor.active else self._begun_unseen(event.response_id)
        if self._voice.drops(event.response_id):
            return steps + self._voice.forget(event.item_id)
        if self.figures.first_audio_ms is None:
            self.figures.first_audio_ms = self._now - self._started_at
            steps.append(Told(FirstAudio(self.figures.first_audio_ms / 1000)))
        purpose = self._floor.wish.purpose
        if self.history.sounded(event.item_id, event.size / media_streams.BYTES_PER_MS):
            steps.append(Told(AssistantSpeaks(event.item_id, purpose)))
        audio, mark = self._voice.play(event.item_id, event.delta, event.size, self._now)
        self._latency.sent(mark, answer=purpose != "filler")
        self._patience.sounded()
        unheard_ms = self._voice.unheard_ms
        self._floor.sounded(self._now, unheard_ms)
        if self._listening.protected:
            self._listening.sounded(self._now, unheard_ms)
        else:
            self._leaving.sounded(self._now, unheard_ms, farewell=purpose == "farewell")
        return steps + audio

    def _item_done(self, response_id: str, item: realtime.Item) -> list[Step]:
        if item.type == "message" and item.status == "completed":
            self.history.completed(item.id)
            self._floor.item_complete()
        if item.type != "function_call" or item.status not in ("completed", "") or not item.call_id:
            return []                                # an interrupted function call is incomplete, with half its JSON
        self.history.called(item)
        self._floor.acted(self._now, self._voice.unheard_ms)
        self._listening.acted(self._now, self._voice.unheard_ms)
        called = Told(FunctionCalled(item.name, item.arguments, item.call_id))
        return [called, *self._called(response_id, item)]

    def _called(self, response_id: str, item: realtime.Item) -> list[Step]:
        if decide := self._plan.immediate.get(item.name):
            return self._function_returned(item.call_id, decide(item.arguments), response_id)
        self._errands.begin(item.call_id)
        self._patience.errand_begins()
        return [RunFunction(item.call_id, item.name, item.arguments, self.figures.turns)]

    # ---- events of the server

    def function_returned(self, call_id: str, output: Output, now: float) -> list[Step]:
        """A function has answered. The model speaks about the answer, or the assistant leaves the caller."""
        self._now = now
        return self._then(self._function_returned(call_id, output))

    def transfer_failed(self, now: float) -> list[Step]:
        """The caller could not be connected with a person, and is still on the line."""
        self._now = now
        self._leaving.transfer_failed()
        self._floor.owed = True
        return self._then([*self._tell("note", words.TRANSFER_FAILED, "system"), *self._answer()])

    def money_used_up(self, now: float) -> list[Step]:
        """The day's money is used up, whatever this call has cost: the caller is told so, and hears a goodbye."""
        self._now = now
        if not self._voice.stream or self._stopping:
            return []
        return self._then(self._leave(HangUp(Ending.MONEY_USED_UP), words.TIME_OVER, firm=True))

    def stopping(self, ending: Ending, now: float) -> list[Step]:
        """The server stops: the caller hears a recorded goodbye, and nothing more of the model."""
        self._now = now
        if not self._voice.stream or self._stopping:
            return [] if self._stopping else [HangUp(ending)]
        steps = [*self._cut_off(), *self._play_clip("goodbye")]
        self._stopping, self._listening.protected = True, False
        self._bounds.clear()
        self._leaving.server_stops(ending, now, self._voice.unheard_ms)
        return [step for step in steps if not isinstance(step, ToModel)]

    def over(self) -> list[Event]:
        """The call has ended: what the caller has heard until then, and was not told of yet."""
        self._voice.cut_off()
        self.history.lost()
        return [*self._settled(), *self._recording_lost()]

    # ---- time

    @property
    def deadline(self) -> float | None:
        """When `time_passed` is to be called (ms). None: there is nothing to wait for."""
        return self._bounds.soonest

    def time_passed(self, now: float) -> list[Step]:
        """`deadline` has come: the awaited thing has not happened in time."""
        self._now = now
        return self._then(self._overdue())

    def _overdue(self) -> list[Step]:
        match self._bounds.due(self._now):
            case "protected":
                log.warning("the assistant's protected speech did not end in time: the model listens to the caller")
                return self._listen()
            case "listen":
                return self._dead("the model does not say that it listens to the caller")
            case "goodbye":
                return self._part()
            case "request":
                if self._floor.overtaken:
                    self._floor.give_way()
                    return self._answer()
                return self._dead("the model did not begin to answer in time")
            case "mute":
                return self._response_is_mute()
            case "played":
                log.warning("the phone did not say in time that it has played the audio: the audio counts as heard")
                self._voice.assume_heard()
                return self._all_heard()
            case "turn":
                return self._end_turn()
            case "retry":
                return self._retry()
            case "answer":
                self._floor.answer_is_late()
                return self._answer()
            case "filler":
                self._patience.filled()
                return [self._request(Wish("filler", words.FILLER))]
            case "hush":
                return self._break_silence()
            case "digits":
                return self._typed()
            case "silence":
                return self._ask_silent_caller()
            case "warning":
                return self._say(words.ONE_MINUTE)
            case "time":
                return self._leave(HangUp(Ending.TIME_USED_UP), words.TIME_OVER, firm=True)
        return []

    def _break_silence(self) -> list[Step]:
        given_up: list[Step] = []
        if self._patience.exhausted and self._model == "ready" and not (
                self._errands.running or self._leaving.connecting):
            self._patience.sounded()
            given_up = self._dead("the model leaves the caller waiting")
        return [*self._play_clip(self._patience.hushed()), *given_up]

    def _ask_silent_caller(self) -> list[Step]:
        if self._patience.prompted() == 1:
            return self._say(words.STILL_THERE)
        return self._leave(HangUp(Ending.CALLER_SILENT), words.NOBODY_THERE, firm=False)

    def _then(self, steps: list[Step]) -> list[Step]:
        """Checks who waits for whom, now that something has happened. Tells of words that were heard."""
        all_heard = self._voice.silent
        silent = all_heard and bool(self._voice.stream) and not self._stopping
        timing, model = self._plan.timing, self._model
        hush_ms = (timing.hush_ms if model == "ready" else timing.hush_lost_ms if model == "lost"
                   else timing.hush_first_ms)
        self._patience.look(
            self._now, hush_ms=hush_ms, we_wait=silent and self.quiet,
            caller_waits=silent and not self._floor.speaking and not (self._model == "ready" and self._idle),
            errand_waits=silent and bool(self._errands.running) and self._model == "ready" and not self._floor.taken)
        if all_heard and self.history.unheard:
            steps = [*map(Told, self._settled()), *steps]
        return [*steps, *map(Told, lost)] if (lost := self._recording_lost()) else steps

    def _settled(self) -> list[Event]:
        """What the caller has heard, and not heard, of each utterance that is over."""
        events: list[Event] = []
        for item in self.history.settled():
            heard, played = item.text.strip(), (int(item.sound_ms), int(item.sent_ms))
            if item.unheard:
                events.append(AssistantWrote(item.id, item.text + item.unheard))
            events.append(AssistantSaid(heard, item.id, *played) if heard else AssistantUnheard(item.id, *played))
        return events
