"""`python -m bridge calls` at the owner's terminal: what it prints, writes, and refuses."""

import argparse
import asyncio
import csv
import json
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import URL

from bridge.commands import calls as command
from bridge.delivery import news, report
from bridge.records.call_record import Call, Turn
from bridge.records.call_records import CallRecords, Portion
from bridge.records.database import open_database, parse_url
from bridge.records.deliveries import DeliveryQueue
from bridge.records.meetings import Meetings
from tests.stage.store import ALICE, BOB, DHAKA, NOW, make_meeting, no_news

RECEIVER, MOVED = "https://one.example/calls?key=secret", "https://two.example/calls"
TURNS = [
    Turn(1, "assistant", "words", 300, 1.0, "Good day, this is the practice.", heard=31, heard_ms=2_000, sent_ms=2_000),
    Turn(2, "caller", "words", 2_400, 2.0, "I have a \x1b[31mtoothache\x1b[0m.\nToday?"),
    Turn(3, "assistant", "function", 4_000, 3.0, "schedule_meeting", data={
        "arguments": '{"name": "Ada"}', "status": "confirmed", "seconds": 0.42, "answer": {"status": "confirmed"}}),
    Turn(4, "assistant", "words", 5_000, 4.0, "You are booked for Friday at ten.", heard=14, heard_ms=900,
         sent_ms=2_600, first_ms=700, answer_ms=1_900, silence_ms=800),
    Turn(5, "caller", "words", 66_000, 5.0, "", data={"unclear": "audio_unintelligible"}),
    Turn(6, "server", "event", 67_000, 6.0, "new session", data={"seconds": 0.7}),
]


@dataclass
class Owner:
    """Who types commands; `out` and `error` are what the last one printed."""

    url: URL
    capture: pytest.CaptureFixture[str]
    out: str = ""
    error: str = ""

    def types(self, *arguments: str, receivers: Sequence[str] = ()) -> int:
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers(dest="command"))
        code = command.run(parser.parse_args(["calls", *arguments]), self.url, receivers, zone=DHAKA)
        self.out, self.error = self.capture.readouterr()
        return code

    def keeps(self, call: Call, turns: Sequence[Turn] = ()) -> None:
        async def work() -> None:
            async with open_database(self.url) as database:
                records = CallRecords(
                    database, lambda record, meetings: news.of_call(record, meetings, [RECEIVER], DHAKA))
                await records.write([Portion(call, turns, None)], NOW)
        asyncio.run(work())

    def books(self) -> None:
        async def work() -> None:
            async with open_database(self.url) as database:
                await Meetings(database).book(make_meeting(), no_news)
        asyncio.run(work())


def make_call(call_sid: str, **more: Any) -> Call:
    fields: dict[str, Any] = {
        "call_sid": call_sid, "started_at": NOW, "caller": ALICE, "called": BOB, "ended_at": NOW + 102,
        "ending": "caller hung up", "turns": 2, "answer_p50_ms": 710, "answer_max_ms": 1_900, "silence_ms": 800,
        "first_audio_ms": 300, "usd": 0.0412, "tokens": {"input audio": 900}, "model": "m", "voice": "v"}
    return Call(**fields | more)


@pytest.fixture
def owner(database_url: str, capsys: pytest.CaptureFixture[str]) -> Owner:
    async def create() -> None:
        async with open_database(parse_url(database_url)):
            pass
    asyncio.run(create())
    return Owner(parse_url(database_url), capsys)


def test_before_the_first_call_there_is_nothing_to_list(owner: Owner) -> None:
    assert owner.types() == 0
    assert owner.out == "no calls yet\n"


def test_calls_are_listed_newest_first_with_their_numbers_masked(owner: Owner) -> None:
    owner.keeps(make_call("CA1"))
    owner.keeps(make_call("CA2", started_at=NOW + 60, ended_at=None, ending="", caller=""))
    assert owner.types("list") == 0
    heading, newest, oldest = owner.out.splitlines()
    assert heading.split() == ["CALL", "WHEN", "CALLER", "LASTED", "ENDING", "TURNS", "WAIT", "LONGEST", "USD"]
    assert newest.startswith("CA2 ") and "withheld" in newest and "goes on" in newest
    assert oldest.endswith("1:42    caller hung up  2      0.71 s  1.90 s   0.041")
    assert ALICE not in owner.out


