"""The input audio buffer of a session: appended audio, the speech in it, and commits."""

import base64
import binascii
from typing import Any

from bridge.sim.realtime.schema import Refused
from bridge.sim.realtime.vad import FORMATS, Edge, Vad

#: The least audio that can be committed, in ms.
SHORTEST_MS = 100
#: The most audio in one append, in bytes.
LONGEST_APPEND = 15 * 2**20


class InputBuffer:
    """Audio that was received and not yet committed. Positions are in ms of all audio appended in the session."""

    def __init__(self, audio_config: dict[str, Any]) -> None:
        self.appended = bytearray()     # everything, in order
        self._pending = bytearray()     # from `_from_ms` on
        self._from_ms = 0.0
        self._format: str = audio_config["format"]["type"]
        self.bytes_per_ms = FORMATS[self._format].bytes_per_ms
        self.configure(audio_config)

    def configure(self, audio_config: dict[str, Any]) -> None:
        """Hear as the session's `audio.input` says. Turn detection begins anew."""
        name: str = audio_config["format"]["type"]
        if name != self._format:        # audio of two formats cannot be joined
            self.take(self._from_ms, self._end_ms)
        self._format, self.bytes_per_ms = name, FORMATS[name].bytes_per_ms
        self._turn_detection: dict[str, Any] | None = audio_config["turn_detection"]
        self._restart()

    @property
    def now_ms(self) -> int:
        """How much audio has come in all, in ms."""
        return int(self._end_ms)

    @property
    def _end_ms(self) -> float:
        return self._from_ms + len(self._pending) / self.bytes_per_ms

    @property
    def speaking(self) -> bool:
        """Whether a turn of the caller has begun and not ended."""
        return bool(self._vad and self._vad.speaking)

    def append(self, text: str) -> list[Edge]:
        """Take base64 audio. Returns the edges of speech found in it, none without turn detection. Raises Refused."""
        try:
            audio = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Refused("invalid_value", "Invalid 'audio'. Expected base64-encoded audio bytes.", "audio") from None
        if len(audio) > LONGEST_APPEND:
            raise Refused("invalid_value", "Invalid 'audio'. More than 15 MiB.", "audio")
        self.appended += audio
        self._pending += audio
        return self._vad.feed(audio) if self._vad else []

    def take(self, start_ms: float, end_ms: float) -> bytes:
        """Remove the audio up to `end_ms`. Returns the part after `start_ms`."""
        start, end = (round((at - self._from_ms) * self.bytes_per_ms) for at in (start_ms, end_ms))
        audio = bytes(self._pending[max(0, start):end])
        del self._pending[:end]
        self._from_ms = end_ms
        return audio

    def commit(self) -> bytes:
        """Remove and return all audio.

        Raises:
            Refused: it is shorter than 100 ms.
        """
        length_ms = len(self._pending) / self.bytes_per_ms
        if length_ms < SHORTEST_MS:
            raise Refused("input_audio_buffer_commit_empty", "Error committing input audio buffer: buffer too small. "
                          f"Expected at least 100ms of audio, but buffer only has {length_ms:.2f}ms of audio.")
        audio = self.take(self._from_ms, self._end_ms)
        self._restart()
        return audio

    def clear(self) -> None:
        """Forget all audio, and a turn that has begun."""
        self.take(self._from_ms, self._end_ms)
        self._restart()

    def _restart(self) -> None:
        settings = self._turn_detection
        self._vad = Vad.of(settings, self._format, self.now_ms) if settings else None
