"""The functions the model may call, with a real receiver: what is booked, what is refused, and that it is the truth."""

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from bridge.meetings import webhook
from bridge.meetings.tools import OnBehalfOf, Tools
from bridge.meetings.webhook import Meeting, Webhook

DHAKA = ZoneInfo("Asia/Dhaka")
CALL = OnBehalfOf("CA" + "1" * 32, "+15551234567")
WANTED = {
    "name": "Ada Lovelace", "email": "ada@example.com", "datetime": "2099-11-26T10:00",
    "description": "The analytical engine",
}


@dataclass
class Receiver:
    """The owner's webhook: what it was sent, and what it answers."""

    url: str = ""
    status: int = 204
    bodies: list[dict[str, Any]] = field(default_factory=list)
    elsewhere: int = 0
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/json"
        self.bodies.append(await request.json())
        await self.answers.wait()
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    async def take_elsewhere(self, request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    built, app = Receiver(), web.Application()
    built.answers.set()
    app.router.add_post("/meetings", built.take)
    app.router.add_route("*", "/elsewhere", built.take_elsewhere)
    async with TestServer(app) as server:
        built.url = str(server.make_url("/meetings"))
        yield built


@asynccontextmanager
async def tools(url: str) -> AsyncIterator[Tools]:
    """The functions of an office in Dhaka whose meetings go to `url`."""
    async with aiohttp.ClientSession() as http:
        yield Tools(DHAKA, Webhook(http, url).deliver)


async def schedule(office: Tools, **changed: object) -> dict[str, Any]:
    return await office.run("schedule_meeting", json.dumps(WANTED | changed), CALL)


def refusal(receiver: Receiver, output: dict[str, str]) -> str:
    """What the model is told where nothing was even tried."""
    assert output.keys() == {"status", "message"}
    assert output["status"] == "refused"
    assert receiver.bodies == []
    return output["message"]


# ---- a meeting is booked

async def test_a_meeting_reaches_the_receiver_with_all_it_needs(receiver: Receiver) -> None:
    async with tools(receiver.url) as office:
        output = await schedule(office)
    assert output == {
        "status": "confirmed",
        "message": "The meeting is booked for Thursday, 26 November 2099 at 10:00, Asia/Dhaka time."}
    [body] = receiver.bodies
    assert uuid.UUID(body.pop("id")).version == 4
    assert body == {
        "name": "Ada Lovelace", "email": "ada@example.com", "datetime": "2099-11-26T10:00:00+06:00",
        "description": "The analytical engine", "phone_number": "+15551234567", "time_zone": "Asia/Dhaka",
        "call_sid": CALL.call_sid}


async def test_two_meetings_have_two_ids(receiver: Receiver) -> None:
    async with tools(receiver.url) as office:
        await schedule(office)
        await schedule(office)
    assert len({body["id"] for body in receiver.bodies}) == 2


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_a_yes(receiver: Receiver, status: int) -> None:
    receiver.status = status
    async with tools(receiver.url) as office:
        assert (await schedule(office))["status"] == "confirmed"


async def test_a_caller_without_a_number_can_book_too(receiver: Receiver) -> None:
    async with tools(receiver.url) as office:
        output = await office.run("schedule_meeting", json.dumps(WANTED), OnBehalfOf(CALL.call_sid, ""))
    assert output["status"] == "confirmed"
    assert receiver.bodies[0]["phone_number"] == ""


async def test_another_time_zone_is_turned_into_the_business_s_own(receiver: Receiver) -> None:
    async with tools(receiver.url) as office:
        output = await schedule(office, datetime="2099-11-25T23:00:00-05:00")
    assert "Thursday, 26 November 2099 at 10:00, Asia/Dhaka" in output["message"]
    assert receiver.bodies[0]["datetime"] == "2099-11-26T10:00:00+06:00"


async def test_arguments_that_nobody_asked_for_harm_nothing(receiver: Receiver) -> None:
    async with tools(receiver.url) as office:
        assert (await schedule(office, priority="high"))["status"] == "confirmed"
    assert "priority" not in receiver.bodies[0]


@pytest.mark.parametrize(("said", "meant"), [
    (" ada@example.com ", "ada@example.com"), ("Ada.Lovelace@EXAMPLE.com", "Ada.Lovelace@example.com"),
    ("ada+phone@example.co.uk", "ada+phone@example.co.uk"),
])
async def test_an_address_is_kept_as_it_can_be_used(receiver: Receiver, said: str, meant: str) -> None:
    async with tools(receiver.url) as office:
        await schedule(office, email=said)
    assert receiver.bodies[0]["email"] == meant


# ---- what the model got wrong goes back to it

@pytest.mark.parametrize("email", ["", "ada", "ada@", "ada at example.com", "ada@example", "a@b@example.com", "@"])
async def test_an_address_that_cannot_be_right_is_asked_for_again(receiver: Receiver, email: str) -> None:
    async with tools(receiver.url) as office:
        message = refusal(receiver, await schedule(office, email=email))
    assert message.startswith("The e-mail address cannot be right")
    assert message.endswith("Ask the caller to spell it.")


@pytest.mark.parametrize(("when", "said"), [
    ("tomorrow", "ISO 8601"), ("2099-11-26", "time of day is missing"), ("2001-11-26T10:00", "already passed"),
])
async def test_a_moment_that_cannot_be_is_refused_with_the_reason(receiver: Receiver, when: str, said: str) -> None:
    async with tools(receiver.url) as office:
        message = refusal(receiver, await schedule(office, datetime=when))
    assert said in message


@pytest.mark.parametrize("missing", ["name", "email", "datetime"])
async def test_a_missing_argument_is_named(receiver: Receiver, missing: str) -> None:
    arguments = json.dumps({name: value for name, value in WANTED.items() if name != missing})
    async with tools(receiver.url) as office:
        message = refusal(receiver, await office.run("schedule_meeting", arguments, CALL))
    assert f"`{missing}`" in message


@pytest.mark.parametrize("changed", [
    {"name": ""}, {"name": None}, {"name": 7}, {"name": "x" * 201}, {"email": ["ada@example.com"]},
    {"email": "x" * 255}, {"datetime": 4_000_000_000}, {"description": "x" * 2001}, {"description": {}},
])
async def test_an_argument_of_the_wrong_shape_is_named(receiver: Receiver, changed: dict[str, object]) -> None:
    async with tools(receiver.url) as office:
        message = refusal(receiver, await schedule(office, **changed))
    assert "$." + next(iter(changed)) in message


@pytest.mark.parametrize("arguments", ["", "{", '{"name": "Ada', "[]", "null", '"Ada"', "{'name': 'Ada'}", "\x00"])
async def test_arguments_that_are_no_object_are_refused(receiver: Receiver, arguments: str) -> None:
    async with tools(receiver.url) as office:
        message = refusal(receiver, await office.run("schedule_meeting", arguments, CALL))
    assert message.startswith("The function's arguments are wrong")


@pytest.mark.parametrize("name", ["", "book_flight", "SCHEDULE_MEETING", "run", "x" * 10_000])
async def test_an_unknown_function_is_answered_that_there_is_none(receiver: Receiver, name: str) -> None:
    async with tools(receiver.url) as office:
        output = await office.run(name, "{}", CALL)
    assert output.keys() == {"error"}
    assert output["error"].startswith("There is no function")
    assert len(output["error"]) < 200


# ---- the receiver does not take it

@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304, 400, 401, 404, 409, 410, 429, 500, 503])
async def test_a_receiver_that_does_not_say_yes_has_not_booked(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, status: int,
) -> None:
    receiver.status = status
    async with tools(receiver.url) as office:
        output = await schedule(office)
    assert output["status"] == "refused"
    assert "not booked" in output["message"]
    assert len(receiver.bodies) == 1 and receiver.elsewhere == 0
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "NOT booked" in record.getMessage() and str(status) in record.getMessage()