def test_no_id_and_no_word_steers_the_terminal(owner: Owner) -> None:
    owner.keeps(make_call("CA\x1b[2J1", ending="\x9b31m"), [
        Turn(1, "caller", "words", 0, 1.0, "a\x9b2J\x7f\u202eb", data={"x": "\u202e"})])
    for arguments in (("list",), ("show", "CA"), ("show", "CA", "--json")):
        assert owner.types(*arguments) == 0
        assert owner.out.replace("\n", "").isprintable(), arguments
    assert json.loads(owner.out)["transcript"][0]["text"] == "a\x9b2J\x7f\u202eb"


@pytest.mark.parametrize("limit", ["0", "-5", "many"])
def test_no_calls_at_all_cannot_be_asked_for(owner: Owner, limit: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        owner.types("--limit", limit)


def test_more_calls_than_are_listed_are_announced(owner: Owner) -> None:
    for number in range(3):
        owner.keeps(make_call(f"CA{number}"))
    assert owner.types("--limit", "2") == 0
    assert len(owner.out.splitlines()) == 4 and "There are more: --limit 10" in owner.out


@pytest.mark.parametrize(("filters", "found"), [
    (["--caller", BOB], ["CA2"]), (["--ending", "bad"], ["CA2"]), (["--ending", "caller hung up"], ["CA1"]),
    (["--words", "toothache"], ["CA1"]), (["--since", "2030-03-18"], ["CA2"]), (["--until", "2030-03-18"], ["CA1"]),
])
def test_calls_are_found_by_what_the_owner_knows(owner: Owner, filters: list[str], found: list[str]) -> None:
    owner.keeps(make_call("CA1"), TURNS)
    owner.keeps(make_call("CA2", caller=BOB, ending="model failed", started_at=NOW + 24 * 3600))
    assert owner.types(*filters) == 0
    assert [line.split()[0] for line in owner.out.splitlines()[1:]] == found
    assert owner.types("list", *filters) == 0
    assert [line.split()[0] for line in owner.out.splitlines()[1:]] == found


def test_a_call_is_shown_as_a_conversation(owner: Owner) -> None:
    owner.keeps(make_call("CA1"), TURNS)
    owner.books()
    assert owner.types("show", "CA1") == 0
    assert f"caller:     {ALICE}" in owner.out
    assert "what came:  A call of 1:42, caller hung up: a meeting booked for Tuesday at ten." in owner.out
    conversation = owner.out.split("\n\n")[1].splitlines()
    assert conversation == [
        "  0:00  assistant  Good day, this is the practice.",
        "  0:02  caller     I have a [31mtoothache [0m. Today?",
        '  0:04  function   schedule_meeting {"name": "Ada"} -> confirmed in 0.42 s {"status": "confirmed"}',
        "  0:05  assistant  You are booked [cut at 0.90 s of 2.60 s, not heard: for Friday at ten.]   "
        "(waited 1.90 s, first sound 0.70 s)",
        "  1:06  caller     (not written down: audio_unintelligible)",
        "  1:07  -          new session (seconds: 0.7)"]
    assert "receiver:   one.example" in owner.out and "secret" not in owner.out, "its report waits"


def test_a_call_is_found_by_the_beginning_of_its_id(owner: Owner) -> None:
    owner.keeps(make_call("CA1a"))
    owner.keeps(make_call("CA1b"))
    assert owner.types("show", "CA1a") == 0
    assert owner.types("show", "CA1") == 1 and owner.error.startswith("several calls begin with CA1")
    assert owner.types("show", "CA%") == 1 and owner.error.startswith("there is no call CA%")


def test_a_call_as_json_is_what_its_report_says(owner: Owner) -> None:
    owner.keeps(make_call("CA1"), TURNS)
    assert owner.types("show", "CA1", "--json") == 0
    told = json.loads(owner.out)
    assert told["transcript"][3] | {"at_ms": 0} == {
        "at_ms": 0, "by": "assistant", "kind": "words", "text": "You are booked for Friday at ten.",
        "heard": "You are booked", "unheard": "for Friday at ten.", "cut_at_ms": 900, "first_sound_ms": 700,
        "answer_ms": 1_900, "silence_ms": 800}

    async def reported() -> str:
        async with open_database(owner.url) as database:
            [delivery] = await DeliveryQueue(database).about("CA1")
        return delivery.body
    body = json.loads(asyncio.run(reported()))
    Draft202012Validator(report.SCHEMA).validate(body)
    assert body == {"type": "call.ended", "timestamp": body["timestamp"], **told}
    assert {"name", "email", "datetime", "description", "phone_number"} <= {*body}


def test_calls_are_exported_whole_or_as_figures(owner: Owner, tmp_path: Path) -> None:
    owner.keeps(make_call("CA1"), TURNS)
    owner.keeps(make_call("CA2", caller="", agent="=1+1", started_at=NOW + 1))
    lines, sheet = tmp_path / "calls.jsonl", tmp_path / "calls.csv"
    assert owner.types("export", str(lines)) == 0 and owner.types("export", str(sheet)) == 0
    assert [json.loads(line)["call_sid"] for line in lines.read_text().splitlines()] == ["CA2", "CA1"]
    hidden, shown = csv.DictReader(sheet.read_text().splitlines())
    assert (hidden["agent"], hidden["phone_number"], shown["phone_number"]) == ("'=1+1", "", ALICE)
    assert shown["duration_seconds"] == "102.0" and "toothache" not in sheet.read_text()
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in (lines, sheet))


