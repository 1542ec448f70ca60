"""What a dialogue is told to begin with, and what it answers with: plain values.

Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.call.events import Event
from bridge.call.timing import Timing
from bridge.openai_side.prices import DEAREST, Prices
from bridge.records.endings import Ending
from bridge.tools.tool import Output

#: The sentences that the server can say by itself, recorded.
ClipName = Literal["moment", "still_here", "goodbye"]


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
class Transfer:
    """The caller is to be connected with one of TRANSFER_NUMBER, by its name; `transfer_failed` if that fails."""

    target: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """The model does not answer any more: its connection is of no use; `model_lost` comes next."""

    reason: str


@dataclass(frozen=True, slots=True)
class Served:
    """The model's session has done something for the caller: an answer was heard to its end."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model serves no call of ours any more, neither this one nor another; `problem` says what to do."""

    problem: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """The call is over."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Told:
    """Something has happened that whoever listens to the call is told."""

    event: Event


Step = ToCaller | ToModel | RunFunction | Transfer | Reconnect | Served | Refusal | HangUp | Told


@dataclass(frozen=True, slots=True)
class Clip:
    """A recorded sentence: base64 of `size` bytes of mu-law."""

    payload: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a call is to go. Times are ms; 0 stands for: never."""

    greeting: str                # the greeting's instructions
    protect_greeting: bool
    turn_detection: dict[str, Any]
    clips: Mapping[ClipName, Clip] = field(default_factory=dict)
    silence_prompt_ms: float = 0.0
    most_turn_ms: float = 0.0    # of a caller's turn of which the server finds no end
    most_ms: float = 0.0
    most_usd: float = 0.0
    prices: Prices = DEAREST
    #: The functions that are answered in the turn in which they are called, by their names. None of them raises.
    immediate: Mapping[str, Callable[[str], Output]] = field(default_factory=dict)
    operator_key: str = ""       # the key that asks for a person
    operator: str = ""           # ... and whom it connects with: a name of TRANSFER_NUMBER
    timing: Timing = Timing()    # how long it waits, and for what
