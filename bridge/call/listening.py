"""When the session listens to the caller.

Pure. Times are ms.

1. Protected speech cannot be interrupted: the session does not look for the caller's turns until that was heard.
   Two kinds are protected: the greeting, if the owner wants so, and the answer to a turn without an end, which the
   noise would cut.
2. If protected speech does not begin within BEGIN_MS, or plays overrun_ms longer than its audio, the session listens.
3. The server must confirm within CONFIRM_MS that it listens. Otherwise the session is of no use.
"""

from bridge.call.bounds import BEGIN_MS, Bounds
from bridge.call.timing import Timing

CONFIRM_MS = 5_000


class Listening:
    """Owns the bounds "protected" and "listen"."""

    __slots__ = ("greeted", "protected", "said", "on", "_overrun_ms", "_protected", "_listen")

    def __init__(self, bounds: Bounds, timing: Timing, *, greeted: bool) -> None:
        self.greeted = greeted                       # the assistant has spoken, or was asked to greet
        self.protected = False                       # protected speech is wanted, or not yet heard to its end
        self.said = False                            # the response with the protected speech is complete
        self.on = False                              # the session finds the caller's turns
        self._overrun_ms = timing.overrun_ms
        self._protected, self._listen = bounds.own("protected"), bounds.own("listen")

    def greet(self, *, protected: bool) -> None:
        """The assistant is about to greet."""
        self.greeted, self.protected, self.said = True, protected, False

    def stop(self, now: float, *, protected: bool) -> None:
        """The session is told not to look for turns. `protected`: until the next answer was heard."""
        self.on, self.protected, self.said = False, protected, False
        self._protected.set(now + BEGIN_MS)

    def asked(self, now: float) -> None:
        """A response was asked for."""
        if self.protected:
            self._protected.set(now + BEGIN_MS)

    def sounded(self, now: float, unheard_ms: float) -> None:
        """Audio was sent."""
        if self.protected:
            self._protected.set(now + unheard_ms + self._overrun_ms)

    def acted(self, now: float, unheard_ms: float) -> None:
        """The response has called a function. The assistant goes on once that has returned."""
        if self.protected:
            self._protected.set(now + unheard_ms + BEGIN_MS)

    def start(self, now: float) -> None:
        """The protected speech is over: the session is told to look for turns."""
        self.protected, self.on = False, True
        self._protected.clear()
        self._listen.set(now + CONFIRM_MS)

    def confirmed(self) -> None:
        """The server listens: it has said so, or has heard the caller."""
        self._listen.clear()

    def forget_session(self) -> None:
        self.protected = False
        self._protected.clear()
        self._listen.clear()
