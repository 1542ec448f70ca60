"""Telephone speech for the simulators: mu-law, recorded clips and WAV files.

Audio is mu-law as Twilio carries it (ITU-T G.711): 8000 bytes a second, 8 bytes a millisecond, one byte a sample. The
standard library has no mu-law since Python 3.13, so both tables are made here.
"""

import functools
import struct
import wave
from importlib import resources
from pathlib import Path

RATE = 8000
"""Samples a second, which is bytes of mu-law a second."""
BYTES_PER_MS = 8
SILENCE = b"\xff"
"""The mu-law byte for no sound. 0x00 would be the loudest one."""

_BIAS = 0x84
_LOUDEST = 32635


def _decoded(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS << ((code & 0x70) >> 4)) - _BIAS
    return -magnitude if code & 0x80 else magnitude


def _encoded(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _LOUDEST) + _BIAS
    segment = magnitude.bit_length() - 8
    return ~(sign | segment << 4 | magnitude >> segment + 3 & 0x0F) & 0xFF


_DECODE = [struct.pack("<h", _decoded(code)) for code in range(256)]


@functools.cache
def _encode_table() -> bytes:
    # Mu-law does not tell apart samples that differ only in the two lowest bits. The table is made when first needed,
    # because a phone that plays ready clips never encodes.
    return bytes(_encoded(sample) for sample in range(-0x8000, 0x8000, 4))


def decode(ulaw: bytes) -> bytes:
    """Mu-law as 16-bit little-endian PCM, twice as many bytes."""
    return b"".join([_DECODE[code] for code in ulaw])


def encode(pcm: bytes) -> bytes:
    """16-bit little-endian PCM as mu-law, half as many bytes."""
    table = _encode_table()
    return bytes(table[sample + 0x8000 >> 2] for (sample,) in struct.iter_unpack("<h", pcm))


def load_clip(name: str) -> bytes:
    """The mu-law of one of the package's clips. `clips/make.sh` has their words.

    Raises FileNotFoundError if there is no clip of that name.
    """
    return (resources.files(__package__) / "clips" / f"{name}.ulaw").read_bytes()


def write_stereo_wav(path: str | Path, left_ulaw: bytes, right_ulaw: bytes) -> None:
    """Write both sides of a call as 16-bit 8 kHz stereo. The shorter one ends in silence."""
    length = max(len(left_ulaw), len(right_ulaw))
    left, right = (side.ljust(length, SILENCE) for side in (left_ulaw, right_ulaw))
    with wave.open(str(path), "wb") as recording:
        recording.setnchannels(2)
        recording.setsampwidth(2)
        recording.setframerate(RATE)
        recording.writeframes(b"".join([_DECODE[a] + _DECODE[b] for a, b in zip(left, right)]))
