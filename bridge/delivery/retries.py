"""When a delivery is tried again, and when it is given up.

Pure. A receiver's 2xx ends a delivery well, and its no (statuses.py) ends it at once as a dead letter. Everything else
may pass: no answer, a 5xx, and what is set up wrongly, a redirect too. A redirect is never followed, since it could
lead a meeting to anybody; the owner can mend it, as a wrong path or a missing password, and the delivery waits for
that. The pauses are 1, 5 and 25 s, then five times longer each up to four hours, with jitter so that a receiver that
comes back is not met by everybody at once. A failure three days after the beginning is the last.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, "Deliverability and
reliability"; RFC 9110, 10.2.3 for Retry-After and 5.6.7 for its dates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.delivery.statuses import meaning

#: How long a delivery is tried, seconds.
GIVE_UP_S = 3 * 24 * 3600.0
#: The pauses that are exact, then the growth of those that follow, and the longest of them, seconds.
FIRST_S = (1.0, 5.0, 25.0)
GROWTH = 5.0
LONGEST_S = 4 * 3600.0
#: Jitter moves a pause by this part of it, either way.
JITTER = 0.25
#: How long a receiver can put us off, seconds.
LONGEST_RETRY_AFTER_S = 24 * 3600.0
#: The three shapes of an HTTP date, the usual one first.
_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has taken it."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """It is tried again at this moment, seconds since the epoch."""

    at: float


@dataclass(frozen=True, slots=True)
class Dead:
    """It is not tried again by itself; `refused`: the receiver said no, and this was not given up."""

    refused: bool = False


Decision = Delivered | RetryAt | Dead


def decide(
    status: int | None, headers: Mapping[str, str], attempts: int, created_at: float, now: float, jitter: float,
    words: str = "",
) -> Decision:
    """What follows from an attempt.

    `status` and `headers` are the receiver's, None and empty when it did not answer; `attempts` counts this one too;
    `created_at` and `now` are seconds since the epoch; `jitter` is a random number from 0 to 1; `words` are the
    receiver's own for the caller.
    """
    match meaning(status, words):
        case "taken":
            return Delivered()
        case "no":
            return Dead(refused=True)
    if now >= created_at + GIVE_UP_S:
        return Dead()
    # Retry-After is the earliest that we may come back: it makes a pause longer and never shorter, or a receiver that
    # always says "1" would be asked every second for three days.
    return RetryAt(now + max(pause(attempts, jitter), retry_after(headers.get("Retry-After", ""), now)))


def pause(attempts: int, jitter: float) -> float:
    """How long to wait after so many failed attempts, seconds."""
    if attempts <= len(FIRST_S):
        return FIRST_S[max(attempts, 1) - 1]
    growing = FIRST_S[-1] * GROWTH ** min(attempts - len(FIRST_S), 10)      # 10: beyond the longest, within a float
    return min(growing, LONGEST_S) * (1 + JITTER * (2 * jitter - 1))


def retry_after(text: str, now: float) -> float:
    """The seconds that a Retry-After asks for, a number or a date, a day at most; 0 for one that cannot be read."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER_S)
    moment = _http_date(text)
    return 0.0 if moment is None else min(max(moment - now, 0.0), LONGEST_RETRY_AFTER_S)


def _http_date(text: str) -> float | None:
    for shape in _DATES:
        try:
            return datetime.strptime(text, shape).replace(tzinfo=UTC).timestamp()
        except (ValueError, OverflowError):
            continue
    return None
