"""The events of a call that others than its two sides want to know, and how they are told.

Pure. Each call has one stream of events, from `Connected` to `Closed`. The log, the metrics, the day's money and
admission listen to it. A new listener is added to the application's `Audience`.

1. A listener is a plain function that must not wait, because the call waits for it.
2. A listener that fails harms neither the call nor the other listeners.
3. Frames and deltas are no events. Every event here happens a few times in a turn at most.
4. A function that still runs when the call ends goes on. So its `FunctionReturned` may come after `Closed`.
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
    """The caller's words as the model transcribed them. They come late, often after the answer has begun."""

    words: str


@dataclass(frozen=True, slots=True)
class AssistantSaid:
    """The words that the caller has heard of one utterance of the assistant: all of them, or up to an interruption."""

    words: str


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


@dataclass(frozen=True, slots=True)
class FunctionReturned:
    """A function of ours has answered."""

    name: str
    status: str                  # the output's own "status", "ok" without one, "error"
    seconds: float


Event = (
    Connected | Opened | Transferred | Fault | Closed | FirstAudio | Answered | Interrupted | CallerSaid | AssistantSaid
    | TokensUsed | Spent | SessionReplaced | FunctionCalled | FunctionReturned)

Listener = Callable[[Event], None]


class Audience:
    """All listeners to calls, in the order in which they are told. An application has one for all its calls."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = [*listeners]
        self._failures = Folded()

    def add(self, listener: Listener) -> None:
        """From now on this listener is told every event too, after the others."""
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        """Tells all listeners. It raises nothing.

        A listener's failure is a line in the log: the first of a kind, the tenth, the hundredth.
        """
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
