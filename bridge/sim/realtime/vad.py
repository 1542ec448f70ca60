"""Voice activity detection: finds where speech begins and ends in a stream of audio.

Pure. The real service uses a trained detector. This one measures loudness in windows of 20 ms, which is enough for the
clear speech of a simulation. Like the vendor it counts time in received audio, never by a clock. So a stream that stops
amid a word ends no turn.
Source: https://developers.openai.com/api/docs/guides/realtime-vad
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bridge.sim.speech import decode

#: The length of the windows that are measured, in ms.
WINDOW_MS = 20
#: How long loud windows must follow each other to be speech, in ms. A click is shorter.
SPEECH_MS = 60
#: The mean amplitude (16-bit scale) of `threshold: 1.0`. The default of 0.5 is then about -36 dBFS.
FULL_THRESHOLD = 1000
#: The pause that ends a turn under `semantic_vad`, in ms. The simulator cannot tell whether a sentence is complete.
SEMANTIC_SILENCE_MS = 700


_LOUDNESS: tuple[int, ...] = tuple(abs(sample) for (sample,) in struct.iter_unpack("<h", decode(bytes(range(256)))))


def mulaw_loudness(audio: bytes) -> float:
    """The mean amplitude of mu-law audio on the 16-bit scale."""
    return sum(map(_LOUDNESS.__getitem__, audio)) / len(audio)


def pcm_loudness(audio: bytes) -> float:
    """The mean amplitude of 16-bit little-endian audio."""
    samples: tuple[int, ...] = struct.unpack(f"<{len(audio) // 2}h", audio)
    return sum(map(abs, samples)) / len(samples)


class Format(NamedTuple):
    """The facts of an audio format that hearing needs."""

    bytes_per_ms: int
    loudness: Callable[[bytes], float]


#: The formats by the vendor's names. `audio/pcm` is 24 kHz, 16 bits, little-endian. Both are mono.
FORMATS = {"audio/pcmu": Format(8, mulaw_loudness), "audio/pcm": Format(48, pcm_loudness)}


class Edge(NamedTuple):
    """Speech `started` (the prefix included) or `stopped` (the silence included), at a position in ms of audio."""

    kind: Literal["started", "stopped"]
    at_ms: int


@dataclass
class Vad:
    """Finds the edges of speech. `from_ms`: the earliest begin of the next turn in the session's audio."""

    format: Format
    threshold: float
    prefix_ms: int
    silence_ms: int
    from_ms: int = 0

    def __post_init__(self) -> None:
        self.speaking = False
        self._at_ms = self.from_ms
        self._rest = b""
        self._run_ms = 0    # loud audio in a row while silent, silent audio in a row while speaking

    @classmethod
    def of(cls, turn_detection: dict[str, Any], audio_format: str, from_ms: int) -> "Vad":
        """The detector for a session's `turn_detection`. semantic_vad has no numbers of its own."""
        return cls(
            FORMATS[audio_format], turn_detection.get("threshold", 0.5),
            turn_detection.get("prefix_padding_ms", 300),
            turn_detection.get("silence_duration_ms", SEMANTIC_SILENCE_MS), from_ms)

    def feed(self, audio: bytes) -> list[Edge]:
        """Takes more audio, of any length. Returns the edges found with it."""
        audio = self._rest + audio
        size = WINDOW_MS * self.format.bytes_per_ms
        whole = len(audio) - len(audio) % size
        self._rest = audio[whole:]
        edges = (self._window(audio[at:at + size]) for at in range(0, whole, size))
        return [edge for edge in edges if edge]

    def _window(self, audio: bytes) -> Edge | None:
        self._at_ms += WINDOW_MS
        loud = self.format.loudness(audio) > self.threshold * FULL_THRESHOLD
        self._run_ms = self._run_ms + WINDOW_MS if loud != self.speaking else 0
        if self._run_ms < (self.silence_ms if self.speaking else SPEECH_MS):
            return None
        if loud == self.speaking:       # a silence_duration_ms of 0 still needs a silent window
            return None
        began = self._at_ms - self._run_ms
        self.speaking, self._run_ms = loud, 0
        if loud:
            return Edge("started", max(self.from_ms, began - self.prefix_ms))
        self.from_ms = self._at_ms      # the prefix of the next turn does not reach into this one
        return Edge("stopped", self._at_ms)
