"""Writes down one call as it goes: a listener of its events, and what of them is new since it was last kept.

Pure.

1. The order is that of the conversation. An item that the server places behind another one stands there, whenever its
   words arrive.
2. Of what the assistant says, `text` is all of it and `heard` counts the characters that the caller heard: the same
   words that the model's memory is cut to.
3. What was never said is no turn: noise that became no item is left out, and so is an item of the assistant's of which
   neither a sound nor a word came.
4. A record is bounded. Beyond MOST_TURNS only the figures go on, and one last turn says so. Of what was kept, only the
   newest turns stay in memory: older ones do not change any more.
"""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from bridge.call.consent import Consent
from bridge.call.events import (
    Answered, AssistantSaid, AssistantSpeaks, AssistantUnheard, AssistantWrote, CallerSaid, CallerSpeaks,
    CallerUnclear, ClipPlayed, Closed, Consented, Event, Fault, FirstAudio, FunctionAnswered, FunctionCalled,
    FunctionReturned, Interrupted, KeysPressed, Opened, Placed, RecordingLost, RecordingStarts, SessionReplaced,
    Spent, TokensUsed, Transferred,
)
from bridge.call.tape import file_name
from bridge.records.call_record import By, Call, Kind, Turn

#: Turns of one call. An hour of quick talk has about a thousand.
MOST_TURNS = 2_000
#: Characters of one turn's text, of a function's arguments, and of its answer; and of a reason that is not ours.
MOST_CHARACTERS, MOST_OF_REASON = 8_000, 200
#: Turns that stay in memory once they were kept.
NEWEST = 24


