"""The parts of a conversation together: what is said next, and what becomes of it.

Pure. The parts are small, each with its own fields, bounds and rules:

- `Listening`: the greeting, and when the session listens to the caller.
- `Floor`: who speaks next, what the model is asked to say, and what happens if it does not.
- `Voice`: the audio for the caller, and its cuts at what was heard.
- `Errands`: functions that run. `Keypad`: keys that belong together.
- `Patience`: what happens when somebody waits in silence. `Latency`: how long the caller waited.
- `Budget`: time and money. `Leaving`: goodbye, the end, and the transfer to a person.
- `Bounds`: the latest moment for each awaited thing. Any event may be lost, and the call goes on at the bound.

No part knows another one. `Turns` connects them where it is about the model's words, and `Dialogue` where it is about
events:

1. A response is asked for when the floor is free and no function runs. `outcome` says what it was worth to the caller.
   A response without sound has failed. A response that breaks off in mid-sentence is continued.
2. A problem that every call would meet, such as a refused key, ends the call at once.
3. A function's output may end the call, or hand the caller over. If the caller speaks at that moment, the call goes on.
"""

import logging
from dataclasses import replace
from typing import Literal

from bridge.call import words
from bridge.call.bounds import Bounds
from bridge.call.budget import Budget
from bridge.call.ear import Ear
from bridge.call.errands import Errands
from bridge.call.events import (
    ClipPlayed, Consented, Event, Fault, Figures, FunctionAnswered, Interrupted, RecordingLost, RecordingStarts, Spent,
    TokensUsed,
)
from bridge.call.floor import ANSWER, GO_ON, Floor, Wish
from bridge.call.history import History
from bridge.call.keypad import Keypad
from bridge.call.latency import Latency
from bridge.call.leaving import Leaving
from bridge.call.listening import Listening
from bridge.call.outcome import outcome, reason
from bridge.call.patience import Patience
from bridge.call.steps import ClipName, HangUp, Plan, Reconnect, Refusal, Served, Step, Told, ToModel, Transfer
from bridge.call.tape import Tape
from bridge.call.voice import Voice
from bridge.folding import Folded
from bridge.openai_side import prices, realtime
from bridge.records.endings import Ending
from bridge.tools.tool import EndCall, HandOver, Output

log = logging.getLogger(__name__)

#: How much of the caller's audio is kept while the model does not listen (frames of 20 ms): 2 s, or 5 s during
#: protected speech.
KEPT_FRAMES = 100
KEPT_FRAMES_GREETING = 250

#: The model gets this answer to a function that wanted to leave a caller who is speaking.
_STAYS = {"status": "cancelled", "reason": "The caller is speaking: the call goes on."}


