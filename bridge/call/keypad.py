"""The keys of the caller's telephone. Pure; times are ms.

1. Keys that are pressed within DIGITS_MS of each other belong together; `#` ends them.
2. Of one number MOST_DIGITS keys count.
"""

from bridge.call.bounds import Bounds

DIGITS_MS = 2_000
MOST_DIGITS = 64


class Keypad:
    """Owns the bound "digits": when it is due, `typed` has the keys."""

    __slots__ = ("digits", "_due")

    def __init__(self, bounds: Bounds) -> None:
        self.digits = ""                             # what was pressed so far
        self._due = bounds.own("digits")

    def press(self, key: str, now: float) -> bool:
        """Whether this key ends what is typed."""
        if key == "#":
            return True
        self.digits = (self.digits + key)[:MOST_DIGITS]
        self._due.set(now + DIGITS_MS)
        return False

    def typed(self) -> str:
        """The keys that belong together; there are none from here on."""
        digits, self.digits = self.digits, ""
        self._due.clear()
        return digits
