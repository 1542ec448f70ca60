"""The functions that book meetings as a call has them, on a real database, with a real receiver and a real calendar."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web

from bridge.calendars.busy_url import Availability
from bridge.delivery.outbox import Outbox
from bridge.delivery.webhook import Webhook
from bridge.meetings.schedule import Rules
from bridge.records.database import Database, StoreFailed, open_database, parse_url
from bridge.records.deliveries import DeliveryQueue
from bridge.records.meetings import Meetings
from bridge.sim.demo import serving
from bridge.tools import booking
from bridge.tools.booking import Diary
from bridge.tools.meetings import meetings
from bridge.tools.registry import Functions, Tools
from bridge.tools.tool import OnBehalfOf
from tests.stage import sqlite

DHAKA = ZoneInfo("Asia/Dhaka")
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=DHAKA)         # a Monday
CALL = OnBehalfOf("CA" + "1" * 32, "+15551234567", turn=1)
HIDDEN = replace(CALL, phone_number="")
WANTED = {
    "name": "Ada Lovelace", "email": "ada@example.com", "datetime": "Thursday at ten in the morning",
    "description": "The analytical engine"}
THURSDAY = "2026-11-26T10:00:00+06:00"
#: What a caller may say of the same meeting when it is asked for again.
CORRECTIONS = [
    {"email": "ada@example.org"}, {"name": "Augusta Ada King"}, {"description": "Allergic to penicillin"},
    {"name": "Ada Lovelacé", "description": "Allergic to penicillin"}]


@dataclass
class World:
    """An office in Dhaka: what its receiver was sent, and answers."""

    diary: Diary
    database: Path
    opened: Database
    tools: Tools
    bodies: list[dict[str, Any]] = field(default_factory=list)
    status: int = 204
    #: The receivers that take everything, whatever the status.
    takers: set[str] = field(default_factory=set)
    answer: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    #: What AVAILABILITY_URL answers, and what it was asked.
    busy: Any = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    def functions(self) -> Functions:
        return self.tools.for_call()


@asynccontextmanager
async def office(tmp_path: Path, *, confirm: bool = False, receivers: int = 1, **rules: Any) -> AsyncIterator[World]:
    over = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        if world.silent:
            await over.wait()
        body = await request.json()
        world.bodies.append({**body, "receiver": request.path})
        return web.json_response(world.answer, status=204 if request.path in world.takers else world.status)

    async def busy(request: web.Request) -> web.Response:
        world.asked.append(dict(request.query))
        if world.busy is None:
            await over.wait()
        if isinstance(world.busy, int):
            return web.Response(status=world.busy)
        return web.json_response(world.busy)

    outside = web.Application()
    outside.router.add_post("/{receiver}", take)
    outside.router.add_get("/busy", busy)
    url = parse_url(sqlite.new_database(tmp_path))
    async with (
        serving(outside) as origin, aiohttp.ClientSession() as http,
        open_database(url) as database,
    ):
        queue = DeliveryQueue(database)
        outbox = Outbox(queue, Webhook(http))
        diary = Diary(
            meetings=Meetings(database), queue=queue, outbox=outbox,
            receivers=[f"{origin}/receiver-{number}" for number in range(receivers)],
            rules=Rules(zone=DHAKA, **rules), confirm=confirm, now=lambda: NOW,
            availability=Availability(http, f"{origin}/busy", DHAKA))
        world = World(diary, Path(url.database or ""), database, Tools(meetings(diary)))
        running = asyncio.create_task(outbox.run())
        try:
            yield world
        finally:
            over.set()
            await outbox.stop()
            await running


async def run(functions: Functions, function: str, call: OnBehalfOf = CALL, /, **arguments: str) -> dict[str, Any]:
    return (await functions.run(function, json.dumps(arguments), call)).answer


async def schedule(functions: Functions, call: OnBehalfOf = CALL, /, **changed: str) -> dict[str, Any]:
    return await run(functions, "schedule_meeting", call, **(WANTED | changed))


def turn(number: int) -> OnBehalfOf:
    return replace(CALL, turn=number)


async def booked_in_two_steps(world: World) -> tuple[Functions, dict[str, str]]:
    """The functions of a call in which a meeting was booked in the second turn, and the yes to it."""
    functions = world.functions()
    proposed = await schedule(functions)
    yes = {"confirmation_id": proposed["confirmation_id"]}
    await run(functions, "schedule_meeting", turn(2), **yes)
    return functions, yes


async def listed(functions: Functions, call: OnBehalfOf = CALL) -> list[str]:
    return [each["meeting_id"] for each in (await run(functions, "list_meetings", call))["meetings"]]


async def refused_late(world: World, function: str, call: OnBehalfOf = CALL, /, **arguments: str) -> dict[str, Any]:
    """The receiver says no when the caller has been told already that it is recorded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(booking, "ANSWER_S", 0.0)
        world.status = 409
        output = await run(world.functions(), function, call, **arguments)
    assert output["status"] == "recorded"
    await settled(world)
    world.status = 204
    return output


async def refused_and_not_undone(world: World) -> dict[str, Any]:
    """The receiver says no, and the database does not take the meeting out of the books; the receiver says no still."""
    async def fails(*_: object, **__: object) -> None:
        raise StoreFailed("the disk hangs")
    world.status = 409
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Meetings, "cancel", fails)
        output = await schedule(world.functions())
    assert output["status"] == "refused"
    return output


async def settled(world: World) -> None:
    """Until no delivery waits any more."""
    async with asyncio.timeout(20):
        while (await world.diary.queue.depth()).pending:
            await asyncio.sleep(0.01)


def news(world: World) -> list[tuple[str, str, int]]:
    """What the receiver was told: of each its type, its meeting and its version."""
    return [(body["type"], body["id"], body["sequence"]) for body in world.bodies]


def with_diary(world: World, **changed: Any) -> Functions:
    """The functions of another call, where the diary is another one."""
    diary: Diary = replace(world.diary, **changed)
    return Tools(meetings(diary)).for_call()
