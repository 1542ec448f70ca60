"""How a caller came to know that the call is recorded, and what the caller said to it: the stamp in the call's record.

Pure.
"""

import re
from dataclasses import asdict, dataclass
from typing import Literal

import msgspec

from bridge.call.events import AssistantSaid, AssistantSpeaks, Consented, Event


@dataclass(frozen=True, slots=True)
class Notice:
    """What a caller is told of the recording in the greeting. `how`: "told", or "asked" whether it may be.

    `words` "": nothing is said of it.
    """

    how: Literal["told", "asked"]
    words: str


@dataclass(slots=True)
class _Stamp:
    how: str
    words: str                   # the notice
    at_ms: int | None = None     # when the greeting that holds it began, ms since the call was opened
    heard: bool = False          # whether the caller heard all of these words
    agreed: bool | None = None   # what the caller answered. None: nothing, or nothing was asked
    agreed_ms: int | None = None


class Consent:
    """The stamp of one call. `text` is "" until there is something to tell."""

    def __init__(self, notice: Notice) -> None:
        self._stamp = _Stamp(notice.how, notice.words)
        self._greeting = ""
        self.text = ""

    def hear(self, event: Event, at_ms: int) -> None:
        """An event of the call, ms since it was opened."""
        stamp = self._stamp
        match event:
            case AssistantSpeaks(item_id, "greeting") if stamp.words:
                self._greeting, stamp.at_ms = item_id, at_ms
            case AssistantSaid(words, item_id) if item_id and item_id == self._greeting:
                stamp.heard = stamp.heard or _plain(stamp.words) in _plain(words)
            case Consented(agreed):
                stamp.agreed, stamp.agreed_ms = agreed, at_ms
            case _:
                return
        self.text = msgspec.json.encode(asdict(stamp)).decode()


def _plain(words: str) -> str:
    """Words without what a transcription may write otherwise."""
    return " ".join(re.findall(r"\w+", words.casefold()))
