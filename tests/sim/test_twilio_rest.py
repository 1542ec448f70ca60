"""The simulated REST API of Twilio: asked by Twilio's own package, and over plain HTTP where that would not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from bridge.sim.clock import Clock
from bridge.sim.phone import Phone, PhoneCall
from bridge.sim.twilio_rest import Alert, RestFaults, TwilioRest
from bridge.twilio_side.account import Account, State, TwilioFailed, monitor_origin
from bridge.twilio_side.rest import Credentials
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


# The account's own things, asked by what the commands use

async def test_a_list_comes_in_pages(rest: TwilioRest) -> None:
    added = [rest.numbers.add(f"+1555000{place:04}").phone_number for place in range(120)]
    numbers = await asyncio.to_thread(account(rest).numbers)
    assert [each.phone_number for each in numbers] == added
    assert [asked.path.rpartition("/")[2] for asked in rest.asked] == ["IncomingPhoneNumbers.json"] * 2


@pytest.mark.parametrize("path, status", [
    ("IncomingPhoneNumbers.json?PageSize=1", 200), ("IncomingPhoneNumbers.json?PageSize=1001", 400),
    ("IncomingPhoneNumbers.json?Page=1", 400), ("IncomingPhoneNumbers.json?Sort=asc", 400),
    ("IncomingPhoneNumbers/PN" + "9" * 32 + ".json", 404), ("IncomingPhoneNumbers/PN1.json", 404),
    ("Applications/AP" + "1" * 32 + ".json", 404), ("Applications.json", 405), ("Trunks.json", 404)])
async def test_what_there_is_not_is_refused(rest: TwilioRest, path: str, status: int) -> None:
    rest.numbers.add("+15550001111")
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{rest.url}/2010-04-01/Accounts/{ACCOUNT}/{path}", headers=headers) as answer:
            assert answer.status == status


async def test_a_number_is_changed_and_keeps_an_address_that_does_not_count(rest: TwilioRest) -> None:
    rest.numbers.applications["AP" + "1" * 32] = "https://app.example.com/voice"
    rest.numbers.trunks.add("TK" + "1" * 32)
    number, ours = rest.numbers.add("+15550001111", voice_application_sid="AP" + "1" * 32), account(rest)
    kept = await asyncio.to_thread(ours.change, number.sid, voice_url="https://new.example.com/incoming-call")
    assert (kept.voice_url, kept.overridden_by) == ("https://new.example.com/incoming-call", "AP" + "1" * 32)
    assert await asyncio.to_thread(ours.application_url, kept.overridden_by) == "https://app.example.com/voice"
    kept = await asyncio.to_thread(ours.change, number.sid, trunk_sid="TK" + "1" * 32)
    assert (kept.voice_application_sid, kept.trunk_sid) == ("", "TK" + "1" * 32)
    kept = await asyncio.to_thread(ours.change, number.sid, trunk_sid="")
    assert kept.overridden_by == "" and kept == await asyncio.to_thread(ours.number, number.sid)
    assert kept == await asyncio.to_thread(ours.find, "+15550001111")
    assert await asyncio.to_thread(ours.find, "+1555000111") is None


@pytest.mark.parametrize("fields, code", [
    ({"voice_url": "example.com/incoming-call"}, 21502), ({"voice_method": "PUT"}, 21503),
    ({"trunk_sid": "TK" + "9" * 32}, 20001), ({"bundle_sid": "BU" + "1" * 32}, 20001),
])
async def test_a_wrong_change_is_refused_as_a_whole(rest: TwilioRest, fields: dict[str, str], code: int) -> None:
    number = rest.numbers.add("+15550001111")
    with pytest.raises(TwilioFailed) as refusal:
        await asyncio.to_thread(account(rest).change, number.sid, voice_fallback_url="https://x.example", **fields)
    assert (refusal.value.status, refusal.value.code, number.voice_fallback_url) == (400, code, "")


async def test_what_is_wrong_is_told_in_one_line_without_the_token(rest: TwilioRest) -> None:
    with pytest.raises(TwilioFailed) as refusal:
        await asyncio.to_thread(account(rest, "wrong").numbers)
    assert refusal.value.refused_credentials and "auth token from the Twilio console" in str(refusal.value)
    with pytest.raises(TwilioFailed) as refusal:
        await asyncio.to_thread(account(rest, "wrong").state)
    assert str(refusal.value).startswith("Twilio did not tell of the account: status 401, error 20003 (Authenticate)")
    assert "\n" not in str(refusal.value) and ACCOUNT not in str(refusal.value)
    rest.faults = RestFaults(never_answers=True)
    with pytest.raises(TwilioFailed, match="no answer in time"):
        await asyncio.to_thread(Account(Credentials(rest.url, ACCOUNT, TOKEN), timeout_s=0.05).state)
    with pytest.raises(TwilioFailed, match="no connection"):
        await asyncio.to_thread(Account(Credentials("http://127.0.0.1:1", ACCOUNT, TOKEN)).state)


async def test_an_account_tells_its_state_and_the_token_that_it_signs_with(rest: TwilioRest) -> None:
    rest.status, rest.type = "suspended", "Trial"
    assert await asyncio.to_thread(account(rest).state) == State("An account", "suspended", "Trial", TOKEN)
    with pytest.raises(TwilioFailed, match="401"):
        await asyncio.to_thread(account(rest).numbers)


async def test_an_alert_tells_its_detail_only_when_it_is_fetched(rest: TwilioRest) -> None:
    now = datetime.now(UTC)
    rest.alerts += [Alert("11200", f"https://example.com/{age}", date_generated=now - timedelta(hours=age),
                          request_variables="CallSid=CA1", response_body="<html>") for age in (30, 2, 1)]
    rest.alerts.append(Alert("13227", "https://example.com/", log_level="warning"))
    listed = await asyncio.to_thread(account(rest).alerts, now - timedelta(days=1))
    assert [(each.request_url, each.request_variables, each.response_body) for each in listed] == [
        ("https://example.com/1", "", ""), ("https://example.com/2", "", "")]
    told = await asyncio.to_thread(account(rest).alert, listed[0].sid)
    assert (told.request_variables, told.response_body) == ("CallSid=CA1", "<html>")
    with pytest.raises(TwilioFailed):
        await asyncio.to_thread(account(rest).alerts, now - timedelta(days=31))


async def test_it_calls_whom_it_is_told_to(rest: TwilioRest) -> None:
    rest.numbers.add("+15550001111")
    ours = account(rest)
    made = await asyncio.to_thread(ours.call, "+15557654321", "+15550001111", SAY, 30, 20)
    async with asyncio.timeout(10):
        while (now := await asyncio.to_thread(ours.made_call, made.sid)).status != "completed":
            pass
    assert (made.status, now.seconds, rest.calls.made[0].twiml) == ("queued", 0, SAY)
    for to, from_, code in (("5557654321", "+15550001111", 21211), ("+15557654321", "+15559999999", 21210)):
        with pytest.raises(TwilioFailed) as refusal:
            await asyncio.to_thread(ours.call, to, from_, SAY, 30, 20)
        assert refusal.value.code == code


def account(rest: TwilioRest, token: str = TOKEN) -> Account:
    return Account(Credentials(rest.url, ACCOUNT, token))


@pytest.mark.parametrize("api, monitor", [
    ("https://api.twilio.com", "https://monitor.twilio.com"),
    ("https://api.dublin.ie1.twilio.com", "https://monitor.dublin.ie1.twilio.com"),
    ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
])
def test_alerts_are_asked_of_their_own_host(api: str, monitor: str) -> None:
    assert monitor_origin(api) == monitor
