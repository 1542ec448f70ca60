"""A piece of news before it is written down, and the thing that it is about. Plain values."""

from dataclasses import dataclass
from typing import NamedTuple


class About(NamedTuple):
    """The thing that news is about: its kind, such as "meeting" or "message", and its id. No two kinds share an id."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """News for one receiver, to be promised (deliveries.promise). `body` is sent as it is at every attempt.

    `url` is the receiver's address. Its scheme says how the receiver is reached. `lease_s`: for how long the delivery
    belongs to this process, which attempts it at once (s). 0: any process may attempt it.
    """

    id: str
    url: str
    type: str
    body: str
    lease_s: float = 0.0
