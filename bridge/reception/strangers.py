"""Strangers: connections that have not proved to be Twilio's. How many there may be, and how long each may take.

Pure. Moments are seconds of any clock. Twilio proves itself by the signature of its first request, within milliseconds,
and is let in. Other connections belong to monitors, browsers, or attackers who hold connections to keep others out.

1. No connection is refused because there are many, or strangers could lock Twilio out. Instead the oldest stranger is
   closed. A connection that is about to be let in is always among the newest.
2. An address may hold MOST_OF_ADDRESS connections. A private address is a proxy's, and everybody comes through it, so
   it has no limit of its own. An idle connection costs a few kB. Closing it costs a millisecond of CPU, because the
   peer reconnects.
3. A first request must be answered within FIRST_S. After an answer a connection may rest as long as the server lets it.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from bridge.addresses import is_public, network

#: The most strangers' connections in all, and from one address.
MOST, MOST_OF_ADDRESS = 1000, 50
#: How long a connection may go without an answer to its first request (s).
FIRST_S = 10.0

Connection = TypeVar("Connection", bound=Hashable)


class Door(Generic[Connection]):
    """The strangers' connections. It forgets a connection that was let in, or is gone."""

    def __init__(self) -> None:
        self._place: dict[Connection, str] = {}              # the address of each connection, the oldest first
        self._waiting: dict[Connection, float] = {}          # when each unanswered connection came
        self._at_place: Counter[str] = Counter()             # connections by address

    def __len__(self) -> int:
        return len(self._place)

    def came(self, connection: Connection, address: str, now: float) -> Connection | None:
        """A new connection. Returns an older one to close in its favour, which is forgotten already, or None."""
        place = _place(address)
        self._place[connection] = place
        self._waiting[connection] = now
        self._at_place[place] += 1
        first = None
        if place and self._at_place[place] > MOST_OF_ADDRESS:
            first = next(each for each, at in self._place.items() if at == place)
        elif len(self._place) > MOST:
            first = next(iter(self._place))
        if first is not None:
            self.forget(first)
        return first

    def answered(self, connection: Connection) -> None:
        """The connection got an answer, whoever it is."""
        self._waiting.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """The connection is Twilio's and was let in, or is gone."""
        self._waiting.pop(connection, None)
        place = self._place.pop(connection, None)
        if place is not None:
            self._at_place[place] -= 1
            if not self._at_place[place]:
                del self._at_place[place]

    def overdue(self, now: float) -> Connection | None:
        """Forgets and returns the connection that has waited longest, if it has waited for FIRST_S. Else None."""
        for connection, since in self._waiting.items():
            if now - since < FIRST_S:
                break
            self.forget(connection)
            return connection
        return None


def _place(address: str) -> str:
    """The network that counts as one address. "": a proxy of ours may stand there, on this machine or its network.

    A Unix socket has no address at all.
    """
    return network(address) if is_public(address) else ""
