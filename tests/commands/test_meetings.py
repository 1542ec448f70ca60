"""`python -m bridge meetings` at the owner's terminal: what it prints, what it changes, how it fails."""

import argparse
import asyncio
import re
import resource
import stat
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar
from sqlalchemy import URL

from bridge.commands import meetings as command, listing
from bridge.commands.terminal import table
from bridge.delivery.news import of_meeting, of_message
from bridge.meetings.calendar import export
from bridge.meetings.meeting import Meeting
from bridge.meetings.message import Message
from bridge.records.database import Database, StoreFailed, open_database, parse_url
from bridge.records.deliveries import Delivery, DeliveryQueue
from bridge.records.meetings import Meetings
from bridge.records.messages import Messages
from tests.stage.store import BOB, DHAKA, TEN, make_meeting, no_news

ONE, TWO = "https://user:secret@one.example/secret?key=secret", "https://two.example/secret"


@dataclass
class Owner:
    """Who types commands; `out` and `error` are what the last one printed."""

    url: URL
    capture: pytest.CaptureFixture[str]
    out: str = ""
    error: str = ""

    def types(self, *arguments: str, zone: tzinfo = DHAKA) -> int:
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers(dest="command"))
        code = command.run(parser.parse_args(["meetings", *arguments]), self.url, zone=zone)
        self.out, self.error = self.capture.readouterr()
        return code

    def store(self) -> AbstractAsyncContextManager[Database]:
        return open_database(self.url)

    def book(self, *meetings: Meeting) -> None:
        async def work() -> None:
            async with self.store() as database:
                for meeting in meetings:
                    await Meetings(database).book(
                        meeting, lambda meeting: of_meeting(meeting, [ONE, TWO], "meeting.booked", TEN))
        asyncio.run(work())

    def keep(self, message: Message) -> None:
        async def work() -> None:
            async with self.store() as database:
                await Messages(database).keep(
                    message, of_message(message, [ONE, TWO], DHAKA), TEN.timestamp())
        asyncio.run(work())

    def settle(self) -> None:
        """The first receiver takes everything, the second refuses it."""
        async def work() -> None:
            async with self.store() as database:
                queue = DeliveryQueue(database)
                for delivery in await queue.claim(TEN.timestamp(), 60, 100):
                    if delivery.url == ONE:
                        await queue.delivered(delivery.id, TEN.timestamp(), "Noted.", delivery.attempts)
                    else:
                        await queue.dead(delivery.id, TEN.timestamp(), "answered with status 410", delivery.attempts)
        asyncio.run(work())

    def deliveries(self, meeting: Meeting) -> list[Delivery]:
        async def work() -> list[Delivery]:
            async with self.store() as database:
                return await DeliveryQueue(database).about(meeting.id)
        return asyncio.run(work())

    def cancel(self, meeting: Meeting) -> None:
        async def work() -> None:
            async with self.store() as database:
                await Meetings(database).cancel(meeting.id, meeting.caller, no_news)
        asyncio.run(work())


