"""Where speech begins and ends in a stream of audio: what the Realtime API calls voice activity detection.

Pure. The real service uses a trained detector; this one measures loudness in windows of 20 ms, which is enough for
the clear speech of a simulation. Time is counted in audio received, never by a clock, as the vendor does: a stream
that stops in the middle of a word ends no turn.
Source: https://developers.openai.com/api/docs/guides/realtime-vad
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from bridge.sim.speech import decode

#: Length of the windows that are measured, ms.
WINDOW_MS = 20
#: So long must loud windows follow each other before they are speech, ms: a click is none.
SPEECH_MS = 60
#: Mean amplitude (16-bit scale) that `threshold: 1.0` stands for; the default of 0.5 is then about -36 dBFS.
FULL_THRESHOLD = 1000
#: The pause that ends a turn under `semantic_vad`, ms: nobody here understands whether a sentence is complete.
SEMANTIC_SILENCE_MS = 700


_LOUDNESS: tuple[int, ...] = tuple(abs(sample) for (sample,) in struct.iter_unpack("<h", decode(bytes(range(256)))))


def mulaw_loudness(audio: bytes) -> float:
    """Mean amplitude of mu-law audio on the 16-bit scale."""
    return sum(map(_LOUDNESS.__getitem__, audio)) / len(audio)


def pcm_loudness(audio: bytes) -> float:
    """Mean amplitude of 16-bit little-endian audio."""
    samples: tuple[int, ...] = struct.unpack(f"<{len(audio) // 2}h", audio)
    return sum(map(abs, samples)) / len(samples)


class Format(NamedTuple):
    """An audio format as far as hearing needs it."""

    bytes_per_ms: int
    loudness: Callable[[bytes], float]


#: By the vendor's names. `audio/pcm` is 24 kHz, 16 bits, little-endian; both are mono.
FORMATS = {"audio/pcmu": Format(8, mulaw_loudness), "audio/pcm": Format(48, pcm_loudness)}


class Edge(NamedTuple):
    """Speech `started` (the time includes the prefix) or `stopped` (it includes the silence); ms of audio."""

    kind: Literal["started", "stopped"]
    at_ms: int


@dataclass
class Vad:
    """Finds the edges of speech. `from_ms`: where in the session's audio the next turn may begin."""

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
        """The detector that a session's `turn_detection` asks for; semantic_vad has no numbers of its own."""
        return cls(
            FORMATS[audio_format], turn_detection.get("threshold", 0.5),
            turn_detection.get("prefix_padding_ms", 300),
            turn_detection.get("silence_duration_ms", SEMANTIC_SILENCE_MS), from_ms)

    def feed(self, audio: bytes) -> list[Edge]:
        """The edges that come to light with more audio, of any length."""
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
        if loud == self.speaking:       # a silence_duration_ms of 0 still wants a silent window
            return None
        began = self._at_ms - self._run_ms
        self.speaking, self._run_ms = loud, 0
        if loud:
            return Edge("started", max(self.from_ms, began - self.prefix_ms))
        self.from_ms = self._at_ms      # the next prefix does not reach back into this turn
        return Edge("stopped", self._at_ms)
