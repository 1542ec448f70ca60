"""What a response that is over was worth to the caller.

Pure.
Source: https://developers.openai.com/api/docs/guides/realtime-conversations, `response.done`
"""

from typing import Literal

from bridge.openai_side import realtime

#: "answer": the caller has an answer, or a function will lead to one. "half": the response broke off in mid-sentence.
#: "nothing": it brought no sound.
Outcome = Literal["answer", "half", "nothing"]

_BROKEN_OFF = ("incomplete", "failed", "cancelled")


def outcome(response: realtime.Response, *, spoke: bool, called: bool) -> Outcome:
    """The outcome of a response that the caller did not cut. `spoke`: it brought sound. `called`: it called a function.

    A completed response that is empty, or text only, is "nothing" to a caller.
    """
    if called:
        return "answer"
    if not spoke:
        return "nothing"
    return "half" if response.status in _BROKEN_OFF else "answer"


def reason(response: realtime.Response) -> str:
    """Why a response was not an answer, for the log: its status and the server's reason."""
    details = response.status_details or realtime.StatusDetails()
    error = details.error or realtime.ErrorDetails()
    cause = error.code or error.type or details.reason or "no reason given"
    return f"{response.status or 'no status'}, {cause}"
