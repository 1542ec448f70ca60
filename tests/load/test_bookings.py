"""The bookings that are asked for, and the faults that their account notices."""

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from tests.load.beside import Beside, Side
from tests.load.bookings import BookingFaults, Ledger
from tests.load.calls import Exchange
from tests.load.server import Measured

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")


def booked(ledger: Ledger, meeting: str, status: str = "confirmed") -> str:
    """Asks for one meeting and answers it. Returns the function call's id."""
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
        without_output=1, answered_again=1, refused=1, shared=1, undelivered=1, repeated=1, unknown=1)
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
    measured = Beside(cast(Exchange, None), cast(Measured, None))
    measured.alone, measured.beside = side_of([0.001] * len(beside)), side_of(beside)
    found = measured.ratios()["to_phone"]
    assert (str(found), found.too_high) == (said, too_high)


def side_of(turns: list[float]) -> Side:
    """A side with one turn for each delay. All delays of a turn are the same."""
    return Side(to_phone=turns * 100, turns={"to_model": [], "to_phone": turns})


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--rate", "10"], ["--callers", "4"]])
def test_bookings_beside_two_calls_lose_nothing(tmp_path: Path, options: list[str]) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.load", "--bookings", "--calls", "2", "--seconds", "2", *options,
         "--database", "", "--json", str(figures)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    [run] = json.loads(figures.read_text())["runs"]
    assert not any(run["faults"].values())
    assert (run["run"], run["database"]) == ("bookings", "SQLite")
    assert run["answer"]["count"] > 4 and run["bookings_per_s"] > 0 and run["news_per_s"] > 0
    assert set(run["statuses"]) <= {"confirmed", "recorded"}
    for condition in "alone", "beside":
        assert run[condition]["to_model"]["count"] > 50 and run[condition]["to_phone"]["count"] > 4
    assert run["p99_ratio"]["to_model"][0] > 0 and run["p99_ratio"]["to_phone"][0] > 0
