"""A recording's file is whole after each piece, and its levels are those of its sound."""

import errno
import os
from pathlib import Path

import pytest

from bridge.recordings import wav as ours
from bridge.recordings.wav import Held, WavFile, levels, levels_of
from tests.stage import wav
from tests.stage.disk import disk

LOUD, SILENT = b"\x80", b"\xff"


def test_it_can_be_read_after_each_piece(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    file = WavFile(path)
    assert wav.read(path).left == b"" and path.stat().st_mode & 0o777 == 0o600
    for seconds in (1, 2, 3):
        file.write(bytes(range(160)) * 100)
        assert wav.read(path).seconds == seconds and wav.read(path).right[:3] == b"\x01\x03\x05"
    file.close()
    file.close()


def test_another_ones_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("of somebody else")
    with pytest.raises(FileExistsError):
        WavFile(tmp_path / "a.wav")
    assert (tmp_path / "a.wav").read_text() == "of somebody else"


def test_on_a_full_disk_what_was_there_stays_whole(tmp_path: Path) -> None:
    with disk(tmp_path) as small:
        file = WavFile(tmp_path / "a.wav")
        file.write(LOUD * 16_000)
        small.fill()
        with pytest.raises(OSError) as failure:
            for _ in range(3):
                file.write(LOUD * 16_000)
        assert failure.value.errno == errno.ENOSPC
        assert 1 <= wav.read(tmp_path / "a.wav").seconds < 3
        file.close()
        with pytest.raises(OSError):
            WavFile(tmp_path / "b.wav")
        assert not (tmp_path / "b.wav").exists(), "nothing is left of a file that could not be begun"


def test_only_a_file_that_nobody_writes_can_be_held(tmp_path: Path) -> None:
    file = WavFile(tmp_path / "a.wav")
    with pytest.raises(BlockingIOError), Held(tmp_path / "a.wav"):
        pass
    file.close()
    with Held(tmp_path / "a.wav"), pytest.raises(BlockingIOError), Held(tmp_path / "a.wav"):
        pass
    with Held(tmp_path / "a.wav"):
        pass


@pytest.mark.parametrize(("left", "right", "level"), [
    (SILENT, SILENT, (0, 0)), (LOUD, SILENT, (254, 0)), (SILENT, b"\x00", (0, 254)), (b"\xbf", b"\x3f", (128, 128))])
def test_levels_go_from_silence_to_the_loudest(left: bytes, right: bytes, level: tuple[int, int]) -> None:
    assert levels((left + right) * 800) == bytes(level)


def test_each_tenth_of_a_second_has_its_own_level_the_last_part_too() -> None:
    both = SILENT * 1_600 + LOUD * 1_600 + SILENT * 1_600 + LOUD * 200
    assert levels(both)[0::2] == bytes([0, 254, 0, 254]) and len(levels(both)) == 8
    assert levels(b"") == b""


def test_levels_of_a_file_are_those_of_its_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = [os.urandom(1_600 * count) for count in (3, 5, 7)]
    file = WavFile(tmp_path / "a.wav")
    for piece in pieces:
        file.write(piece)
    file.close()
    assert b"".join(levels_of(tmp_path / "a.wav")) == b"".join(map(levels, pieces))
    assert ours.HEADER_BYTES == 58
