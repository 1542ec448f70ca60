"""The end of the server, as everything that takes part in it knows it: what stage it is at, and how long is left."""

import math
import time


class Stopping:
    """`draining`: new calls go elsewhere, those under way go on. `ending`: those are ended too."""

    def __init__(self) -> None:
        self.draining = False
        self.ending = False
        #: When everything must be over, by time.monotonic().
        self.deadline = math.inf

    def left(self, seconds: float, *, then: float = 0.0) -> float:
        """How much of `seconds` there is, when `then` so many must be left for others."""
        return max(min(seconds, self.deadline - time.monotonic() - then), 0.0)
