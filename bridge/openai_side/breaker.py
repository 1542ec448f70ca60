"""Whether the model can be had at all, judged by every attempt to connect, whichever call makes it.

Pure: `now` is seconds on any monotonic clock. After FAILURES failed attempts in a row the breaker is open: a caller
who comes now is not let into a call that would fail, but gets the fallback at once. While it is open somebody is to
try at `probe_at` (probing.py does); each failure then puts the next trial further off. One success closes it,
whoever had it. A refusal counts as any other failure: with a wrong key nobody can be answered either.
"""

import logging

log = logging.getLogger(__name__)

#: So many failures in a row open it.
FAILURES = 3
#: The pause before the first trial, and the longest, seconds; it doubles in between.
FIRST_S = 5.0
LONGEST_S = 60.0


class Breaker:
    """The application's one judgement of the model."""

    def __init__(self) -> None:
        self._failures = 0                           # in a row
        self._pause_s = FIRST_S
        self._probe_at: float | None = None

    @property
    def open(self) -> bool:
        """Whether the model is known to be out of reach."""
        return self._probe_at is not None

    @property
    def probe_at(self) -> float | None:
        """When to try whether it is back; None while it is not known to be away."""
        return self._probe_at

    def failed(self, now: float) -> None:
        """An attempt to get a session has failed."""
        self._failures += 1
        if self._probe_at is None:
            if self._failures >= FAILURES:
                log.error("the model was out of reach %d times in a row: callers get the fallback until it is back",
                          self._failures)
                self._probe_at, self._pause_s = now + FIRST_S, FIRST_S
        elif now >= self._probe_at:                  # before, it is a call's attempt, and says nothing new
            self._pause_s = min(2 * self._pause_s, LONGEST_S)
            self._probe_at = now + self._pause_s

    def succeeded(self) -> None:
        """A session was had."""
        if self._probe_at is not None:
            log.warning("the model can be reached again")
        self._failures, self._probe_at = 0, None
