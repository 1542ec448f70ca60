"""The keys of the caller's telephone.

Pure. Times are ms.

1. Keys pressed within DIGITS_MS of each other belong together. `#` ends them at once.
2. The first MOST_DIGITS keys count. Later ones are dropped.
"""

from bridge.call.bounds import Bounds

DIGITS_MS = 2_000
MOST_DIGITS = 64


class Keypad:
    """Owns the bound "digits". When it is due, `typed` returns the keys."""

    __slots__ = ("digits", "_due")

    def __init__(self, bounds: Bounds) -> None:
        self.digits = ""                             # the keys pressed so far
        self._due = bounds.own("digits")

    def press(self, key: str, now: float) -> bool:
        """Takes a key. True: it was the `#` that ends the input."""
        if key == "#":
            return True
        self.digits = (self.digits + key)[:MOST_DIGITS]
        self._due.set(now + DIGITS_MS)
        return False

    def typed(self) -> str:
        """Returns the keys that belong together, and forgets them."""
        digits, self.digits = self.digits, ""
        self._due.clear()
        return digits
