"""Three silences: the caller waits for us, the caller waits for a function, or we wait for the caller.

Pure. Times are ms. `look` is called after every event.

1. If the caller waits for our word in silence, a recorded sentence plays after `hush_ms`, and another one every
   hush_again_ms, until the assistant speaks.
2. After MOST_HUSHES such sentences in a row the session is of no use, unless the call waits for something other than
   the model (dialogue.py decides).
3. If the caller waits for a function, the model says a word after FILLER_MS, once for each errand.
4. If the caller says nothing, the assistant asks after `prompt_ms`. The dialogue decides what follows the second time.
"""

from bridge.call.bounds import Bounds
from bridge.call.steps import ClipName
from bridge.call.timing import Timing

FILLER_MS = 1_000
MOST_HUSHES = 10


class Patience:
    """Owns the bounds "hush", "filler" and "silence". `prompt_ms` 0: a silent caller is never asked.

    `has_clips` False: there are no recorded sentences, so "hush" is never set.
    """

    __slots__ = (
        "prompts", "hushes", "_filled", "_again_ms", "_prompt_ms", "_has_clips", "_hush", "_filler", "_silence")

    def __init__(self, bounds: Bounds, timing: Timing, *, prompt_ms: float, has_clips: bool) -> None:
        self.prompts = 0                             # how often the silent caller was asked, in a row
        self.hushes = 0                              # recorded sentences, in a row
        self._filled = False                         # the caller was told that this errand takes a moment
        self._again_ms, self._prompt_ms, self._has_clips = timing.hush_again_ms, prompt_ms, has_clips
        self._hush, self._filler, self._silence = bounds.own("hush"), bounds.own("filler"), bounds.own("silence")

    def look(self, now: float, *, hush_ms: float, caller_waits: bool, errand_waits: bool, we_wait: bool) -> None:
        """Something has happened. A wait that goes on keeps its bound. A wait that is over loses it."""
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
        """The assistant speaks: recorded sentences are counted anew."""
        self.hushes = 0

    def caller_gave_a_sign(self) -> None:
        """The caller spoke or pressed a key: the caller's silence begins anew."""
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
        """The recorded sentence to play now."""
        self.hushes += 1
        return "moment" if self.hushes % 2 else "still_here"

    def prompted(self) -> int:
        """The silent caller is asked. Returns how often that was, in a row."""
        self.prompts += 1
        return self.prompts

    def forget_session(self) -> None:
        self._silence.clear()
        self._filler.clear()
