"""How the call begins: the assistant greets, and from when on the caller is heard. Pure; times are ms.

1. A protected greeting cannot be interrupted: until it was heard the session does not look for the caller's turns.
2. Where it does not begin within BEGIN_MS, or plays OVERRUN_MS longer than its audio, the line is opened.
3. The server confirms within CONFIRM_MS that it listens; else the session is of no use.
"""

from bridge.call.bounds import Bounds

#: How long a greeting or a goodbye may take to begin, ms.
BEGIN_MS = 10_000
#: How much longer than its audio a greeting or a goodbye may play, ms.
OVERRUN_MS = 3_000
CONFIRM_MS = 5_000


class Opening:
    """Owns the bounds "greeting" and "listen"."""

    __slots__ = ("done", "protected", "complete", "listening", "_greeting", "_listen")

    def __init__(self, bounds: Bounds, *, done: bool) -> None:
        self.done = done                             # the assistant has spoken, or was asked to
        self.protected = False                       # a protected greeting was not heard to its end
        self.complete = False                        # ... and its response is done
        self.listening = False                       # the session finds the caller's turns
        self._greeting, self._listen = bounds.own("greeting"), bounds.own("listen")

    def begin(self, *, protected: bool) -> None:
        """The assistant is about to greet."""
        self.done, self.protected, self.complete = True, protected, False

    def asked(self, now: float) -> None:
        """The greeting was asked for."""
        if self.protected:
            self._greeting.set(now + BEGIN_MS)

    def sounded(self, now: float, unheard_ms: float) -> None:
        """Some of it was sent."""
        if self.protected:
            self._greeting.set(now + unheard_ms + OVERRUN_MS)

    def listen(self, now: float) -> None:
        """A protected greeting is over: the session is told to listen."""
        self.protected, self.listening = False, True
        self._greeting.clear()
        self._listen.set(now + CONFIRM_MS)

    def confirmed(self) -> None:
        """The server listens."""
        self._listen.clear()

    def forget_session(self) -> None:
        self.protected = False
        self._greeting.clear()
        self._listen.clear()
