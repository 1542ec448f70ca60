"""How long to wait before the next attempt to reach the model, and when to give up.

Pure. A caller is waiting: the first pauses are short. They double, for a server in trouble must not be asked all the
time, and differ by a jitter, so that the calls that lost it together do not come back together.
"""

#: After so long without a session that serves the caller the call is given up, seconds.
GIVE_UP_S = 15.0
#: The first pause and the longest, seconds.
FIRST_S = 0.2
LONGEST_S = 4.0
#: Jitter takes up to this part of a pause away.
JITTER = 0.25
#: With less than this left no attempt is worth the while, seconds.
NO_TIME_S = 0.05


def pause(attempt: int, jitter: float) -> float:
    """How long to wait after so many failed attempts, 1 at least, seconds; `jitter` is random from 0 to 1."""
    doublings = min(max(attempt, 1) - 1, 10)        # 10: beyond the longest, within a float
    return min(FIRST_S * 2.0 ** doublings, LONGEST_S) * (1 - JITTER * jitter)


class Recovery:
    """A call's way back to a session that serves its caller, over as many attempts and sessions as it takes.

    A session that opens and breaks before it has done anything is an attempt like another one that failed: only
    `served` ends a recovery. The first attempt is made at once, and the last one when the time is just up. `now` is
    seconds on any monotonic clock.
    """

    __slots__ = ("_until", "_began", "_give_up_s", "attempts")

    def __init__(self, give_up_s: float = GIVE_UP_S) -> None:
        self._give_up_s = give_up_s
        self._until: float | None = None             # None: nothing is to be recovered
        self._began = 0.0
        self.attempts = 0

    def begin(self, now: float) -> None:
        """There is no session. Nothing changes while the last one's loss is not made good."""
        if self._until is None:
            self._began, self._until, self.attempts = now, now + self._give_up_s, 0

    def next_attempt(self, now: float, jitter: float, wait_s: float = 0.0) -> float | None:
        """In how many seconds to try, counted as an attempt; None: not any more.

        `wait_s`: what the server has said to wait at least.
        """
        left = self.left_s(now)
        if self.attempts and left < NO_TIME_S or wait_s > left:
            return None
        self.attempts += 1
        grown = pause(self.attempts - 1, jitter) if self.attempts > 1 else 0.0
        return min(max(grown, wait_s), left)

    def left_s(self, now: float) -> float:
        """How much time there still is."""
        return 0.0 if self._until is None else max(self._until - now, 0.0)

    def lasted_s(self, now: float) -> float:
        """For how long it has been tried."""
        return now - self._began

    def served(self) -> None:
        """A session has done something for the caller."""
        self._until = None
