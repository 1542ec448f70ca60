"""The outbox over a real database and real receivers, on a clock that the test turns."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from bridge.delivery import outbox as module
from bridge.delivery import receivers
from bridge.delivery.news import of_meeting
from bridge.delivery.outbox import Outbox
from bridge.delivery.webhook import Webhook
from bridge.records.database import Database
from bridge.records.deliveries import Delivery, DeliveryQueue
from bridge.records.meetings import Meetings
from tests.stage.store import NOW, TEN, make_meeting

#: A bound for what takes milliseconds; no test depends on it.
PATIENCE_S = 30.0


async def eventually(condition: Callable[[], Awaitable[Any]]) -> None:
    """Until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.002)


@dataclass
class Receiver:
    """The owner's end: what each path has been sent, and what it answers."""

    origin: str = ""
    #: The `webhook-id` of each request, by path, in order.
    ids: dict[str, list[str]] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    #: What is answered, in order; then 204.
    answers: list[web.Response] = field(default_factory=list)
    #: What is answered while it is set.
    always: int = 0
    #: While this is cleared, /slow does not answer.
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "hook") -> str:
        return f"{self.origin}/{path}"

    def count(self, path: str = "hook") -> int:
        return len(self.ids.get(path, ()))

    async def take(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        self.ids.setdefault(path, []).append(request.headers["webhook-id"])
        self.bodies.append(await request.json())
        if path == "slow":
            await self.open.wait()
        if self.always:
            return web.Response(status=self.always)
        return self.answers.pop(0) if self.answers else web.Response(status=204)


@dataclass
class Passing:
    """Time that is to pass for an outbox, until a moment; `over` when all that was due is done."""

    until: float
    by: Outbox | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class World:
    """A database, a clock that stands still, and what happens while it is turned."""

    def __init__(self, database: Database, http: aiohttp.ClientSession) -> None:
        self.queue, self.http, self.now = DeliveryQueue(database), http, NOW
        self.meetings = Meetings(database, lambda: self.now)
        self._wanted = Passing(NOW)
        self._booked = 0

    async def promise(self, *urls: str) -> list[str]:
        """Books a meeting with a delivery to each; their ids, in the same order."""
        meeting, _ = await self.meetings.book(
            make_meeting(30 * self._booked, name="Ada Secret", email="ada@secret.example"),
            lambda meeting: of_meeting(meeting, urls, "meeting.booked", TEN))
        self._booked += 1
        ids = {each.url: each.id for each in await self.queue.about(meeting.id)}
        return [ids[url] for url in urls]

    def outbox(self, queue: DeliveryQueue | None = None, receiver: receivers.Receiver | None = None) -> Outbox:
        async def rest(wake: asyncio.Event, seconds: float) -> None:
            await self._rest(outbox, wake, seconds)
        outbox = Outbox(
            queue or self.queue, receiver or Webhook(self.http, (), lambda: self.now),
            clock=lambda: self.now, rest=rest, jitter=lambda: 0.5)
        return outbox

    async def _rest(self, outbox: Outbox, wake: asyncio.Event, seconds: float) -> None:
        """Turns the clock to what comes next; but never while an attempt is made, and not beyond what is wanted."""
        wanted = self._wanted                        # before the database is asked: what is due may have changed since
        due = await self.queue.next_due(self.now)
        target = min(wanted.until if due is None else max(self.now + seconds, due), wanted.until)
        if not outbox.under_way and not wake.is_set():
            if target > self.now:
                self.now = target
                return
            if wanted.by is outbox and (due is None or due > self.now):
                wanted.over.set()
        await module.until(wake, 0.002)

    async def passes(self, seconds: float, outbox: Outbox) -> None:
        """That much time, and all that was due in it."""
        self._wanted = Passing(self.now + seconds, outbox)
        async with asyncio.timeout(PATIENCE_S):
            await self._wanted.over.wait()

    async def one(self, delivery_id: str) -> Delivery:
        delivery = await self.queue.get(delivery_id)
        assert delivery
        return delivery

    async def state(self, delivery_id: str) -> str:
        return (await self.one(delivery_id)).state


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[Outbox]:
    task = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        await outbox.stop()
        await task


class Troubled(DeliveryQueue):
    """A queue whose named methods raise, in order, what is listed for them."""

    def __init__(self, queue: DeliveryQueue, **troubles: list[Exception]) -> None:
        super().__init__(queue._database)
        self.troubles = troubles

    def __getattribute__(self, name: str) -> Any:
        troubles = object.__getattribute__(self, "__dict__").get("troubles", {})
        if troubles.get(name):
            async def fail(*args: Any, **kwargs: Any) -> Any:
                raise troubles[name].pop(0)
            return fail
        return super().__getattribute__(name)
