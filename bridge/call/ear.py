"""What the model hears of the caller: every frame, or silence in its place, or nothing yet.

Pure. `now` is ms on any monotonic clock; the phone's own time, ms since its stream began, comes with its frames.

1. While nobody listens the newest frames are kept; they are heard, in order, when somebody does.
2. What the phone leaves out is filled with silence, or the server would wait for ever for the end of the caller's turn:
   a jump of the phone's time at once, and a phone that sends nothing after `missing_ms`.
"""

from collections import deque
from collections.abc import Sequence

from bridge.call.timing import Timing
from bridge.twilio_side.media_streams import MediaBody

FRAME_MS = 20
#: 160 bytes of mu-law silence.
SILENCE = b"\xff" * 160
#: A jump of the phone's time that is worth filling, ms; and how much of it is filled.
LEAST_GAP_MS = 60
MOST_GAP_MS = 2_000
#: For so long at most silence is heard in the place of frames that do not come, ms.
MOST_MISSING_MS = 10_000


class Ear:
    """The caller's audio on its way to the model, mu-law of 20 ms each."""

    def __init__(self, kept_frames: int, timing: Timing) -> None:
        self.phone_ms = 0                            # the phone's time
        self._kept: deque[bytes] | None = deque(maxlen=kept_frames)      # None: the caller is heard live
        self._last: float | None = None              # when the last frame came
        self._filled_ms = 0                          # silence since then
        self._missing_ms = timing.missing_ms

    def hear(self, frame: MediaBody, now: float) -> Sequence[bytes]:
        """A frame has come: what the model hears now."""
        at = self.phone_ms + FRAME_MS if frame.timestamp is None else frame.timestamp
        gap_ms = at - self.phone_ms - FRAME_MS
        self.phone_ms, first, self._last = at, self._last is None, now
        if (gap_ms >= LEAST_GAP_MS or self._filled_ms) and not first:
            return self._through([*self._filling(gap_ms), frame.payload])
        if self._kept is None:
            return (frame.payload,)
        self._kept.append(frame.payload)
        return ()

    def missing(self, now: float) -> Sequence[bytes]:
        """Called now and then: the silence that is heard in the place of frames that do not come."""
        if self._last is None or now - self._last < self._missing_ms:
            return ()
        ms = int(min(now - self._last, MOST_MISSING_MS)) - self._filled_ms
        frames = max(0, ms // FRAME_MS)
        self._filled_ms += frames * FRAME_MS
        return self._through([SILENCE] * frames)

    def hold(self, kept_frames: int) -> None:
        """Nobody listens any more."""
        self._kept = deque(self._kept or (), maxlen=kept_frames)

    def release(self) -> Sequence[bytes]:
        """Somebody listens: what was kept. From here on frames are heard live."""
        kept, self._kept = self._kept or (), None
        return tuple(kept)

    def _filling(self, gap_ms: int) -> list[bytes]:
        left_ms = min(gap_ms - self._filled_ms, MOST_GAP_MS)
        self._filled_ms = 0
        return [SILENCE] * max(0, left_ms // FRAME_MS) if left_ms >= LEAST_GAP_MS else []

    def _through(self, payloads: list[bytes]) -> Sequence[bytes]:
        if self._kept is None:
            return payloads
        self._kept.extend(payloads)
        return ()
