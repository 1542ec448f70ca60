"""A newcomer hears a whole call, without any account."""

import io
import logging
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bridge.__main__ import main
from bridge.sim import demo
from bridge.sim.owner import Owner
from bridge.sim.speech import load_clip
from tests.stage.wav import read


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def test_the_demo_plays_a_whole_call_and_keeps_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wav = tmp_path / "call.wav"
    assert main(["demo", "--fast", "--wav", str(wav)]) == 0
    told = capsys.readouterr().out
    for words in (
        "Hello, this is Bridge Dental.", demo.ASK_HOURS, demo.INTERRUPT, "cut the assistant off at", demo.DETAILS,
        "received the meeting of Ada Lovelace", '"status":"confirmed"', "Thank you for calling. Goodbye!",
        "pick-up to first sound", str(wav),
    ):
        assert words in told
    assert "PROBLEM" not in told and "REFUSES" not in told
    assert stat.S_IMODE(wav.stat().st_mode) == 0o600, "a call is its owner's alone"
    sound = read(wav)
    for name in ("greeting", "ask_details", "booked", "goodbye"):
        assert load_clip(name) in sound.right, "the recorder of the server has all that was heard"
    hours = load_clip("hours")
    assert hours[:24_000] in sound.right and hours not in sound.right, "the answer about the hours was cut"
    assert load_clip("details") in sound.left


@pytest.mark.slow
async def test_the_demo_says_so_when_something_went_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "Owner", partial(Owner, status=503))
    out = io.StringIO()
    assert await demo.run(tmp_path / "call.wav", fast=True, out=out) == 1
    assert "PROBLEM: 0 meetings arrived at the webhook, not 1" in out.getvalue()


def test_a_recording_that_cannot_be_written_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["demo", "--fast", "--wav", str(tmp_path / "missing" / "call.wav")]) == 1
    printed = capsys.readouterr()
    assert "cannot be written" in printed.err and "Traceback" not in printed.err
