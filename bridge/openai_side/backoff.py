"""How long to wait before the next attempt to reach the model, and when to give up.

Pure. The first pauses are short, because a caller is waiting. They double, because a server in trouble must not be
asked all the time. A jitter makes them differ, so that calls that lost the model together do not come back together.
"""

#: A call is given up after so long without a session that serves the caller (s).
GIVE_UP_S = 15.0
#: The first pause and the longest (s).
FIRST_S = 0.2
LONGEST_S = 4.0
#: Jitter shortens a pause by up to this part of it.
JITTER = 0.25
#: With less time left than this, no attempt is made (s).
NO_TIME_S = 0.05


def pause(attempt: int, jitter: float) -> float:
    """How long to wait after `attempt` failed attempts, 1 or more (s). `jitter` is random from 0 to 1."""
    doublings = min(max(attempt, 1) - 1, 10)        # ten doublings exceed the longest pause, and still fit a float
    return min(FIRST_S * 2.0 ** doublings, LONGEST_S) * (1 - JITTER * jitter)


class Recovery:
    """A call's way back to a session that serves its caller, over as many attempts and sessions as it takes.

    A session that opens and breaks before it has done anything counts as a failed attempt. Only `served` ends a
    recovery. The first attempt is made at once, and the last one when the time is just up. `now` is seconds on any
    monotonic clock.
    """

    __slots__ = ("_until", "_began", "_give_up_s", "attempts")

    def __init__(self, give_up_s: float = GIVE_UP_S) -> None:
        self._give_up_s = give_up_s
        self._until: float | None = None             # None: nothing is to be recovered
        self._began = 0.0
        self.attempts = 0

    def begin(self, now: float) -> None:
        """There is no session: a recovery begins. Nothing changes if one is under way already."""
        if self._until is None:
            self._began, self._until, self.attempts = now, now + self._give_up_s, 0

    def next_attempt(self, now: float, jitter: float, wait_s: float = 0.0) -> float | None:
        """How long to wait before the next attempt, which is counted (s). None: give up.

        `wait_s`: how long the server has said to wait at least.
        """
        left = self.left_s(now)
        if self.attempts and left < NO_TIME_S or wait_s > left:
            return None
        self.attempts += 1
        grown = pause(self.attempts - 1, jitter) if self.attempts > 1 else 0.0
        return min(max(grown, wait_s), left)

    def left_s(self, now: float) -> float:
        """How much time is left (s)."""
        return 0.0 if self._until is None else max(self._until - now, 0.0)

    def lasted_s(self, now: float) -> float:
        """How long the recovery has lasted (s)."""
        return now - self._began

    def served(self) -> None:
        """A session has done something for the caller: the recovery is over."""
        self._until = None
