"""The events of a call that others than its two sides want to know, and how they are told.

Pure. Each call has one stream of events, from `Connected` to `Closed`. The log, the metrics, the day's money and
admission listen to it. A new listener is added to the application's `Audience`.

1. A listener is a plain function that must not wait, because the call waits for it.
2. A listener that fails harms neither the call nor the other listeners.
3. Frames and deltas are no events. Every event here happens a few times in a turn at most.
4. A function that still runs when the call ends goes on. So its `FunctionReturned` may come after `Closed`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from bridge.folding import Folded
from bridge.records.endings import Ending
from bridge.twilio_side.caller import Caller

if TYPE_CHECKING:
    from bridge.call.tape import Tape

log = logging.getLogger(__name__)

#: Whose an item of the conversation is.
Speaker = Literal["caller", "assistant"]


@dataclass(slots=True)
class Figures:
    """The figures of a call, for its closing line in the log."""

    turns: int = 0
    interruptions: int = 0
    reconnects: int = 0
    usd: float = 0.0
    first_audio_ms: float | None = None      # from the stream's start to the first audio sent to the caller


# ---- the call

@dataclass(frozen=True, slots=True)
class Connected:
    """A phone's stream is connected. Its call is not known yet."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream has named its call, and was let in."""

    call_sid: str
    caller: Caller
    called: str = ""             # the number that was called
    stream_sid: str = ""


@dataclass(frozen=True, slots=True)
class Transferred:
    """Twilio has transferred the call to a person. `target` is the person's name in TRANSFER_NUMBER."""

    target: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something went wrong. It is counted by its `kind`. The kinds are few, and our own words."""

    kind: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The call is over, and both sockets are closed. `call_sid` is None if the stream was never let in."""

    call_sid: str | None
    ending: Ending
    seconds: float               # since it was connected
    figures: Figures


# ---- its recording

@dataclass(frozen=True, slots=True)
class Consented:
    """The caller has said whether the call may be recorded. The last answer counts."""

    agreed: bool


@dataclass(frozen=True, slots=True)
class RecordingStarts:
    """From now on the call is recorded. Whoever writes it down takes it from the tape."""

    tape: "Tape"


@dataclass(frozen=True, slots=True)
class RecordingLost:
    """The recording cannot go on. `kept`: what was recorded until now is there."""

    kept: bool


# ---- the conversation

@dataclass(frozen=True, slots=True)
class FirstAudio:
    """The first audio has gone out to the caller."""

    seconds: float               # since the stream's start


@dataclass(frozen=True, slots=True)
class Answered:
    """The caller begins to hear the answer to a turn. All three figures begin with the caller's last word."""

    seconds: float               # until the answer's first sound
    first_sound_s: float         # until the first sound of any kind: a filler, a recorded sentence, or the answer
    silence_s: float             # the longest silence meanwhile


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The caller has interrupted the assistant."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The model's server has given an item its place in the conversation. What is said in it is told by other events.
    """

    item_id: str
    by: Speaker
    after: str | None            # the item before it; None: the server does not say


@dataclass(frozen=True, slots=True)
class CallerSpeaks:
    """The caller begins to speak. What is said will become this item."""

    item_id: str


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """The caller's words as the model transcribed them. They come late, often after the answer has begun."""

    words: str
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class CallerUnclear:
    """What the caller has said could not be written down, and nobody will do it later."""

    item_id: str
    reason: str                  # "" where the server gives none


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """The caller has typed keys that belong together."""

    keys: str


@dataclass(frozen=True, slots=True)
class AssistantSpeaks:
    """The first sound of an utterance has gone out to the caller. `purpose`: what it was asked for."""

    item_id: str
    purpose: str                 # greeting, answer, filler, notice, farewell


@dataclass(frozen=True, slots=True)
class AssistantWrote:
    """All the words of an utterance, heard or not. They may come before or after the caller has heard them."""

    item_id: str
    words: str


@dataclass(frozen=True, slots=True)
class AssistantSaid:
    """The words that the caller has heard of one utterance of the assistant: all of them, or up to an interruption."""

    words: str
    item_id: str = ""
    heard_ms: int = 0
    sent_ms: int = 0             # more than `heard_ms`: it was cut


@dataclass(frozen=True, slots=True)
class AssistantUnheard:
    """One of the assistant's utterances was cut before the caller has heard a word of it."""

    item_id: str
    heard_ms: int
    sent_ms: int


@dataclass(frozen=True, slots=True)
class ClipPlayed:
    """A recorded sentence has gone out to the caller: its name, one of `ClipName`."""

    name: str


# ---- the model and its functions

@dataclass(frozen=True, slots=True)
class TokensUsed:
    """The tokens that a response was billed for."""

    counts: Mapping[tuple[str, str], int]    # by direction (input, cached, output) and kind (text, audio)


@dataclass(frozen=True, slots=True)
class Spent:
    """The call has cost `usd` more."""

    usd: float


@dataclass(frozen=True, slots=True)
class SessionReplaced:
    """A session of the model was lost, and another one has taken its place."""

    seconds: float               # from the loss to the next session


@dataclass(frozen=True, slots=True)
class FunctionCalled:
    """The model has called a function. Name and arguments are as the model wrote them, unchecked."""

    name: str
    arguments: str
    call_id: str = ""            # the model's id of this one


@dataclass(frozen=True, slots=True)
class FunctionAnswered:
    """The conversation goes on with what a function has answered, whoever has run it."""

    call_id: str
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionReturned:
    """A function of ours has run, for the figures. It may do so after the call."""

    name: str
    status: str                  # the output's own "status", "ok" without one, "error"
    seconds: float


Event = (
    Connected | Opened | Transferred | Fault | Closed | Consented | RecordingStarts | RecordingLost | FirstAudio
    | Answered | Interrupted | Placed | CallerSpeaks | CallerSaid | CallerUnclear | KeysPressed | AssistantSpeaks
    | AssistantWrote | AssistantSaid | AssistantUnheard | ClipPlayed | TokensUsed | Spent | SessionReplaced
    | FunctionCalled | FunctionAnswered | FunctionReturned)

Listener = Callable[[Event], None]


class Audience:
    """All listeners to calls, in the order in which they are told. An application has one for all its calls."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = [*listeners]
        self._make: list[Callable[[], Listener]] = []
        self._failures = Folded()

    def add(self, listener: Listener) -> None:
        """From now on this listener is told every event too, after the others."""
        self._listeners.append(listener)

    def add_for_each_call(self, make: Callable[[], Listener]) -> None:
        """From now on each new call has a listener of its own, which is told nothing of other calls."""
        self._make.append(make)

    def of_a_call(self) -> Listener:
        """Tells everybody of one call: those who listen to all calls, and those that are made for this one."""
        own = [make() for make in self._make]
        return partial(self._tell_all, [*self._listeners, *own]) if own else self.tell

    def tell(self, event: Event) -> None:
        """Tells those who listen to all calls. The failure of one is a line in the log: the first of a kind, the tenth.
        """
        self._tell_all(self._listeners, event)

    def _tell_all(self, listeners: Iterable[Listener], event: Event) -> None:
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                self._log_failure(listener, event)

    def _log_failure(self, listener: Listener, event: Event) -> None:
        name, what = getattr(listener, "__qualname__", "a listener"), type(event).__name__
        if times := self._failures.worth_a_line(f"{name} {what}"):
            log.exception("%(listener)s failed to take %(event)s of a call, %(times)d times so far",
                          {"listener": name, "event": what, "times": times})