async def test_a_receiver_that_does_not_answer_in_time_has_not_booked(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert webhook.TIMEOUT_S == 8
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.05)
    receiver.answers.clear()
    async with tools(receiver.url) as office:
        output = await schedule(office)
    receiver.answers.set()
    assert output["status"] == "refused" and "not booked" in output["message"]
    assert "did not answer within" in caplog.text


async def test_a_receiver_that_is_not_there_has_not_booked(caplog: pytest.LogCaptureFixture) -> None:
    async with tools(f"http://127.0.0.1:{unused_port()}/meetings") as office:
        output = await schedule(office)
    assert output["status"] == "refused" and "not booked" in output["message"]
    assert "could not be reached" in caplog.text


async def test_a_receiver_that_hangs_up_has_not_booked() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with tools(f"http://127.0.0.1:{port}/meetings") as office:
            assert (await schedule(office))["status"] == "refused"


async def test_a_log_line_holds_nothing_of_the_caller(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with tools(receiver.url) as office:
        await schedule(office)
        receiver.status = 500
        await schedule(office)
        await schedule(office, email="ada at example.com")
    lines = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("bridge"))
    assert CALL.call_sid in lines
    for private in ("Ada", "ada", "5551234567", "analytical", receiver.url):
        assert private not in lines


async def test_a_function_that_breaks_is_an_answer_too(caplog: pytest.LogCaptureFixture) -> None:
    async def explode(meeting: Meeting) -> None:
        raise ZeroDivisionError
    output = await Tools(DHAKA, explode).run("schedule_meeting", json.dumps(WANTED), CALL)
    assert output == {"error": "The function failed. Tell the caller that this cannot be done right now."}
    assert "ZeroDivisionError" in caplog.text


# ---- what the model is offered

async def test_meetings_are_offered_only_where_they_are_taken() -> None:
    closed = Tools(DHAKA, None)
    assert not closed.takes_meetings
    assert [tool["name"] for tool in closed.declarations] == ["end_call"]
    assert (await closed.run("schedule_meeting", json.dumps(WANTED), CALL)).keys() == {"error"}


async def test_what_is_offered_is_what_is_asked_for() -> None:
    async with tools("http://127.0.0.1/") as office:
        [meeting, end_call] = office.declarations
    assert meeting["parameters"]["properties"].keys() == WANTED.keys() == set(meeting["parameters"]["required"])
    assert end_call["parameters"]["required"] == ["reason"]
    for tool in (meeting, end_call):
        assert tool["parameters"]["additionalProperties"] is False
