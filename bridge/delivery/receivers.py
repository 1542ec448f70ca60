"""Who a delivery is handed to: the scheme of its address says which kind of receiver that is.

A new kind, such as an e-mail, an SMS or an entry in a calendar, is a class with `hand_over`, a scheme under which
app.py adds it, and a check of its addresses in the settings. The queue, the order of news, the leases, the retries and
the log are the same for all of them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bridge.delivery.answer import Answer
from bridge.records.deliveries import Delivery

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)


class Receiver(Protocol):
    """Takes what was promised to addresses of one kind."""

    async def hand_over(self, delivery: Delivery) -> Answer:
        """One attempt, which ends by itself within a bound of the receiver's own.

        It may be made again after "taken", if the process dies before that is written down: `delivery.id` is the same
        at every attempt, and tells the owner's end that it has this one already. What goes wrong outside is an Answer;
        an exception is a fault of ours, and counts as "later".
        """
        ...


@dataclass(frozen=True, slots=True)
class ByScheme:
    """Hands a delivery to the receiver that serves its address's scheme, such as "https"."""

    receivers: Mapping[str, Receiver]

    async def hand_over(self, delivery: Delivery) -> Answer:
        """For a scheme that nobody serves, the owner's mistake: it waits, and can be sent to another address.

        The settings refuse such an address at the start. One may wait all the same that other settings promised, or a
        newer version.
        """
        scheme = scheme_of(delivery.url)
        if receiver := self.receivers.get(scheme):
            return await receiver.hand_over(delivery)
        what = f"begins with {scheme}:" if scheme else "has no scheme"
        return Answer("set-up", problem=f"cannot be reached: its address {what}, which nothing here delivers to")


def scheme_of(url: str) -> str:
    """What an address begins with, in lower case, such as "https"; "" for none."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""
