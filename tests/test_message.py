"""A message that a caller left: its news, that it is kept once, and that it is delivered as a meeting is."""

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from jsonschema import Draft202012Validator, ValidationError

from bridge.delivery.mailbox import READY_S, Mailbox
from bridge.delivery.news import of_message
from bridge.delivery.outbox import Outbox
from bridge.delivery.webhook import Webhook
from bridge.meetings.message import SCHEMA, Message, body
from bridge.records.database import Database
from bridge.records.deliveries import DeliveryQueue
from bridge.records.messages import Messages
from tests.store import ALICE, DHAKA, NOW, RECEIVERS, rows

MESSAGE = Message(
    id="RE" + "a" * 32, caller=ALICE, call_sid="CA" + "1" * 32, seconds=12, recorded=datetime.fromtimestamp(NOW, UTC),
    recording_url=f"https://api.twilio.com/2010-04-01/Accounts/AC{'0' * 32}/Recordings/RE{'a' * 32}")


# ---- the news of it

def sent(message: Message = MESSAGE, zone: ZoneInfo = DHAKA) -> dict[str, Any]:
    """The body, read as a receiver reads it, when it is as the schema says."""
    read: dict[str, Any] = json.loads(body(message, zone))
    Draft202012Validator(SCHEMA).validate(read)
    return read


def test_the_schema_is_one_and_describes_every_key() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert {*SCHEMA["properties"]} == {*SCHEMA["required"]} == {*sent()}
    assert all(each["description"] for each in SCHEMA["properties"].values())


def test_a_message_says_all_of_it_flat() -> None:
    assert sent() == {
        "type": "message.recorded", "timestamp": "2030-03-17T17:46:40Z", "id": MESSAGE.id, "name": "", "email": "",
        "phone_number": ALICE, "datetime": "2030-03-17T23:46:40+06:00", "call_sid": MESSAGE.call_sid,
        "description": "A caller left a message of 12 seconds, because the assistant could not speak.",
        "recording_url": MESSAGE.recording_url, "recording_sid": MESSAGE.id, "duration_seconds": 12}


def test_a_caller_who_hides_the_number_leaves_one_too() -> None:
    assert "a message of 1 second," in sent(replace(MESSAGE, caller="", seconds=1))["description"]


@pytest.mark.parametrize(("key", "wrong"), [
    ("type", "meeting.booked"), ("id", ""), ("recording_sid", "RE1"), ("duration_seconds", 0),
    ("duration_seconds", "1"), ("datetime", "2030-03-17"), ("recording_url", None)])
def test_the_schema_refuses_what_is_wrong(key: str, wrong: Any) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(sent() | {key: wrong})


# ---- kept once

async def keep(database: Database, message: Message = MESSAGE, due: float = NOW) -> bool:
    return await Messages(database).keep(message, of_message(message, RECEIVERS, DHAKA), due)


async def test_a_message_is_kept_with_its_deliveries(database: Database) -> None:
    assert await keep(database)
    assert await Messages(database).find(MESSAGE.id) == MESSAGE
    queue = DeliveryQueue(database)
    found = await queue.about(MESSAGE.id)
    assert {each.url for each in found} == {*RECEIVERS}
    assert {each.about for each in found} == {("message", MESSAGE.id)}
    assert {each.id for each in await queue.claim(NOW, 60, 9)} == {each.id for each in found}


async def test_what_is_told_at_once_and_again_is_one_message(database: Database) -> None:
    assert sorted(await asyncio.gather(*(keep(database) for _ in range(6)))) == [False] * 5 + [True]
    assert not await keep(database, replace(MESSAGE, seconds=99))
    assert [each.seconds for each in await Messages(database).all()] == [12]
    assert len(await rows(database, "deliveries")) == len(RECEIVERS)


async def test_what_waits_goes_out_sooner_but_never_later(database: Database) -> None:
    queue = DeliveryQueue(database)
    await keep(database, due=NOW + 60)
    assert await queue.claim(NOW, 60, 9) == []
    for due in (NOW + 10, NOW + 99):
        await keep(database, due=due)
        assert await queue.next_due(NOW) == NOW + 10


async def test_an_attempt_under_way_keeps_its_lease(database: Database) -> None:
    queue = DeliveryQueue(database)
    await keep(database)
    await queue.claim(NOW, 60, 9)
    await keep(database)
    assert await queue.next_due(NOW) == NOW + 60


async def test_messages_are_listed_by_their_time_and_in_pages(database: Database) -> None:
    moments = [3, 1, 2]
    for number, after in enumerate(moments):
        recorded = datetime.fromtimestamp(NOW + after, UTC)
        await keep(database, replace(MESSAGE, id=f"RE{number:032}", recorded=recorded))
    store = Messages(database)
    first = await store.all(2)
    rest = await store.all(2, after=first[-1])
    assert [each.recorded.timestamp() - NOW for each in first + rest] == [1, 2, 3]
    assert await store.find("nobody") is None


async def test_dead_letters_of_a_message_are_revived(database: Database) -> None:
    queue = DeliveryQueue(database)
    await keep(database)
    for delivery in await queue.claim(NOW, 60, 9):
        await queue.dead(delivery.id, NOW, "answered with status 410", delivery.attempts)
    assert await queue.revive(MESSAGE.id, NOW) == len(RECEIVERS)


# ---- and delivered

async def test_a_message_goes_out_when_it_can_be_fetched_or_after_a_while(database: Database) -> None:
    queue = DeliveryQueue(database)
    async with aiohttp.ClientSession() as http:
        mailbox = Mailbox(Messages(database), Outbox(queue, Webhook(http)), RECEIVERS[:1], DHAKA)
        await mailbox.take(MESSAGE, ready=False)
        assert await queue.next_due(NOW) == NOW + READY_S
        await mailbox.take(MESSAGE, ready=True)
        assert await queue.next_due(NOW) == NOW


async def test_a_message_that_nobody_takes_is_a_dead_letter_and_a_loud_line(
    database: Database, caplog: pytest.LogCaptureFixture,
) -> None:
    bodies: list[Any] = []

    async def refuse(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response(status=410)
    app = web.Application()
    app.router.add_post("/hook", refuse)
    queue = DeliveryQueue(database)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        outbox = Outbox(queue, Webhook(http), clock=lambda: NOW)
        await Mailbox(Messages(database), outbox, [str(server.make_url("/hook"))], DHAKA).take(MESSAGE, ready=True)
        [promised] = await queue.about(MESSAGE.id)
        [settled] = await outbox.settle([promised.id], 10)
        await outbox.stop()
    assert (settled.state, bodies) == ("dead", [sent()])
    [line] = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.startswith(f"MESSAGE {MESSAGE.id} WAS NOT DELIVERED: 127.0.0.1 answered with status 410")
    assert line.endswith(f"python -m bridge meetings resend {MESSAGE.id}")
    assert ALICE not in caplog.text
