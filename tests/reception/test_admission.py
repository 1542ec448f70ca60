"""Who may call: what the webhook answers, by the counts of all servers on one database, and when that is silent."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import aiohttp
import pytest

from bridge import keys
from bridge.app import create_app
from bridge.loop.background import Background
from bridge.openai_side.breaker import FAILURES
from bridge.reception import admission as admission_module
from bridge.reception.admission import Admission
from bridge.records import engines
from bridge.records.calls import DAY_S, HOUR_S, LEASE_S, PENDING_S, Calls, Limits
from bridge.records.database import Database, open_database, parse_url
from bridge.records.endings import Ending
from bridge.sim.demo import serving
from bridge.sim.realtime import Turn
from tests.stage.office import line, office
from tests.stage.settings import make_settings
from tests.stage.store import ALICE, BOB, NOW, rows

BUSY = '<Reject reason="busy" />'


# ---- at the webhook

@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def ring(http: aiohttp.ClientSession, origin: str, number: int, caller: str = "") -> str:
    """What a call is answered; `number` is its own."""
    form = {"From": caller, "To": "+15550001111", "CallSid": f"CA{number:032}"}
    async with http.post(f"{origin}/incoming-call", data=form) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_who_got_the_fallback_at_once_takes_no_line(sqlite_url: str, http: aiohttp.ClientSession) -> None:
    app = create_app(make_settings(DATABASE_URL=sqlite_url, MAX_CALLS="1"))
    async with serving(app) as origin:
        for _ in range(FAILURES):
            app[keys.BREAKER].failed(asyncio.get_running_loop().time())
        for number in range(3):
            assert "<Say" in await ring(http, origin, number)
            await app[keys.BACKGROUND].finish(5)     # it is written down
        app[keys.BREAKER].succeeded()
        assert "<Stream" in await ring(http, origin, 4)
        assert BUSY in await ring(http, origin, 5)


async def test_servers_that_share_a_database_never_admit_too_many(
    database_url: str, http: aiohttp.ClientSession,
) -> None:
    settings = make_settings(
        DATABASE_URL=database_url, MAX_CALLS="10", MAX_CALLS_PER_CALLER="2",
        CALLS_PER_HOUR_PER_CALLER="0")
    async with AsyncExitStack() as stack:
        origins = [await stack.enter_async_context(serving(create_app(settings))) for _ in range(2)]
        # Each webhook comes twice, to one server and to the other, and all at once.
        answers = await asyncio.gather(*(
            ring(http, origins[(number + again) % 2], number, f"+1555000{number % 8:04}")
            for again in range(2) for number in range(30)))
        admitted = {number for number in range(30) if "<Stream" in answers[number] + answers[30 + number]}
        assert len(admitted) == 10
        callers = [number % 8 for number in admitted]
        assert max(map(callers.count, callers)) <= 2
        assert BUSY in await ring(http, origins[0], 100)
        for number in admitted:
            assert "<Stream" in await ring(http, origins[number % 2], number)


async def test_what_is_rejected_is_logged_and_counted(
    http: aiohttp.ClientSession, sqlite_url: str, caplog: pytest.LogCaptureFixture,
) -> None:
    settings = make_settings(DATABASE_URL=sqlite_url, MAX_CALLS_PER_CALLER="1", MAX_CALLS="2", ADMIN_PASSWORD="x" * 12)
    async with serving(create_app(settings)) as origin:
        answers = [await ring(http, origin, number, caller) for number, caller in enumerate([ALICE, ALICE, "", ""])]
        assert [BUSY in answer for answer in answers] == [False, True, False, True]
        async with http.get(f"{origin}/metrics", headers={"Authorization": "Bearer " + "x" * 12}) as answer:
            figures = await answer.text()
    assert 'bridge_calls_rejected_total{reason="MAX_CALLS_PER_CALLER"} 1.0' in figures
    assert 'bridge_calls_rejected_total{reason="MAX_CALLS"} 1.0' in figures
    lines = [record.getMessage() for record in caplog.records if "rejected" in record.getMessage()]
    assert lines == [
        f"call CA{1:032} from +88*********11 was rejected as busy: MAX_CALLS_PER_CALLER=1",
        f"call CA{3:032} from anonymous was rejected as busy: MAX_CALLS=2"]
    assert ALICE not in caplog.text


async def test_callers_who_hide_their_number_have_half_of_the_lines_unless_that_is_said(
    http: aiohttp.ClientSession, tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    for said, hidden in (({}, 2), ({"MAX_CALLS_HIDDEN": "1"}, 1), ({"MAX_CALLS_HIDDEN": "0"}, 4)):
        app = create_app(make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/{hidden}.db", MAX_CALLS="4", **said))
        async with serving(app) as origin:
            answers = [await ring(http, origin, number, caller) for number, caller in enumerate(
                ["", "anonymous", "+266696687", "sip:x@example.com"])]
            assert [BUSY in answer for answer in answers] == [False] * hidden + [True] * (4 - hidden)
            assert (BUSY in await ring(http, origin, 5, ALICE)) == (hidden == 4)
    assert f"call CA{2:032} from anonymous was rejected as busy: MAX_CALLS_HIDDEN=2" in caplog.messages


async def test_blocked_callers_are_not_answered(
    http: aiohttp.ClientSession, sqlite_url: str, caplog: pytest.LogCaptureFixture,
) -> None:
    settings = make_settings(
        DATABASE_URL=sqlite_url, BLOCKED_CALLERS=f"{BOB}, +1900*, anonymous", ADMIN_PASSWORD="x" * 12)
    async with serving(create_app(settings)) as origin:
        for number, caller in enumerate([BOB, "+19005551234", "", "anonymous"]):
            assert '<Reject reason="rejected" />' in await ring(http, origin, number, caller)
        for number, caller in enumerate([ALICE, "+19015551234"], 10):
            assert "<Stream" in await ring(http, origin, number, caller)
        async with http.get(f"{origin}/metrics", headers={"Authorization": "Bearer " + "x" * 12}) as answer:
            assert 'bridge_calls_rejected_total{reason="BLOCKED_CALLERS"} 4.0' in await answer.text()
    assert f"call CA{0:032} from +88*********22 was rejected: BLOCKED_CALLERS" in caplog.messages
    assert BOB not in caplog.text


async def test_who_hangs_up_before_the_stream_gives_the_line_back_at_once(
    sqlite_url: str, http: aiohttp.ClientSession,
) -> None:
    app = create_app(make_settings(DATABASE_URL=sqlite_url, MAX_CALLS="1"))

    async def told(number: int, status: str) -> int:
        form = {"From": "", "To": "+15550001111", "CallSid": f"CA{number:032}", "CallStatus": status}
        async with http.post(f"{origin}/call-status", data=form) as answer:
            await app[keys.BACKGROUND].finish(5)     # it is written down
            return answer.status
    async with serving(app) as origin:
        assert "<Stream" in await ring(http, origin, 1)
        for number, status in ((1, "in-progress"), (2, "completed")):
            assert await told(number, status) == 204
            assert BUSY in await ring(http, origin, 3)
        assert await told(1, "completed") == 204
        assert "<Stream" in await ring(http, origin, 3)


async def test_a_line_is_free_again_when_its_call_is_over() -> None:
    async with office(Turn((line(300),)), MAX_CALLS="1", MAX_CALLS_PER_CALLER="1") as world:
        first = await world.greeted()
        assert (await world.phone.dial()).rejected == "busy"
        await first.hang_up()
        await world.closed()
        assert (await world.phone.dial()).rejected is None


async def test_how_a_call_ended_may_be_asked_at_once() -> None:
    async with office() as world:
        call = await world.greeted()
        admission = world.app[keys.ADMISSION]
        asking = asyncio.create_task(admission.ended_in_order(call.sid))
        await asyncio.sleep(0)
        await call.hang_up()
        assert await asking is True, "it was waited for"
        assert await admission.ended_in_order("CA-of-nobody") is None


# ---- when the database does not answer

class Clock:
    """Time that stands still until it is moved."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    background = Background()
    yield background
    await background.finish(10)


