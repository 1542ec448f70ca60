"""The outbox over a real database and real receivers, on a clock that the test turns."""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from bridge.delivery import outbox as module
from bridge.delivery import receivers
from bridge.delivery.answer import Answer
from bridge.delivery.delivery_log import host
from bridge.delivery.news import of_meeting
from bridge.delivery.outbox import LEASE_S, PER_RECEIVER, Outbox
from bridge.delivery.retries import GIVE_UP_S
from bridge.delivery.webhook import Webhook
from bridge.records.database import Database, StoreFailed, open_database, parse_url
from bridge.records.deliveries import Delivery, DeliveryQueue
from bridge.records.meetings import Meetings
from tests.store import ALICE, DHAKA, NOW, TEN, make_meeting

#: A bound for what takes milliseconds; no test depends on it.
PATIENCE_S = 30.0


async def eventually(condition: Callable[[], Awaitable[Any]]) -> None:
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


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    built, app = Receiver(), web.Application()
    app.router.add_post("/{path}", built.take)
    async with TestServer(app) as server:
        built.origin = str(server.make_url("/")).rstrip("/")
        yield built
        built.open.set()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


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


@pytest.fixture
def world(database: Database, http: aiohttp.ClientSession) -> World:
    return World(database, http)


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[Outbox]:
    task = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        await outbox.stop()
        await task


# ---- delivering

async def test_what_is_promised_is_delivered(world: World, receiver: Receiver) -> None:
    receiver.answers = [web.json_response({"message_to_caller": "Noted."})]
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        await world.passes(0, outbox)
    delivery = await world.one(promised)
    assert (delivery.state, delivery.attempts, delivery.answer) == ("delivered", 1, "Noted.")
    assert receiver.ids == {"hook": [promised]}
    assert receiver.bodies == [json.loads(delivery.body)]


async def test_each_receiver_gets_it_under_an_id_of_its_own(world: World, receiver: Receiver) -> None:
    one, two = await world.promise(receiver.url("one"), receiver.url("two"))
    async with running(world.outbox()) as outbox:
        await world.passes(0, outbox)
    assert receiver.ids == {"one": [one], "two": [two]}


async def test_a_receiver_that_is_down_for_three_days_gets_it_under_one_id(world: World, receiver: Receiver) -> None:
    receiver.always = 503
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        await world.passes(GIVE_UP_S, outbox)
        assert await world.state(promised) == "pending"
        receiver.always = 0
        await world.passes(5 * 3600, outbox)
    assert await world.state(promised) == "delivered"
    assert receiver.ids == {"hook": [promised] * receiver.count()}
    assert 20 < receiver.count() < 30


async def test_a_receiver_that_cannot_be_reached_for_a_day_gets_it(world: World, receiver: Receiver) -> None:
    [promised] = await world.promise(f"http://127.0.0.1:{unused_port()}/hook")
    async with running(world.outbox()) as outbox:
        await world.passes(24 * 3600, outbox)
    delivery = await world.one(promised)
    assert (delivery.state, delivery.attempts > 8) == ("pending", True)
    assert delivery.last_error.startswith("could not be reached")


async def test_after_more_than_three_days_it_is_a_dead_letter(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,
) -> None:
    receiver.always = 500
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        await world.passes(GIVE_UP_S + 5 * 3600, outbox)
        delivery = await world.one(promised)
        assert (delivery.state, delivery.last_error) == ("dead", "answered with status 500")
        assert [record.levelname for record in caplog.records if "NOT DELIVERED" in record.getMessage()] == ["ERROR"]

        receiver.always = 0
        assert await world.queue.revive(delivery.about_id, world.now) == 1
        outbox.wake()
        await world.passes(5, outbox)
    assert await world.state(promised) == "delivered"
    assert {*receiver.ids["hook"]} == {promised}


async def test_a_dead_letter_that_was_sent_again_has_another_three_days(world: World, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=410), web.Response(status=500)]
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        await world.passes(2 * GIVE_UP_S, outbox)
        assert await world.state(promised) == "dead"
        await world.queue.revive((await world.one(promised)).about_id, world.now)
        await world.passes(60, outbox)
    assert await world.state(promised) == "delivered"


async def test_retries_come_when_they_are_due(world: World, receiver: Receiver) -> None:
    receiver.always = 500
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        for passed, attempts in ((0, 1), (0.9, 1), (0.1, 2), (4.9, 2), (0.1, 3), (24.9, 3), (0.1, 4)):
            await world.passes(passed, outbox)
            assert receiver.count() == attempts
    assert receiver.ids == {"hook": [promised] * 4}


