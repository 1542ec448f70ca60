"""The real server told to stop: calls go on for a while, then end in order, and nothing that was promised is lost."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bridge.records.database import open_database, parse_url
from bridge.records.meetings import Meetings
from bridge.sim.clock import Clock
from bridge.sim.demo import serving as serving_app
from bridge.sim.phone import Phone, PhoneCall
from bridge.sim.realtime import Call, RealtimeServer, RealtimeSession, Turn
from tests.office import ACCOUNT, GREETING, TOKEN, speech
from tests.store import make_meeting, news, rows
from tests.test_main import PATIENCE_S, Server, serving

OPEN = {"MAX_CALLS_PER_CALLER": "0", "CALLS_PER_HOUR_PER_CALLER": "0", "CONFIRM_MEETINGS": "0"}
BOOKING = {"name": "Ada", "email": "ada@example.com", "datetime": "tomorrow at ten in the morning", "description": ""}


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
        await asyncio.gather(*(call.until_speaking(timeout=PATIENCE_S) for call in calls))
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

    async def ended(self) -> int | None:
        """Its exit code, once it has exited."""
        _, rest = await asyncio.wait_for(self.server.process.communicate(), PATIENCE_S)
        self.server.said += rest.decode()
        assert "Traceback" not in self.server.said
        return self.server.process.returncode

    def endings(self) -> list[str]:
        """The reasons of the calls that are over."""
        return [text.split(": ")[1].split(",")[0] for text in self.server.said.splitlines() if " closed after " in text]


def greeting_only(session: RealtimeSession) -> Turn:
    return GREETING if not session.items else Turn()


@asynccontextmanager
async def running(tmp_path: Path, turn: object = None, **environ: str) -> AsyncIterator[Running]:
    clock, database_url = Clock(5), f"sqlite:///{tmp_path}/bridge.db"
    async with RealtimeServer(turn or greeting_only, clock=clock) as model:                  # type: ignore[arg-type]
        settings = {"DATABASE_URL": database_url, "TWILIO_AUTH_TOKEN": TOKEN, "OPENAI_API_KEY": model.key,
                    "OPENAI_REALTIME_URL": model.url, **OPEN, **environ}
        async with serving(tmp_path, **settings) as server, aiohttp.ClientSession() as http:
            webhook = f"{server.origin}/incoming-call"
            async with Phone(webhook, account_sid=ACCOUNT, auth_token=TOKEN, clock=clock) as phone:
                yield Running(server, phone, model, http, database_url)
