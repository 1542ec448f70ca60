"""Audio that names its speaker and its order, so that the other end can tell what happened on the way.

Every piece is base64 text of the right length: a mark that occurs nowhere else, the speaker's number, the piece's
number, and a tail that depends on both. It is found in a message in any JSON, and compared whole. A Tally counts what
happened.
"""

import base64
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

_TAILS = 61            # a prime, so that neighbours in time and in number all differ


@dataclass
class Losses:
    """Each must be 0."""

    lost: int = 0              # pieces of audio that never came
    reordered: int = 0
    duplicated: int = 0
    corrupt: int = 0           # pieces that nobody said, or that were said in another call
    stale: int = 0             # pieces of an interrupted reply that came after the `clear`
    uncleared: int = 0         # interruptions of audio that the phone went on playing
    dropped: int = 0           # calls that ended before the caller hung up
    left_open: int = 0         # connections to the model that outlived their call
    unanswered: int = 0        # calls that nobody answered

    @property
    def total(self) -> int:
        return sum(getattr(self, each.name) for each in fields(self))


@dataclass
class Tally:
    """An account of calls, times in seconds. Delays are taken while `measuring`, rare events from the first call on."""

    measuring: bool = False
    to_model: list[float] = field(default_factory=list)
    to_phone: list[float] = field(default_factory=list)
    barge_in: list[float] = field(default_factory=list)       # from speech_started to `clear` at the phone
    set_up: list[float] = field(default_factory=list)         # from the webhook's request to the first audio
    lateness: list[float] = field(default_factory=list)       # of our own sending
    faults: Losses = field(default_factory=Losses)


class Corrupt(Exception):
    """Audio that nobody said."""


class Sound:
    """Pieces of `size` bytes of mu-law, known by a `mark` of 8 base64 characters."""

    def __init__(self, mark: bytes, size: int) -> None:
        self.mark, self.size = mark, size
        noise = random.Random(mark)
        self._tails = [base64.b64encode(noise.randbytes(size))[20:] + b'"' for _ in range(_TAILS)]
        self._chars = 20 + len(self._tails[0])       # with the quote behind it

    def text(self, speaker: int, piece: int) -> bytes:
        """The base64 text, with the quote that ends it."""
        return b"%s%04d%08d" % (self.mark, speaker, piece) + self._tails[(speaker + piece) % _TAILS]

    def find(self, message: bytes) -> tuple[int, int] | None:
        """The speaker and the piece in `message`, or None if it holds no such audio. Raises Corrupt."""
        at = message.find(self.mark)
        if at < 0:
            return None
        head = message[at + 8:at + 20]
        if not head.isdigit():
            raise Corrupt
        speaker, piece = int(head[:4]), int(head[4:])
        if message[at + 20:at + self._chars] != self._tails[(speaker + piece) % _TAILS]:
            raise Corrupt
        return speaker, piece


#: 20 ms of the caller.
CALLER = Sound(b"CALLER++", 160)
#: 250 ms of the model.
REPLY = Sound(b"REPLY+++", 2000)
#: 250 ms of a response that the caller has already interrupted.
TOO_LATE = Sound(b"TOO+LATE", 2000)


class Voice:
    """One speaker, and when each piece was said (s)."""

    def __init__(self, sound: Sound, number: int) -> None:
        self.sound, self.number = sound, number
        self.said_at = array("d")                     # a third of a list's memory, for hours of 20 ms pieces
        self.cut_at: float | None = None             # when the caller interrupted, until the phone hears of it
        self.cut_before = 0                          # pieces before this one are stale after the interruption

    def say(self, now: float) -> bytes:
        self.said_at.append(now)
        return self.sound.text(self.number, len(self.said_at) - 1)

    def cut(self, now: float) -> None:
        self.cut_at, self.cut_before = now, len(self.said_at)


class Ear:
    """What one end hears of one speaker. The first piece that comes says which speaker it is."""

    def __init__(self, sound: Sound, voices: Sequence[Voice], tally: Tally, delays: list[float]) -> None:
        self.voice: Voice | None = None
        self.heard = 0                               # pieces before this one have come, or never will
        self._sound, self._voices = sound, voices
        self._tally, self._delays = tally, delays
        self._missing: set[int] = set()
        self._stale_before = 0
        self._since = 0                              # the first piece of this account

    def hear(self, message: bytes, now: float) -> bool:
        """Checks the audio in `message`. Returns False if there is none."""
        try:
            found = self._sound.find(message)
            if found is None:
                return False
            self._piece(*found, now)
        except Corrupt:
            self._tally.faults.corrupt += 1
        return True

    def _piece(self, speaker: int, piece: int, now: float) -> None:
        voice = self.voice or self._first(speaker, piece)
        if speaker != voice.number or piece >= len(voice.said_at):
            raise Corrupt
        if piece == self.heard:
            self.heard += 1
        else:
            self._out_of_turn(piece)
        if self._tally.measuring:
            self._delays.append(now - voice.said_at[piece])

    def _first(self, speaker: int, piece: int) -> Voice:
        """The speaker. The server may have dropped a caller's words before the session was set up."""
        if speaker >= len(self._voices):
            raise Corrupt
        if self._sound is CALLER:
            self.heard = piece
        self.voice = self._voices[speaker]
        return self.voice

    def _out_of_turn(self, piece: int) -> None:
        faults = self._tally.faults
        if self.heard < 0:
            self.heard = piece + 1
        elif piece > self.heard:
            self._missing.update(range(self.heard, piece))
            self.heard = piece + 1
        elif piece < self._stale_before:
            faults.stale += 1
        elif piece in self._missing:
            self._missing.remove(piece)
            faults.reordered += 1
        else:
            faults.duplicated += 1

    def cleared(self, before: int) -> None:
        """The phone was cleared: pieces before this one must not come any more."""
        self._stale_before = before
        self.heard = max(self.heard, before)

    def renew(self, tally: Tally) -> None:
        """Begins a new account with the next piece that comes. `tally` takes the events from now on."""
        self._tally, self.heard = tally, -1 if self.voice else 0
        self._since = len(self.voice.said_at) if self.voice else 0
        self._missing.clear()

    def heard_since(self, moment: float) -> bool:
        """Whether a piece has come that was said after this moment."""
        return self.voice is not None and self.heard > 0 and self.voice.said_at[self.heard - 1] > moment

    @property
    def skipped(self) -> int:
        """Pieces that have not come although later ones have."""
        return len(self._missing)

    @property
    def outstanding(self) -> int:
        """Pieces that were said and have not come. 1 for a speaker who was never heard."""
        if self.voice is None:
            return 1
        return len(self._missing) + len(self.voice.said_at) - (self._since if self.heard < 0 else self.heard)
