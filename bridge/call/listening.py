"""From when on the caller is listened to. Pure; times are ms.

1. What is protected cannot be interrupted: the session does not look for the caller's turns until it was heard. That is
   the greeting, if the owner wants so, and the answer to a turn that had no end, or the noise would cut it.
2. Where that does not begin within BEGIN_MS, or plays `overrun_ms` longer than its audio, the caller is listened to.
3. The server confirms within CONFIRM_MS that it listens; else the session is of no use.
"""

from bridge.call.bounds import BEGIN_MS, Bounds
from bridge.call.timing import Timing

CONFIRM_MS = 5_000


class Listening:
    """Owns the bounds "protected" and "listen"."""

    __slots__ = ("greeted", "protected", "said", "on", "_overrun_ms", "_protected", "_listen")

    def __init__(self, bounds: Bounds, timing: Timing, *, greeted: bool) -> None:
        self.greeted = greeted                       # the assistant has spoken, or was asked to
        self.protected = False                       # what is protected was not heard to its end
        self.said = False                            # ... and its response is complete
        self.on = False                              # the session finds the caller's turns
        self._overrun_ms = timing.overrun_ms
        self._protected, self._listen = bounds.own("protected"), bounds.own("listen")

    def greet(self, *, protected: bool) -> None:
        """The assistant is about to greet."""
        self.greeted, self.protected, self.said = True, protected, False

    def stop(self, now: float, *, protected: bool) -> None:
        """The session is told not to look for turns; `protected`: until the next answer was heard."""
        self.on, self.protected, self.said = False, protected, False
        self._protected.set(now + BEGIN_MS)

    def asked(self, now: float) -> None:
        """A response was asked for."""
        if self.protected:
            self._protected.set(now + BEGIN_MS)

    def sounded(self, now: float, unheard_ms: float) -> None:
        """Some of it was sent."""
        if self.protected:
            self._protected.set(now + unheard_ms + self._overrun_ms)

    def acted(self, now: float, unheard_ms: float) -> None:
        """It has called a function, and goes on when that has returned."""
        if self.protected:
            self._protected.set(now + unheard_ms + BEGIN_MS)

    def start(self, now: float) -> None:
        """What was protected is over: the session is told to look for turns."""
        self.protected, self.on = False, True
        self._protected.clear()
        self._listen.set(now + CONFIRM_MS)

    def confirmed(self) -> None:
        """The server listens: it has said so, or it has heard the caller."""
        self._listen.clear()

    def forget_session(self) -> None:
        self.protected = False
        self._protected.clear()
        self._listen.clear()
