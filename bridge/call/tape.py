"""The tape of a call: what the caller said and what the phone really played, sample by sample.

Pure. It is told every frame, every piece of the assistant's audio, every mark and every `clear`. Positions are samples
(8 to the ms) on the phone's own time line, which its frames make.

1. Frames and marks come from the phone in order. So a mark that comes back says where on the time line the phone was.
2. Audio for an idle phone begins where the mark before it comes back. What follows it plays without a gap.
3. `clear` takes effect at the phone, not here. The marks that it drops come back at that moment, and say where the
   audio was cut.
4. What the phone may still cut is not taken yet. So the tape is some frames behind, and is complete at the end.
5. A tape keeps nothing until `start`. Until then it only follows the phone, so that it can begin at any moment.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

#: mu-law silence.
SILENCE = b"\xff"
SAMPLES_PER_MS = 8
#: Pieces are whole multiples of this, except the last one: 100 ms.
PART = 100 * SAMPLES_PER_MS
#: How much later than its audio a mark may come back without being taken for a gap.
LATE = 60 * SAMPLES_PER_MS
FRAME = 20 * SAMPLES_PER_MS
#: A jump of the phone's time is filled from here on, and up to here.
LEAST_GAP_MS, MOST_GAP_MS = 60, 30_000
#: How long the marks of a `clear` are waited for.
FLUSH = 2_000 * SAMPLES_PER_MS
#: A tape of which so much was not taken is given up: nobody writes it down.
MOST_UNTAKEN = 120_000 * SAMPLES_PER_MS


def file_name(call_sid: str, stream_sid: str) -> str:
    """The name of the recording of one stream of a call. It begins with the CallSid."""
    return f"{call_sid}-{stream_sid[-8:]}.wav"


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples of both sides. `said`: the caller's, without a gap. `heard`: the assistant's, each with its place."""

    said: bytes
    heard: Sequence[tuple[int, bytes]]

    def stereo(self) -> bytearray:
        """Interleaved mu-law, 2 bytes to the sample: the caller on the left, the assistant on the right."""
        size = len(self.said)
        both = bytearray(SILENCE) * (2 * size)
        both[0::2] = self.said
        if self.heard:
            right = bytearray(SILENCE) * size
            for at, audio in self.heard:
                right[at:at + len(audio)] = audio
            both[1::2] = right
        return both


@dataclass(slots=True, eq=False)
class _Sound:
    """Audio that the phone has not played to its end. `at`: where it begins. None: that is not known yet."""

    audio: bytes
    begins: bool                 # a mark stands before it: it begins where that comes back
    follows: bool                # audio before it was still playing, as far as is known
    at: int | None = None


@dataclass(frozen=True, slots=True)
class _Cut:
    """A `clear` was sent when the phone was at `since`. `last`: the last sound before it. None: there is none left."""

    last: _Sound
    since: int


