"""What a piece of news is about, and the news itself before it is written down. Plain values."""

from dataclasses import dataclass
from typing import NamedTuple


class About(NamedTuple):
    """What news is about: a kind of thing, such as "meeting" or "message", and the id of one. No two kinds share an id.
    """

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """News for one receiver, to be promised; `body` is the finished text, sent as it is at every attempt.

    `url` is the receiver's address. Its scheme says how the receiver is reached. `lease_s`: for so many seconds the
    delivery belongs to the process that promises it, which attempts it at once; 0: it is anybody's.
    """

    id: str
    url: str
    type: str
    body: str
    lease_s: float = 0.0
