"""What a webhook's HTTP answer means: it has taken the news, says no, is set up wrongly, or may take it later.

Pure. A no is the business's own decision about this meeting, so it must be said on purpose. 409 Conflict, 410 Gone and
422 Unprocessable Content are said on purpose: no gateway, proxy or platform gives them by itself before anything has
looked at the meeting. The exception is 410, which some platforms give for a workflow that was removed. Frameworks
answer 400 Bad Request to a body that they cannot read, and some platforms when their queue is full. So 400 is a no only
with words for the caller (`message_to_caller`).

A redirect and every other client error are about the address and its access: a wrong path, a missing password, an
unpaid account, a workflow that is switched off. The owner can mend that, and the meeting must outlive it. A redirect is
never followed, because it could lead a meeting to anybody.

Source: RFC 9110, https://www.rfc-editor.org/rfc/rfc9110: section 15 for statuses, 10.2.3 for Retry-After, 5.6.7 for its
dates.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from bridge.delivery.answer import Answer, Meaning

#: The statuses that are a no.
NO = frozenset({409, 410, 422})
#: The statuses that are a no if the answer has words for the caller.
NO_WITH_WORDS = frozenset({400})
#: The client errors that may pass by themselves: Request Timeout, Too Early, Too Many Requests.
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
    """What an HTTP answer means. `words` are the answer's words for the caller. `now` is seconds since 1970."""
    meant = meaning(status, words)
    problem = "" if meant == "taken" else f"answered with status {status}"
    return Answer(
        meant, words if meant in ("taken", "no") else "",
        f"{problem}: {advice(status)}" if meant == "set-up" else problem, advice(status) if meant == "no" else "",
        retry_after(headers.get("Retry-After", ""), now))


def meaning(status: int, words: str = "") -> Meaning:
    """What a status means. `words` are the answer's words for the caller."""
    if 200 <= status < 300:
        return "taken"
    if status in NO or status in NO_WITH_WORDS and words:
        return "no"
    return "set-up" if 300 <= status < 500 and status not in PASSING else "later"


def advice(status: int) -> str:
    """What the owner should mend, or know, about a status, as the end of a sentence. "": nothing."""
    if 300 <= status < 400:
        return "redirects are not followed, WEBHOOK_URL must be the final address"
    if status in _ADVICE:
        return _ADVICE[status]
    return "check WEBHOOK_URL and what stands behind it" if meaning(status) == "set-up" else ""


def retry_after(text: str, now: float) -> float:
    """How long a Retry-After header asks to wait (s), by a number or a date. 0: it cannot be read."""
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
