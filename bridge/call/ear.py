"""The caller's audio as the model hears it: every frame, or silence in its place, or nothing yet.

Pure. `now` is ms on any monotonic clock. Each frame carries the phone's own time, ms since its stream began.

1. While the model does not listen, the newest frames are kept. The model hears them, in order, once it listens.
2. Frames that the phone leaves out are replaced by silence. Otherwise the server would wait for ever for the end of the
   caller's turn. A jump of the phone's time is filled at once. A phone that sends nothing is filled after missing_ms.
"""

from collections import deque
from collections.abc import Sequence

from bridge.call.tape import Tape
from bridge.call.timing import Timing
from bridge.twilio_side.media_streams import MediaBody

FRAME_MS = 20
#: 160 bytes of mu-law silence.
SILENCE = b"\xff" * 160
#: The smallest jump of the phone's time that is filled, and the most that is filled of one (ms).
LEAST_GAP_MS = 60
MOST_GAP_MS = 2_000
#: For so long at most silence is heard in the place of frames that do not come, ms.
MOST_MISSING_MS = 10_000


class Ear:
    """The caller's audio on its way to the model, in frames of 20 ms of mu-law (160 bytes).

    It begins by keeping frames, `kept_frames` at most, until `release`. A `tape` is told of each frame as it comes.
    """

    def __init__(self, kept_frames: int, timing: Timing, tape: Tape | None = None) -> None:
        self.phone_ms = 0                            # the phone's time
        self._kept: deque[bytes] | None = deque(maxlen=kept_frames)      # None: the caller is heard live
        self._last: float | None = None              # when the last frame came (ms)
        self._filled_ms = 0                          # silence filled in since then
        self._missing_ms, self._tape = timing.missing_ms, tape

    def hear(self, frame: MediaBody, now: float) -> Sequence[bytes]:
        """Takes a frame. Returns the payloads that the model hears now."""
        at = self.phone_ms + FRAME_MS if frame.timestamp is None else frame.timestamp
        gap_ms = at - self.phone_ms - FRAME_MS
        self.phone_ms, first, self._last = at, self._last is None, now
        if self._tape is not None:
            self._tape.frame(frame.payload, 0 if first else gap_ms)
        if (gap_ms >= LEAST_GAP_MS or self._filled_ms) and not first:
            return self._through([*self._filling(gap_ms), frame.payload])
        if self._kept is None:
            return (frame.payload,)
        self._kept.append(frame.payload)
        return ()

    def missing(self, now: float) -> Sequence[bytes]:
        """Returns the silence that the model hears in place of missing frames. To be called every second or so."""
        if self._last is None or now - self._last < self._missing_ms:
            return ()
        ms = int(min(now - self._last, MOST_MISSING_MS)) - self._filled_ms
        frames = max(0, ms // FRAME_MS)
        self._filled_ms += frames * FRAME_MS
        return self._through([SILENCE] * frames)

    def hold(self, kept_frames: int) -> None:
        """The model does not listen any more: the newest `kept_frames` are kept from now on."""
        self._kept = deque(self._kept or (), maxlen=kept_frames)

    def release(self) -> Sequence[bytes]:
        """The model listens: returns what was kept. From now on `hear` returns frames at once."""
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
