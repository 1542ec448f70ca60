"""A call that waits for what becomes of its deliveries."""

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web

from bridge.delivery.outbox import LEASE_S, PER_RECEIVER
from bridge.records.database import StoreFailed
from tests.stage.outbox import PATIENCE_S, Receiver, Troubled, World, eventually, running


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