class Turns:
    """The parts of one call's conversation, and what they do together. `Dialogue` adds the events."""

    def __init__(self, plan: Plan, history: History | None = None, note: str = words.RESUMED) -> None:
        self.figures = Figures()
        self.history = history or History()
        self._plan = plan
        self._note = note                            # tells the next session why it begins
        self._model: Literal["awaited", "ready", "lost"] = "awaited"
        self._stopping = False                       # the model is not heard any more
        self._now = self._started_at = 0.0           # when the present event came, when the stream began (ms)
        self._unserved = False                       # an answer of this session is complete and not wholly heard
        self._complaints = Folded()                  # errors and failed answers of the model, for the log
        self._goes_on = goes_on = history is not None
        protected = plan.protect_greeting and not goes_on
        timing = plan.timing
        self._tape = Tape() if plan.record else None
        self._agreed: bool | None = None             # what the caller has said to being recorded
        self._ear = Ear(KEPT_FRAMES_GREETING if protected else KEPT_FRAMES, timing, self._tape)
        self._bounds = bounds = Bounds()
        self._voice = Voice(bounds, timing, self._ear, self.history, self._tape)
        self._listening = Listening(bounds, timing, greeted=goes_on)
        self._floor = Floor(bounds, timing, owed=goes_on, most_turn_ms=plan.most_turn_ms)
        self._leaving = Leaving(bounds, timing)
        self._patience = Patience(
            bounds, timing, prompt_ms=plan.silence_prompt_ms, has_clips=bool(plan.clips))
        self._budget = Budget(bounds, plan.most_ms, plan.most_usd)
        self._keypad = Keypad(bounds)
        self._errands = Errands()
        self._latency = Latency()

    @property
    def unheard_ms(self) -> int:
        """How much audio the caller still has to hear (ms)."""
        return self._voice.unheard_ms

    @property
    def _idle(self) -> bool:
        """Whether all our words were heard, and the next word is the caller's."""
        return self._voice.silent and not (
            self._floor.taken or self._floor.pending or self._errands.running or self._leaving.connecting)

    # ---- what the caller hears, and whether the caller is heard

    def _cut_off(self) -> list[Step]:
        """The assistant falls silent. Each item is cut at what was heard of it."""
        if self._floor.active:
            self._voice.drop(self._floor.active)
        steps = self._voice.cut_off()
        if steps:
            self.figures.interruptions += 1
            steps.append(Told(Interrupted()))
        return steps

    def _play_clip(self, name: ClipName) -> list[Step]:
        """The caller hears a recorded sentence, where there is one."""
        clip = self._plan.clips.get(name)
        if clip is None:
            return []
        steps, mark = self._voice.play_clip(clip, self._now)
        self._latency.sent(mark, answer=False)
        return [Told(ClipPlayed(name)), *steps]

    def _all_heard(self) -> list[Step]:
        """The caller has heard everything that was sent."""
        if self._listening.protected and self._listening.said:
            return self._listen()
        self._leaving.all_heard(self._now)
        return []

    def _served(self) -> list[Step]:
        """Served, once, if a complete answer of the session was heard to its end."""
        if not self._unserved or not self._voice.silent:
            return []
        self._unserved = False
        return [Served()]

    def _listen(self) -> list[Step]:
        """The protected speech is over: the model listens, first to the caller's kept audio."""
        self._listening.start(self._now)
        return [ToModel(realtime.listen(self._plan.turn_detection)), *self._release(), *self._answer()]

    def _release(self) -> list[Step]:
        """The caller's kept audio, in order. From now on the model hears the caller live."""
        return [ToModel(realtime.append(payload)) for payload in self._ear.release()]

    # ---- what the model is asked to say

    def _request(self, wish: Wish) -> ToModel:
        self._listening.asked(self._now)
        return self._floor.request(wish, self._now)

    def _answer(self) -> list[Step]:
        """Asks for the goodbye, the owed answer or the next notice, if the model is free to give it."""
        if self._model != "ready" or self._errands.running or self._floor.taken or self._stopping:
            return []
        goodbye = self._leaving.words_for(self._floor.owed)
        if goodbye is not None:
            self._floor.owed = False
            return [self._request(Wish("farewell", goodbye))]
        wish = self._floor.next()
        return [self._request(wish)] if wish else []

    def _say(self, instructions: str) -> list[Step]:
        """The caller is told something as soon as the model is free."""
        self._floor.notice(instructions)
        return self._answer()

    def _failed(self, wish: Wish, error: realtime.ErrorDetails | None) -> list[Step]:
        """A response failed: it is spared or repeated, or the call ends."""
        match self._floor.failed(wish, (error and error.wait_s or 0) * 1000, self._now):
            case "spared":
                return self._answer()
            case "again":
                return []
            case "given up":
                return [HangUp(Ending.MODEL_FAILED)]

    def _retry(self) -> list[Step]:
        wish = self._floor.retry()
        if wish is None:
            return []
        note = [ToModel(realtime.system_text(wish.note))] if wish.note else []
        return [*note, self._request(wish)]

    def _dead(self, reason: str) -> list[Step]:
        """The session does not do what every session does. Another one may."""
        log.warning("%s", reason)
        return [HangUp(Ending.MODEL_FAILED)] if self._floor.session_failed() else [Reconnect(reason)]

    def _tell(self, kind: str, text: str, role: Literal["caller", "system"]) -> list[Step]:
        """Tells the model what happened on the line. Without a session, the next one is told with the history."""
        item_id = f"{self._floor.name(kind)}_{self._voice.stream[-8:]}"      # unique among the call's streams
        self.history.noted(item_id, text, role)
        if self._model != "ready":
            return []
        return [ToModel((realtime.user_text if role == "caller" else realtime.system_text)(text, item_id))]

    # ---- what the model says

    def _response_created(self, response: realtime.Response) -> list[Step]:
        if self._floor.is_ours(response):
            return self._ours_begins(response.id)
        self._floor.other_begins(response.id, self._now, all_seen=self._errands.all_seen)
        return []

    def _ours_begins(self, response_id: str) -> list[Step]:
        if not self._floor.ours_begins(response_id, self._now):
            return []
        # The caller was speaking already when this response began, so the server does not cancel it by itself.
        self._voice.drop(response_id)
        return [ToModel(realtime.cancel_response(response_id))]

    def _begun_unseen(self, response_id: str) -> list[Step]:
        """Takes note of a response that is under way, or over, though the event of its beginning was lost."""
        if self._floor.knows(response_id) or self._voice.drops(response_id):
            return []
        if self._floor.waits_for_request:
            return self._ours_begins(response_id)
        return self._response_created(realtime.Response(response_id))

    def _response_done(self, response: realtime.Response) -> list[Step]:
        error = response.status_details.error if response.status_details else None
        if error and error.fatal:
            return self._refused(error)
        if self._floor.awaits_response:
            self._begun_unseen(response.id)
        if response.id != self._floor.active:
            return []
        wish, spoke, called = self._floor.done()
        dropped = self._voice.drops(response.id)
        if response.status == "completed":
            self._note = words.RESUMED               # the model has acted on the earlier note
            self._unserved = spoke
        what = outcome(response, spoke=spoke, called=called)
        if what != "answer" and not dropped:
            self._complain("the model did not answer to the end", error or reason(response))
            if what == "nothing" and wish.purpose != "farewell" and not self._leaving.is_firm:
                return [Told(Fault("response failed")), *self._failed(wish, error)]
            again = response.status == "failed" or not self._floor.has_failed    # a filter, or a limit, strikes again
            if what == "half" and again and wish.purpose in ("greeting", "answer") and not self._leaving:
                return [Told(Fault("response broken off")), *self._failed(GO_ON, error)]
        if spoke:
            self._floor.answered()
        if self._listening.protected and not called:
            self._listening.said = True
            return self._all_heard() if self._voice.silent else []
        if not self._errands.running and self._leaving.is_next(self._floor.owed) and self._leaving.response_done(
                response.id, self._now, spoke=spoke, farewell=wish.purpose == "farewell", dropped=dropped):
            return self._all_heard() if self._voice.silent else []
        return self._answer()

    def _response_is_mute(self) -> list[Step]:
        """A response brings nothing more. It is over and its end was lost, or it is stuck."""
        if not self._floor.only_lacks_end or not self._floor.active:
            return self._dead("the model answers with nothing")
        log.warning("the model did not say that its answer is over: the answer counts as over")
        response = realtime.Response(self._floor.active, "completed")
        return [ToModel(realtime.cancel_response(response.id)), *self._response_done(response)]

    def _error(self, error: realtime.ErrorDetails) -> list[Step]:
        if error.fatal:
            return self._refused(error)
        if error.event_id == realtime.LISTEN:
            log.error("the model refused to listen: %s", error)
            return [HangUp(Ending.MODEL_REFUSED)]
        if not error.benign:
            self._complain("the model complained", error)
        if error.event_id is None and (error.back_off or error.already_active) and self._floor.own_answer_failed():
            # The error is about the server's own answer to the caller's turn.
            if error.back_off or not self._floor.active:
                return [Told(Fault("rate limit")), *self._failed(ANSWER, error)]
            self._floor.owed = True
        wish = self._floor.refused(error)
        if wish is None:
            return []
        if error.benign and self._floor.active:
            self._floor.give_way()
            return []
        self._floor.settle_request()
        return self._failed(wish, error)

    def _refused(self, error: realtime.ErrorDetails) -> list[Step]:
        """Every call would meet this refusal, so this one ends at once."""
        return [Told(Fault("model refused")), Refusal(str(error)), HangUp(Ending.MODEL_REFUSED)]

    def _complain(self, what: str, about: realtime.ErrorDetails | str) -> None:
        """Logs the first of a kind, the tenth, the hundredth. Some servers complain of every frame."""
        kind = about if isinstance(about, str) else about.code or about.type or ""
        if times := self._complaints.worth_a_line(kind):
            often = "" if times == 1 else f", for the {times}th time in this call"
            log.warning("%s%s: %s", what, often, about)

    # ---- what it costs

    def _used(self, usage: realtime.Usage | None) -> list[Step]:
        """A response is over: adds its tokens to the cost."""
        if usage is None:
            return []
        return [Told(TokensUsed(usage.counts())), *self._spent(prices.cost(usage, self._plan.prices))]

    def _spent(self, usd: float) -> list[Step]:
        """The call has cost `usd` more. Its money may be nearly or wholly used up."""
        steps: list[Step] = [Told(Spent(usd))]
        match self._budget.charge(usd):
            case "used up":
                steps += self._leave(HangUp(Ending.MONEY_USED_UP), words.TIME_OVER, firm=True)
            case "wrap up":
                steps.append(ToModel(realtime.system_text(words.WRAP_UP)))
        self.figures.usd = self._budget.usd
        return steps

    # ---- what a function answers

    def _function_returned(self, call_id: str, output: Output, response_id: str = "") -> list[Step]:
        """`response_id`: the response that has called the function, if that was answered at once. Else ""."""
        if output.then and self._floor.speaking:
            output = replace(output, answer=_STAYS, then=None)
        self._errands.returned(call_id, output.note)
        self.history.returned(call_id, output.answer)
        answered: list[Step] = [*self._consented(output.consent), Told(FunctionAnswered(call_id, output.answer))]
        if output.then is None:
            self._floor.output_told(self._now)
            self._leaving.function_returned(self._now)
            return [*answered, *self._tell_output(call_id), *self._answer()]
        self._let_go(output.then, response_id)
        told = [*answered, *self._tell_output(call_id)]
        return told if response_id else [*told, *self._answer()]

    def _tell_output(self, call_id: str) -> list[Step]:
        if self._model != "ready":
            return []                                # the next session is told all outputs
        self._errands.told(call_id)
        return [*map(ToModel, self.history.function_output(call_id))]

    # ---- the recording

    @property
    def private(self) -> bool:
        """Whether nothing of what is said may be kept: the caller has not agreed to it."""
        return self._plan.record == "asked" and not self._agreed

    def _consented(self, agreed: bool | None) -> list[Step]:
        """The caller has said whether the call may be recorded. None: nothing was said of it."""
        if agreed is None or agreed == self._agreed or self._tape is None:
            return []
        self._agreed = agreed
        if agreed:
            return [Told(Consented(True)), *self._record()]
        self._tape.stop()
        return [Told(Consented(False))]

    def _record_from_now(self) -> list[Step]:
        """The stream begins. A conversation that goes on was kept, so its caller has agreed if that was asked."""
        if self._plan.record == "told":
            return self._record()
        return self._consented(True) if self._plan.record == "asked" and self._goes_on else []

    def _record(self) -> list[Step]:
        assert self._tape
        self._tape.start()
        return [Told(RecordingStarts(self._tape))]

    def _recording_lost(self) -> list[Event]:
        """Tells of a recording that was given up, once."""
        if self._tape is None or self._tape.lost is None:
            return []
        kept, self._tape.lost = self._tape.lost, None
        return [RecordingLost(kept)]

    # ---- the end, and the transfer to a person

    def _let_go(self, then: EndCall | HandOver, response_id: str) -> None:
        """The model leaves the caller. Its goodbye comes with this response, or is asked for if there is none ("")."""
        step: HangUp | Transfer
        match then:
            case EndCall():
                step, goodbye = HangUp(Ending.ASSISTANT_ENDED), words.FAREWELL
            case HandOver(target):
                step, goodbye = Transfer(target), words.CONNECTING
        self._leaving.model_wants(step, goodbye, response_id, self._now, self._voice.unheard_ms)

    def _leave(self, then: HangUp | Transfer, goodbye: str, *, firm: bool) -> list[Step]:
        """The server wants to leave the caller. A goodbye is asked for as soon as the model is free."""
        if not self._leaving.server_wants(then, goodbye, self._now, self._voice.unheard_ms, firm=firm):
            return []
        self._floor.leave()
        return self._answer()

    def _part(self) -> list[Step]:
        then = self._leaving.part()
        return [then] if then else []
