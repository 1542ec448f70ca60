"""Whether the connection to the model lives.

Pure. TCP alone does not notice a dead path. Whatever comes from the other end is a sign of life; after a moment
without one a ping asks for it. A line may hold everything back for two seconds, as mobile and overloaded networks do,
and the session must not be lost for that; a caller who speaks into a dead line must not wait for much longer either.

Ticks are counted, not seconds: when this process itself was held up, the other end is not to blame.
"""

from typing import Literal

#: How long a tick is, seconds.
TICK_S = 0.25
#: After so many ticks without a sign of life a ping is sent: once, for TCP loses nothing.
PING_TICKS = 2
#: So many ticks after the ping, still without a sign, the connection counts as dead: just above two seconds.
DEAD_TICKS = 9


class Pulse:
    """One connection's. Who reads it sets `heard` for whatever comes, and `busy` while it does not read."""

    __slots__ = ("heard", "busy", "_silent")

    def __init__(self) -> None:
        self.heard = self.busy = False
        self._silent = 0                             # ticks

    def tick(self) -> Literal["lives", "ping", "dead"]:
        """To be called every TICK_S."""
        if self.heard or self.busy:
            self.heard, self._silent = False, 0
            return "lives"
        self._silent += 1
        if self._silent == PING_TICKS:
            return "ping"
        return "dead" if self._silent >= PING_TICKS + DEAD_TICKS else "lives"
