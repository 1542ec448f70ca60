"""Connections of which nobody knows yet whose they are: how many there may be, and how long each may take.

Pure: moments are seconds of any clock. Twilio shows in its first request that it is Twilio, within milliseconds, and is
let in. Who takes longer is a monitor, a browser, or somebody who wants to keep others out by holding connections.

1. Nobody is refused for the number of others, or strangers could lock Twilio out. In favour of a new connection the
   one that came first is closed: the connection that is about to be let in is always among the last.
2. An address may hold MOST_OF_ADDRESS. A private address is a proxy's, before which everybody stands.
   To let one stand who says little costs some kB; to close it, so that it comes back, a millisecond of computing.
3. A first request has FIRST_S to be answered. After an answer a connection may rest as long as the server lets it.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

from bridge.addresses import is_public, network

MOST, MOST_OF_ADDRESS = 1000, 50
FIRST_S = 10.0

Connection = TypeVar("Connection", bound=Hashable)


class Door(Generic[Connection]):
    """Who stands at the door; those that are let in, and those that left, it forgets."""

    def __init__(self) -> None:
        self._place: dict[Connection, str] = {}              # in the order of coming
        self._waiting: dict[Connection, float] = {}          # since when, of those that were never answered
        self._at_place: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._place)

    def came(self, connection: Connection, address: str, now: float) -> Connection | None:
        """Somebody new; who is to be closed in its favour, and is forgotten already."""
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
        """It got an answer, whoever it is."""
        self._waiting.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """It is Twilio's, and let in; or it is gone."""
        self._waiting.pop(connection, None)
        place = self._place.pop(connection, None)
        if place is not None:
            self._at_place[place] -= 1
            if not self._at_place[place]:
                del self._at_place[place]

    def overdue(self, now: float) -> Connection | None:
        """Who has waited longest for an answer to the first request, if for too long; it is forgotten."""
        for connection, since in self._waiting.items():
            if now - since < FIRST_S:
                break
            self.forget(connection)
            return connection
        return None


def _place(address: str) -> str:
    """What counts as one address; "" where a proxy of ours may stand, on this machine or its network.

    A Unix socket has no address at all.
    """
    return network(address) if is_public(address) else ""