async def test_a_receiver_may_put_us_off(world: World, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=429, headers={"Retry-After": "3600"})]
    await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        await world.passes(3599, outbox)
        assert receiver.count() == 1
        await world.passes(1, outbox)
        assert receiver.count() == 2


async def test_a_receiver_that_is_gone_makes_a_dead_letter_and_a_loud_line(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "bridge")
    receiver.answers = [web.json_response({"message_to_caller": "Closed for good."}, status=410)]
    [promised] = await world.promise(receiver.url("token-in-the-path?key=token-in-the-query"))
    async with running(world.outbox()) as outbox:
        await world.passes(3600, outbox)
    delivery = await world.one(promised)
    assert (delivery.state, delivery.attempts) == ("dead", 1)
    assert (delivery.last_error, delivery.answer) == ("answered with status 410", "Closed for good.")
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert f"MEETING {delivery.about_id} WAS NOT DELIVERED: 127.0.0.1 answered with status 410" in line
    assert f"python -m bridge meetings resend {delivery.about_id}" in line
    for private in ("token-in-the", "secret.example", "Ada", ALICE):
        assert private not in caplog.text


async def test_a_mistake_of_set_up_waits_loudly_until_it_is_mended(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,
) -> None:
    receiver.always = 404
    promised = [(await world.promise(receiver.url("token-in-the-path")))[0] for _ in range(3)]
    async with running(world.outbox()) as outbox:
        await world.passes(24 * 3600, outbox)
        assert {await world.state(each) for each in promised} == {"pending"}
        receiver.always = 0
        await world.passes(5 * 3600, outbox)
    assert {await world.state(each) for each in promised} == {"delivered"}
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert 5 < len(lines) < 15, "one for all three, whenever they are tried in the same minute"
    assert all(" WAITS: 127.0.0.1 answered with status 404: " in line for line in lines)
    assert all("python -m bridge meetings resend all" in line for line in lines)
    assert "11 more like this" in lines[1], "the second and the third, and all three after 1, 5 and 25 s"
    assert "token-in-the" not in caplog.text


async def test_a_mistake_of_set_up_that_is_never_mended_is_given_up(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,
) -> None:
    receiver.always = 401
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        await world.passes(GIVE_UP_S + 5 * 3600, outbox)
    delivery = await world.one(promised)
    assert (delivery.state, delivery.refused) == ("dead", False)
    assert "WAS NOT DELIVERED: 127.0.0.1 answered with status 401" in caplog.text and "which is a no" not in caplog.text


async def test_what_no_caller_is_told_any_more_is_said_once(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "bridge")
    receiver.answers = [web.json_response({"message": "Workflow was started"}) for _ in range(3)]
    for _ in range(3):
        await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        await world.passes(0, outbox)
    assert caplog.text.count('they are told a "message_to_caller"') == 1


# ---- one slow receiver

async def test_a_slow_receiver_does_not_hold_up_another(world: World, receiver: Receiver) -> None:
    for _ in range(4 * PER_RECEIVER):
        await world.promise(receiver.url("slow"))
    for _ in range(3 * PER_RECEIVER):
        await world.promise(receiver.url("fast"))
    async with running(world.outbox()) as outbox:
        async def fast_has_all() -> bool:
            return receiver.count("fast") == 3 * PER_RECEIVER
        await eventually(fast_has_all)
        assert receiver.count("slow") == PER_RECEIVER, "and it is not overrun itself"
        receiver.open.set()
        await world.passes(0, outbox)
    assert (await world.queue.depth()).delivered == 7 * PER_RECEIVER
    assert Counter(receiver.ids["slow"]).most_common(1)[0][1] == 1


async def test_all_attempts_together_are_bounded(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LIMIT", 3)
    for _ in range(10):
        await world.promise(receiver.url("slow"))
    async with running(world.outbox()) as outbox:
        async def some() -> bool:
            assert outbox.under_way <= 3
            return receiver.count("slow") == 3
        await eventually(some)
        receiver.open.set()
        await world.passes(0, outbox)
    assert (await world.queue.depth()).delivered == 10


# ---- restarts, crashes, other processes

async def test_a_restart_resumes(world: World, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=500)]
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        await world.passes(0, outbox)
    assert await world.state(promised) == "pending"
    world.now += 3600
    async with running(world.outbox()) as outbox:
        await world.passes(0, outbox)
    assert await world.state(promised) == "delivered"


