"""What the caller has said to being recorded: `record_consent`.

1. Only the caller's own words count. Before the caller has spoken, a yes is refused.
2. What follows from a yes or a no is the conversation's (call/turns.py).
"""

import msgspec

from bridge.tools.tool import CallContext, Declaration, Kit, OnBehalfOf, Output, Tool


class _Arguments(msgspec.Struct):
    agreed: bool


def consent() -> Kit:
    """`record_consent`, for calls in which the caller is asked."""
    tools = [Tool(name="record_consent", declare=_declared, prompt=_prompt, run=_run)]
    return lambda: tools


def _declared(context: CallContext) -> Declaration:
    return Declaration(
        "Notes whether the caller agrees that this call is recorded. Call it when the caller has answered that "
        "question, and again if the caller changes the answer.", {
            "type": "object",
            "properties": {"agreed": {
                "type": "boolean",
                "description": "true only for a clear yes. false for a no, and for anything unclear."}},
            "required": ["agreed"], "additionalProperties": False})


def _prompt(context: CallContext) -> str:
    return (
        "Your greeting has asked whether this call may be recorded. When the caller answers that, call record_consent. "
        "Ask a caller who does not answer it once more. Whatever the answer is, help the caller.")


async def _run(arguments: str, call: OnBehalfOf) -> Output:
    try:
        agreed = msgspec.json.decode(arguments or "{}", type=_Arguments).agreed
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return Output({"error": "`agreed` must be true or false."})
    if agreed and not call.turn:
        return Output({"error": "The caller has not answered yet. Ask, and wait for the answer."})
    if agreed:
        note = "The call is recorded from now on. Go on with it."
        return Output({"status": "recording", "note": note}, consent=True)
    return Output({"status": "not recording", "note": "Nothing is recorded. Go on with the call."}, consent=False)