@pytest.fixture
async def locked(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """A database that somebody else has locked and does not let go of, and a server that waits for it a short time."""
    monkeypatch.setattr(admission_module, "ANSWER_S", 0.02)
    monkeypatch.setattr(admission_module, "ENDING_S", 0.02)
    monkeypatch.setattr(engines, "WAIT_S", 0.2)
    async with open_database(parse_url(sqlite_url)) as database:
        with closing(sqlite3.connect(parse_url(sqlite_url).database or "", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield database


async def test_without_the_database_a_process_goes_by_its_own_counts(
    background: Background, locked: Database, caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    admission = Admission(Calls(locked, "one"), Limits(calls=3, per_caller=1, per_hour=2), background, clock)
    assert await admission.admit("CA1", ALICE) is None
    assert await admission.admit("CA1", ALICE) is None, "it is the same call"
    assert await admission.admit("CA2", ALICE) == "MAX_CALLS_PER_CALLER"
    assert await admission.admit("CA3", "") is None
    admission.opened("CA1", ALICE)
    clock.now += PENDING_S                           # the stream of CA3 never began
    assert await admission.admit("CA4", "") is None
    assert await admission.admit("CA5", "") is None
    assert await admission.admit("CA6", "") == "MAX_CALLS"
    admission.closed("CA1", Ending.CALLER_HUNG_UP)
    assert await admission.ended_in_order("CA1") is True
    assert await admission.admit("CA7", ALICE) is None
    admission.opened("CA7", ALICE)
    admission.closed("CA7", Ending.MODEL_FAILED)
    assert await admission.ended_in_order("CA7") is False
    assert await admission.admit("CA8", ALICE) == "CALLS_PER_HOUR_PER_CALLER"
    clock.now += HOUR_S
    assert await admission.admit("CA8", ALICE) is None
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "call CA1: the database did not say whether it may come, so this process decides alone: " in errors[0]


async def test_calls_that_were_let_in_alone_are_known_to_all_once_the_database_answers(
    database: Database, background: Background, monkeypatch: pytest.MonkeyPatch,
) -> None:
    admission = Admission(Calls(database, "one"), Limits(calls=1), background)
    monkeypatch.setattr(admission_module, "ANSWER_S", 0.0)
    assert await admission.admit("CA1", ALICE) is None
    monkeypatch.undo()
    admission.opened("CA1", ALICE)
    await background.finish(10)
    elsewhere = Admission(Calls(database, "two"), Limits(calls=1), background)
    assert await elsewhere.admit("CA2", BOB) == "MAX_CALLS"


# ---- the application's task

async def test_calls_are_renewed_for_as_long_as_they_last_and_old_ones_forgotten(
    database: Database, background: Background, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission_module, "RENEW_S", 0.01)
    clock, calls = Clock(), Calls(database, "one")
    await calls.closed("CA0", Ending.CALLER_HUNG_UP, NOW - DAY_S - 1)
    admission = Admission(calls, Limits(calls=1), background, clock)
    assert await admission.admit("CA1", ALICE) is None
    admission.opened("CA1", ALICE)
    await background.finish(10)
    running = asyncio.create_task(admission.run())
    try:
        clock.now += HOUR_S
        async with asyncio.timeout(10):
            while [row.lease_until for row in await rows(database, "calls")] != [clock.now + LEASE_S]:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_a_stream_that_is_about_to_come_is_expected(database: Database, background: Background) -> None:
    clock = Clock()
    admission = Admission(Calls(database, "one"), Limits(), background, clock)
    assert not admission.expects_stream()
    for call_sid in ("CA1", "CA2"):
        await admission.admit(call_sid, ALICE)
    assert admission.expects_stream()
    admission.opened("CA1", ALICE)
    assert admission.expects_stream()
    clock.now += admission_module.STREAM_S
    assert not admission.expects_stream()


async def test_a_caller_who_is_back_before_the_old_stream_is_gone_is_still_on_the_line(
    database: Database, background: Background,
) -> None:
    admission = Admission(Calls(database, "one"), Limits(), background)
    admission.opened("CA1", ALICE)
    admission.opened("CA1", ALICE)
    admission.closed("CA1", Ending.TRANSFERRED)
    await background.finish(10)
    assert [row.ended_at for row in await rows(database, "calls")] == [None]
    admission.closed("CA1", Ending.CALLER_HUNG_UP)
    assert await admission.ended_in_order("CA1") is True