async def test_what_a_crashed_process_held_is_delivered_within_ten_seconds(world: World, receiver: Receiver) -> None:
    [promised] = await world.promise(receiver.url())
    assert await world.queue.claim(world.now, LEASE_S, 10)      # and then it was killed
    async with running(world.outbox()) as outbox:
        await world.passes(LEASE_S - 0.1, outbox)
        assert receiver.count() == 0
        await world.passes(10 - LEASE_S, outbox)
    delivery = await world.one(promised)
    assert (delivery.state, delivery.attempts) == ("delivered", 2)


async def test_a_stop_waits_for_an_attempt_under_way(world: World, receiver: Receiver) -> None:
    [promised] = await world.promise(receiver.url("slow"))
    async with running(world.outbox()):
        async def begun() -> bool:
            return receiver.count("slow") == 1
        await eventually(begun)
        asyncio.get_running_loop().call_later(0.01, receiver.open.set)
    assert await world.state(promised) == "delivered"


async def test_what_is_claimed_while_it_stops_is_left_to_others(world: World, receiver: Receiver) -> None:
    claiming, may_claim = asyncio.Event(), asyncio.Event()

    class Slow(DeliveryQueue):
        async def claim(self, *args: Any, **kwargs: Any) -> list[Delivery]:
            claiming.set()
            await may_claim.wait()
            return await super().claim(*args, **kwargs)
    [promised] = await world.promise(receiver.url())
    outbox = world.outbox(Slow(world.queue._database))
    run = asyncio.create_task(outbox.run())
    await claiming.wait()
    await outbox.stop()
    may_claim.set()
    await run
    assert (receiver.count(), outbox.under_way) == (0, 0)
    async with running(world.outbox()) as outbox:
        await world.passes(10, outbox)
    assert await world.state(promised) == "delivered"


async def test_an_attempt_that_a_stop_cuts_off_is_made_again(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.01)
    [promised] = await world.promise(receiver.url("slow"))
    async with running(world.outbox()):
        async def begun() -> bool:
            return receiver.count("slow") == 1
        await eventually(begun)
    assert await world.state(promised) == "pending"
    receiver.open.set()
    async with running(world.outbox()) as outbox:
        await world.passes(10, outbox)
    assert await world.state(promised) == "delivered"
    assert receiver.ids == {"slow": [promised] * 2}


async def test_a_lease_is_kept_while_an_attempt_lasts(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.01)
    [promised] = await world.promise(receiver.url("slow"))

    async def begun() -> bool:
        return receiver.count("slow") == 1

    async def renewed() -> bool:
        return (await world.one(promised)).next_at == world.now + LEASE_S
    async with running(world.outbox()) as first, running(world.outbox()):
        await eventually(begun)
        for _ in range(3):
            world.now += LEASE_S - 1
            await eventually(renewed)
        receiver.open.set()
        await world.passes(0, first)
    assert receiver.ids == {"slow": [promised]}
    assert (await world.one(promised)).attempts == 1


async def test_two_processes_share_one_database(
    database_url: str, http: aiohttp.ClientSession, receiver: Receiver,
) -> None:
    async with AsyncExitStack() as stack:
        worlds = [World(await stack.enter_async_context(open_database(parse_url(database_url))), http)
                  for _ in range(2)]
        for _ in range(60):
            await worlds[0].promise(receiver.url("one"), receiver.url("two"))
        for world in worlds:
            await stack.enter_async_context(running(world.outbox()))

        async def all_delivered() -> bool:
            return (await worlds[0].queue.depth()).delivered == 120
        await eventually(all_delivered)
    counts = Counter([*receiver.ids["one"], *receiver.ids["two"]])
    assert len(counts) == 120
    assert {*counts.values()} == {1}


# ---- a database in trouble

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


@pytest.mark.parametrize("trouble", [StoreFailed("disk I/O error"), RuntimeError("a bug")])
@pytest.mark.parametrize("method", ["claim", "next_due"])
async def test_a_database_that_fails_does_not_end_the_deliveries(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture, trouble: Exception, method: str,
) -> None:
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox(Troubled(world.queue, **{method: [trouble] * 3}))) as outbox:
        await world.passes(60, outbox)
    assert await world.state(promised) == "delivered"
    assert "deliveries wait" in caplog.text and str(trouble) in caplog.text


