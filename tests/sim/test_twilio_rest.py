"""The simulated REST API of Twilio: asked by Twilio's own package, and over plain HTTP where that would not."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from bridge.sim.clock import Clock
from bridge.sim.phone import Phone, PhoneCall
from bridge.sim.twilio_rest import RestFaults, TwilioRest
from tests.stage.voice_server import VoiceServer, document

ACCOUNT, TOKEN = "AC" + "1" * 32, "a-token"
SAY = document("<Say>Hold the line.</Say>")


@pytest.fixture
async def phone(server: VoiceServer) -> AsyncIterator[Phone]:
    async with Phone(server.voice, account_sid=ACCOUNT, clock=Clock(20)) as phone:
        yield phone


@pytest.fixture
async def rest(phone: Phone) -> AsyncIterator[TwilioRest]:
    async with TwilioRest(ACCOUNT, TOKEN) as rest:
        rest.phones.append(phone)
        yield rest


async def update(rest: TwilioRest, call: PhoneCall, **fields: str) -> str:
    """As twilio's package does it; the call's status afterwards."""
    client = Client(ACCOUNT, TOKEN)
    client.api.base_url = rest.url
    return str((await asyncio.to_thread(client.calls(call.sid).update, **fields)).status)


async def post(rest: TwilioRest, call: PhoneCall, form: dict[str, str], token: str = TOKEN) -> tuple[int, int]:
    """The status, and Twilio's code."""
    address = f"{rest.url}/2010-04-01/Accounts/{ACCOUNT}/Calls/{call.sid}.json"
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, token)}
    async with aiohttp.ClientSession() as http, http.post(address, data=form, headers=headers) as answer:
        problem = await answer.json()
        if answer.status >= 300:
            assert problem["status"] == answer.status and problem["message"]
            assert problem["more_info"] == f"https://www.twilio.com/docs/errors/{problem['code']}"
        return answer.status, problem.get("code", 0)


async def test_a_call_is_completed(rest: TwilioRest, phone: Phone, server: VoiceServer) -> None:
    server.after = "<Say>never</Say>"
    call = await phone.dial()
    assert await update(rest, call, status="completed") == "completed"
    await call.until_over()
    assert (call.spoken, server.sockets[0].told[-1]["event"]) == ([], "stop")
    [asked] = rest.asked
    assert (asked.form, asked.status) == ({"Status": "completed"}, 200) and asked.path.endswith(f"{call.sid}.json")
    with pytest.raises(TwilioRestException) as refusal:
        await update(rest, call, status="completed")
    assert (refusal.value.status, refusal.value.code) == (400, 21220)


async def test_a_call_in_progress_cannot_be_canceled(rest: TwilioRest, phone: Phone) -> None:
    call = await phone.dial()
    assert await update(rest, call, status="canceled") == "in-progress"
    assert not call.over


async def test_new_twiml_takes_over(rest: TwilioRest, phone: Phone) -> None:
    call = await phone.dial()
    assert await update(rest, call, twiml=SAY) == "in-progress"
    await call.until_over()
    assert call.spoken == ["Hold the line."]


async def test_a_new_address_takes_over(rest: TwilioRest, phone: Phone, server: VoiceServer) -> None:
    server.answers["/next"] = "<Say>Next.</Say>"
    call = await phone.dial()
    await update(rest, call, url=str(server.http.make_url("/next")) + "?a=1&b=2", method="GET")
    await call.until_over()
    request, _ = server.asked[-1]
    assert (call.spoken, request.method, request.query["b"]) == (["Next."], "GET", "2")


@pytest.mark.parametrize("form, code", [
    ({}, 20001), ({"Status": "busy"}, 20001), ({"Status": "completed", "Twiml": SAY}, 20001),
    ({"status": "completed"}, 20001), ({"Twiml": SAY, "Volume": "11"}, 20001), ({"Method": "GET"}, 20001),
    ({"Twiml": SAY + " " * 4000}, 20001), ({"Twiml": "<Response/>"}, 12100), ({"Twiml": document("<Sing/>")}, 12100),
    ({"Twiml": document("<Dial timeout='x'>+15550001111</Dial>")}, 12100), ({"Url": "/next"}, 21205),
    ({"Url": "http://127.0.0.1/", "Method": "PUT"}, 12100),
])
async def test_a_wrong_form_is_refused(rest: TwilioRest, phone: Phone, form: dict[str, str], code: int) -> None:
    call = await phone.dial()
    assert await post(rest, call, form) == (400, code)
    assert not call.over and call.log[-1].kind == "start"


async def test_who_may_ask_for_what(rest: TwilioRest, phone: Phone) -> None:
    call = await phone.dial()
    assert await post(rest, call, {"Status": "completed"}, token="wrong") == (401, 20003)
    call.sid = "CA" + "0" * 32
    known = PhoneCall(phone, phone._wire, "+15550002222", {})
    assert await post(rest, known, {"Status": "completed"}) == (404, 20404)
    assert not call.over


# Faults

@pytest.mark.parametrize("status, code", [(429, 20429), (500, 20500), (503, 20500)])
async def test_it_may_be_out_of_order(rest: TwilioRest, phone: Phone, status: int, code: int) -> None:
    call = await phone.dial()
    rest.faults = RestFaults(status=status)
    assert await post(rest, call, {"Status": "completed"}) == (status, code)
    assert not call.over
    rest.faults = RestFaults()
    assert await post(rest, call, {"Status": "completed"}) == (200, 0)


async def test_it_may_do_it_and_not_say_so(rest: TwilioRest, phone: Phone) -> None:
    call = await phone.dial()
    rest.faults = RestFaults(breaks=True)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await post(rest, call, {"Twiml": SAY})
    await call.until_over()
    assert (call.spoken, rest.asked[-1].status) == (["Hold the line."], None)


async def test_it_may_never_answer_or_answer_late(rest: TwilioRest, phone: Phone) -> None:
    call = await phone.dial()
    rest.faults = RestFaults(never_answers=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await post(rest, call, {"Status": "completed"})
    rest.faults = RestFaults(late_s=30)
    late = asyncio.create_task(post(rest, call, {"Status": "completed"}))
    await call.until_over()
    assert not late.done() and rest.asked[0].status is None
    late.cancel()
