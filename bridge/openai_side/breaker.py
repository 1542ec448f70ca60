"""The circuit breaker: judges from the sessions of all calls whether the model can be had at all.

Pure. `now` is seconds on any monotonic clock. The breaker opens after FAILURES failures in a row, or after one refusal
that every call would meet. While it is open, new callers get the fallback at once, instead of a call that would fail.
Three things are failures: a session that could not be had, a session that broke before it did anything for its caller,
and a call that was given up because the model did not answer.

While the breaker is open, the model is to be tried at `probe_at` (probing.py does). Each failure puts the next trial
further off. A trial that succeeds closes the breaker. If it opens again before a caller was served, the next trial is
further off than the last one, because a trial is not a caller. A caller who was served closes the breaker too, unless
it opened for a refusal: that caller may be hearing what the model said before it refused.
"""

import logging

log = logging.getLogger(__name__)

#: So many failures in a row open the breaker.
FAILURES = 3
#: The pause before the first trial, and the longest (s). It doubles in between.
FIRST_S = 5.0
LONGEST_S = 60.0


class Breaker:
    """The application's one judgement of the model. Calls and trials report to it, and webhooks ask it (`open`)."""

    def __init__(self) -> None:
        self._failures = 0                           # in a row
        self._refused = False                        # the breaker opened, or stays open, for a refusal
        self._pause_s = 0.0                          # the last pause before a trial. 0: a caller was served since
        self._probe_at: float | None = None

    @property
    def open(self) -> bool:
        """Whether the model is known to be out of reach."""
        return self._probe_at is not None

    @property
    def probe_at(self) -> float | None:
        """When to try whether the model is back. None while the breaker is closed."""
        return self._probe_at

    def failed(self, now: float, problem: str = "") -> None:
        """A session could not be had, or did nothing for its caller. `problem` says why, for the log."""
        self._failures += 1
        if self._probe_at is not None:
            self._put_off(now)
        elif self._failures >= FAILURES:
            log.error("the model was out of reach %(failures)d times in a row%(problem)s: callers get the fallback "
                      "until it is back", {"failures": self._failures, "problem": problem and f" ({problem})"})
            self._open(now)

    def refused(self, now: float, problem: str) -> None:
        """The model said that it serves no call of ours. `problem` says what to do."""
        self._failures += 1
        self._refused = True
        if self._probe_at is not None:
            self._put_off(now)
        else:
            log.error("the model refuses every call, %(problem)s: callers get the fallback until it is back",
                      {"problem": problem})
            self._open(now)

    def succeeded(self) -> None:
        """A session has done something for a caller."""
        if self._refused and self.open:
            return
        self._close()
        self._pause_s = 0.0

    def tried(self) -> None:
        """A trial has succeeded."""
        self._close()

    def _open(self, now: float) -> None:
        self._pause_s = min(2 * self._pause_s, LONGEST_S) or FIRST_S
        self._probe_at = now + self._pause_s

    def _put_off(self, now: float) -> None:
        if self._probe_at is not None and now >= self._probe_at:     # an earlier failure is a call's, and no news
            self._open(now)

    def _close(self) -> None:
        if self._probe_at is not None:
            log.warning("the model can be reached again")
        self._failures, self._refused, self._probe_at = 0, False, None
