"""When a delivery is tried again, and when it is given up.

Pure. What a receiver takes ends well, and its no ends a delivery at once as a dead letter. Everything else is tried
again: what may be taken later, and what is set up wrongly too, since the owner can mend that, and the delivery waits
for it. The pauses are 1, 5 and 25 s, then five times longer each up to four hours, with jitter so that a receiver that
comes back is not met by everybody at once. A failure three days after the beginning is the last.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, "Deliverability and
reliability".
"""

from dataclasses import dataclass

from bridge.delivery.answer import Answer

#: How long a delivery is tried, seconds.
GIVE_UP_S = 3 * 24 * 3600.0
#: The pauses that are exact, then the growth of those that follow, and the longest of them, seconds.
FIRST_S = (1.0, 5.0, 25.0)
GROWTH = 5.0
LONGEST_S = 4 * 3600.0
#: Jitter moves a pause by this part of it, either way.
JITTER = 0.25
#: How long a receiver can put us off, seconds.
LONGEST_WAIT_S = 24 * 3600.0


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


def decide(answer: Answer, attempts: int, created_at: float, now: float, jitter: float) -> Decision:
    """What follows from an attempt.

    `answer` is the receiver's; `attempts` counts this one too; `created_at` and `now` are seconds since the epoch;
    `jitter` is a random number from 0 to 1.
    """
    match answer.meaning:
        case "taken":
            return Delivered()
        case "no":
            return Dead(refused=True)
    if now >= created_at + GIVE_UP_S:
        return Dead()
    # The earliest that we may come back makes a pause longer and never shorter: else a receiver that always says one
    # second would be asked every second for three days.
    return RetryAt(now + max(pause(attempts, jitter), min(answer.wait_s, LONGEST_WAIT_S)))


def pause(attempts: int, jitter: float) -> float:
    """How long to wait after so many failed attempts, seconds."""
    if attempts <= len(FIRST_S):
        return FIRST_S[max(attempts, 1) - 1]
    growing = FIRST_S[-1] * GROWTH ** min(attempts - len(FIRST_S), 10)      # 10: beyond the longest, within a float
    return min(growing, LONGEST_S) * (1 + JITTER * (2 * jitter - 1))