@pytest.fixture
def owner(sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> Owner:
    owner = Owner(parse_url(sqlite_url), capsys)
    owner.book()                                     # a server has been started
    return owner


ADA = make_meeting(name="Ada Lovelace", email="ada@example.com")
GRACE = make_meeting(60, caller=BOB, name="Grace \x1b[31mHopper\nX", email="grace@example.com")


# ---- list

@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_the_list_is_a_table(owner: Owner, arguments: tuple[str, ...]) -> None:
    owner.book(GRACE, ADA)
    owner.settle()
    owner.cancel(GRACE)
    assert owner.types(*arguments) == 0
    head, first, second = owner.out.splitlines()
    assert re.split(r"  +", head) == ["ID", "WHEN", "NAME", "E-MAIL", "STATUS", "DELIVERY"]
    assert re.split(r"  +", first) == [
        ADA.id, "Tue 2030-11-26 10:00 +0600", "Ada Lovelace", "a***@example.com", "booked", "1 dead, 1 delivered"]
    assert re.split(r"  +", second)[2:5] == ["Grace [31mHopper X", "g***@example.com", "cancelled"]
    assert head.index("STATUS") == first.index("booked") == second.index("cancelled")


def test_an_empty_list_says_so(owner: Owner) -> None:
    assert (owner.types("list"), owner.out) == (0, "no meetings yet\n")


def test_the_list_is_complete_however_long(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PAGE", 2)
    owner.book(*(make_meeting(30 * number) for number in range(5)))
    assert owner.types("list") == 0
    assert len(owner.out.splitlines()) == 1 + 5


# ---- show

def test_show_tells_everything_of_a_meeting_and_its_deliveries(owner: Owner) -> None:
    owner.book(ADA)
    owner.settle()
    assert owner.types("show", ADA.id) == 0
    meeting, one, two = sorted(owner.out.split("\n\n"), key=lambda part: ("delivery:" in part, "two.example" in part))
    for fact in (ADA.id, "Ada Lovelace", "ada@example.com", ADA.phone_number, ADA.description, "Tuesday at ten",
                 "Asia/Dhaka", "Tue 2030-11-26 10:00 +0600", "Tue 2030-11-26 10:30 +0600", "booked"):
        assert fact in meeting
    for fact in ("msg_", "meeting.booked", "one.example", "state:      delivered", "attempts:   1", "Noted."):
        assert fact in one
    for fact in ("two.example", "state:      dead", "last error: answered with status 410", "2030-11-26 04:00:00 UTC"):
        assert fact in two
    assert "secret" not in owner.out


def test_what_a_caller_said_does_not_steer_the_terminal(owner: Owner) -> None:
    owner.book(GRACE)
    assert owner.types("show", GRACE.id) == 0
    assert "Grace [31mHopper X" in owner.out
    assert "\x1b" not in owner.out


@pytest.mark.parametrize("action", ["show", "resend"])
def test_a_meeting_that_is_not_there(owner: Owner, action: str) -> None:
    assert owner.types(action, "nobody\x1b") == 1
    assert owner.out == ""
    assert owner.error == "there is no meeting nobody. `python -m bridge meetings` lists them\n"


# ---- resend

def test_resend_makes_dead_letters_due(owner: Owner) -> None:
    owner.book(ADA, GRACE)
    owner.settle()
    before = owner.deliveries(ADA)
    assert owner.types("resend", ADA.id) == 0
    assert owner.out == (
        f"1 delivery of meeting {ADA.id} will be sent again by the running server within seconds.\n")
    after = owner.deliveries(ADA)
    assert sorted(each.state for each in after) == ["delivered", "pending"]
    assert [each.id for each in after] == [each.id for each in before]
    assert sorted(each.state for each in owner.deliveries(GRACE)) == ["dead", "delivered"]


def test_resend_without_dead_letters_says_what_there_is(owner: Owner) -> None:
    owner.book(ADA)
    assert owner.types("resend", ADA.id) == 1
    assert owner.error == f"meeting {ADA.id} has no dead letters to send again. Its deliveries: 2 pending\n"


# ---- messages

MESSAGE = Message(
    id="RE" + "a" * 32, caller=BOB, call_sid="CA1", recording_url="https://api.twilio.com/recording", seconds=12,
    recorded=TEN.astimezone(UTC))


NOW = datetime(2030, 11, 26, 12, tzinfo=DHAKA)


class Noon(datetime):
    """A clock that stands at noon of the day of TEN."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(NOW.timestamp(), tz)


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "datetime", Noon)


def days(number: int) -> Meeting:
    """A meeting so many days after TEN."""
    return make_meeting(number * 24 * 60, id=f"day {number}")


def ids(owner: Owner) -> list[str]:
    return [re.split(r"  +", row)[0] for row in owner.out.splitlines()[1:]]


def test_what_is_to_come_stands_first_and_then_what_is_over_newest_first(owner: Owner, noon: None) -> None:
    owner.book(*map(days, (2, -1, 0, 1, -2)))
    assert owner.types() == 0
    assert ids(owner) == ["day 1", "day 2", "day 0", "day -1", "day -2"]
    assert owner.types("--all") == 0
    assert ids(owner) == ["day 1", "day 2", "day 0", "day -1", "day -2"]


def test_old_meetings_are_left_out_unless_they_need_you(
    owner: Owner, noon: None, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "RECENT", 1)
    owner.book(days(-3))
    owner.settle()                                   # it has a dead letter
    owner.book(*map(days, (-4, -2, -1, 1)))
    owner.keep(replace(MESSAGE, id="RE" + "b" * 32, recorded=(TEN - timedelta(days=1)).astimezone(UTC)))
    owner.keep(MESSAGE)
    assert owner.types() == 0
    assert ids(owner) == ["day 1", "day -1", "day -3", MESSAGE.id, "3 more are over: --all shows them"]
    assert owner.types("list", "--all") == 0
    assert ids(owner) == ["day 1", "day -1", "day -2", "day -3", "day -4", MESSAGE.id, "RE" + "b" * 32]


def test_today_is_that_of_the_business(owner: Owner, noon: None) -> None:
    late = make_meeting(13 * 60 + 30, id="late")     # half past eleven at night in Dhaka
    owner.book(late, *map(days, (-1, 0, 1)))
    owner.keep(MESSAGE)                              # at ten in the morning there, at four in UTC
    for arguments in (("--today",), ("list", "--today")):
        assert owner.types(*arguments) == 0
        assert ids(owner) == ["day 0", "late", MESSAGE.id]
    assert owner.types("--today", zone=ZoneInfo("America/Bogota")) == 0
    assert ids(owner) == ["day 0", "late"], "there the message is of late yesterday"


def test_a_day_without_anything_says_so(owner: Owner, noon: None) -> None:
    owner.book(days(1))
    assert (owner.types("--today"), owner.out) == (0, "nothing today\n")


def test_one_cannot_ask_for_today_and_for_all(owner: Owner) -> None:
    with pytest.raises(SystemExit):
        owner.types("--today", "--all")


def test_messages_stand_behind_the_meetings(owner: Owner) -> None:
    owner.book(ADA)
    owner.keep(MESSAGE)
    owner.settle()
    assert owner.types("list") == 0
    *_, meeting, message = owner.out.splitlines()
    assert meeting.startswith(ADA.id)
    assert re.split(r"  +", message) == [
        MESSAGE.id, "2030-11-26 04:00:00 UTC", "caller +88*********22", "message, 12 s", "1 dead, 1 delivered"]


def test_show_tells_everything_of_a_message(owner: Owner) -> None:
    owner.keep(MESSAGE)
    owner.settle()
    assert owner.types("show", MESSAGE.id) == 0
    for fact in (MESSAGE.id, BOB, "https://api.twilio.com/recording", "12", "message.recorded", "one.example",
                 "state:      dead"):
        assert fact in owner.out


def test_dead_letters_of_a_message_are_sent_again(owner: Owner) -> None:
    owner.keep(MESSAGE)
    owner.settle()
    assert owner.types("resend", MESSAGE.id) == 0
    assert owner.out == (
        f"1 delivery of message {MESSAGE.id} will be sent again by the running server within seconds.\n")
    assert owner.types("resend", MESSAGE.id) == 1
    assert owner.error == (
        f"message {MESSAGE.id} has no dead letters to send again. Its deliveries: 1 delivered, 1 pending\n")


# ---- export

def test_export_writes_the_booked_meetings(owner: Owner, tmp_path: Path) -> None:
    owner.book(ADA, GRACE)
    owner.cancel(GRACE)
    file = tmp_path / "meetings.ics"
    assert owner.types("export", str(file)) == 0
    assert owner.out == f"1 meeting written to {file}\n"
    [event] = Calendar.from_ical(file.read_bytes()).subcomponents
    assert (event["UID"], event.decoded("DTSTART")) == (ADA.id, TEN)
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, "names and numbers are nobody else's business"


@pytest.mark.parametrize("name", ["meetings.ics", "bridge.db"])
def test_export_writes_over_no_file_unless_it_is_told_to(owner: Owner, tmp_path: Path, name: str) -> None:
    owner.book(ADA)
    file = tmp_path / name
    if name == "meetings.ics":
        file.write_text("old " * 1000)
    before = file.read_bytes()
    assert owner.types("export", str(file)) == 1
    assert owner.error == (
        f"{file} is there already, and was left as it is: name another file, or write over it with --force\n")
    assert file.read_bytes() == before
    if name == "meetings.ics":
        assert owner.types("export", str(file), "--force") == 0
        assert len(Calendar.from_ical(file.read_bytes()).subcomponents) == 1


def test_export_writes_over_no_file_that_comes_meanwhile(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.book(ADA)
    file = tmp_path / "meetings.ics"
    right = export

    def slow(meetings: Sequence[Meeting], stamp: datetime) -> str:
        file.write_text("somebody else's")
        return right(meetings, stamp)
    monkeypatch.setattr(command, "export", slow)
    assert owner.types("export", str(file)) == 1
    assert "is there already" in owner.error and file.read_text() == "somebody else's"


def test_export_leaves_no_file_that_is_not_whole(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    owner.book(ADA)
    file, right, limits = tmp_path / "meetings.ics", export, resource.getrlimit(resource.RLIMIT_FSIZE)

    def with_little_room(meetings: Sequence[Meeting], stamp: datetime) -> str:
        text = right(meetings, stamp)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        return text
    monkeypatch.setattr(command, "export", with_little_room)
    try:
        code = owner.types("export", str(file))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 1 and owner.error == f"{file} cannot be written: File too large\n"
    assert not file.exists()


def test_export_of_nothing_says_so_and_writes_no_file(owner: Owner, tmp_path: Path) -> None:
    file = tmp_path / "meetings.ics"
    owner.book(GRACE)
    owner.cancel(GRACE)
    assert owner.types("export", str(file)) == 1
    assert owner.error == f"no meeting is booked, so {file} was not written: a calendar file needs a meeting\n"
    assert not file.exists()


def test_export_to_where_nothing_can_be_written(owner: Owner, tmp_path: Path) -> None:
    owner.book(ADA)
    for arguments in ([], ["--force"]):
        assert owner.types("export", str(tmp_path), *arguments) == 1
        assert owner.error == f"{tmp_path} cannot be written: Is a directory\n"
    assert owner.types("export", str(tmp_path / "missing" / "meetings.ics")) == 1
    assert owner.error.endswith("meetings.ics cannot be written: No such file or directory\n")


# ---- when it cannot be done

def test_a_database_that_cannot_be_opened(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    owner = Owner(parse_url(f"sqlite:///{tmp_path}/missing/bridge.db"), capsys)
    assert owner.types("list") == 1
    assert "missing/bridge.db cannot be used" in owner.error
    assert owner.error.count("\n") == 1


def test_a_database_that_fails(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise StoreFailed("disk I/O error")
    monkeypatch.setattr(command, "_list", fail)
    assert owner.types() == 1
    assert owner.error == "the database failed: disk I/O error\n"


@pytest.mark.parametrize("arguments", [("show",), ("resend",), ("export",), ("delete", "x")])
def test_what_is_typed_wrongly_is_explained(owner: Owner, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as stopped:
        owner.types(*arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize(("email", "shown"), [
    ("ada@example.com", "a***@example.com"), ("a@b@example.com", "a***@example.com"), ("", "")])
def test_an_address_is_masked(email: str, shown: str) -> None:
    assert command.masked(email) == shown


def test_a_table_lines_up() -> None:
    assert table([("A", "B"), ("long", "x")]) == "A     B\nlong  x"
