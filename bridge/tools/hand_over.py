"""The functions by which the model leaves the caller: it ends the call, or puts the caller through to a person.

Pure. Both only decide. call/leaving.py carries it out after the last words, unless the caller speaks.
"""

from collections.abc import Collection, Sequence
from functools import partial

import msgspec

from bridge.tools.tool import CallContext, Declaration, EndCall, HandOver, Immediate, Kit, Output, declaration


def hand_over(targets: Collection[str] = ()) -> Kit:
    """`end_call`, and `transfer_call` if there are `targets`. These are the names of TRANSFER_NUMBER."""
    names = tuple(targets)
    tools = [_transfer_call(names), _END_CALL] if names else [_END_CALL]
    return lambda: tools


# ---- the end

_ENDING = Output(
    {"status": "ending", "note": "The call ends when your goodbye was heard, unless the caller speaks."}, EndCall())

_END_CALL = Immediate(
    name="end_call",
    declare=lambda context: declaration(
        "Ends the call, once your goodbye was heard. Say goodbye first.", ["reason"],
        reason="Why the call is over, in a few words."),
    prompt=lambda context: "When the conversation is over, say goodbye and call end_call.",
    decide=lambda arguments: _ENDING,
)


# ---- a person

class _Arguments(msgspec.Struct):
    to: str = ""


def _transfer_call(names: Sequence[str]) -> Immediate:
    return Immediate(name="transfer_call", declare=partial(_declared, names), decide=partial(_transferred, names))


def _declared(names: Sequence[str], context: CallContext) -> Declaration:
    """The argument `to` is declared only if there are several people."""
    choice = {"to": "Whom the caller is to speak with."} if len(names) > 1 else {}
    declared = declaration(
        "Puts the caller through to a person, for a caller who asks for one or whom you cannot help. Say first that "
        "you do so. If nobody answers, the caller comes back to you.",
        [*choice, "reason"], **choice, reason="What the caller wants, in a few words.")
    if choice:
        declared.parameters["properties"]["to"]["enum"] = [*names]
    return declared


def _transferred(names: Sequence[str], arguments: str) -> Output:
    target = _target(names, arguments)
    if target is None:
        return Output({"error": f"`to` must be one of: {', '.join(names)}."})
    note = "The caller is connected when your announcement was heard, unless the caller speaks."
    return Output({"status": "connecting", "note": note}, HandOver(target))


def _target(names: Sequence[str], arguments: str) -> str | None:
    """The target that the model names, or None if there is no such target. A single one needs no name."""
    try:
        to = msgspec.json.decode(arguments or "{}", type=_Arguments).to
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    if not to and len(names) == 1:
        return names[0]
    return to if to in names else None
