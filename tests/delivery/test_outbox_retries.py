"""When the outbox tries again, and when it gives up: what the owner hears of it."""

import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from bridge.delivery.retries import GIVE_UP_S
from tests.stage.outbox import Receiver, World, running
from tests.stage.store import ALICE


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
