"""When a delivery is tried again, and when it is given up.

Pure. A taken delivery is done. A no ends the delivery at once as a dead letter. Everything else is tried again, a
mistake in the set-up too, because the owner can mend that. The pauses are 1, 5 and 25 s, then five times longer each
time, up to four hours. Jitter spreads the later ones, so that a receiver that comes back does not get all deliveries at
once. A failure three days after the beginning is the last.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, "Deliverability and
reliability".
"""

from dataclasses import dataclass

from bridge.delivery.answer import Answer

#: How long a delivery is tried (s).
GIVE_UP_S = 3 * 24 * 3600.0
#: The first pauses, which have no jitter (s). Then the growth of the later ones, and the longest (s).
FIRST_S = (1.0, 5.0, 25.0)
GROWTH = 5.0
LONGEST_S = 4 * 3600.0
#: Jitter makes a pause up to this part of it longer or shorter.
JITTER = 0.25
#: The longest wait that a receiver can ask for (s).
LONGEST_WAIT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has taken it."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """It is tried again at this moment (s since 1970)."""

    at: float


@dataclass(frozen=True, slots=True)
class Dead:
    """It is not tried again by itself. `refused`: the receiver said no. Otherwise the time was up."""

    refused: bool = False


Decision = Delivered | RetryAt | Dead


def decide(answer: Answer, attempts: int, created_at: float, now: float, jitter: float) -> Decision:
    """Decides what follows from an attempt.

    `answer` is the receiver's. `attempts` counts this one too. `created_at` and `now` are seconds since 1970. `jitter`
    is random from 0 to 1.
    """
    match answer.meaning:
        case "taken":
            return Delivered()
        case "no":
            return Dead(refused=True)
    if now >= created_at + GIVE_UP_S:
        return Dead()
    # `wait_s` makes a pause longer and never shorter. Otherwise a receiver that always asks for one second would be
    # tried every second for three days.
    return RetryAt(now + max(pause(attempts, jitter), min(answer.wait_s, LONGEST_WAIT_S)))


def pause(attempts: int, jitter: float) -> float:
    """How long to wait after so many failed attempts (s)."""
    if attempts <= len(FIRST_S):
        return FIRST_S[max(attempts, 1) - 1]
    growing = FIRST_S[-1] * GROWTH ** min(attempts - len(FIRST_S), 10)      # 10 exceeds the longest, fits a float
    return min(growing, LONGEST_S) * (1 + JITTER * (2 * jitter - 1))