async def test_a_result_that_is_not_taken_is_written_again_and_not_delivered_again(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REWRITE_S", 0.001)
    [promised] = await world.promise(receiver.url())
    queue = Troubled(world.queue, delivered=[StoreFailed("database is locked")] * 5)
    async with running(world.outbox(queue)) as outbox:
        await world.passes(60, outbox)
    assert await world.state(promised) == "delivered"
    assert receiver.count() == 1
    assert caplog.text.count("could not be written down: database is locked") == 5


async def test_nothing_is_claimed_while_a_result_waits_to_be_written(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REWRITE_S", 0.001)
    await world.promise(receiver.url())
    troubles: list[Exception] = [StoreFailed("database or disk is full")] * 1_000_000
    queue = Troubled(world.queue, delivered=troubles)
    async with running(world.outbox(queue)) as outbox:
        async def failing() -> bool:
            return len(troubles) < 999_995
        await eventually(failing)
        await world.promise(receiver.url())
        outbox.wake()
        before = len(troubles)

        async def still_failing() -> bool:
            return len(troubles) < before - 5
        await eventually(still_failing)
        assert receiver.count() == 1
        troubles.clear()
        await world.passes(0, outbox)
    assert receiver.count() == 2
    assert (await world.queue.depth()).delivered == 2


async def test_a_lease_that_cannot_be_renewed_harms_nothing(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.001)
    troubles: list[Exception] = [StoreFailed("database is locked")]
    [promised] = await world.promise(receiver.url("slow"))
    async with running(world.outbox(Troubled(world.queue, renew=troubles))) as outbox:
        async def tried() -> bool:
            return not troubles
        await eventually(tried)
        receiver.open.set()
        await world.passes(0, outbox)
    assert await world.state(promised) == "delivered"
    assert "could not be renewed: database is locked" in caplog.text


async def test_a_fault_of_ours_is_an_attempt_that_failed(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,
) -> None:
    faults = [RuntimeError("a bug")]

    class Faulty:
        async def hand_over(self, delivery: Delivery) -> Answer:
            if faults:
                raise faults.pop()
            return await Webhook(world.http).hand_over(delivery)
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox(receiver=Faulty())) as outbox:
        await world.passes(60, outbox)
    delivery = await world.one(promised)
    assert (delivery.state, delivery.attempts) == ("delivered", 2)
    assert "RuntimeError: a bug" in caplog.text


async def test_a_fault_while_writing_is_logged_and_the_lease_ends(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,
) -> None:
    [promised] = await world.promise(receiver.url())
    async with running(world.outbox(Troubled(world.queue, delivered=[RuntimeError("a bug")]))) as outbox:
        await world.passes(10, outbox)
    assert await world.state(promised) == "delivered"
    assert receiver.ids == {"hook": [promised] * 2}
    assert "RuntimeError: a bug" in caplog.text


# ---- a call that waits

async def test_a_call_hears_that_it_was_taken(world: World, receiver: Receiver) -> None:
    receiver.answers = [web.json_response({"message_to_caller": "Use the back door."})]
    promised = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        [delivery] = await outbox.settle(promised, PATIENCE_S)
    assert (delivery.state, delivery.answer) == ("delivered", "Use the back door.")


async def test_a_call_hears_that_it_was_refused(world: World, receiver: Receiver) -> None:
    receiver.answers = [web.json_response({"message_to_caller": "We are closed then."}, status=409)]
    promised = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        [delivery] = await outbox.settle(promised, PATIENCE_S)
    assert (delivery.state, delivery.answer) == ("dead", "We are closed then.")


async def test_a_no_that_a_call_acts_on_leaves_nothing_for_the_owner(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,
) -> None:
    receiver.always = 409
    heard, unheard = await world.promise(receiver.url("heard"), receiver.url("unheard"))
    async with running(world.outbox()) as outbox:
        await asyncio.gather(outbox.settle([heard], PATIENCE_S, acts_on_no=True), outbox.settle([unheard], PATIENCE_S))
    assert {await world.state(each) for each in (heard, unheard)} == {"dead"}
    lines = {record.levelname: record.getMessage() for record in caplog.records}
    assert heard in lines["WARNING"] and "resend" not in lines["WARNING"]
    assert unheard in lines["ERROR"] and "a no that no caller has heard" in lines["ERROR"]


async def test_a_call_waits_over_a_retry(world: World, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=503)]
    promised = await world.promise(receiver.url())
    async with running(world.outbox()) as outbox:
        settling = asyncio.create_task(outbox.settle(promised, PATIENCE_S))
        await world.passes(1, outbox)
        [delivery] = await settling
    assert (delivery.state, delivery.attempts) == ("delivered", 2)


