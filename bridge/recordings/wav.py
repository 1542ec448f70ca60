"""A recording's file: stereo mu-law WAV, 8000 Hz, which any player reads, and how loud it is.

The header is written anew after each piece. So a file whose writer was killed is whole up to its last piece.
Sources: "Multimedia Programming Interface and Data Specifications 1.0" (IBM, Microsoft, 1991), RFC 2361 (format 7)
"""

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:                                  # Windows has none. There a file counts as written to its end
    fcntl = None                                     # type: ignore[assignment]

RATE = 8000
_HEADER = struct.Struct("<4sI4s4sIHHIIHHH4sII4sI")
_MULAW, _CHANNELS = 7, 2
#: The header's size, and what a second of sound takes (bytes).
HEADER_BYTES, BYTES_PER_S = _HEADER.size, RATE * _CHANNELS

#: A level stands for 100 ms of one side. It is made of every 25th sample.
_PART_BYTES = BYTES_PER_S // 10
_EVERY = 25
_SAMPLES = RATE // 10 // _EVERY
#: How loud a mu-law byte is, from 0 (silence) to 254. Mu-law is about logarithmic, as hearing is.
_LOUDNESS = bytes((~code & 0x7F) * 2 for code in range(256))


def header(data_bytes: int) -> bytes:
    """What stands before so many bytes of sound."""
    return _HEADER.pack(
        b"RIFF", HEADER_BYTES - 8 + data_bytes, b"WAVE",
        b"fmt ", 18, _MULAW, _CHANNELS, RATE, BYTES_PER_S, _CHANNELS, 8, 0,
        b"fact", 4, data_bytes // _CHANNELS,
        b"data", data_bytes)


def levels(both: bytes | bytearray) -> bytes:
    """How loud both sides are, 2 bytes for each 100 ms: the caller, the assistant; 0 is silence, 254 the loudest.

    `both`: interleaved mu-law. A last part of less than 100 ms counts as one.
    """
    said, heard = (both[side::2 * _EVERY].translate(_LOUDNESS) for side in (0, 1))
    found = bytearray()
    for at in range(0, len(said), _SAMPLES):
        for side in (said, heard):
            part = side[at:at + _SAMPLES]
            found.append(sum(part) // len(part) if part else 0)
    return bytes(found)


def levels_of(path: Path) -> Iterator[bytes]:
    """The levels of a whole file, a minute at a time. Raises OSError."""
    with path.open("rb") as file:
        file.seek(HEADER_BYTES)
        while both := file.read(600 * _PART_BYTES):
            yield levels(both)


class WavFile:
    """A recording that is being written. It is its owner's alone (0600), and locked: so others know it is under way."""

    def __init__(self, path: Path) -> None:
        """Makes the file. Raises OSError, also where one of that name is there."""
        self._path, self._bytes = path, 0
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o600)
        try:
            if fcntl:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(self._file, header(0), 0)
        except OSError:
            self.remove()
            raise

    def write(self, both: bytes | bytearray) -> None:
        """Adds sound. Raises OSError: then what was there before is still whole."""
        _write(self._file, both, HEADER_BYTES + self._bytes)
        _write(self._file, header(self._bytes + len(both)), 0)
        self._bytes += len(both)

    def close(self) -> None:
        """No more is written. It may be called again."""
        file, self._file = self._file, -1
        if file >= 0:
            with suppress(OSError):
                os.close(file)

    def remove(self) -> None:
        """The recording is not wanted. Raises OSError."""
        self.close()
        self._path.unlink(missing_ok=True)


def _write(file: int, what: bytes | bytearray, at: int) -> None:
    written = os.pwrite(file, what, at)
    if written < len(what):                          # the disk has become full in the middle of it
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Held:
    """A finished recording that this process looks after. Others leave it alone while it is entered.

    Raises BlockingIOError where it is still being written or another process has it, and other OSErrors.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_RDONLY)
        try:
            if fcntl:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
