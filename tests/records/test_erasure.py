"""A caller is forgotten everywhere when that is asked for, and what is settled when it is old; nothing else is."""

import argparse
import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Delete, Table, delete

from bridge import keys
from bridge.app import create_app
from bridge.commands import erase
from bridge.delivery.news import of_message as message_news
from bridge.meetings.meeting import Meeting
from bridge.meetings.message import Message
from bridge.records import erasure
from bridge.records import retention
from bridge.records.calls import Calls, Limits
from bridge.records.database import Database, open_database, parse_url
from bridge.records.deliveries import DeliveryQueue
from bridge.records.endings import Ending
from bridge.records.erasure import Erasure, Found
from bridge.records.meetings import Meetings, NotYours
from bridge.records.messages import Messages
from bridge.records.news import NewDelivery
from bridge.sim.demo import serving
from tests.stage.settings import make_settings
from tests.stage.store import ALICE, BOB, DHAKA, NOW, RECEIVERS, TEN, make_meeting, news, rows

HIDDEN = "CA" + "f" * 32
TABLES = ("meetings", "slots", "messages", "deliveries", "calls")
DAY = 86400.0


def message(number: int, caller: str = BOB, call_sid: str = "CA2", recorded: datetime = TEN) -> Message:
    return Message(id=f"RE{number:032}", caller=caller, call_sid=call_sid, recording_url="https://api.twilio.com/r",
                   seconds=3, recorded=recorded.astimezone(UTC))


async def keep(database: Database, left: Message) -> None:
    await Messages(database).keep(left, message_news(left, RECEIVERS, DHAKA), NOW)


async def settle(database: Database, at: float = NOW, *, dead: bool = False) -> None:
    """Everything is delivered; `dead`: every second delivery is a dead letter."""
    queue = DeliveryQueue(database)
    while due := await queue.claim(TEN.timestamp() * 2, 60, 1000, per_url=1000):     # a meeting's news in order
        for number, each in enumerate(due):
            if dead and number % 2:
                await queue.dead(each.id, at, "gone", each.attempts)
            else:
                await queue.delivered(each.id, at, "noted", each.attempts)


async def call(database: Database, sid: str, caller: str, *, over: bool = True) -> None:
    calls = Calls(database, "process")
    await calls.admit(sid, caller, Limits(), NOW)
    await calls.opened(sid, caller, NOW)
    await calls.keep_history(sid, "caller: my name is Alice")
    if over:
        await calls.closed(sid, Ending.TRANSFERRED, NOW + 1)


async def everything(database: Database) -> dict[str, list[Any]]:
    return {table: await rows(database, table) for table in TABLES}


# ---- a caller

async def test_a_caller_is_removed_everywhere_and_nobody_else_is(database: Database) -> None:
    book = Meetings(database, now=lambda: NOW).book
    await book(make_meeting(0, caller=BOB), news)
    await keep(database, message(1, BOB))
    await call(database, "CA" + "b" * 32, BOB)
    others = await everything(database)
    await book(make_meeting(60, caller=ALICE), news)
    await book(make_meeting(120, caller="CA7", phone_number=ALICE, call_sid="CA7"), news)
    gone, _ = await book(make_meeting(180, caller=ALICE), news)
    await Meetings(database).cancel(gone.id, ALICE, news)
    await keep(database, message(2, ALICE))
    await call(database, "CA" + "a" * 32, ALICE)

    found = await Erasure(database).find(ALICE, NOW)
    assert found == Found(meetings=3, upcoming=2, messages=1, deliveries=10, untold=10, calls=1)
    assert await Erasure(database).erase(ALICE, NOW) == found
    assert await everything(database) == others
    assert ALICE not in str(await everything(database)) and "Alice" not in str(others["meetings"])
    assert not (await Erasure(database).find(ALICE, NOW)).anything


async def test_one_who_hid_the_number_is_known_by_the_call(database: Database) -> None:
    await Meetings(database).book(make_meeting(caller=HIDDEN, phone_number="", call_sid=HIDDEN), news)
    await keep(database, message(1, "", HIDDEN))
    await call(database, HIDDEN, "", over=False)
    found = await Erasure(database).erase(HIDDEN, NOW)
    assert (found.meetings, found.messages, found.calls, found.under_way) == (1, 1, 1, 1)
    assert await everything(database) == {table: [] for table in TABLES}


