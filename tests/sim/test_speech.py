"""The simulator's mu-law, checked against G.711's own figures, and its recordings."""

import struct
import wave
from pathlib import Path

import pytest

from bridge.sim import speech

CLIPS = ["greeting", "hours", "ask_details", "booked", "goodbye",
         "ask_hours", "interrupt", "details", "thanks", "hello", "yes"]


def samples(pcm: bytes) -> list[int]:
    return [sample for (sample,) in struct.iter_unpack("<h", pcm)]


def test_decoding_gives_the_values_of_g711() -> None:
    codes = bytes([0xFF, 0x7F, 0x80, 0x00, 0xFE, 0x7E, 0xF0, 0xEF, 0x8F, 0x10])
    assert samples(speech.decode(codes)) == [0, 0, 32124, -32124, 8, -8, 120, 132, 16764, -15996]


def test_every_code_survives_the_round_trip_but_the_second_zero() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)
    assert speech.encode(speech.decode(codes)) == codes
    assert speech.encode(speech.decode(b"\x7f")) == speech.SILENCE


def test_encoding_picks_a_near_level_for_every_sample() -> None:
    for sample in range(-32768, 32768, 7):
        [heard] = samples(speech.decode(speech.encode(struct.pack("<h", sample))))
        assert abs(heard - sample) <= max(4, abs(sample) / 16 + 8)


def test_silence_is_the_byte_for_zero() -> None:
    assert samples(speech.decode(speech.SILENCE)) == [0]


def test_a_recording_has_both_sides_and_pads_the_shorter(tmp_path: Path) -> None:
    speech.write_stereo_wav(tmp_path / "call.wav", b"\x80\x80", b"\x00")
    with wave.open(str(tmp_path / "call.wav")) as recording:
        assert recording.getparams()[:4] == (2, 2, 8000, 2)
        assert samples(recording.readframes(2)) == [32124, -32124, 32124, 0]


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_is_speech_from_edge_to_edge_and_does_not_clip(name: str) -> None:
    clip = speech.load_clip(name)
    loudness = [abs(sample) for sample in samples(speech.decode(clip))]
    edge = 50 * speech.BYTES_PER_MS
    assert max(loudness[:edge]) > 300 and max(loudness[-edge:]) > 300
    assert 12000 < max(loudness) < 32124


def test_the_clip_to_be_interrupted_is_long() -> None:
    assert len(speech.load_clip("hours")) > 8 * speech.RATE


def test_an_unknown_clip_is_refused() -> None:
    with pytest.raises(FileNotFoundError):
        speech.load_clip("nonsense")
