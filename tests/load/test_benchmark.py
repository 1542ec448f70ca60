"""The benchmark notices what it is there to notice, and a small run of it finds nothing wrong with the server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.load.audio import CALLER, REPLY, Ear, Voice
from tests.load.ledger import BookingFaults, Ledger
from tests.load.side import Side, p99_ratios
from tests.load.tally import Faults, Tally
from tests.load.wire import TEXT, frame, unmask

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")


class Heard:
    """One ear on a model's replies, of which `said` pieces were said."""

    def __init__(self, said: int) -> None:
        self.tally = Tally(measuring=True)
        self.model = Voice(REPLY, 0)
        self.pieces = [b'{"delta":"%s}' % self.model.say(float(moment)) for moment in range(said)]
        self.ear = Ear(REPLY, [self.model], self.tally, self.tally.to_phone)

    def hear(self, *pieces: int) -> Faults:
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
    assert heard.hear(0, 2, 1) == Faults(reordered=1)
    assert heard.ear.outstanding == 0


def test_a_piece_that_comes_twice_is_duplicated() -> None:
    assert Heard(2).hear(0, 1, 1) == Faults(duplicated=1)


def test_one_changed_character_is_corrupt() -> None:
    heard = Heard(1)
    heard.pieces[0] = heard.pieces[0][:-10] + b"A" + heard.pieces[0][-9:]
    assert heard.hear(0) == Faults(corrupt=1)


def test_audio_cut_short_is_corrupt() -> None:
    heard = Heard(1)
    heard.pieces[0] = heard.pieces[0][:-6] + b'"}'
    assert heard.hear(0) == Faults(corrupt=1)


def test_audio_of_another_call_is_corrupt() -> None:
    heard = Heard(2)
    heard.pieces[1] = b'"%s' % REPLY.text(1, 1)
    assert heard.hear(0, 1) == Faults(corrupt=1)


def test_audio_from_before_an_interruption_is_stale_after_the_clear() -> None:
    heard = Heard(4)
    heard.hear(0)
    heard.ear.cleared(before=3)
    assert heard.hear(1, 3) == Faults(stale=1)
    assert heard.ear.outstanding == 0


def test_a_speaker_who_was_never_heard_is_a_loss() -> None:
    assert Heard(0).ear.outstanding == 1


def test_a_message_without_audio_is_left_to_others() -> None:
    assert not Heard(1).ear.hear(b'{"event":"mark","mark":{"name":"1"}}', 5.0)


def test_the_load_frames_are_valid_websocket_frames() -> None:
    assert frame(TEXT, b"x" * 200, masked=False)[:4] == b"\x81\x7e\x00\xc8"
    assert frame(TEXT, b"Hello", masked=True) == b"\x81\x85\x00\x00\x00\x00Hello"
    assert unmask(b"\x37\xfa\x21\x3d", b"\x7f\x9f\x4d\x51\x58") == b"Hello"      # RFC 6455, 5.7


def test_the_pieces_have_the_lengths_of_the_vendors() -> None:
    assert len(CALLER.text(0, 0)) == 216 + 1                                      # and the closing quote
    assert len(REPLY.text(0, 0)) == 2668 + 1


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


def booked(ledger: Ledger, meeting: str, status: str = "confirmed") -> str:
    """One meeting, asked for and answered; the function call's id."""
    call_id, _ = ledger.ask()
    ledger.answered(call_id, json.dumps({"status": status, "meeting_id": meeting}))
    return call_id


def test_each_meeting_promised_and_delivered_once_is_no_fault() -> None:
    ledger = Ledger()
    booked(ledger, "one")
    booked(ledger, "two", "recorded")
    assert ledger.faults({"one": ["msg_1"], "two": ["msg_2"]}).total == 0


def test_no_two_function_calls_ask_for_the_same_minute() -> None:
    ledger = Ledger()
    wanted = [json.loads(ledger.ask()[1])["datetime"] for _ in range(3000)]
    assert len({*wanted}) == 3000


def test_what_the_ledger_is_there_to_notice() -> None:
    ledger = Ledger()
    ledger.ask()
    again = booked(ledger, "one")
    ledger.answered(again, '{"status": "confirmed", "meeting_id": "one"}')
    booked(ledger, "two")
    booked(ledger, "two")
    booked(ledger, "three", "refused")
    seen = {"one": ["msg_1", "msg_1"], "four": ["msg_4"]}
    assert ledger.faults(seen) == BookingFaults(
        unanswered=1, answered_again=1, refused=1, shared=1, undelivered=1, repeated=1, unknown=1)
    assert ledger.faults(seen).total == 7


@pytest.mark.parametrize("beside, said, too_high", [
    ([0.0012, 0.0012], "1.20±0.00", False),
    ([0.0013, 0.0013], "1.30±0.00", True),
    ([0.0010, 0.0016], "1.60±0.38", True),
    ([0.0008, 0.0013], "1.30±0.32", True),
    ([0.0013], "1.30", True),
    ([], "-", False),
])
def test_how_many_times_as_long_audio_takes_is_known_with_its_error(
        beside: list[float], said: str, too_high: bool) -> None:
    alone, other = side_of([0.001] * len(beside)), side_of(beside)
    found = p99_ratios(other, alone)["to_phone"]
    assert (str(found), found.too_high) == (said, too_high)


def side_of(turns: list[float]) -> Side:
    """One of so many turns, in each of which every delay is the same."""
    return Side(to_phone=turns * 100, turns={"to_model": [], "to_phone": turns})


@pytest.mark.slow
def test_bookings_beside_two_calls_lose_nothing(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.load", "--bookings", "--calls", "2", "--seconds", "1", "--callers", "4",
         "--database", "", "--json", str(figures)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    sustained, beside = json.loads(figures.read_text())["runs"]
    assert (sustained["run"], beside["run"]) == ("sustained", "beside")
    for run in sustained, beside:
        assert not any(run["faults"].values())
        assert run["database"] == "SQLite"
        assert run["answer"]["count"] > 4
        assert set(run["statuses"]) <= {"confirmed", "recorded"}
    assert sustained["bookings_per_s"] > 0 and sustained["news_per_s"] > 0
    for condition in "alone", "booking":
        assert beside[condition]["to_model"]["count"] > 50 and beside[condition]["to_phone"]["count"] > 4
    assert beside["p99_ratio"]["to_model"][0] > 0 and beside["p99_ratio"]["to_phone"][0] > 0
