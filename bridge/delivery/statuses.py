"""What a receiver's status means: it has taken the news, says no, is set up wrongly, or may take it later.

Pure. A no is the business's own decision about this meeting, so it must be said on purpose. 409 Conflict, 410 Gone and
422 Unprocessable Content are: no gateway, proxy or platform answers so by itself before anything was looked at, but for
410, which some send for a workflow that was removed. 400 Bad Request is what frameworks say to a body that they cannot
read, and what platforms say whose queue is full, so it is a no only beside words for the caller (`message_to_caller`).

Every other client error, and a redirect, speaks of the address and of who may use it: a wrong path, a missing password,
an account that is not paid, a workflow that is switched off. The owner can mend that, and the meeting must outlive it.

https://www.rfc-editor.org/rfc/rfc9110#section-15
"""

from typing import Literal

Meaning = Literal["taken", "no", "misconfigured", "passing"]

#: What only who has looked at the meeting answers.
NO = frozenset({409, 410, 422})
#: Bad Request: a no beside words for the caller.
NO_WITH_WORDS = frozenset({400})
#: The client errors that may pass: Request Timeout, Too Early, Too Many Requests.
PASSING = frozenset({408, 425, 429})

_ADVICE = {
    400: "it could not read the request, or has no room for it; a no needs 409 or 422, or message_to_caller beside it",
    401: "it lets nobody in without credentials; check WEBHOOK_SECRET, and what the address asks for",
    402: "its account is to be paid, or its plan is used up",
    403: "it does not let us in; check WEBHOOK_SECRET, and what the address asks for",
    404: "there is nothing at this address; check WEBHOOK_URL, and that the workflow behind it is switched on",
    405: "there is nothing that takes a POST; check WEBHOOK_URL, and the method of what stands behind it",
    410: "where nobody has answered so on purpose, the workflow behind WEBHOOK_URL was removed",
    413: "it takes smaller bodies only; raise its limit to 64 kB",
}


def meaning(status: int | None, words: str = "") -> Meaning:
    """What follows from a status, None for no answer; `words` are the answer's own for the caller."""
    if status is None:
        return "passing"
    if 200 <= status < 300:
        return "taken"
    if status in NO or status in NO_WITH_WORDS and words:
        return "no"
    return "misconfigured" if 300 <= status < 500 and status not in PASSING else "passing"


def advice(status: int) -> str:
    """What the owner is to mend, or to know, as the end of a sentence; "" where there is nothing to say."""
    if 300 <= status < 400:
        return "redirects are not followed, WEBHOOK_URL must be the final address"
    if status in _ADVICE:
        return _ADVICE[status]
    return "check WEBHOOK_URL and what stands behind it" if meaning(status) == "misconfigured" else ""
