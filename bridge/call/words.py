"""The server's own instructions and notes to the model, about what happens on the line.

The owner's words come first (openai_side/prompt.py).
"""

_ALONE = "in the language of the call, in one short sentence. Say nothing else."

FILLER = f"Tell the caller that you need a moment, {_ALONE}"
FAREWELL = f"Say goodbye to the caller, {_ALONE}"
CONNECTING = f"Tell the caller that you connect them with a person now, {_ALONE}"
STILL_THERE = f"The caller has been silent for a while. Ask whether they are still there, {_ALONE}"
NOBODY_THERE = f"The caller does not answer. Say that you hear nobody, and goodbye, {_ALONE}"
ONE_MINUTE = f"Tell the caller that this call can last for one more minute, {_ALONE}"
TIME_OVER = f"The time for this call is over. Tell the caller so, thank them, and say goodbye, {_ALONE}"

NOT_UNDERSTOOD = (
    "The line is too noisy to understand the caller. Say so, ask them to call again from a quieter place, and say "
    f"goodbye, {_ALONE}")

WRAP_UP = "This call has to end soon: bring what is under way to its end, and begin nothing new."
RESUMED = (
    "The line to you was interrupted for a moment in the middle of this phone call; what is above is what was said so "
    "far, as the caller heard it. Go on where it stopped, in the same language. Do not greet the caller again.")
INAUDIBLE = "What the caller said last was lost with the line: ask them to say it again."
GO_ON = (
    "Your last answer broke off in the middle of a sentence. Go on from there, briefly. Do not repeat what was said, "
    "and do not speak of the interruption.")
NO_PAUSE = (
    "The caller was heard for a long time without a pause: the line may be noisy. Answer briefly what the caller said "
    "last. If nothing could be understood, say so, and ask the caller to say it again from a quieter place.")
TRANSFER_UNANSWERED = (
    "Nobody answered when the caller was connected, and the caller is back with you. Say so, and ask how else you can "
    "help. Do not greet the caller again.")
TRANSFER_FAILED = "The caller could not be connected: tell them so, and ask how else you can help."


def pressed(digits: str) -> str:
    """Tells the model which keys the caller pressed."""
    return f"The caller pressed these keys of the telephone: {' '.join(digits)}"


def made(notes: list[str]) -> str:
    """Tells a new session what functions have done in this call so far. "" if there is nothing to tell."""
    return " Done in this call already: " + "; ".join(notes) + "." if notes else ""
