"""What a response was, now that it is over.

Pure.
Source: https://developers.openai.com/api/docs/guides/realtime-conversations, `response.done`
"""

from typing import Literal

from bridge.openai_side import realtime

#: The caller has an answer, or a function will give one. Half: it broke off in mid-sentence. Nothing: not a sound.
Outcome = Literal["answer", "half", "nothing"]

_BROKEN_OFF = ("incomplete", "failed", "cancelled")


def outcome(response: realtime.Response, *, spoke: bool, called: bool) -> Outcome:
    """Of a response that the caller did not cut. `spoke`: it brought a sound; `called`: it called a function.

    A response that is completed but empty, or text only, is nothing to a caller.
    """
    if called:
        return "answer"
    if not spoke:
        return "nothing"
    return "half" if response.status in _BROKEN_OFF else "answer"


def reason(response: realtime.Response) -> str:
    """Why it was not an answer, as the log has it: its status and what the server says of it."""
    details = response.status_details or realtime.StatusDetails()
    error = details.error or realtime.ErrorDetails()
    cause = error.code or error.type or details.reason or "no reason given"
    return f"{response.status or 'no status'}, {cause}"
