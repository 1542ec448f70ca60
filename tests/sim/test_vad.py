"""Where the simulated Realtime server hears speech begin and end."""

from typing import Any

from bridge.sim.realtime.vad import FORMATS, Edge, Vad
from bridge.sim.speech import load_clip
from tests.stage.realtime_client import SILENCE, TONE


def detector(**settings: Any) -> Vad:
    return Vad.of({"type": "server_vad", **settings}, "audio/pcmu", 0)


def test_speech_has_edges() -> None:
    vad = detector(prefix_padding_ms=100, silence_duration_ms=200)
    assert vad.feed(SILENCE * 500 + TONE * 400) == [Edge("started", 400)]
    assert vad.feed(SILENCE * 300) == [Edge("stopped", 1100)]


def test_the_size_of_appends_does_not_matter() -> None:
    audio = SILENCE * 333 + load_clip("hello") + SILENCE * 1000
    whole = detector().feed(audio)
    vad = detector()
    parts = [edge for at in range(0, len(audio), 7) for edge in vad.feed(audio[at:at + 7])]
    assert parts == whole and [edge.kind for edge in whole] == ["started", "stopped"]


def test_a_click_and_a_whisper_are_no_speech() -> None:
    assert detector().feed(TONE * 40 + SILENCE * 500) == []
    assert detector(threshold=1.0).feed(b"\xf0\x70" * 4 * 500) == []


def test_a_pause_within_a_sentence_ends_no_turn() -> None:
    assert [edge.kind for edge in detector().feed((TONE * 300 + SILENCE * 400) * 3)] == ["started"]


def test_pcm_is_heard_as_pcm() -> None:
    assert FORMATS["audio/pcm"].loudness(b"\x00\x10\x00\xf0") == 4096
    assert Vad.of({"type": "semantic_vad"}, "audio/pcm", 0).feed(b"\xff" * 48000) == []
