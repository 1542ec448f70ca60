"""The receivers of deliveries. The scheme of an address says which kind of receiver takes it.

A new kind, such as an e-mail, an SMS or a calendar entry, needs a class with `hand_over`, a scheme under which app.py
adds it, and a check of its addresses in the settings. The queue, the order of news, the leases, the retries and the log
are the same for all kinds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bridge.delivery.answer import Answer
from bridge.records.deliveries import Delivery

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)


class Receiver(Protocol):
    """Takes deliveries to addresses of one kind."""

    async def hand_over(self, delivery: Delivery) -> Answer:
        """Makes one attempt. It ends by itself, within a bound of the receiver's own.

        An attempt may be repeated after "taken", if the process dies before that is written down. `delivery.id` is the
        same at every attempt, so that the owner's end can recognize it. A problem outside is an Answer. An exception is
        a fault of ours, and counts as "later".
        """
        ...


@dataclass(frozen=True, slots=True)
class ByScheme:
    """Hands a delivery to the receiver for the scheme of its address, such as "https"."""

    receivers: Mapping[str, Receiver]

    async def hand_over(self, delivery: Delivery) -> Answer:
        """Passes the delivery on. If no receiver serves the scheme, the answer is "set-up": the delivery waits.

        The settings refuse such an address at the start. A delivery to one may still wait in the database, from other
        settings or from a newer version. It can be sent to another address.
        """
        scheme = scheme_of(delivery.url)
        if receiver := self.receivers.get(scheme):
            return await receiver.hand_over(delivery)
        what = f"begins with {scheme}:" if scheme else "has no scheme"
        return Answer("set-up", problem=f"cannot be reached: its address {what}, which nothing here delivers to")


def scheme_of(url: str) -> str:
    """The scheme of an address in lower case, such as "https". "": it has none."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""
