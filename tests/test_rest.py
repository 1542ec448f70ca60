"""Twilio's REST API as a call uses it, over real sockets: what is asked, and what is known afterwards."""

import asyncio
import logging
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from bridge.twilio_side import rest
from bridge.twilio_side.rest import Calls, Credentials, Outcome

ACCOUNT, TOKEN, CALL = "AC" + "0" * 32, "secret-token", "CA" + "1" * 32
NUMBER = "+15551234567"


@dataclass
class Twilio:
    """What it was asked, and what it answers: a status and an error code; None: it hangs up without a word."""

    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    answer: tuple[int, object] | None = (200, {})
    silent: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        authorization = b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        self.asked.append((request.path, authorization, form))
        await self.silent.wait()
        if self.answer is None:
            assert request.transport
            request.transport.abort()
            return web.Response()
        return web.json_response(self.answer[1], status=self.answer[0])


@asynccontextmanager
async def twilio(port: int | None = None) -> AsyncIterator[tuple[Twilio, Credentials]]:
    built, app = Twilio(), web.Application()
    built.silent.set()
    app.router.add_post("/{path:.*}", built.take)
    async with TestServer(app, port=port) as server:
        yield built, credentials_for(server.port or 0)


def credentials_for(port: int) -> Credentials:
    return Credentials(f"http://127.0.0.1:{port}", ACCOUNT, TOKEN)


async def test_a_call_is_ended_by_one_form_post() -> None:
    async with twilio() as (api, credentials), aiohttp.ClientSession() as http:
        assert await Calls(http, credentials).complete(CALL)
        path = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL}.json"
        assert api.asked == [(path, f"{ACCOUNT}:{TOKEN}", {"Status": "completed"})]


async def test_a_call_is_given_new_twiml_by_one_form_post() -> None:
    twiml = '<?xml version="1.0"?><Response><Say>Ä & ö</Say></Response>'
    async with twilio() as (api, credentials), aiohttp.ClientSession() as http:
        assert await Calls(http, credentials).update(CALL, twiml)
        assert [form for _, _, form in api.asked] == [{"Twiml": twiml}]


async def test_what_is_no_sid_does_not_lead_elsewhere() -> None:
    async with twilio() as (api, credentials), aiohttp.ClientSession() as http:
        assert await Calls(http, credentials).complete("../../x?y")
        assert api.asked[0][0].startswith(f"/2010-04-01/Accounts/{ACCOUNT}/Calls/")


@pytest.mark.parametrize(("status", "body", "outcome", "said"), [
    (401, {"code": 20003, "status": 401}, Outcome.REFUSED,
     "status 401, error 20003; check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"),
    (404, {"code": 20404}, Outcome.REFUSED, "error 20404; it knows no such call"),
    (429, {"code": 20429}, Outcome.REFUSED, "error 20429; it is asked too often"),
    (400, {"code": 21218}, Outcome.REFUSED, "could not read the TwiML"),
    (400, {"code": 12345, "message": f"{NUMBER} is not valid"}, Outcome.REFUSED, "status 400, error 12345"),
    (403, "no", Outcome.REFUSED, "status 403; check TWILIO_ACCOUNT_SID"),
    (302, {}, Outcome.REFUSED, "status 302"),
    (503, {"code": "x"}, Outcome.UNKNOWN, "status 503"),
])
async def test_a_no_is_told_in_one_line_with_what_to_do(
    status: int, body: object, outcome: Outcome, said: str, caplog: pytest.LogCaptureFixture,
) -> None:
    async with twilio() as (api, credentials), aiohttp.ClientSession() as http:
        api.answer = (status, body)
        assert await Calls(http, credentials).update(CALL, f"<Dial>{NUMBER}</Dial>") is outcome
        assert len(api.asked) == 1
    [line] = [record.getMessage() for record in caplog.records if record.name == rest.__name__]
    assert line.startswith(f"call {CALL}: Twilio's REST API did not give it new TwiML: it answered with ")
    assert said in line and NUMBER not in line and TOKEN not in line


async def test_a_call_that_is_over_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with twilio() as (api, credentials), aiohttp.ClientSession() as http:
        api.answer = (400, {"code": 21220})
        assert await Calls(http, credentials).complete(CALL) is Outcome.REFUSED
    [record] = [record for record in caplog.records if record.name == rest.__name__]
    assert (record.levelname, record.getMessage()) == ("INFO", f"call {CALL}: it was over before Twilio could end it")


async def test_what_was_sent_and_not_answered_is_not_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    async with twilio() as (api, credentials), aiohttp.ClientSession() as http:
        api.answer = None
        assert await Calls(http, credentials).complete(CALL) is Outcome.UNKNOWN
        assert len(api.asked) == 1
    assert "did not end it: it did not answer (" in caplog.text


async def test_an_answer_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(rest, "TIMEOUT_S", 0.1)
    async with twilio() as (api, credentials), aiohttp.ClientSession() as http:
        api.silent.clear()
        assert await Calls(http, credentials).complete(CALL) is Outcome.UNKNOWN
        assert len(api.asked) == 1
        api.silent.set()
    assert "it did not answer (TimeoutError)" in caplog.text


async def test_where_nobody_listens_it_is_tried_twice_and_certainly_not_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = 0

    async def count(*_: object) -> None:
        nonlocal tries
        tries += 1
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(count)
    async with aiohttp.ClientSession(trace_configs=[trace]) as http:
        assert await Calls(http, credentials_for(unused_port())).complete(CALL) is Outcome.REFUSED
    assert tries == 2
    assert "no connection could be made (Connect" in caplog.text


async def test_a_connection_that_could_not_be_made_is_made_again() -> None:
    """The server begins to listen just before the second attempt."""
    port, tries, opened = unused_port(), 0, asyncio.Event()

    async def listen_at_the_second(*_: object) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            opened.set()
            await listening.wait()
    listening = asyncio.Event()
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(listen_at_the_second)
    async with aiohttp.ClientSession(trace_configs=[trace]) as http:
        ending = asyncio.create_task(Calls(http, credentials_for(port)).complete(CALL))
        await opened.wait()
        async with twilio(port) as (api, _):
            listening.set()
            assert await ending is Outcome.DONE
            assert len(api.asked) == 1
