"""What the caller hears, and how much of it: audio and marks out, cuts at what was heard.

Pure; times are ms.

1. Audio runs ahead of the caller's ear: what was sent is not what was heard (`Playback`).
2. The assistant falls silent at once: the phone's queue is cleared and each item is cut at what was heard of it. What
   still comes of a dropped response is not sent.
3. The phone says by a mark that it has played what it was sent. Where it does not in time, that counts as heard.
4. Every item is settled once: truncated at what was heard, never at 0 and never beyond what was sent, or deleted where
   nothing was heard. An item that the session knows as text has no sound to truncate: it is told anew.
"""

from bridge.call.bounds import Bounds
from bridge.call.ear import Ear
from bridge.call.history import History
from bridge.call.playback import Playback
from bridge.call.steps import Clip, Step, ToCaller, ToModel
from bridge.call.timing import Timing
from bridge.openai_side import realtime
from bridge.twilio_side import media_streams

#: How many cut responses and items are remembered, for audio of theirs that is still on its way.
CUTS_REMEMBERED = 32
#: The item of a recorded sentence, for `Playback`: the model knows nothing of it.
CLIP = ""


class Voice:
    """The assistant's voice at the phone. Owns the bound "played"."""

    __slots__ = ("stream", "_ear", "_history", "_playback", "_dropped", "_settled", "_unplayed_ms", "_played")

    def __init__(self, bounds: Bounds, timing: Timing, ear: Ear, history: History) -> None:
        self.stream = ""                             # the phone's; "" before it has started
        self._ear, self._history = ear, history
        self._playback = Playback()
        self._dropped: list[str] = []                # responses that the caller cut
        self._settled: list[str] = []                # their items, truncated or deleted
        self._unplayed_ms = timing.unplayed_ms
        self._played = bounds.own("played")

    @property
    def silent(self) -> bool:
        """Whether all that was sent has been heard."""
        return self._playback.finished

    @property
    def unheard_ms(self) -> int:
        """How much audio the caller still has to hear."""
        return self._playback.unheard_ms(self._ear.phone_ms)

    def play(self, item_id: str, payload: str, size: int, now: float) -> tuple[list[Step], str]:
        """Audio for the caller with the marks that tell when it was heard; the mark that comes back as it begins."""
        before, after = self._playback.sending(item_id, size, self._ear.phone_ms)
        self._played.set(now + self.unheard_ms + self._unplayed_ms)
        steps: list[Step] = [
            ToCaller(media_streams.media(self.stream, payload)), ToCaller(media_streams.mark(self.stream, after))]
        if before is not None:
            steps.insert(0, ToCaller(media_streams.mark(self.stream, before)))
        return steps, before or after

    def play_clip(self, clip: Clip | None, now: float) -> list[Step]:
        return self.play(CLIP, clip.payload, clip.size, now)[0] if clip else []

    def mark_back(self, name: str) -> None:
        self._playback.returned(name, self._ear.phone_ms)
        if self._playback.finished:
            self._played.clear()

    def assume_heard(self) -> None:
        """The marks that are out will not come back."""
        self._playback.assume_heard()

    def cut_off(self) -> list[Step]:
        """The assistant falls silent; no steps where it was silent already."""
        if self._playback.finished:
            return []
        self._played.clear()
        steps: list[Step] = [ToCaller(media_streams.clear(self.stream))]
        for cut in self._playback.interrupt(self._ear.phone_ms):
            if cut.item_id != CLIP:
                steps += self._cut(cut.item_id, cut.heard_ms)
        return steps

    def drop(self, response_id: str) -> None:
        """Nothing more of this response is heard."""
        self._dropped = [*self._dropped[-CUTS_REMEMBERED:], response_id]

    def drops(self, response_id: str) -> bool:
        return response_id in self._dropped

    def forget(self, item_id: str) -> list[Step]:
        """An item of which nothing was heard leaves the model's memory: it cannot be cut at 0."""
        if item_id in self._settled:
            return []
        self._settle(item_id)
        self._history.cut(item_id, 0)
        return [ToModel(realtime.delete_item(item_id))]

    def forget_session(self) -> None:
        self._dropped, self._settled = [], []

    def _cut(self, item_id: str, heard_ms: int) -> list[Step]:
        if self._history.retold(item_id):
            self._history.cut(item_id, heard_ms)
            return [*map(ToModel, self._history.again(item_id))]
        if heard_ms <= 0:
            return self.forget(item_id)
        self._settle(item_id)
        self._history.cut(item_id, heard_ms)
        return [ToModel(realtime.truncate(item_id, heard_ms))]

    def _settle(self, item_id: str) -> None:
        self._settled = [*self._settled[-CUTS_REMEMBERED:], item_id]