async def test_a_number_that_was_said_in_a_hidden_call_removes_that_call_and_no_other(database: Database) -> None:
    other = "CA" + "e" * 32
    await Meetings(database).book(make_meeting(caller=other, phone_number=BOB, call_sid=other), news)
    await call(database, other, "")
    others = await everything(database)
    await Meetings(database).book(make_meeting(60, caller=HIDDEN, phone_number=ALICE, call_sid=HIDDEN), news)
    # In the same call, for which an e-mail address was enough.
    await Meetings(database).book(make_meeting(120, caller=HIDDEN, phone_number="", call_sid=HIDDEN), news)
    await keep(database, message(1, "", HIDDEN))
    await call(database, HIDDEN, "")
    found = await Erasure(database).find(ALICE, NOW)
    assert (found.meetings, found.messages, found.calls) == (2, 1, 1)
    assert await Erasure(database).erase(ALICE, NOW) == found
    assert await everything(database) == others


async def test_the_time_is_free_again(database: Database) -> None:
    await Meetings(database).book(make_meeting(caller=ALICE), news)
    await Erasure(database).erase(ALICE, NOW)
    _, booked = await Meetings(database).book(make_meeting(caller=BOB), news)
    assert booked


async def test_news_that_is_promised_meanwhile_is_erased_too(database_url: str) -> None:
    promising, go = threading.Event(), threading.Event()

    def slowly(meeting: Meeting) -> list[NewDelivery]:
        promising.set()
        assert go.wait(30)
        return news(meeting)
    async with open_database(parse_url(database_url)) as ours, open_database(parse_url(database_url)) as theirs:
        meeting, _ = await Meetings(ours).book(make_meeting(caller=ALICE), news)
        cancelling = asyncio.create_task(Meetings(theirs).cancel(meeting.id, ALICE, slowly))
        await asyncio.to_thread(promising.wait, 30)
        erasing = asyncio.create_task(Erasure(ours).erase(ALICE, NOW))
        await asyncio.wait({erasing}, timeout=0.3)
        assert not erasing.done(), "it waits for what is under way"
        go.set()
        await cancelling
        await erasing
        assert await everything(ours) == {table: [] for table in TABLES}


