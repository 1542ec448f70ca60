"""One function that the model may call: its declaration, its description, its code, and what its answer means.

Pure. Everything about a function stands in its `Tool` or `Immediate`. No other code knows its name.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class CallContext:
    """The facts when a session is set up: the present moment (aware), and whether the caller hides the number."""

    now: datetime
    number_hidden: bool = False


@dataclass(frozen=True, slots=True)
class OnBehalfOf:
    """The call for which a function runs, as it is now.

    `phone_number` is in E.164, or "" if it is hidden. `turn` counts how often the caller has spoken.
    """

    call_sid: str
    phone_number: str
    turn: int

    @property
    def caller(self) -> str:
        """The owner of this call's meetings: the number or, if it is hidden, the call."""
        return self.phone_number or self.call_sid


# ---- the answer

@dataclass(frozen=True, slots=True)
class EndCall:
    """The call ends after the caller has heard a goodbye."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """The caller is put through after an announcement. `target` is a name of TRANSFER_NUMBER."""

    target: str


@dataclass(frozen=True, slots=True)
class Output:
    """A function's answer: `answer` is JSON for the model, the rest is for the call.

    `then`: how the call ends, unless the caller speaks first. None: it goes on, with the model's words about the
    answer. `note`: a sentence about what was done, without a full stop, for a session that replaces this one. "" if
    nothing was.
    `consent`: what the caller has said to being recorded. None: nothing.
    """

    answer: dict[str, Any]
    then: EndCall | HandOver | None = None
    note: str = ""
    consent: bool | None = None


# ---- the declaration

@dataclass(frozen=True, slots=True)
class Declaration:
    """What a function does, in words for the model, and the JSON Schema of its arguments."""

    description: str
    parameters: dict[str, Any]

    def named(self, name: str) -> dict[str, Any]:
        """The declaration in the flat shape of the Realtime API: an entry of `tools` in session.update."""
        return {"type": "function", "name": name, "description": self.description, "parameters": self.parameters}


def declaration(description: str, required: Collection[str], /, **properties: str) -> Declaration:
    """The declaration of a function whose arguments are all text. `properties` are their names and meanings."""
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
    #: The function's paragraph in the session's instructions. "" if its declaration says enough.
    prompt: Callable[[CallContext], str] = _nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool(_Offered):
    """A function that runs beside the conversation, while the caller waits.

    `run` gets the arguments as the model wrote them, which may be no JSON. If it raises, the registry answers for it.
    `promises`: its effect holds, whatever follows. It is never cancelled, and must bound each of its waits itself.
    """

    run: Callable[[str, OnBehalfOf], Awaitable[Output]]
    promises: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Immediate(_Offered):
    """A function that only decides. It is pure, and is answered in the turn in which the model calls it."""

    decide: Callable[[str], Output]


#: Makes the tools of one call. A kit is what a package of functions offers to `Tools`.
Kit = Callable[[], Iterable[Tool | Immediate]]