@pytest.mark.parametrize(("arguments", "problem"), [
    (["--since", "yesterday"], "--since must be a day such as 2"),
    (["--ending", "taken by a bird"], "there is no ending 'taken by a bird'; there are: bad, caller hung up,"),
    (["show", "CA9"], "there is no call CA9; `python -m bridge calls` lists them"),
    (["resend", "CA9"], "there is no call CA9"),
    (["export", "calls.txt"], "calls.txt must end in .jsonl, for everything, or in .csv, for figures only"),
])
def test_what_cannot_be_done_is_one_line(owner: Owner, arguments: list[str], problem: str) -> None:
    assert owner.types(*arguments) == 1
    assert owner.error.startswith(problem) and owner.error.count("\n") == 1 and not owner.out


def test_a_file_that_is_there_is_kept_unless_told_otherwise(owner: Owner, tmp_path: Path) -> None:
    owner.keeps(make_call("CA1"))
    file = tmp_path / "calls.csv"
    file.write_text("mine")
    assert owner.types("export", str(file)) == 1 and "was left as it is" in owner.error
    assert file.read_text() == "mine"
    assert owner.types("export", str(file), "--force") == 0 and file.read_text() != "mine"


def test_a_report_is_sent_again_to_where_reports_go_now(owner: Owner) -> None:
    owner.keeps(make_call("CA1"))

    async def give_up() -> None:
        async with open_database(owner.url) as database:
            queue = DeliveryQueue(database)
            for delivery in await queue.claim(NOW + 200, 60, 10):
                await queue.dead(delivery.id, NOW + 200, "answered with status 410", delivery.attempts)

    async def waiting() -> list[tuple[str, str]]:
        async with open_database(owner.url) as database:
            return [(each.state, each.url) for each in await DeliveryQueue(database).about("CA1")]
    asyncio.run(give_up())
    assert owner.types("resend", "CA1", receivers=[MOVED]) == 0
    assert owner.out == "1 report of this call will be sent again by the running server within seconds.\n"
    assert asyncio.run(waiting()) == [("pending", MOVED)]


def test_times_are_those_of_the_business(owner: Owner) -> None:
    owner.keeps(make_call("CA1"))
    assert owner.types("show", "CA1") == 0
    assert "began:      Sun 2030-03-17 23:46:40 +0600" in owner.out
    assert ZoneInfo("Asia/Dhaka") == DHAKA