async def test_a_call_does_not_wait_longer_than_it_wants(world: World, receiver: Receiver) -> None:
    receiver.answers = [web.Response(status=204)]
    promised = await world.promise(receiver.url("fast"), receiver.url("slow"))
    async with running(world.outbox()) as outbox:
        async def fast_has_it() -> bool:
            return receiver.count("slow") == 1 and await world.state(promised[0]) == "delivered"
        await eventually(fast_has_it)
        fast, slow = await outbox.settle(promised, 1.0)          # by then the database has shown both, however busy
        assert (fast.state, slow.state) == ("delivered", "pending")
        receiver.open.set()
        [slow] = await outbox.settle(promised[1:], PATIENCE_S)
    assert slow.state == "delivered"


async def test_a_call_is_not_held_up_by_what_others_have_left(world: World, receiver: Receiver) -> None:
    for _ in range(3 * PER_RECEIVER):
        await world.promise(receiver.url("slow"))
    async with running(world.outbox()) as outbox:
        async def full() -> bool:
            return receiver.count("slow") >= PER_RECEIVER
        await eventually(full)
        promised = await world.promise(receiver.url("slow"))
        settling = asyncio.create_task(outbox.settle(promised, PATIENCE_S))

        async def tried() -> bool:
            return promised[0] in receiver.ids["slow"]
        await eventually(tried)
        receiver.open.set()
        [delivery] = await settling
    assert delivery.state == "delivered"


async def test_a_call_hears_of_what_another_process_has_delivered(world: World, receiver: Receiver) -> None:
    promised = await world.promise(receiver.url())
    [claimed] = await world.queue.claim(world.now, LEASE_S, 1)
    outbox = world.outbox()
    settling = asyncio.create_task(outbox.settle(promised, PATIENCE_S))
    await asyncio.sleep(0)
    assert await world.queue.delivered(claimed.id, world.now, "Noted.", claimed.attempts)
    [delivery] = await settling
    assert (delivery.state, delivery.answer) == ("delivered", "Noted.")
    await outbox.stop()


async def test_a_call_that_ends_leaves_nothing_behind(world: World, receiver: Receiver) -> None:
    promised = await world.promise(receiver.url("slow"))
    async with running(world.outbox()) as outbox:
        settling = asyncio.create_task(outbox.settle(promised, PATIENCE_S))

        async def begun() -> bool:
            return receiver.count("slow") == 1
        await eventually(begun)
        settling.cancel()
        with suppress(asyncio.CancelledError):
            await settling
        receiver.open.set()
        await world.passes(0, outbox)
    assert await world.state(promised[0]) == "delivered"
    assert outbox._followers == set()


async def test_a_call_whose_database_fails_gets_nothing_and_no_error(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture,
) -> None:
    promised = await world.promise(receiver.url())
    outbox = world.outbox(Troubled(world.queue, claim=[StoreFailed("database is locked")] * 9))
    assert await outbox.settle(promised, 0.05) == []
    assert "a call waits for deliveries, but the database failed: database is locked" in caplog.text
    await outbox.stop()


async def test_nothing_to_wait_for_is_not_waited_for(world: World) -> None:
    assert await world.outbox().settle([], PATIENCE_S) == []


async def test_a_meeting_of_two_receivers_is_told_to_the_one_that_works(world: World, receiver: Receiver) -> None:
    promised = await world.promise(f"http://127.0.0.1:{unused_port()}/", receiver.url())
    async with running(world.outbox()) as outbox:
        await world.passes(0, outbox)
    assert [await world.state(each) for each in promised] == ["pending", "delivered"]


def test_only_the_host_of_an_address_is_told() -> None:
    assert host("https://user:token@hooks.example.com:8443/secret?key=1") == "hooks.example.com"
    assert host("http://[broken") == host("nothing") == "?"


def test_the_meetings_of_these_tests_are_in_the_future() -> None:
    assert TEN.timestamp() > NOW and TEN.tzinfo is DHAKA
