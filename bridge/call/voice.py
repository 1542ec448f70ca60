"""The assistant's voice at the phone: audio and marks out, and cuts at what was heard.

Pure. Times are ms.

1. Audio runs ahead of the caller's ear. What was sent is not what was heard (`Playback`).
2. The assistant falls silent at once. The phone's queue is cleared, and each item is cut at what was heard of it. Later
   audio of a dropped response is not sent.
3. The phone returns a mark when it has played the audio before it. If the mark does not come in time, that audio counts
   as heard.
4. Every item is settled once. It is truncated at what was heard, never at 0 and never beyond what was sent. If nothing
   was heard, it is deleted. An item that the session knows as text has no sound to truncate, so it is told anew.
"""

from bridge.call.bounds import Bounds
from bridge.call.ear import Ear
from bridge.call.history import History
from bridge.call.playback import Playback
from bridge.call.steps import Clip, Step, ToCaller, ToModel
from bridge.call.tape import Tape
from bridge.call.timing import Timing
from bridge.openai_side import realtime
from bridge.twilio_side import media_streams

#: How many cut responses and items are remembered, because audio of them may still come.
CUTS_REMEMBERED = 32
#: The item id of a recorded sentence, for `Playback`. The model does not know the sentence.
CLIP = ""


class Voice:
    """The assistant's voice at the phone. Owns the bound "played". A `tape` is told what the phone is told."""

    __slots__ = ("stream", "_ear", "_history", "_tape", "_playback", "_dropped", "_settled", "_unplayed_ms", "_played")

    def __init__(
        self, bounds: Bounds, timing: Timing, ear: Ear, history: History, tape: Tape | None = None,
    ) -> None:
        self.stream = ""                             # Twilio's StreamSid. "": the phone has not started
        self._ear, self._history, self._tape = ear, history, tape
        self._playback = Playback()
        self._dropped: list[str] = []                # responses that the caller cut
        self._settled: list[str] = []                # items that were truncated or deleted
        self._unplayed_ms = timing.unplayed_ms
        self._played = bounds.own("played")

    @property
    def silent(self) -> bool:
        """Whether everything that was sent was heard."""
        return self._playback.finished

    @property
    def unheard_ms(self) -> int:
        """How much audio the caller still has to hear (ms)."""
        return self._playback.unheard_ms(self._ear.phone_ms)

    def play(self, item_id: str, payload: str, size: int, now: float) -> tuple[list[Step], str]:
        """Sends `size` bytes of mu-law, as base64 in `payload`, with the marks that tell when they were heard.

        Returns the steps, and the name of the mark that comes back when the audio begins to play.
        """
        before, after = self._playback.sending(item_id, size, self._ear.phone_ms)
        self._played.set(now + self.unheard_ms + self._unplayed_ms)
        if self._tape is not None:
            self._tape.sent(payload, before, after)
        steps: list[Step] = [
            ToCaller(media_streams.media(self.stream, payload)), ToCaller(media_streams.mark(self.stream, after))]
        if before is not None:
            steps.insert(0, ToCaller(media_streams.mark(self.stream, before)))
        return steps, before or after

    def play_clip(self, clip: Clip, now: float) -> tuple[list[Step], str]:
        """A recorded sentence for the caller; the mark that comes back as it begins."""
        return self.play(CLIP, clip.payload, clip.size, now)

    def mark_back(self, name: str) -> None:
        self._playback.returned(name, self._ear.phone_ms)
        if self._tape is not None:
            self._tape.mark_back(name)
        if self._playback.finished:
            self._played.clear()

    def assume_heard(self) -> None:
        """The marks that are out will not come back: all audio counts as heard."""
        self._playback.assume_heard()
        if self._tape is not None:
            self._tape.assume_heard()

    def cut_off(self) -> list[Step]:
        """The assistant falls silent. No steps: it was silent already."""
        if self._playback.finished:
            return []
        self._played.clear()
        if self._tape is not None:
            self._tape.cleared()
        steps: list[Step] = [ToCaller(media_streams.clear(self.stream))]
        for cut in self._playback.interrupt(self._ear.phone_ms):
            if cut.item_id != CLIP:
                steps += self._cut(cut.item_id, cut.heard_ms)
        return steps

    def drop(self, response_id: str) -> None:
        """From now on nothing of this response is sent to the caller."""
        self._dropped = [*self._dropped[-CUTS_REMEMBERED:], response_id]

    def drops(self, response_id: str) -> bool:
        return response_id in self._dropped

    def forget(self, item_id: str) -> list[Step]:
        """Deletes an item of which nothing was heard from the model's memory. It cannot be truncated at 0."""
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
