"""What is not audio gives way to it: in the event loop and in database threads, for real."""

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter, time
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from icalendar import Calendar
from sqlalchemy import Connection, text

from bridge.console.answers import hide_faults
from bridge.delivery import news as delivery_news
from bridge.delivery import webhook
from bridge.delivery.news import of_meeting
from bridge.delivery.webhook import post
from bridge.loop import yielding
from bridge.loop.yielding import PIECE_S, yield_core, yield_loop
from bridge.meetings import calendar
from bridge.meetings.calendar import ics
from bridge.meetings.meeting import Meeting
from bridge.reception import door as door_module
from bridge.reception.strangers import FIRST_S, Door
from bridge.records import engines
from bridge.records.database import Database
from bridge.records.deliveries import Delivery
from bridge.sim.demo import serving

UTC_ZONE = ZoneInfo("UTC")
MEETING = Meeting(
    id="5e6d3a52-0c1d-4f8e-9d2b-7a1c3b5e9f00", caller="+15551234567", call_sid="CA" + "1" * 32, name="Ada Lovelace",
    email="ada@example.com", description="The analytical engine " * 9, phone_number="+15551234567",
    start=datetime(2026, 11, 26, 10, tzinfo=UTC_ZONE), minutes=30, zone=UTC_ZONE, read_back="Thursday at ten")


@pytest.fixture
def one_core() -> Iterator[None]:
    """We have one core, and the interpreter goes from thread to thread only where one lets go of it."""
    cores, interval = os.sched_getaffinity(0), sys.getswitchinterval()
    os.sched_setaffinity(0, {min(cores)})
    sys.setswitchinterval(100)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        os.sched_setaffinity(0, cores)


def compute() -> None:
    """A piece of work, and a little more."""
    end = perf_counter() + 2 * PIECE_S
    while perf_counter() < end:
        pass


async def test_the_event_loop_goes_on_between_the_pieces_of_what_a_thread_computes(one_core: None) -> None:
    turns, over = 0, asyncio.Event()

    async def loop_goes_on() -> None:
        nonlocal turns
        while not over.is_set():
            turns += 1
            await asyncio.sleep(0)

    def pieces() -> int:
        went_on = 0
        for _ in range(50):
            compute()
            before = turns
            yield_core()
            went_on += turns > before
        return went_on
    going_on = asyncio.create_task(loop_goes_on())
    went_on = await asyncio.to_thread(pieces)
    over.set()
    await going_on
    assert went_on > 5                               # the core is shared: not each time


def test_a_thread_gives_way_once_in_a_piece_however_many_steps_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    now, given = perf_counter() + 1, 0

    def give() -> None:
        nonlocal given
        given += 1
    monkeypatch.setattr(yielding, "perf_counter", lambda: now)
    monkeypatch.setattr(os, "sched_yield", give)
    for _ in range(100):
        now += PIECE_S / 10
        yield_core()
    assert 9 <= given <= 11


async def test_what_a_socket_brought_meanwhile_is_handled_before_the_next_piece() -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while frame := await reader.read(100):
            heard.append(frame)
        writer.close()
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        _, phone = await asyncio.open_connection(*server.sockets[0].getsockname())
        phone.write(b"first")
        while not heard:
            await asyncio.sleep(0)
        frames = [b"frame %d" % number for number in range(20)]
        at_once = []
        for frame in frames:
            phone.write(frame)
            await yield_loop()
            at_once.append(heard[-1])
        phone.close()
    assert at_once == frames


async def test_a_transaction_may_give_way_around_each_statement(
    database: Database, monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = 0

    def give() -> None:
        nonlocal given
        given += 1
    monkeypatch.setattr(engines, "yield_core", give)
    between: list[int] = []

    def work(connection: Connection) -> None:
        for _ in range(5):
            between.append(given)
            connection.execute(text("SELECT 1")).all()
    await database.write(work)
    assert all(later - earlier >= 2 for earlier, later in zip(between, between[1:]))
    assert between[0] >= 1 and given >= between[-1] + 3          # before them all; to the commit, and after it


def test_an_invitation_is_written_in_small_steps_and_is_what_icalendar_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = 0

    def give() -> None:
        nonlocal given
        given += 1
    for module in calendar, delivery_news:
        monkeypatch.setattr(module, "yield_core", give)
    [news] = of_meeting(MEETING, ["http://localhost/"], "meeting.booked", datetime.now(UTC), "o@example.com")
    written = ics(MEETING, "o@example.com", datetime.now(UTC))
    assert Calendar.from_ical(written).to_ical().decode() == written
    assert given > 2 * written.count("\r\n") and news.body


async def test_a_delivery_is_made_and_sent_in_two_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    arrived, at_yield = 0, []

    async def take(request: web.Request) -> web.Response:
        nonlocal arrived
        arrived += 1
        return web.Response()

    async def give() -> None:
        at_yield.append(arrived)
        await asyncio.sleep(0.05)                    # had it been sent already, it would have arrived
        at_yield.append(arrived)
    monkeypatch.setattr(webhook, "yield_loop", give)
    app = web.Application()
    app.router.add_post("/", take)
    async with serving(app) as base, aiohttp.ClientSession() as http:
        delivery = Delivery(
            id="msg_1", about_kind="meeting", about_id="1",
            url=f"{base}/", type="meeting.booked", body="{}", created_at=time(),
            since=time(), attempts=1, state="pending", next_at=time(), last_error="", answer="")
        assert (await post(http, delivery, ())).meaning == "taken"
    assert at_yield == [0, 0] and arrived == 1


# ---- strangers

class Turns:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.count = 0
        self._counting = asyncio.create_task(self._go_on())

    async def _go_on(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    def stop(self) -> None:
        self._counting.cancel()


@dataclass(eq=False)
class Stranger:
    """A connection; `closed_at`: in which turn it was aborted."""

    turns: Turns
    closed_at: int | None = None

    @property
    def transport(self) -> "Stranger":
        return self

    def abort(self) -> None:
        self.closed_at = self.turns.count


async def test_of_many_who_waited_too_long_one_is_closed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "LOOK_S", 0)
    turns, door = Turns(), Door[Any]()
    strangers = [Stranger(turns) for _ in range(20)]
    long_ago = asyncio.get_running_loop().time() - 2 * FIRST_S
    for each in strangers:
        door.came(each, "127.0.0.1", long_ago)
    closing = asyncio.create_task(door_module.close_overdue(door))
    async with asyncio.timeout(10):
        while strangers[-1].closed_at is None:
            await asyncio.sleep(0)
    closing.cancel()
    turns.stop()
    closed_at = [each.closed_at or 0 for each in strangers]
    assert all(later - earlier >= 2 for earlier, later in zip(closed_at, closed_at[1:]))
    assert len(door) == 0


async def test_a_stranger_is_judged_and_refused_in_pieces() -> None:
    turns = Turns()

    async def rescue(request: web.Request) -> web.Response | None:
        return None
    judged_at = 0

    async def judge(request: web.Request) -> web.Response:
        nonlocal judged_at
        judged_at = turns.count
        raise web.HTTPForbidden
    request = make_mocked_request("POST", "/incoming-call")
    response = await hide_faults(rescue)(request, judge)
    turns.stop()
    assert response.status == 403
    assert judged_at >= 2 and turns.count - judged_at >= 2
