"""Three silences, looked at after every event: the caller waits for us, for a function, or we wait for the caller.

Pure; times are ms.

1. A caller who waits for our word and hears nothing hears a recorded sentence after `hush_ms`, and another one every
   `hush_again_ms` after that, until the assistant speaks.
2. After MOST_HUSHES of them in a row the session is of no use, unless it is not the model that is waited for.
3. A caller who waits for a function hears a word of the model's own after FILLER_MS, once for each errand.
4. A caller who says nothing is asked after `prompt_ms`; what follows the second time is not decided here.
"""

from bridge.call.bounds import Bounds
from bridge.call.steps import ClipName
from bridge.call.timing import Timing

FILLER_MS = 1_000
MOST_HUSHES = 10


class Patience:
    """Owns the bounds "hush", "filler" and "silence". `prompt_ms` 0: a silent caller is never asked."""

    __slots__ = (
        "prompts", "hushes", "_filled", "_again_ms", "_prompt_ms", "_has_clips", "_hush", "_filler", "_silence")

    def __init__(self, bounds: Bounds, timing: Timing, *, prompt_ms: float, has_clips: bool) -> None:
        self.prompts = 0                             # how often in a row the silent caller was asked
        self.hushes = 0                             # recorded sentences in a row
        self._filled = False                         # the caller was told that this errand takes a moment
        self._again_ms, self._prompt_ms, self._has_clips = timing.hush_again_ms, prompt_ms, has_clips
        self._hush, self._filler, self._silence = bounds.own("hush"), bounds.own("filler"), bounds.own("silence")

    def look(self, now: float, *, hush_ms: float, caller_waits: bool, errand_waits: bool, we_wait: bool) -> None:
        """Something has happened. A wait that goes on keeps its bound; one that is over loses it."""
        if caller_waits and self._has_clips:
            self._hush.sooner(now + (self._again_ms if self.hushes else hush_ms))
        else:
            self._hush.clear()
        if errand_waits and not self._filled:
            self._filler.begin(now + FILLER_MS)
        else:
            self._filler.clear()
        if we_wait and self._prompt_ms:
            self._silence.begin(now + self._prompt_ms)
        else:
            self._silence.clear()

    def sounded(self) -> None:
        """The assistant speaks."""
        self.hushes = 0

    def caller_gave_a_sign(self) -> None:
        """The caller spoke or pressed a key: the silence begins anew."""
        self.prompts = 0
        self._silence.clear()

    def errand_begins(self) -> None:
        self._filled = False

    def filled(self) -> None:
        """The caller is told that an errand takes a moment."""
        self._filled = True

    @property
    def exhausted(self) -> bool:
        return self.hushes >= MOST_HUSHES

    def hushed(self) -> ClipName:
        """The recorded sentence that is due."""
        self.hushes += 1
        return "moment" if self.hushes % 2 else "still_here"

    def prompted(self) -> int:
        """The silent caller is asked: for the how manieth time in a row."""
        self.prompts += 1
        return self.prompts

    def forget_session(self) -> None:
        self._silence.clear()
        self._filler.clear()
