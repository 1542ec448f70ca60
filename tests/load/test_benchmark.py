"""The benchmark notices losses, and a small run of it finds no fault of the server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.load.__main__ import main
from tests.load.audio import CALLER, REPLY, Ear, Losses, Tally, Voice
from tests.load.table import Table, remarks
from tests.load.wire import TEXT, frame, unmask

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")


class Heard:
    """One ear on a model's replies, of which `said` pieces were said."""

    def __init__(self, said: int) -> None:
        self.tally = Tally(measuring=True)
        self.model = Voice(REPLY, 0)
        self.pieces = [b'{"delta":"%s}' % self.model.say(float(moment)) for moment in range(said)]
        self.ear = Ear(REPLY, [self.model], self.tally, self.tally.to_phone)

    def hear(self, *pieces: int) -> Losses:
        for piece in pieces:
            assert self.ear.hear(self.pieces[piece], 5.0)
        return self.tally.faults


def test_all_audio_in_order_is_no_fault_and_its_delay_is_known() -> None:
    heard = Heard(3)
    assert heard.hear(0, 1, 2).total == 0
    assert heard.ear.outstanding == 0
    assert heard.tally.to_phone == [5.0, 4.0, 3.0]


def test_a_missing_piece_is_lost() -> None:
    heard = Heard(4)
    heard.hear(0, 2)
    assert heard.ear.outstanding == 2


def test_pieces_that_changed_places_are_reordered_not_lost() -> None:
    heard = Heard(3)
    assert heard.hear(0, 2, 1) == Losses(reordered=1)
    assert heard.ear.outstanding == 0


def test_a_piece_that_comes_twice_is_duplicated() -> None:
    assert Heard(2).hear(0, 1, 1) == Losses(duplicated=1)


def test_one_changed_character_is_corrupt() -> None:
    heard = Heard(1)
    heard.pieces[0] = heard.pieces[0][:-10] + b"A" + heard.pieces[0][-9:]
    assert heard.hear(0) == Losses(corrupt=1)


def test_audio_cut_short_is_corrupt() -> None:
    heard = Heard(1)
    heard.pieces[0] = heard.pieces[0][:-6] + b'"}'
    assert heard.hear(0) == Losses(corrupt=1)


def test_audio_of_another_call_is_corrupt() -> None:
    heard = Heard(2)
    heard.pieces[1] = b'"%s' % REPLY.text(1, 1)
    assert heard.hear(0, 1) == Losses(corrupt=1)


def test_audio_from_before_an_interruption_is_stale_after_the_clear() -> None:
    heard = Heard(4)
    heard.hear(0)
    heard.ear.cleared(before=3)
    assert heard.hear(1, 3) == Losses(stale=1)
    assert heard.ear.outstanding == 0


def test_a_speaker_who_was_never_heard_is_a_loss() -> None:
    assert Heard(0).ear.outstanding == 1


def test_a_message_without_audio_is_left_to_others() -> None:
    assert not Heard(1).ear.hear(b'{"event":"mark","mark":{"name":"1"}}', 5.0)


def test_a_table_puts_each_cell_below_what_it_is() -> None:
    table = Table(("name", -6), ("ms", 5))
    assert [table.header, table.row("one", 1.5)] == ["name       ms", "one       1.5"]
    with pytest.raises(ValueError):
        table.row("one")


def test_only_what_is_not_0_is_said_to_be_wrong() -> None:
    assert remarks("the run", {"faults": {"lost": 0, "left_open": 2}}, ["a line"]) == [
        "FAULTS in the run: 2 left open", "a line"]
    assert remarks("the run", {"faults": {"lost": 0}}, ["a line"]) == []


@pytest.mark.parametrize(("options", "wrong"), [
    (["--calls", "0"], "argument --calls: 0 is not from 1 to 9999 calls"),
    (["--calls", "many"], "argument --calls: many is not from 1 to 9999 calls"),
    (["--seconds", "1000"], "argument --seconds: 1000 is not from 0.1 to 600 seconds"),
    (["--minutes", "long"], "argument --minutes: long is not from 0.1 to 1440 minutes"),
    (["--kinds", "model-drop,earthquake"], "argument --kinds: earthquake: none of model-drop, "),
    (["--soak", "--stalled"], "argument --stalled: not allowed with argument --soak"),
])
def test_an_argument_that_cannot_be_is_said(
    options: list[str], wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["load", *options])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert wrong in capsys.readouterr().err


def test_the_load_frames_are_valid_websocket_frames() -> None:
    assert frame(TEXT, b"x" * 200, masked=False)[:4] == b"\x81\x7e\x00\xc8"
    assert frame(TEXT, b"Hello", masked=True) == b"\x81\x85\x00\x00\x00\x00Hello"
    assert unmask(b"\x37\xfa\x21\x3d", b"\x7f\x9f\x4d\x51\x58") == b"Hello"      # RFC 6455, 5.7


def test_the_pieces_have_the_lengths_of_the_vendors() -> None:
    assert len(CALLER.text(0, 0)) == 216 + 1                                      # and the closing quote
    assert len(REPLY.text(0, 0)) == 2668 + 1


@pytest.mark.slow
def test_two_calls_lose_nothing_and_every_figure_is_taken(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.load", "--calls", "2", "--seconds", "1", "--json", str(figures)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    relay, bridge = json.loads(figures.read_text())["runs"]
    assert (relay["server"], bridge["server"]) == ("relay", "bridge")
    for run in relay, bridge:
        assert not any(run["faults"].values())
        assert run["cpu_s_per_call_minute"] > 0
        assert run["idle_kib"] > 0
        assert run["set_up"]["count"] == 2
        assert run["to_model"]["count"] > 50 and run["to_phone"]["count"] > 4
        assert run["load"]["lateness"]["count"] > 0
    assert bridge["barge_in"]["count"] >= 2
