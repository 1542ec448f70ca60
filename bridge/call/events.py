"""What happens in a call that others than its two sides want to know, and how they are told.

Pure. One stream of events for each call, from `Connected` to `Closed`. Whoever wants to know something of calls
listens to it: the log, the figures, the day's money, what is written down of calls.

1. A listener is a plain function that never waits: the call waits for it.
2. A listener that fails harms neither the call nor the other listeners.
3. Frames and deltas are no events: nothing here happens more often than a few times in a turn.
4. A function that still runs when the call ends goes on, so its `FunctionReturned` may come after `Closed`.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.folding import Folded
from bridge.records.endings import Ending
from bridge.twilio_side.caller import Caller

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Figures:
    """What happened in a call, for its closing line."""

    turns: int = 0
    interruptions: int = 0
    reconnects: int = 0
    usd: float = 0.0
    first_audio_ms: float | None = None      # from the stream's start to the first audio for the caller


# ---- the call

@dataclass(frozen=True, slots=True)
class Connected:
    """A phone's stream is there. Which call it is of is not known yet."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream has said which call it is of, and was let in."""

    call_sid: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class Transferred:
    """Twilio has taken the call to a person, by this name in TRANSFER_NUMBER."""

    target: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something went wrong, of a kind that is counted. The kinds are few, and ours."""

    kind: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The call is over, and both sockets are closed. `call_sid` is None where the stream was never opened."""

    call_sid: str | None
    ending: Ending
    seconds: float               # since it was connected
    figures: Figures


# ---- the conversation

@dataclass(frozen=True, slots=True)
class FirstAudio:
    """The first audio has gone out to the caller."""

    seconds: float               # since the stream's start


@dataclass(frozen=True, slots=True)
class Answered:
    """The caller begins to hear the answer to a turn."""

    seconds: float               # since the caller's last word


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The caller has interrupted the assistant."""


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """What the caller has said, as the model wrote it down: late, often after the answer to it has begun."""

    words: str


@dataclass(frozen=True, slots=True)
class AssistantSaid:
    """What the caller has heard of one of the assistant's utterances: all of it, or the words up to an interruption."""

    words: str


# ---- the model and its functions

@dataclass(frozen=True, slots=True)
class TokensUsed:
    """What a response was billed for."""

    counts: Mapping[tuple[str, str], int]    # by direction (input, cached, output) and kind (text, audio)


@dataclass(frozen=True, slots=True)
class Spent:
    """The call has cost so much more."""

    usd: float


@dataclass(frozen=True, slots=True)
class SessionReplaced:
    """A session of the model was lost, and another one has taken its place."""

    seconds: float               # between the two


@dataclass(frozen=True, slots=True)
class FunctionCalled:
    """The model has called a function, by whatever name, with arguments as it wrote them."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class FunctionReturned:
    """A function of ours has answered."""

    name: str
    status: str                  # that of its output, "ok" where it has none, "error"
    seconds: float


Event = (
    Connected | Opened | Transferred | Fault | Closed | FirstAudio | Answered | Interrupted | CallerSaid | AssistantSaid
    | TokensUsed | Spent | SessionReplaced | FunctionCalled | FunctionReturned)

Listener = Callable[[Event], None]


class Audience:
    """Those who listen to calls, in the order in which they are told. One for all calls of an application."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = [*listeners]
        self._failures = Folded()

    def add(self, listener: Listener) -> None:
        """From now on this one is told everything, too, after the others."""
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        """Tells all of them. The failure of one is a line in the log: the first of a kind, the tenth, the hundredth."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                self._log_failure(listener, event)

    def _log_failure(self, listener: Listener, event: Event) -> None:
        name, what = getattr(listener, "__qualname__", "a listener"), type(event).__name__
        if times := self._failures.worth_a_line(f"{name} {what}"):
            log.exception("%(listener)s failed to take %(event)s of a call, %(times)d times so far",
                          {"listener": name, "event": what, "times": times})
