"""Reads a stereo mu-law WAV file as the format says, and nothing of ours."""

import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wav:
    left: bytes
    right: bytes

    @property
    def seconds(self) -> float:
        return len(self.left) / 8000


def read(path: Path) -> Wav:
    """Walks over the chunks. Fails where the sizes do not fit what is there, or the format is another."""
    data = path.read_bytes()
    riff, size, wave = struct.unpack_from("<4sI4s", data)
    assert (riff, wave) == (b"RIFF", b"WAVE") and size + 8 <= len(data)
    at, chunks = 12, {}
    while at < size + 8:
        name, length = struct.unpack_from("<4sI", data, at)
        assert at + 8 + length <= size + 8
        chunks[name] = data[at + 8:at + 8 + length]
        at += 8 + length + length % 2
    assert [*chunks] == [b"fmt ", b"fact", b"data"]
    assert struct.unpack("<HHIIHHH", chunks[b"fmt "]) == (7, 2, 8000, 16000, 2, 8, 0)
    sound = chunks[b"data"]
    assert struct.unpack("<I", chunks[b"fact"]) == (len(sound) // 2,)
    return Wav(sound[0::2], sound[1::2])
