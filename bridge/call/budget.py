"""How long a call may last, and how much it may cost.

Pure. Times are ms, money is USD.

1. The caller is told WARNING_MS before the time is over, if the call may last longer than that.
2. At WRAP_UP_PART of the money the model is told, once, to finish. The call ends when all of it is spent.
"""

from typing import Literal

from bridge.call.bounds import Bounds

WARNING_MS = 60_000
WRAP_UP_PART = 0.8


class Budget:
    """Owns the bounds "warning" and "time". A limit of 0 means no limit."""

    __slots__ = ("usd", "wrapped_up", "_most_ms", "_most_usd", "_warning", "_time")

    def __init__(self, bounds: Bounds, most_ms: float, most_usd: float) -> None:
        self.usd = 0.0                               # spent so far
        self.wrapped_up = False                      # the model was told to finish
        self._most_ms, self._most_usd = most_ms, most_usd
        self._warning, self._time = bounds.own("warning"), bounds.own("time")

    def begin(self, now: float) -> None:
        """The call has begun: the time runs from now."""
        if self._most_ms:
            self._time.set(now + self._most_ms)
            if self._most_ms > WARNING_MS:
                self._warning.set(now + self._most_ms - WARNING_MS)

    def charge(self, usd: float) -> Literal["goes on", "wrap up", "used up"]:
        """Adds `usd` to what was spent, and says how the call goes on. "wrap up" comes once."""
        self.usd += usd
        if not self._most_usd or self.usd < WRAP_UP_PART * self._most_usd:
            return "goes on"
        if self.usd >= self._most_usd:
            return "used up"
        if self.wrapped_up:
            return "goes on"
        self.wrapped_up = True
        return "wrap up"
