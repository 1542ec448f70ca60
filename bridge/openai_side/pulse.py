"""Whether the connection to the model is alive.

Pure. TCP alone does not notice a dead path. Any message from the other end is a sign of life. After a moment without
one a ping asks for it. Mobile and overloaded networks may deliver nothing for two seconds, and the session must survive
that. A caller who speaks into a dead line must not wait much longer either.

Ticks are counted, not seconds, because the other end is not to blame if this process itself was held up.
"""

from typing import Literal

#: The length of a tick (s).
TICK_S = 0.25
#: A ping is sent after so many ticks without a sign of life. One is enough, because TCP loses nothing.
PING_TICKS = 2
#: The connection counts as dead so many ticks after the ping, if no sign came: just above two seconds.
DEAD_TICKS = 9


class Pulse:
    """The pulse of one connection. Its reader sets `heard` for every message, and `busy` while it does not read."""

    __slots__ = ("heard", "busy", "_silent")

    def __init__(self) -> None:
        self.heard = self.busy = False
        self._silent = 0                             # ticks

    def tick(self) -> Literal["lives", "ping", "dead"]:
        """To be called every TICK_S. "ping": send one now. "dead": give the connection up."""
        if self.heard or self.busy:
            self.heard, self._silent = False, 0
            return "lives"
        self._silent += 1
        if self._silent == PING_TICKS:
            return "ping"
        return "dead" if self._silent >= PING_TICKS + DEAD_TICKS else "lives"
