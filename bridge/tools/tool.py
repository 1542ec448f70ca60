"""One function that the model may call: how it is declared, described, run, and what its answer means for the call.

Pure. Everything about a function stands in its `Tool`, or its `Immediate`. Nobody else knows its name.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class CallContext:
    """What is known when a session is set up: the present moment (aware), and whether the caller hides the number."""

    now: datetime
    number_hidden: bool = False


@dataclass(frozen=True, slots=True)
class OnBehalfOf:
    """The call that something is done for, as it is now; `turn` counts what the caller has said."""

    call_sid: str
    phone_number: str
    turn: int

    @property
    def caller(self) -> str:
        """Whose meetings these are: a caller who hides the number owns those of this call."""
        return self.phone_number or self.call_sid


# ---- what comes of it

@dataclass(frozen=True, slots=True)
class EndCall:
    """The call ends once a goodbye was heard."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """The caller is put through to one of TRANSFER_NUMBER, by its name, once that was announced."""

    target: str


@dataclass(frozen=True, slots=True)
class Output:
    """What a function answers: JSON for the model, and what it means for the call.

    `then`: how the call goes on; None: with the model's words about the answer. A caller who speaks stays.
    `note`: a sentence of what was done, for a model's session that takes the place of this one. It ends without a stop.
    `consent`: what the caller has said to being recorded. None: nothing.
    """

    answer: dict[str, Any]
    then: EndCall | HandOver | None = None
    note: str = ""
    consent: bool | None = None


# ---- how it is declared

@dataclass(frozen=True, slots=True)
class Declaration:
    """What a function does, and the JSON schema of its arguments, in words for the model."""

    description: str
    parameters: dict[str, Any]

    def named(self, name: str) -> dict[str, Any]:
        """In the Realtime API's flat shape: session.update, `tools`."""
        return {"type": "function", "name": name, "description": self.description, "parameters": self.parameters}


def declaration(description: str, required: Collection[str], /, **properties: str) -> Declaration:
    """Of a function whose arguments are all text and no others; `properties` are their names and meanings."""
    return Declaration(description, {
        "type": "object",
        "properties": {each: {"type": "string", "description": meaning} for each, meaning in properties.items()},
        "required": [*required],
        "additionalProperties": False,
    })


# ---- the function

def _nothing(context: CallContext) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offered:
    name: str
    declare: Callable[[CallContext], Declaration]
    #: What the session's instructions say of it; "": its declaration says enough.
    prompt: Callable[[CallContext], str] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool(_Offered):
    """A function that runs beside the conversation, while the caller waits.

    `run` is given the arguments as the model wrote them: they may be no JSON at all. What it raises is answered for it.
    `promises`: what it has done holds, whatever follows. It is never cut off, and bounds each of its waits itself.
    """

    run: Callable[[str, OnBehalfOf], Awaitable[Output]]
    promises: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Immediate(_Offered):
    """A function that only decides: it is pure, and is answered in the turn in which the model calls it."""

    decide: Callable[[str], Output]


#: Makes the tools of one call.
Kit = Callable[[], Iterable[Tool | Immediate]]
