"""The real server told to stop: calls go on for a while, then end in order, and nothing that was promised is lost."""

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
import pytest
from aiohttp import web

from bridge.app import create_app
from bridge.records.database import open_database, parse_url
from bridge.records.meetings import Meetings
from bridge.sim.clock import Clock
from bridge.sim.demo import serving as serving_app
from bridge.sim.owner import Owner
from bridge.sim.phone import Phone, PhoneCall
from bridge.sim.process import Server
from bridge.sim.realtime import AFTERWARDS, Call, RealtimeServer, RealtimeSession, Turn
from bridge.sim.realtime import Script
from tests.stage.settings import make_settings
from tests.stage.office import ACCOUNT, GREETING, TOKEN
from tests.stage.store import make_meeting, news, rows
from tests.stage.program import PATIENCE_S, serving

PASSWORD = "the operator's password"
OPEN = {"MAX_CALLS_PER_CALLER": "0", "CALLS_PER_HOUR_PER_CALLER": "0", "CONFIRM_MEETINGS": "0",
        "MAX_MESSAGES_PER_S": "0"}
BOOKING = {"name": "Ada", "email": "ada@example.com", "description": "A tooth"}
MIDNIGHT = (datetime.now(UTC) + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass
class Running:
    """A server in a process of its own, and who calls it."""

    server: Server
    phone: Phone
    model: RealtimeServer
    http: aiohttp.ClientSession
    database_url: str

    async def dial(self, count: int) -> list[PhoneCall]:
        calls = await asyncio.gather(*(self.phone.dial() for _ in range(count)))
        await asyncio.gather(*(call.until_speaking(0, timeout=PATIENCE_S) for call in calls))
        return calls

    def signal(self, by: signal.Signals = signal.SIGTERM) -> None:
        self.server.process.send_signal(by)

    async def until_draining(self) -> list[str]:
        """Until /readyz says 503; its reasons."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with self.http.get(f"{self.server.origin}/readyz") as answer:
                    if answer.status == 503:
                        reasons: list[str] = (await answer.json())["reasons"]
                        return reasons
                await asyncio.sleep(0.01)

    async def ended(self) -> int:
        """Its exit code, once it has exited."""
        code = await self.server.ended(PATIENCE_S)
        assert "Traceback" not in self.server.said
        return code

    def endings(self) -> list[str]:
        """The reasons of the calls that are over."""
        return [text.split(": ")[1].split(",")[0] for text in self.server.said.splitlines() if " closed after " in text]


@asynccontextmanager
async def running(tmp_path: Path, script: Script = (GREETING,), **environ: str) -> AsyncIterator[Running]:
    clock, database_url = Clock(5), f"sqlite:///{tmp_path}/bridge.db"
    async with RealtimeServer(script, clock=clock) as model:
        settings = {"DATABASE_URL": database_url, "TWILIO_AUTH_TOKEN": TOKEN, "OPENAI_API_KEY": model.key,
                    "OPENAI_REALTIME_URL": model.url, "ADMIN_PASSWORD": PASSWORD, **OPEN, **environ}
        operator = {"Authorization": f"Bearer {PASSWORD}"}
        async with serving(tmp_path, **settings) as server, aiohttp.ClientSession(headers=operator) as http:
            webhook = f"{server.origin}/incoming-call"
            async with Phone(webhook, account_sid=ACCOUNT, auth_token=TOKEN, clock=clock) as phone:
                yield Running(server, phone, model, http, database_url)


# ---- the first signal

async def test_calls_go_on_and_it_ends_with_the_last_of_them(tmp_path: Path) -> None:
    async with running(tmp_path, DRAIN_S="3600") as world:
        one, two = await world.dial(2)
        world.signal()
        assert await world.until_draining() == ["server: stopping, and new calls go elsewhere"]
        async with world.http.get(f"{world.server.origin}/healthz") as answer:
            assert answer.status == 200
        await one.hang_up()
        await two.until_heard(two.heard_ms + 200)
        await two.hang_up()
        assert await world.ended() == 0
        assert world.endings() == ["caller hung up"] * 2


async def test_who_calls_meanwhile_is_sent_on_to_try_again(tmp_path: Path) -> None:
    async with running(tmp_path, DRAIN_S="3600", TWILIO_AUTH_TOKEN="") as world:
        [call] = await world.dial(1)
        world.signal()
        await world.until_draining()
        address, form = f"{world.server.origin}/incoming-call?tenant=1", {"From": "+15550002222", "CallSid": "CA2"}
        for asking, again in [(world.http.post(address, data=form), "/incoming-call?tenant=1"),
                              (world.http.get(address, params=form), "/incoming-call")]:
            async with asking as answer:
                pause, redirect = ElementTree.fromstring(await answer.text())
            assert (pause.tag, pause.attrib) == ("Pause", {"length": "2"})
            assert (redirect.tag, redirect.attrib) == ("Redirect", {"method": "POST"})
            assert redirect.text == f"{world.server.origin}{again}#rc=5&rp=ct,rt,5xx"
        await call.hang_up()
        assert await world.ended() == 0


async def test_the_calls_of_twenty_callers_end_in_order_and_no_meeting_is_lost(tmp_path: Path) -> None:
    booked: list[str] = []
    came: set[str] = set()
    may_answer = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        came.add((await request.json())["id"])
        await may_answer.wait()
        return web.Response(status=204)

    def script(session: RealtimeSession) -> Turn:
        """Each books at once, and a time of its own."""
        if session.id in booked:
            return AFTERWARDS
        booked.append(session.id)
        start = MIDNIGHT + timedelta(hours=len(booked))
        return Turn((*GREETING.output, Call("schedule_meeting", BOOKING | {"datetime": start.isoformat()})))

    receiver = web.Application()
    receiver.router.add_post("/meetings", take)
    async with serving_app(receiver) as origin:
        async with running(tmp_path, script, DRAIN_S="0", WEBHOOK_URL=f"{origin}/meetings") as world:
            calls = await world.dial(20)
            async with asyncio.timeout(PATIENCE_S):
                while len(came) < 20:                # each is booked, and waits for the owner's answer
                    await asyncio.sleep(0.01)
            world.signal()
            await asyncio.gather(*(call.until_over(timeout=PATIENCE_S) for call in calls))
            may_answer.set()
            assert await world.ended() == 0
    assert [call.close_code for call in calls] == [1001] * 20
    assert world.endings() == ["server stopping"] * 20
    async with open_database(parse_url(world.database_url)) as database:
        assert {row.id for row in await rows(database, "meetings")} == came
        assert [row.state for row in await rows(database, "deliveries")] == ["delivered"] * 20
        assert {row.reason for row in await rows(database, "calls")} == {"server stopping"}


@pytest.mark.slow
async def test_calls_that_do_not_end_by_themselves_end_after_the_usual_time(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        calls = await world.dial(20)
        world.signal()
        await world.until_draining()
        assert await world.ended() == 0
        assert world.endings() == ["server stopping"] * 20
        assert [call.close_code for call in calls] == [1001] * 20


# ---- the second signal

async def test_a_second_signal_ends_the_calls_now(tmp_path: Path) -> None:
    async with running(tmp_path, DRAIN_S="3600") as world:
        await world.dial(2)
        world.signal(signal.SIGINT)
        await world.until_draining()
        world.signal(signal.SIGINT)
        assert await world.ended() == 0
        assert world.endings() == ["server killed"] * 2
        async with open_database(parse_url(world.database_url)) as database:
            assert {row.reason for row in await rows(database, "calls")} == {"server killed"}


@pytest.mark.slow
async def test_it_exits_in_time_though_the_database_keeps_it(tmp_path: Path) -> None:
    async with running(tmp_path, DRAIN_S="3600") as world:
        await world.dial(1)
        with closing(sqlite3.connect(parse_url(world.database_url).database or "", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            world.signal()
            await world.until_draining()
            world.signal()
            assert await world.ended() == 0
        assert "the server did not end in time, and is cut off" in world.server.said


# ---- while it runs

ONCE_READY = """
import gc, os, signal
from bridge import __main__, server

def told_at_once(settings, listening, **more):
    print(gc.get_freeze_count(), len(gc.get_objects()))
    os.kill(os.getpid(), signal.SIGTERM)

server.announce = told_at_once
raise SystemExit(__main__.main([]))
"""


async def test_what_is_there_for_good_is_left_out_of_garbage_collections(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2]), "HOST": "127.0.0.1",
               "PORT": "0", "OPENAI_API_KEY": "sk-test", "ALLOW_UNSIGNED": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ONCE_READY, cwd=tmp_path, env=environ, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    left_out, looked_at = map(int, out.split())
    assert process.returncode == 0 and left_out > 100 * looked_at


async def test_a_log_that_nobody_reads_keeps_no_call_and_no_end_waiting(tmp_path: Path) -> None:
    async with running(tmp_path, DRAIN_S="3600", TWILIO_AUTH_TOKEN="") as world:
        world.server.stop_reading()
        told = {"CallSid": "CA2", "CallStatus": "completed", "DialCallStatus": "x" * 4000}
        for _ in range(150):                         # each is a line; a pipe and its reader here hold 200 kB
            async with asyncio.timeout(PATIENCE_S), world.http.post(
                    f"{world.server.origin}/transfer-ended", data=told) as answer:
                assert answer.status == 200
        [call] = await world.dial(1)
        await call.hang_up()
        world.signal()
        async with asyncio.timeout(PATIENCE_S):
            while world.server.process.returncode is None:
                await asyncio.sleep(0.05)
        assert await world.ended() == 0


async def test_the_last_lines_are_written_before_the_end(tmp_path: Path) -> None:
    async with running(tmp_path, DRAIN_S="0", LOG_FORMAT="json") as world:
        await world.dial(5)
        world.signal()
        assert await world.ended() == 0
        assert len(world.endings()) == 5


async def test_what_was_promised_is_delivered_though_no_webhook_is_set_any_more(sqlite_url: str) -> None:
    came = asyncio.Event()
    async with serving_app(Owner(lambda meeting, status: came.set()).app()) as origin:
        async with open_database(parse_url(sqlite_url)) as database:
            await Meetings(database).book(make_meeting(), lambda meeting: news(meeting, [f"{origin}/meetings"]))
        async with serving_app(create_app(make_settings(DATABASE_URL=sqlite_url))):
            await asyncio.wait_for(came.wait(), PATIENCE_S)