class Record:
    """The record of one call. `now` gives seconds since 1970, `clock` ms that only go forward.

    `consent`: how the caller learns of the recording. `recordings`: where recordings are kept, RECORDINGS.
    """

    def __init__(
        self, now: Callable[[], float], clock: Callable[[], float], consent: Consent | None = None,
        recordings: str = "", **head: Any,
    ) -> None:
        self._now, self._clock, self._head = now, clock, head
        self._consent, self._recordings, self._stream_sid = consent, recordings, ""
        self.call: Call | None = None                # None: it has not said which call it is
        self._opened_at = 0.0
        self._turns: list[Turn] = []                 # in their order
        self._of_item: dict[str, Turn] = {}
        self._of_function: dict[str, Turn] = {}
        self._speaking: Turn | None = None           # the assistant's latest words
        self._answers: list[float] = []              # how long each answer was waited for, ms
        self._real: set[int] = set()                 # the caller's turns that the server has made an item of
        self._dirty: dict[int, Turn] = {}
        self._changed = False
        self._count = 0

    # ---- what is kept of it

    def take(self) -> list[Turn]:
        """The turns that are new or have changed since this was asked. What fails to be kept is given back."""
        taken = [turn for turn in self._dirty.values() if self._is_said(turn)]
        self._dirty = {}
        self._changed = False
        if len(self._turns) > 2 * NEWEST:
            self._forget(self._turns[:-NEWEST])
        return taken

    def take_again(self) -> None:
        """All turns that are still in memory count as new."""
        self.give_back([*self._turns])

    def give_back(self, turns: Sequence[Turn]) -> None:
        """These could not be kept: they are new again."""
        self._dirty = {turn.n: turn for turn in turns} | self._dirty
        self._real.update(turn.n for turn in turns)  # they were taken because they were said
        self._changed = True

    @property
    def changed(self) -> bool:
        """Whether anything is new since it was last taken."""
        return self._changed

    @property
    def new_turns(self) -> int:
        """How many turns `take` gives at most."""
        return len(self._dirty)

    def answered_by(self, who: str) -> None:
        """Who has answered the call in the assistant's place: fallback, or nobody."""
        assert self.call
        self.call.answered_by, self.call.sessions, self._changed = who, 0, True

    # ---- what happens

    def hear(self, event: Event) -> None:
        """A listener of this call, and of no other."""
        if self.call and self._consent:
            self._consent.hear(event, self._at())
            self.call.consent = self._consent.text
        match event:
            case Opened(call_sid, caller, called, stream_sid):
                self._opened_at, self._stream_sid = self._clock(), stream_sid
                self.call = Call(call_sid, self._now(), caller.number, called, **self._head)
                self._changed = True
            case _ if self.call is None:
                return
            case Placed(item_id, by, after):
                turn = self._item(item_id, by)
                if by == "caller" and turn.n <= MOST_TURNS:
                    self._real.add(turn.n)
                    self._mark(turn)
                self._place(turn, after)
            case CallerSpeaks(item_id):
                self._item(item_id, "caller")
            case CallerSaid(words, item_id):
                self._write(self._item(item_id, "caller"), text=words)
            case CallerUnclear(item_id, reason):
                self._write(self._item(item_id, "caller"), data={
                    "unclear": reason[:MOST_OF_REASON] or "not written down"})
            case AssistantSpeaks(item_id, purpose):
                self._speaks(self._item(item_id, "assistant"), purpose)
            case AssistantWrote(item_id, words):
                self._wrote(item_id, words)
            case AssistantSaid(words, item_id, heard_ms, sent_ms):
                self._settle(item_id, words, heard_ms, sent_ms)
            case AssistantUnheard(item_id, heard_ms, sent_ms):
                self._settle(item_id, "", heard_ms, sent_ms)
            case Answered():
                self._answered(event)
            case FunctionCalled(name, arguments, call_id):
                turn = self._add("assistant", "function", text=name, data={"arguments": arguments[:MOST_CHARACTERS]})
                if turn.n <= MOST_TURNS:
                    self._of_function[call_id] = turn
            case FunctionAnswered(call_id, answer):
                self._function_answered(call_id, answer)
            case KeysPressed(keys):
                self._add("caller", "keys", text=keys)
            case ClipPlayed(name):
                self._add("assistant", "filler", text=name, data={"recorded": True})
            case _:
                self._figures(event)

    def _figures(self, event: Event) -> None:
        assert self.call
        match event:
            case FirstAudio(seconds):
                self.call.first_audio_ms = round(seconds * 1000)
            case Interrupted():
                self.call.interruptions += 1
            case TokensUsed(counts):
                for (direction, kind), count in counts.items():
                    if count:
                        name = f"{direction} {kind}"
                        self.call.tokens[name] = self.call.tokens.get(name, 0) + count
            case Spent(usd):
                self.call.usd += usd
            case SessionReplaced(seconds):
                self.call.sessions += 1
                self._add("server", "event", text="new session", data={"seconds": round(seconds, 2)})
            case Fault(kind):
                self._add("server", "event", text=kind)
            case Transferred(target):
                self._add("server", "event", text="transferred", data={"to": target})
            case Consented(agreed):
                self._add("server", "event", text="recording agreed to" if agreed else "recording refused")
                self.call.recording = ""
            case RecordingStarts():
                self.call.recording = f"{self._recordings}/{file_name(self.call.call_sid, self._stream_sid)}"
            case RecordingLost(kept):
                self.call.recording = self.call.recording if kept else ""
                self._add("server", "event", text="recording lost")
            case Closed():
                # Not by `now`: clocks are set back and forth.
                self.call.ended_at = self.call.started_at + self._at() / 1000
                self.call.ending = event.ending.value
                self.call.turns = event.figures.turns
            case FunctionReturned(name, status, seconds):
                self._function_returned(name, status, seconds)
            case _:
                return
        self._changed = True

    # ---- turns

    def _add(self, by: By, kind: Kind, **fields: Any) -> Turn:
        turn = self._next(by, kind, **fields)
        if turn.n < MOST_TURNS:
            self._append(turn)
        elif turn.n == MOST_TURNS:
            self._append(turn)
            turn.by, turn.kind, turn.text = "server", "event", "the rest is not written down"
            return self._next(by, kind, **fields)    # which is not kept
        return turn

    def _next(self, by: By, kind: Kind, **fields: Any) -> Turn:
        self._count += 1
        last = self._turns[-1].position if self._turns else 0.0
        return Turn(self._count, by, kind, self._at(), last + 1, **fields)

    def _append(self, turn: Turn) -> None:
        self._turns.append(turn)
        self._mark(turn)

    def _item(self, item_id: str, by: By) -> Turn:
        """The turn that this item is, which is a new one at its first sign."""
        turn = self._of_item.get(item_id) if item_id else None
        if turn is None:
            turn = self._add(by, "words")
            if turn.n <= MOST_TURNS:
                self._of_item[item_id] = turn
        return turn

    def _place(self, turn: Turn, after: str | None) -> None:
        """It stands behind the item that the server says: no other item is between them."""
        before = self._of_item.get(after or "")
        if before is None or before is turn or turn not in self._turns or before not in self._turns:
            return
        of_items = {each.n for each in self._of_item.values()}
        items = [each for each in self._turns[self._turns.index(before) + 1:] if each.n in of_items]
        if not items or items[0] is turn:
            return
        self._turns.remove(turn)
        index = self._turns.index(items[0])
        turn.position = (self._turns[index - 1].position + items[0].position) / 2
        self._turns.insert(index, turn)
        self._mark(turn)

    def _write(self, turn: Turn, text: str | None = None, data: Mapping[str, Any] | None = None) -> None:
        if text is not None:
            turn.text = text
        if data:
            turn.data = {**turn.data, **data}
        self._mark(turn)

    def _speaks(self, turn: Turn, purpose: str) -> None:
        turn.at_ms = self._at()
        if purpose == "filler":
            turn.kind = "filler"
        else:
            self._speaking = turn
        self._write(turn, data={"purpose": purpose})

    def _wrote(self, item_id: str, words: str) -> None:
        turn = self._of_item.get(item_id)
        if turn and len(words.strip()) > len(turn.text):
            self._write(turn, text=words.strip())
            if turn.heard_ms is not None and not turn.was_cut:
                turn.heard = len(turn.text)

    def _settle(self, item_id: str, words: str, heard_ms: int, sent_ms: int) -> None:
        turn = self._of_item.get(item_id)
        if turn is None:
            return
        if not turn.text.startswith(words):
            turn.text = words
        turn.heard, turn.heard_ms, turn.sent_ms = len(words), heard_ms, sent_ms
        self._mark(turn)

    def _answered(self, event: Answered) -> None:
        assert self.call
        self._answers.append(event.seconds * 1000)
        silence_ms = round(event.silence_s * 1000)
        self.call.answer_p50_ms, self.call.answer_max_ms = round(median(self._answers)), round(max(self._answers))
        self.call.silence_ms = max(self.call.silence_ms or 0, silence_ms)
        if turn := self._speaking:
            turn.first_ms, turn.answer_ms = round(event.first_sound_s * 1000), round(event.seconds * 1000)
            turn.silence_ms = silence_ms
            self._mark(turn)
        self._changed = True

    def _function_answered(self, call_id: str, answer: Mapping[str, Any]) -> None:
        if turn := self._of_function.pop(call_id, None):
            status = answer.get("status", "error" if "error" in answer else "ok")
            self._write(turn, data={"status": status, "answer": _bounded(answer), "answered_ms": self._at()})

    def _function_returned(self, name: str, status: str, seconds: float) -> None:
        """It has run; its answer reaches the conversation a moment later, or never, when the call is over."""
        for turn in self._of_function.values():
            if turn.text == name and "seconds" not in turn.data:
                self._write(turn, data={"status": status, "seconds": round(seconds, 3)})
                return

    def _mark(self, turn: Turn) -> None:
        if turn.n <= MOST_TURNS:
            turn.text = turn.text[:MOST_CHARACTERS]
            turn.heard = None if turn.heard is None else min(turn.heard, len(turn.text))
            self._dirty[turn.n], self._changed = turn, True

    def _is_said(self, turn: Turn) -> bool:
        return turn.kind != "words" or turn.n in self._real or bool(turn.text or turn.sent_ms or turn.data)

    def _forget(self, turns: list[Turn]) -> None:
        gone = {turn.n for turn in turns}
        self._turns = [turn for turn in self._turns if turn.n not in gone]
        self._of_item = {item_id: turn for item_id, turn in self._of_item.items() if turn.n not in gone}
        self._real -= gone

    def _at(self) -> int:
        return round(self._clock() - self._opened_at)


def _bounded(answer: Mapping[str, Any]) -> Any:
    """An answer that is too large to keep is cut as text, and so marked."""
    text = str(answer)
    return dict(answer) if len(text) <= MOST_CHARACTERS else {"cut": text[:MOST_CHARACTERS]}
