"""What is promised is delivered, to each receiver, and a slow one holds up nobody else."""

import json
import logging
from collections import Counter

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from bridge.delivery import outbox as module
from bridge.delivery.delivery_log import host
from bridge.delivery.outbox import PER_RECEIVER
from tests.stage.outbox import Receiver, World, eventually, running
from tests.stage.store import DHAKA, NOW, TEN


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
