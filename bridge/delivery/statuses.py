"""What a webhook's HTTP answer means: it has taken the news, says no, is set up wrongly, or may take it later.

Pure. A no is the business's own decision about this meeting, so it must be said on purpose. 409 Conflict, 410 Gone and
422 Unprocessable Content are: no gateway, proxy or platform answers so by itself before anything was looked at, but for
410, which some send for a workflow that was removed. 400 Bad Request is what frameworks say to a body that they cannot
read, and what platforms say whose queue is full, so it is a no only beside words for the caller (`message_to_caller`).

Every other client error, and a redirect, speaks of the address and of who may use it: a wrong path, a missing password,
an account that is not paid, a workflow that is switched off. The owner can mend that, and the meeting must outlive it.
A redirect is never followed, since it could lead a meeting to anybody.

RFC 9110, https://www.rfc-editor.org/rfc/rfc9110: section 15 for statuses, 10.2.3 for Retry-After, 5.6.7 for its dates.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from bridge.delivery.answer import Answer, Meaning

#: What only who has looked at the meeting answers.
NO = frozenset({409, 410, 422})
#: Bad Request: a no beside words for the caller.
NO_WITH_WORDS = frozenset({400})
#: The client errors that may pass: Request Timeout, Too Early, Too Many Requests.
PASSING = frozenset({408, 425, 429})
#: The three shapes of an HTTP date, the usual one first.
_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")

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


def answered(status: int, headers: Mapping[str, str], words: str, now: float) -> Answer:
    """What an HTTP answer means; `words` are its own for the caller, `now` is seconds since the epoch."""
    meant = meaning(status, words)
    problem = "" if meant == "taken" else f"answered with status {status}"
    return Answer(
        meant, words if meant in ("taken", "no") else "",
        f"{problem}: {advice(status)}" if meant == "set-up" else problem, advice(status) if meant == "no" else "",
        retry_after(headers.get("Retry-After", ""), now))


def meaning(status: int, words: str = "") -> Meaning:
    """What a status means; `words` are the answer's own for the caller."""
    if 200 <= status < 300:
        return "taken"
    if status in NO or status in NO_WITH_WORDS and words:
        return "no"
    return "set-up" if 300 <= status < 500 and status not in PASSING else "later"


def advice(status: int) -> str:
    """What the owner is to mend, or to know, as the end of a sentence; "" where there is nothing to say."""
    if 300 <= status < 400:
        return "redirects are not followed, WEBHOOK_URL must be the final address"
    if status in _ADVICE:
        return _ADVICE[status]
    return "check WEBHOOK_URL and what stands behind it" if meaning(status) == "set-up" else ""


def retry_after(text: str, now: float) -> float:
    """The seconds from now that a Retry-After asks for, a number or a date; 0 for one that cannot be read."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    moment = _http_date(text)
    return 0.0 if moment is None else max(moment - now, 0.0)


def _http_date(text: str) -> float | None:
    for shape in _DATES:
        try:
            return datetime.strptime(text, shape).replace(tzinfo=UTC).timestamp()
        except (ValueError, OverflowError):
            continue
    return None