class Tape:
    """The tape of one stream. `take` returns what is certain since it was last asked."""

    __slots__ = ("on", "lost", "_end", "_taken", "_drift", "_said", "_sounds", "_marks", "_cuts", "_quiet_from")

    def __init__(self) -> None:
        self.on = False                              # it keeps what it is told
        self.lost: bool | None = None                # it was given up, and the call was not told; True: some was kept
        self._end = 0                                # the phone's time: the end of its last frame
        self._taken = 0                              # the end of what was taken
        self._drift = 0                              # how far the phone's clock is ahead of its frames (ms)
        self._said: list[bytes] = []
        self._sounds: deque[_Sound] = deque()        # in the order in which they play
        self._marks: dict[str, tuple[_Sound, bool]] = {}     # those that are out; True: it stands before the sound
        self._cuts: dict[str, _Cut] = {}             # by the last mark that each drops
        self._quiet_from = 0                         # where the last sound that has a place ends

    # ---- whether it runs

    def start(self) -> None:
        """From now on everything is kept."""
        if not self.on:
            self.on, self._taken = True, self._end

    def stop(self) -> None:
        """Keeps nothing any more, and forgets what was not taken."""
        self.on = False
        self._said.clear()
        self._forget_played()

    def lose(self, *, kept: bool) -> None:
        """Whoever writes it down cannot go on. `kept`: what was written until now is there."""
        if self.on:
            self.stop()
            self.lost = kept

    # ---- what the phone says

    def frame(self, payload: bytes, gap_ms: int) -> None:
        """The caller's audio, 50 times a second. `gap_ms`: how far the phone's time has jumped before it."""
        if gap_ms:
            self._jump(gap_ms)
        self._end += len(payload)
        if self.on:
            self._said.append(payload)

    def mark_back(self, name: str) -> None:
        """A mark came back: the audio before it was played, or dropped by `clear`."""
        if name not in self._marks:
            return
        for each in [*self._marks]:
            sound, is_before = self._marks.pop(each)
            if is_before:
                self._begin(sound)
            else:
                self._ended(sound)
            if cut := self._cuts.pop(each, None):
                self._settle(cut.last, self._end)
            if each == name:
                break

    # ---- what the phone is told

    def sent(self, payload: str, before: str | None, after: str) -> None:
        """Audio for the phone, as base64, with the names of its marks."""
        if not self.on:
            self._forget_played()
        elif self._end - self._taken > MOST_UNTAKEN:
            self.lose(kept=True)
        out = next(reversed(self._marks), None)
        follows = out is not None and out not in self._cuts
        sound = _Sound(msgspec.convert(payload, bytes), before is not None, follows)
        if before is not None:
            self._marks[before] = (sound, True)
        elif not self._sounds or self._sounds[-1].at is not None:
            self._place([sound], max(self._quiet_from, self._taken))
        self._sounds.append(sound)
        self._marks[after] = (sound, False)

    def cleared(self) -> None:
        """The phone is told to drop what it has not played."""
        if self._marks and self._sounds:
            self._cuts.setdefault([*self._marks][-1], _Cut(self._sounds[-1], self._end))

    def assume_heard(self) -> None:
        """The marks that are out do not come back: everything that was sent was played."""
        self._marks.clear()
        for cut in [*self._cuts.values()]:
            self._settle(cut.last, cut.since)
        self._cuts.clear()
        unplaced = [sound for sound in self._sounds if sound.at is None]
        size = sum(len(sound.audio) for sound in unplaced)
        self._place(unplaced, max(self._quiet_from, self._taken, self._end - size))

    # ---- what is taken

    def take(self, *, last: bool = False) -> Piece | None:
        """What is certain and was not taken yet. `last`: the phone is gone, so all of it. None: there is nothing."""
        for name, cut in [*self._cuts.items()]:
            if last or self._end - cut.since > FLUSH:
                self._settle(cut.last, cut.since)
                del self._cuts[name]
        until = self._end if last else min([self._end, *(cut.since for cut in self._cuts.values())]) - LATE
        size = until - self._taken
        if not last:
            size -= size % PART
        if size <= 0 or not self.on:
            return None
        said = b"".join(self._said)
        self._said = [said[size:]]
        piece = Piece(said[:size], [*self._play(self._taken + size)])
        self._taken += size
        return piece

    def _play(self, until: int) -> Iterator[tuple[int, bytes]]:
        while self._sounds:
            sound = self._sounds[0]
            if sound.at is None or sound.at >= until:
                return
            begin = max(self._taken - sound.at, 0)           # it was under way when the tape was started
            end = until - sound.at
            if audio := sound.audio[begin:end]:
                yield sound.at + begin - self._taken, audio
            if len(sound.audio) > end:
                sound.audio, sound.at = sound.audio[end:], until
                return
            self._sounds.popleft()

    # ---- where sounds are

    def _begin(self, sound: _Sound) -> None:
        """The phone has come to this sound. Right behind another one it begins where that has ended."""
        close = sound.follows and self._quiet_from > self._end - LATE
        start = self._quiet_from if close else max(self._quiet_from, self._end)
        run: list[_Sound] = []
        for each in self._sounds:
            if each is sound or run and not each.begins:
                run.append(each)
            elif run:
                break
        self._place(run, max(start, self._taken))

    def _place(self, sounds: Sequence[_Sound], at: int) -> None:
        for sound in sounds:
            sound.at = at
            at += len(sound.audio)
        if sounds:
            self._quiet_from = at

    def _ended(self, sound: _Sound) -> None:
        """The phone has played this sound. Where it was late with it, it is as late with those behind."""
        if sound.at is None:
            return
        end = sound.at + len(sound.audio)
        late = self._end - FRAME - end
        behind = [each for each in self._sounds if each.at is not None and each.at >= end and each is not sound]
        if late > LATE and behind and behind[0].at == end:
            self._place(behind, end + late)

    def _settle(self, last: _Sound, at: int) -> None:
        """The phone has dropped all audio up to this sound of which it had not played anything at this moment."""
        if last not in self._sounds:
            return
        left = []
        while True:
            sound = self._sounds.popleft()
            if sound.at is not None and sound.at < at:
                sound.audio = sound.audio[:at - sound.at]
                left.append(sound)
            if sound is last:
                break
        self._sounds.extendleft(reversed(left))
        self._quiet_from = min(self._quiet_from, at)

    def _forget_played(self) -> None:
        while self._sounds and self._sounds[0].at is not None and (
                self._sounds[0].at + len(self._sounds[0].audio) <= self._end):
            self._sounds.popleft()

    def _jump(self, gap_ms: int) -> None:
        """Jitter is let through. A gap becomes silence, so that both sides stay together."""
        self._drift = max(self._drift + gap_ms, -LEAST_GAP_MS)
        if self._drift < LEAST_GAP_MS:
            return
        size = min(self._drift, MOST_GAP_MS) * SAMPLES_PER_MS
        self._drift = 0
        self._end += size
        if self.on:
            self._said.append(SILENCE * size)
