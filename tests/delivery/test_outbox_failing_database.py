"""An outbox whose database fails, and a fault of our own: nothing is lost, and nothing is delivered twice."""

import pytest

from bridge.delivery import outbox as module
from bridge.delivery.answer import Answer
from bridge.delivery.webhook import Webhook
from bridge.records.database import StoreFailed
from bridge.records.deliveries import Delivery
from tests.stage.outbox import Receiver, Troubled, World, eventually, running


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
