"""The plan that a dialogue begins with, and the steps that it returns. Plain values.

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

#: The recorded sentences that the server can say by itself.
ClipName = Literal["moment", "still_here", "goodbye"]
#: Whether calls are recorded. "": they are not. "told": from the beginning, and the greeting says so. "asked": once the
#: caller has agreed. The greeting asks.
Record = Literal["", "told", "asked"]


@dataclass(frozen=True, slots=True)
class ToCaller:
    """A message for the phone's socket (media_streams)."""

    message: bytes


@dataclass(frozen=True, slots=True)
class ToModel:
    """An event for the socket of the model's session (realtime)."""

    message: bytes


@dataclass(frozen=True, slots=True)
class RunFunction:
    """Run a function beside the conversation. Its answer goes to `Dialogue.function_returned`."""

    call_id: str
    name: str
    arguments: str
    turn: int                    # how many turns the caller had taken


@dataclass(frozen=True, slots=True)
class Transfer:
    """Connect the caller with a person, by a name in TRANSFER_NUMBER. A failure goes to `Dialogue.transfer_failed`."""

    target: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Replace the model's session, which does not answer any more. `Dialogue.model_lost` comes next."""

    reason: str


@dataclass(frozen=True, slots=True)
class Served:
    """The model's session has done something for the caller: an answer of it was heard to its end."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model serves neither this call nor any other. `problem` says what to do."""

    problem: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class Told:
    """Tell the listeners to the call of an event."""

    event: Event


Step = ToCaller | ToModel | RunFunction | Transfer | Reconnect | Served | Refusal | HangUp | Told


@dataclass(frozen=True, slots=True)
class Clip:
    """A recorded sentence. `payload` is base64 of `size` bytes of mu-law at 8000 Hz."""

    payload: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How calls are to go, made once from the settings (composition.py). Times are ms. 0 means no limit, or never."""

    greeting: str                # the instructions for the greeting
    protect_greeting: bool
    turn_detection: dict[str, Any]
    clips: Mapping[ClipName, Clip] = field(default_factory=dict)
    silence_prompt_ms: float = 0.0
    most_turn_ms: float = 0.0    # a longer turn of the caller is ended by us
    most_ms: float = 0.0
    most_usd: float = 0.0
    prices: Prices = DEAREST
    #: Functions by name that are answered within the turn. They take the arguments as JSON text, and never raise.
    immediate: Mapping[str, Callable[[str], Output]] = field(default_factory=dict)
    operator_key: str = ""       # the key that asks for a person
    operator: str = ""           # ... and whom it connects with: a name of TRANSFER_NUMBER
    record: Record = ""
    timing: Timing = Timing()    # how long it waits, and for what
