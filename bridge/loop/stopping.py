"""The end of the server: its stage and the time that is left. Every part that takes part in it holds this."""

import math
import time


class Stopping:
    """`draining`: new calls go elsewhere, and calls under way go on. `ending`: those are ended too."""

    def __init__(self) -> None:
        self.draining = False
        self.ending = False
        #: The moment when everything must be over, by time.monotonic().
        self.deadline = math.inf

    def left(self, seconds: float, *, then: float = 0.0) -> float:
        """How much of `seconds` is left if the next one needs `then` seconds. At least 0."""
        return max(min(seconds, self.deadline - time.monotonic() - then), 0.0)
