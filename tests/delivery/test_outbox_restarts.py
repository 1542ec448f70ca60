"""The outbox through restarts and crashes, and beside another process."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bridge.delivery import outbox as module
from bridge.delivery.outbox import LEASE_S
from bridge.records.database import open_database, parse_url
from bridge.records.deliveries import Delivery, DeliveryQueue
from tests.stage.outbox import Receiver, World, eventually, running


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
