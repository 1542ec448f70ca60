"""How long to wait before the next attempt to reach the model, and when to give up.

Pure. A caller is waiting: the first pauses are short. They double, for a server in trouble must not be asked all the
time, and differ by a jitter, so that the calls that lost it together do not come back together.
"""

#: After so long without a session the call is given up, seconds.
GIVE_UP_S = 15.0
#: The first pause and the longest, seconds.
FIRST_S = 0.2
LONGEST_S = 4.0
#: Jitter takes up to this part of a pause away.
JITTER = 0.25


def pause(attempt: int, jitter: float) -> float:
    """How long to wait after so many failed attempts, 1 at least, seconds; `jitter` is random from 0 to 1."""
    doublings = min(max(attempt, 1) - 1, 10)        # 10: beyond the longest, within a float
    return min(FIRST_S * 2.0 ** doublings, LONGEST_S) * (1 - JITTER * jitter)