async def test_no_news_is_promised_of_what_is_being_erased(
    database_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    removing, go = threading.Event(), threading.Event()

    def slowly(table: Table) -> Delete:
        if table.name == "slots":                    # the deliveries are gone, and the meeting is not
            removing.set()
            assert go.wait(30)
        return delete(table)
    monkeypatch.setattr(erasure, "delete", slowly)
    async with open_database(parse_url(database_url)) as ours, open_database(parse_url(database_url)) as theirs:
        meeting, _ = await Meetings(ours).book(make_meeting(caller=ALICE), news)
        erasing = asyncio.create_task(Erasure(ours).erase(ALICE, NOW))
        await asyncio.to_thread(removing.wait, 30)
        cancelling = asyncio.create_task(Meetings(theirs).cancel(meeting.id, ALICE, news))
        await asyncio.wait({cancelling}, timeout=0.3)
        assert not cancelling.done(), "it waits until that is decided"
        go.set()
        await erasing
        with pytest.raises(NotYours):
            await cancelling
        assert await everything(ours) == {table: [] for table in TABLES}


async def test_in_a_sqlite_file_nothing_can_be_read_any_more(sqlite_url: str, tmp_path: Path) -> None:
    async with open_database(parse_url(sqlite_url)) as running:
        await Meetings(running).book(make_meeting(caller=ALICE, name="Alice Liddell"), news)
        await call(running, "CA" + "a" * 32, ALICE)
        assert any(b"Alice Liddell" in file.read_bytes() for file in tmp_path.glob("bridge.db*"))
        # As another process does it, while the server has the file open.
        options = argparse.Namespace(caller=ALICE, yes=True, undelivered=True)
        assert await asyncio.to_thread(erase.run, options, parse_url(sqlite_url)) == 0
        for file in tmp_path.glob("bridge.db*"):
            content = file.read_bytes()
            assert not [each for each in (b"Liddell", ALICE.encode(), b"my name is") if each in content], file


# ---- the command

class Terminal:
    """Who types the command; `out` and `error` are what the last one printed."""

    def __init__(self, url: str, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.url, self._capture, self._monkeypatch = parse_url(url), capture, monkeypatch
        self.out = self.error = ""

    def types(self, *arguments: str, answer: str | None = None) -> int:
        def ask(question: str) -> str:
            print(question)
            if answer is None:
                raise EOFError
            return answer
        self._monkeypatch.setattr("builtins.input", ask)
        parser = argparse.ArgumentParser()
        erase.add_parser(parser.add_subparsers(dest="command"))
        try:
            code = erase.run(parser.parse_args(["erase", *arguments]), self.url)
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        self.out, self.error = self._capture.readouterr()
        return code

    def have(self, *, settled: bool, dead: bool = False) -> None:
        async def work() -> None:
            async with open_database(self.url) as database:
                await Meetings(database).book(make_meeting(caller=ALICE), news)
                await keep(database, message(1, ALICE))
                if settled:
                    await settle(database, dead=dead)
        asyncio.run(work())

    def holds(self) -> int:
        with closing(sqlite3.connect(str(self.url.database))) as connection:
            return sum(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES)


@pytest.fixture
def terminal(sqlite_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(sqlite_url, capsys, monkeypatch)


def test_it_asks_first_and_says_what_it_did(terminal: Terminal) -> None:
    terminal.have(settled=True)
    assert terminal.types(ALICE, answer="yes") == 0
    asked, *_ = terminal.out.split("Remove it for good?")
    assert "This will be removed: 1 meeting, 1 message, 4 deliveries, 0 calls" in asked
    assert "your webhook is not told" in asked and "Recordings of messages stay in your Twilio console" in asked
    assert "removed: 1 meeting, 1 message, 4 deliveries, 0 calls" in terminal.out.split("(yes/no)")[1]
    assert terminal.holds() == 0


@pytest.mark.parametrize("answer", ["no", "", "yess", None])
def test_anything_but_a_yes_is_a_no(terminal: Terminal, answer: str | None) -> None:
    terminal.have(settled=True)
    before = terminal.holds()
    assert terminal.types(ALICE, answer=answer) == 1
    assert terminal.error == "nothing was removed\n"
    assert terminal.holds() == before


def test_yes_is_an_answer_beforehand(terminal: Terminal) -> None:
    terminal.have(settled=True)
    assert terminal.types(ALICE, "--yes") == 0
    assert "Remove it" not in terminal.out and terminal.holds() == 0


def test_what_was_not_delivered_is_not_lost_without_a_word(terminal: Terminal) -> None:
    terminal.have(settled=False)
    before = terminal.holds()
    assert terminal.types(ALICE, "--yes") == 1
    assert terminal.error.startswith("nothing was removed: 4 deliveries of this caller would be lost.")
    assert terminal.holds() == before
    assert terminal.types(ALICE, answer="no") == 1
    assert "4 deliveries did not reach your webhook yet, which will never hear of it." in terminal.out
    assert terminal.types(ALICE, "--yes", "--undelivered") == 0
    assert "4 deliveries did not reach your webhook yet" in terminal.out and terminal.holds() == 0


def test_dead_letters_were_not_delivered_either(terminal: Terminal) -> None:
    terminal.have(settled=True, dead=True)
    before = terminal.holds()
    assert terminal.types(ALICE, "--yes") == 1
    assert "2 deliveries of this caller would be lost" in terminal.error and "meetings resend" in terminal.error
    assert terminal.holds() == before
    assert terminal.types(ALICE, "--yes", "--undelivered") == 0
    assert terminal.holds() == 0


def test_a_caller_who_is_not_known_is_done_already(terminal: Terminal) -> None:
    assert terminal.types(ALICE, "--yes") == 0
    assert terminal.out == "nothing is known of this caller\n"


@pytest.mark.parametrize("arguments", [(), ("15551234567",), ("Alice",), ("%",), ("+1555 1234567",), (ALICE, BOB)])
def test_what_is_typed_wrongly_is_explained(terminal: Terminal, arguments: Sequence[str]) -> None:
    assert terminal.types(*arguments, "--yes") == 2
    assert "usage:" in terminal.error


def test_a_database_that_cannot_be_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = Terminal(f"sqlite:///{tmp_path}/missing/bridge.db", capsys, monkeypatch)
    assert terminal.types(ALICE, "--yes") == 1
    assert "cannot be used" in terminal.error and terminal.error.count("\n") == 1


# ---- what is old

AFTER = TEN.timestamp() + 3 * 3600


async def test_what_is_over_and_settled_is_forgotten(database: Database) -> None:
    await Meetings(database, now=lambda: NOW).book(make_meeting(), news)
    await keep(database, message(1))
    await settle(database)
    assert await Erasure(database).sweep(TEN.timestamp()) == 0
    assert await Erasure(database).sweep(AFTER) == 2
    assert await everything(database) == {table: [] for table in TABLES}


async def test_nothing_that_was_promised_is_forgotten(database: Database) -> None:
    await Meetings(database, now=lambda: NOW).book(make_meeting(), news)
    await keep(database, message(1))
    before = await everything(database)
    assert await Erasure(database).sweep(AFTER + 1000 * DAY) == 0
    assert await everything(database) == before
    await settle(database, at=AFTER)
    assert await Erasure(database).sweep(AFTER) == 0, "settled a moment ago"
    assert await Erasure(database).sweep(AFTER + 1) == 2


async def test_a_dead_letter_is_never_forgotten(database: Database) -> None:
    meeting, _ = await Meetings(database, now=lambda: NOW).book(make_meeting(), news)
    await keep(database, message(1))
    await settle(database, at=NOW, dead=True)
    before = await everything(database)
    assert await Erasure(database).sweep(AFTER + 1000 * DAY) == 0
    assert await everything(database) == before
    assert await Erasure(database).held(AFTER) == 2
    assert await Erasure(database).held(TEN.timestamp() - DAY) == 0
    for each in (meeting.id, message(1).id):
        await DeliveryQueue(database).revive(each, AFTER)
    await settle(database, at=AFTER)
    assert await Erasure(database).held(AFTER + 1) == 0
    assert await Erasure(database).sweep(AFTER + 1) == 2, "told after all"


async def test_no_meeting_that_is_to_come_is_forgotten(database: Database) -> None:
    await Meetings(database, now=lambda: NOW).book(make_meeting(), news)
    await settle(database, at=NOW)
    assert await Erasure(database).sweep(TEN.timestamp() + 1800) == 0, "it ends in this moment"
    assert len(await rows(database, "slots")) == 30


async def test_a_cancelled_meeting_is_forgotten_once_that_is_known(database: Database) -> None:
    meeting, _ = await Meetings(database, now=lambda: NOW).book(make_meeting(), news)
    await Meetings(database, now=lambda: NOW).cancel(meeting.id, meeting.caller, news)
    assert await Erasure(database).sweep(NOW + DAY) == 0
    await settle(database, at=NOW)
    assert await Erasure(database).sweep(NOW + DAY) == 1


async def test_much_is_forgotten_in_portions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "PORTION", 3)
    for number in range(7):
        await keep(database, message(number, recorded=TEN - timedelta(minutes=number)))
    await settle(database)
    assert await Erasure(database).sweep(AFTER) == 7
    assert await rows(database, "messages") == []


async def test_the_owner_is_told_once_what_dead_letters_keep(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(retention, "SWEEP_S", 0.001)
    sweeps = 0

    async def swept(self: Erasure, before: float) -> int:
        nonlocal sweeps
        sweeps += 1
        return 0
    async with open_database(parse_url(sqlite_url)) as database:
        await keep(database, message(1))
        await settle(database, dead=True)
        monkeypatch.setattr(Erasure, "sweep", swept)
        running = asyncio.create_task(retention.sweep_hourly(Erasure(database), 30, lambda: AFTER + 31 * DAY))
        async with asyncio.timeout(10):
            while sweeps < 5:
                await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.wait({running})
    [line] = [record.getMessage() for record in caplog.records if "are kept" in record.getMessage()]
    assert line.startswith("1 meetings and messages older than RETENTION_DAYS=30 are kept")


async def test_the_server_forgets_by_itself(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SWEEP_S", 0.01)
    old = message(1, recorded=datetime.now(UTC) - timedelta(days=40))
    recent = message(2, recorded=datetime.now(UTC) - timedelta(days=20))
    app = create_app(make_settings(DATABASE_URL=sqlite_url, RETENTION_DAYS="30"))
    async with serving(app):
        database = app[keys.DATABASE]
        for left in (old, recent):
            await keep(database, left)
        await settle(database, at=(datetime.now(UTC) - timedelta(days=35)).timestamp())
        async with asyncio.timeout(10):
            while len(await rows(database, "messages")) != 1:
                await asyncio.sleep(0.01)
        assert [row.id for row in await rows(database, "messages")] == [recent.id]
