"""How much of each reply the caller has heard.

Pure. A position is a count of mu-law bytes (8 to the ms) since the call began, in the order sent. Times are the
phone's own: the `timestamp` (ms) of its last frame.
Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages, "mark" and "clear"

1. A mark comes back when the audio before it has played, and also when `clear` drops that audio. Only a mark that is
   still awaited counts as heard.
2. Between two marks the phone plays in real time. The caller has heard the last mark's position plus the time since it
   came back, but never past the next mark.
3. A phone with nothing to play returns a mark at once. So a mark is also sent before audio that meets an idle phone.
   Its return says when that audio began, whatever the network's delay.
"""

from dataclasses import dataclass

from bridge.twilio_side.media_streams import BYTES_PER_MS

#: With less than this left to play, the phone may be idle when new audio arrives there (ms).
NEARLY_IDLE_MS = 200


@dataclass(frozen=True, slots=True)
class Cut:
    """An item that was not heard to its end: the caller heard `heard_ms` of the `sent_ms` that were sent."""

    item_id: str
    heard_ms: int
    sent_ms: int


@dataclass(slots=True)
class _Span:
    item_id: str
    start: int
    end: int


class Playback:
    """The ledger of one call's replies: what was sent, and what the returning marks say was heard."""

    def __init__(self) -> None:
        self._names = 0
        self._sent = 0                                       # position behind all audio sent
        self._heard = 0                                      # position known to be heard at _heard_at
        self._heard_at: int | None = None                    # None: nothing behind it is known to play
        self._awaited: list[tuple[str, int]] = []            # marks that are out: name, position
        self._spans: list[_Span] = []                        # items in the order they play. The last one stays

    def sending(self, item_id: str, size: int, now: int) -> tuple[str | None, str]:
        """Notes `size` bytes of an item. Returns the names of the marks to send before them (or None) and after them.

        `now` is the phone's time (ms).
        """
        before = None
        if self.unheard_ms(now) < NEARLY_IDLE_MS:
            before = self._await_mark()
        if self._spans and self._spans[-1].item_id == item_id:
            self._spans[-1].end += size
        else:
            self._spans.append(_Span(item_id, self._sent, self._sent + size))
        self._sent += size
        return before, self._await_mark()

    def returned(self, name: str, now: int) -> None:
        """A mark came back at the phone's time `now` (ms)."""
        if not any(name == awaited for awaited, _ in self._awaited):
            return                                           # it was dropped with its audio, or was never ours
        while self._awaited:
            first, position = self._awaited.pop(0)
            self._heard, self._heard_at = position, now
            if first == name:
                break
        while len(self._spans) > 1 and self._spans[0].end <= self._heard:
            self._spans.pop(0)

    def assume_heard(self) -> None:
        """The awaited marks will not come back: everything that was sent counts as heard."""
        self._awaited.clear()
        self._heard, self._heard_at = self._sent, None
        del self._spans[:-1]

    def unheard_ms(self, now: int) -> int:
        """How much audio the caller still has to hear, at the phone's time `now` (ms)."""
        return (self._sent - self._position(now)) // BYTES_PER_MS

    @property
    def finished(self) -> bool:
        """Whether every mark has come back: everything that was sent was heard."""
        return not self._awaited

    def interrupt(self, now: int) -> list[Cut]:
        """The phone's queue is being cleared. Returns the items not heard to their end, and forgets all items."""
        position = self._position(now)
        cuts = [
            Cut(span.item_id, max(position - span.start, 0) // BYTES_PER_MS, (span.end - span.start) // BYTES_PER_MS)
            for span in self._spans if span.end > position
        ]
        self._awaited.clear()
        self._spans.clear()
        self._heard, self._heard_at = self._sent, None
        return cuts

    def _await_mark(self) -> str:
        self._names += 1
        name = str(self._names)
        self._awaited.append((name, self._sent))
        return name

    def _position(self, now: int) -> int:
        """The position heard by now, between the last mark that came back and the next one that is out."""
        if not self._awaited or self._heard_at is None:
            return self._heard
        next_mark = self._awaited[0][1]
        return min(self._heard + max(now - self._heard_at, 0) * BYTES_PER_MS, next_mark)
