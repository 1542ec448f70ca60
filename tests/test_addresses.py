"""The server's addresses over real sockets: what Twilio is answered, and who is turned away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from twilio.request_validator import RequestValidator

from bridge import __version__, keys
from bridge.app import create_app
from bridge.meetings import event, message
from bridge.openai_side.breaker import FAILURES
from bridge.records.endings import Ending
from bridge.twilio_side.twiml import APOLOGY
from tests.helpers import make_settings

TOKEN, ACCOUNT = "12345", "AC" + "0" * 32
PUBLIC = "https://bridge.example.com"
STREAM = "/media-stream/15551234567"
CALL = {"From": "+15551234567", "To": "+15557654321", "CallSid": "CA" + "1" * 32, "AccountSid": ACCOUNT,
        "CallStatus": "ringing"}

START = {"event": "start", "start": {"streamSid": "MZ" + "1" * 32, "callSid": CALL["CallSid"]}}

Client = TestClient[web.Request, web.Application]
Open = Callable[..., Awaitable[Client]]


@pytest.fixture
def open_bridge(aiohttp_client: Any, sqlite_url: str) -> Open:
    """A function that serves an application with these settings."""
    async def serve(**environ: str) -> Client:
        settings = make_settings(DATABASE_URL=sqlite_url, **environ)
        client: Client = await aiohttp_client(create_app(settings))
        return client
    return serve


def signature(address: str, form: dict[str, str] | None = None, token: str = TOKEN) -> dict[str, str]:
    """The header by which Twilio shows that it asked for this."""
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(address, form or {})}


async def twiml(answer: aiohttp.ClientResponse) -> ElementTree.Element:
    """The document of an answer that Twilio would carry out."""
    assert answer.status == 200
    assert answer.content_type == "text/xml"
    body = await answer.read()
    assert answer.headers["Content-Length"] == str(len(body))
    assert "Transfer-Encoding" not in answer.headers
    assert body.startswith(b"<?xml ")
    document = ElementTree.fromstring(body)
    assert document.tag == "Response"
    return document


async def ring(client: Client, headers: dict[str, str] | None = None, **parameters: str) -> ElementTree.Element:
    return await twiml(await client.post("/incoming-call", data=CALL | parameters, headers=headers))


async def ask(client: Client, path: str, **parameters: str) -> ElementTree.Element:
    """What Twilio is to do next in a call, by POST."""
    return await twiml(await client.post(path, data=CALL | {"CallStatus": "in-progress"} | parameters))


def stream(document: ElementTree.Element) -> tuple[str, dict[str, str]]:
    """The address of a document's only stream, and its parameters."""
    [found] = document.iter("Stream")
    assert document[0].tag == "Connect" and list(document[0]) == [found]
    assert {child.tag for child in found} == {"Parameter"}
    return found.attrib["url"], {child.attrib["name"]: child.attrib["value"] for child in found}


def verbs(document: ElementTree.Element) -> list[str]:
    return [verb.tag for verb in document]


@dataclass
class SilentModel:
    """Takes connections, says nothing, and counts."""

    url: str = ""
    opened: list[str] = field(default_factory=list)  # their queries
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.WebSocketResponse:
        self.opened.append(request.query_string)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.arrived.set()
        async for _ in socket:
            pass
        self.closed.set()
        return socket


@pytest.fixture
async def model() -> AsyncIterator[SilentModel]:
    silent, app = SilentModel(), web.Application()
    app.router.add_get("/v1/realtime", silent.take)
    async with TestServer(app) as server:
        silent.url = str(server.make_url("/v1/realtime").with_scheme("ws"))
        yield silent


# ---- for people and monitors

async def test_the_front_page_says_that_the_server_runs_and_its_version(open_bridge: Open) -> None:
    answer = await (await open_bridge()).get("/")
    assert answer.status == 200
    assert await answer.json() == {"service": "bridge", "version": __version__, "status": "running"}


async def test_a_monitor_is_answered(open_bridge: Open) -> None:
    assert (await (await open_bridge(TWILIO_AUTH_TOKEN=TOKEN)).get("/healthz")).status == 200


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/nothing", 404), ("PUT", "/incoming-call", 405), ("GET", "/media-stream/", 404),
    ("GET", "/media-stream/1/2", 404), ("GET", "/media-stream/15551234567", 400),
])
async def test_what_is_not_there_is_not_there(open_bridge: Open, method: str, path: str, status: int) -> None:
    assert (await (await open_bridge()).request(method, path)).status == status


@pytest.mark.parametrize(("path", "schema"), [
    ("/meeting.schema.json", event.SCHEMA), ("/message.schema.json", message.SCHEMA)])
async def test_an_owner_may_read_what_the_webhook_gets(open_bridge: Open, path: str, schema: dict[str, Any]) -> None:
    answer = await (await open_bridge()).get(path)
    assert (answer.status, answer.content_type) == (200, "application/schema+json")
    assert await answer.json(content_type=None) == schema


# ---- a call comes in

async def test_a_call_is_connected_to_a_stream_of_its_own(open_bridge: Open) -> None:
    client = await open_bridge()
    address, parameters = stream(await ring(client))
    assert address == f"wss://{client.host}:{client.port}/media-stream/15551234567"
    assert parameters == {"caller": "+15551234567", "called": "+15557654321", "call_sid": CALL["CallSid"]}


async def test_a_webhook_by_get_is_answered_just_the_same(open_bridge: Open) -> None:
    client = await open_bridge()
    by_get = await twiml(await client.get("/incoming-call", params=CALL))
    assert stream(by_get) == stream(await ring(client))


@pytest.mark.parametrize(("number", "path"), [
    ("+4915112345678", "4915112345678"),
    ("", "anonymous"),
    ("anonymous", "anonymous"),
    ("+266696687", "anonymous"),
    ("+86282452253", "anonymous"),
    ("client:bob", "anonymous"),
    ("sip:bob@example.com", "anonymous"),
    ("sip:+15551234567@example.com", "anonymous"),
    ("15551234567", "anonymous"),
    ("+1555", "anonymous"),
])
async def test_a_caller_who_hides_gets_a_stream_too(open_bridge: Open, number: str, path: str) -> None:
    address, parameters = stream(await ring(await open_bridge(PUBLIC_URL=PUBLIC), From=number))
    assert address == f"wss://bridge.example.com/media-stream/{path}"
    assert parameters["caller"] == number


async def test_a_webhook_that_says_nothing_gets_a_stream_too(open_bridge: Open) -> None:
    address, parameters = stream(await twiml(await (await open_bridge()).post("/incoming-call")))
    assert address.endswith("/media-stream/anonymous")
    assert parameters == {"caller": "", "called": "", "call_sid": ""}


async def test_without_rest_credentials_we_are_asked_what_follows_the_stream(open_bridge: Open) -> None:
    document = await ring(await open_bridge(PUBLIC_URL=PUBLIC))
    assert verbs(document) == ["Connect"]
    assert document[0].attrib["action"].partition("#")[0] == f"{PUBLIC}/after-stream"


async def test_with_rest_credentials_the_fallback_follows_the_stream(open_bridge: Open) -> None:
    client = await open_bridge(TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC)
    document = await ring(client, signature(f"{PUBLIC}/incoming-call", CALL))
    assert verbs(document) == ["Connect", "Say", "Hangup"]
    assert document[0].attrib == {}
    assert document[1].text == APOLOGY


async def test_a_caller_for_whom_there_is_no_model_gets_the_fallback_at_once(open_bridge: Open) -> None:
    client = await open_bridge(FALLBACK="human", FALLBACK_NUMBER="+15557770000")
    assert client.app
    breaker = client.app[keys.BREAKER]
    for _ in range(FAILURES):
        breaker.failed(asyncio.get_running_loop().time())
    assert verbs(await ring(client)) == ["Say", "Dial", "Say", "Hangup"]
    assert verbs(await ask(client, "/transfer-ended", DialCallStatus="busy")) == ["Say", "Dial", "Say", "Hangup"]
    breaker.succeeded()
    assert verbs(await ring(client)) == ["Connect"]


# ---- what a call does next

async def test_after_a_stream_of_which_nothing_is_known_the_caller_gets_the_fallback(open_bridge: Open) -> None:
    client = await open_bridge(FALLBACK="human", FALLBACK_NUMBER="+15557770000")
    assert verbs(await ask(client, "/after-stream")) == ["Say", "Dial", "Say", "Hangup"]


@pytest.mark.parametrize(("ending", "after"), [
    (Ending.ASSISTANT_ENDED, ["Hangup"]), (Ending.SERVER_STOPPING, ["Hangup"]),
    (Ending.MODEL_FAILED, ["Say", "Hangup"]), (Ending.PHONE_LOST, ["Say", "Hangup"]),
    (Ending.INTERNAL_ERROR, ["Say", "Hangup"])])
async def test_after_a_stream_that_ended_in_order_there_is_silence(
    open_bridge: Open, ending: Ending, after: list[str],
) -> None:
    client = await open_bridge()
    assert client.app
    client.app[keys.ADMISSION].opened(CALL["CallSid"], CALL["From"])
    client.app[keys.ADMISSION].closed(CALL["CallSid"], ending)
    assert verbs(await ask(client, "/after-stream")) == after


async def test_nobody_hears_what_follows_a_call_that_is_over(open_bridge: Open) -> None:
    client = await open_bridge(FALLBACK="human", FALLBACK_NUMBER="+15557770000")
    for path in ("/after-stream", "/transfer-ended"):
        assert verbs(await ask(client, path, CallStatus="completed")) == ["Hangup"]


@pytest.mark.parametrize("status", ["completed", "answered"])
async def test_after_a_talk_with_a_person_the_call_is_over(open_bridge: Open, status: str) -> None:
    assert verbs(await ask(await open_bridge(), "/transfer-ended", DialCallStatus=status)) == ["Hangup"]


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled", ""])
async def test_where_nobody_answered_the_caller_comes_back(open_bridge: Open, status: str) -> None:
    client = await open_bridge(PUBLIC_URL=PUBLIC)
    address, parameters = stream(await ask(client, "/transfer-ended", DialCallStatus=status))
    assert address == "wss://bridge.example.com/media-stream/15551234567"
    assert parameters == {
        "caller": "+15551234567", "called": "+15557654321", "call_sid": CALL["CallSid"], "resume": "1"}


async def test_what_is_no_recording_is_refused(open_bridge: Open) -> None:
    client = await open_bridge()
    answer = await client.post("/message-recorded", data=CALL | {"RecordingSid": "RE1"})
    assert (answer.status, await answer.text()) == (400, "RecordingSid is none.\n")


async def test_a_message_that_nobody_is_to_be_told_of_is_named_in_the_log(
    open_bridge: Open, caplog: pytest.LogCaptureFixture,
) -> None:
    sid = "RE" + "a" * 32
    recorded = {"RecordingSid": sid, "RecordingDuration": "12",
                "RecordingUrl": f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{sid}"}
    client = await open_bridge()
    assert verbs(await ask(client, "/message-recorded", **recorded)) == ["Say", "Hangup"]
    assert f"MESSAGE {sid} IS ONLY IN TWILIO'S CONSOLE: there is no WEBHOOK_URL" in caplog.text
    assert (await client.post("/message-recorded", data=recorded | {"RecordingStatus": "completed"})).status == 503
    assert (await client.post("/message-recorded", data={"RecordingStatus": "absent"})).status == 204


@pytest.mark.parametrize("path", ["/after-stream", "/transfer-ended", "/message-recorded"])
async def test_only_twilio_is_told_what_comes_next(open_bridge: Open, path: str) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC)
    form = CALL | {"CallStatus": "completed", "RecordingStatus": "absent"}
    for wrong in ({}, signature(f"{PUBLIC}/incoming-call", form), signature(f"{PUBLIC}{path}?caller=2", form)):
        assert (await client.post(f"{path}?caller=1", data=form, headers=wrong)).status == 403
        assert (await client.get(f"{path}?caller=1", params=form, headers=wrong)).status == 403
    rightly = signature(f"{PUBLIC}{path}?caller=1", form)
    assert (await client.post(f"{path}?caller=1", data=form, headers=rightly)).status in (200, 204)
    query = "caller=1&CallStatus=completed&RecordingStatus=absent"
    assert (await client.get(f"{path}?{query}", headers=signature(f"{PUBLIC}{path}?{query}"))).status in (200, 204)


# ---- what a forger sends

HOSTILE = [
    '"><Dial>+15550000000</Dial>',
    "]]><Hangup/><![CDATA[",
    "&quot;/><Redirect>https://evil.example</Redirect>",
    "<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]>&y;",
    "+1/../x",
    "+15551234567/../../x",
    "+15551234567?x=1#y",
    "+15551234567\n",
    "\x00\x01\x1f\x7f\ud7ff\ufffe\uffff\u2028\u202e",
    "\r\nContent-Length: 0\r\n\r\n<Response/>",
    "+" + "9" * 5000,
    "x" * 5000,
    "+１５５５１２３４５６７",
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", ["From", "To", "CallSid"])
async def test_nothing_a_forger_sends_leaves_its_place(open_bridge: Open, name: str, value: str) -> None:
    client = await open_bridge(PUBLIC_URL=PUBLIC)
    document = await ring(client, None, **{name: value})
    address, parameters = stream(document)
    assert verbs(document) == ["Connect"]
    assert address.removeprefix("wss://bridge.example.com/media-stream/") in ("15551234567", "anonymous")
    assert parameters.keys() == {"caller", "called", "call_sid"}
    for parameter, told in parameters.items():
        assert len(parameter) + len(told) < 500
        assert told.isprintable()


NO_HOSTS = [
    'evil.example"><Dial>', "evil.example/path", "user@evil.example", "evil.example?x", "evil.example#", "a b",
    "evil.example:80:80", "<x>", "[::1", "böse.example",
]


@pytest.mark.parametrize(("header", "host"), [
    *(("Host", host) for host in [*NO_HOSTS, "", "evil.example, bridge.example.com"]),
    *(("X-Forwarded-Host", host) for host in NO_HOSTS),
])
async def test_a_host_that_is_no_host_is_refused(open_bridge: Open, header: str, host: str) -> None:
    answer = await (await open_bridge()).post("/incoming-call", data=CALL, headers={header: host})
    assert answer.status == 400
    assert "<" not in await answer.text()


FORM = "application/x-www-form-urlencoded"
FILE = b'--x\r\nContent-Disposition: form-data; name="From"; filename="a"\r\n\r\n1\r\n--x--\r\n'


@pytest.mark.parametrize("environ", [{}, {"TWILIO_AUTH_TOKEN": TOKEN}], ids=["open", "guarded"])
@pytest.mark.parametrize(("content_type", "body"), [
    (FORM, b"From=\xff"),
    (f"{FORM}; charset=nonsense", b"From=1"),
    ("multipart/form-data", b"From=1"),
    ("multipart/form-data; boundary=x", b"From=1"),
    ("multipart/form-data; boundary=x", FILE),
], ids=["no utf-8", "no charset", "no boundary", "another boundary", "a file"])
async def test_a_broken_form_is_the_senders_fault(
    open_bridge: Open, environ: dict[str, str], content_type: str, body: bytes,
) -> None:
    client = await open_bridge(**environ)
    answer = await client.post(
        "/incoming-call", data=body, headers={"Content-Type": content_type, "X-Twilio-Signature": "forged"})
    assert answer.status < 500
    if environ:
        assert answer.status in (400, 403)


@pytest.mark.parametrize(("charset", "status"), [
    ("UTF-8", 200), ("utf8", 200), ('"utf-8"', 200), ("latin-1", 400), ("idna", 400), ("punycode", 400)])
async def test_a_form_is_utf_8_and_no_charset_that_takes_half_a_second_to_read(
    open_bridge: Open, charset: str, status: int,
) -> None:
    """Python reads punycode in quadratic time, and every call would wait for it."""
    client = await open_bridge()
    answer = await client.post(
        "/incoming-call", data=b"From=-1", headers={"Content-Type": f"{FORM}; charset={charset}"})
    assert answer.status == status


@pytest.mark.parametrize("environ", [{}, {"TWILIO_AUTH_TOKEN": TOKEN}], ids=["open", "guarded"])
async def test_a_body_larger_than_any_form_is_refused(open_bridge: Open, environ: dict[str, str]) -> None:
    client = await open_bridge(**environ)
    answer = await client.post(
        "/incoming-call", data=CALL | {"Extra": "x" * 65 * 1024}, headers={"X-Twilio-Signature": "forged"})
    assert answer.status == 413


# ---- where the server stands

async def test_the_public_url_wins_over_what_the_request_says(open_bridge: Open) -> None:
    client = await open_bridge(PUBLIC_URL=PUBLIC + ":8443")
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
    address, _ = stream(await ring(client, forged))
    assert address == "wss://bridge.example.com:8443/media-stream/15551234567"


@pytest.mark.parametrize(("headers", "host"), [
    ({"Host": "bridge.example.com"}, "bridge.example.com"),
    ({"Host": "bridge.example.com", "X-Forwarded-Proto": "https"}, "bridge.example.com"),
    ({"Host": "bridge.example.com:8443", "X-Forwarded-Proto": "https, http"}, "bridge.example.com:8443"),
    ({"Host": "10.0.0.1", "X-Forwarded-Host": "bridge.example.com"}, "bridge.example.com"),
    ({"Host": "10.0.0.1", "X-Forwarded-Host": "bridge.example.com , proxy.internal", "X-Forwarded-Proto": "https,http"},
     "bridge.example.com"),
    ({"Host": "[::1]:5050"}, "[::1]:5050"),
    ({"Host": "bridge.example.com", "X-Forwarded-Proto": "HTTPS"}, "bridge.example.com"),
    ({"Host": "10.0.0.1", "Forwarded": "for=1.2.3.4;proto=https;host=bridge.example.com"}, "bridge.example.com"),
    ({"Host": "10.0.0.1", "Forwarded": 'For="[2001:db8::1]";Host="bridge.example.com:8443", host=a.internal'},
     "bridge.example.com:8443"),
    ({"Host": "bridge.example.com", "Forwarded": "for=1.2.3.4"}, "bridge.example.com"),
    ({"Host": "bridge.example.com", "Forwarded": ";;=\"nonsense"}, "bridge.example.com"),
    # To read many commas takes every call's time.
    ({"Host": "bridge.example.com", "Forwarded": "," * 2000 + "host=a.internal"}, "bridge.example.com"),
    ({"Host": "10.0.0.1", "X-Forwarded-Host": "bridge.example.com", "Forwarded": "host=a.internal"},
     "bridge.example.com"),
])
async def test_without_a_public_url_the_proxy_says_where_the_server_stands(
    open_bridge: Open, headers: dict[str, str], host: str,
) -> None:
    address, _ = stream(await ring(await open_bridge(), headers))
    assert address == f"wss://{host}/media-stream/15551234567"


# ---- when all lines are taken

def calls_of(client: Client) -> set[Any]:
    assert client.app
    return client.app[keys.CALLS]


async def test_a_stream_more_than_allowed_is_not_taken(open_bridge: Open, model: SilentModel) -> None:
    client = await open_bridge(MAX_CALLS="1", OPENAI_REALTIME_URL=model.url)
    async with client.ws_connect(STREAM) as socket:
        await socket.send_json(START)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await client.ws_connect(STREAM)
        assert refusal.value.status == 503
        await asyncio.wait_for(model.arrived.wait(), 10)
    await asyncio.wait_for(model.closed.wait(), 10)


# ---- Twilio's signature on the webhook

async def test_a_signed_webhook_is_answered(open_bridge: Open) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC)
    form = CALL | {"FromCity": "", "CallerName": " ADA & CO. ", "SomethingNew": "ünïcode +%20"}
    answer = await client.post("/incoming-call?tenant=1&x=%2B", data=form, headers=signature(
        f"{PUBLIC}/incoming-call?tenant=1&x=%2B", form))
    address, parameters = stream(await twiml(answer))
    assert address == "wss://bridge.example.com/media-stream/15551234567"
    assert parameters["caller"] == "+15551234567"


async def test_a_signed_webhook_by_get_is_answered(open_bridge: Open) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC)
    path = "/incoming-call?From=%2B15551234567&To=%2B15557654321&FromCity=&CallSid=" + CALL["CallSid"]
    answer = await client.get(path, headers=signature(PUBLIC + path))
    assert stream(await twiml(answer))[1]["caller"] == "+15551234567"


@pytest.mark.parametrize(("headers", "signed"), [
    ({"Host": "bridge.example.com", "X-Forwarded-Proto": "https"}, "https://bridge.example.com/incoming-call"),
    ({"Host": "bridge.example.com", "X-Forwarded-Proto": "https"}, "https://bridge.example.com:443/incoming-call"),
    ({"Host": "bridge.example.com:443", "X-Forwarded-Proto": "https"}, "https://bridge.example.com/incoming-call"),
    ({"Host": "a.internal", "X-Forwarded-Host": "bridge.example.com, a.internal", "X-Forwarded-Proto": "https, http"},
     "https://bridge.example.com/incoming-call"),
    ({"Host": "bridge.example.com:5050"}, "http://bridge.example.com:5050/incoming-call"),
    ({"Host": "bridge.example.com", "X-Forwarded-Proto": "HTTPS"}, "https://bridge.example.com/incoming-call"),
    ({"Host": "Bridge.Example.com", "X-Forwarded-Proto": "https"}, "https://Bridge.Example.com/incoming-call"),
    ({"Host": "Bridge.Example.com", "X-Forwarded-Proto": "https"}, "https://bridge.example.com/incoming-call"),
    ({"Host": "10.0.0.1", "Forwarded": "for=1.2.3.4;proto=https;host=bridge.example.com, for=10.0.0.2;proto=http"},
     "https://bridge.example.com/incoming-call"),
    ({"Host": "bridge.example.com", "Forwarded": "for=1.2.3.4, for=10.0.0.2;proto=https"},
     "https://bridge.example.com/incoming-call"),
])
async def test_a_signature_is_checked_against_the_address_that_the_proxy_names(
    open_bridge: Open, headers: dict[str, str], signed: str,
) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN)
    assert verbs(await ring(client, headers | signature(signed, CALL))) == ["Connect"]


@pytest.mark.parametrize(("public_url", "headers", "signed"), [
    ("https://Bridge.Example.com", {}, "https://Bridge.Example.com/incoming-call"),
    ("https://Bridge.Example.com", {}, "https://bridge.example.com/incoming-call"),
    (PUBLIC, {"Host": "Bridge.Example.com"}, "https://Bridge.Example.com/incoming-call"),
    (PUBLIC, {"Host": "a", "Forwarded": "host=Bridge.example.com"}, "https://Bridge.example.com/incoming-call"),
    (f"{PUBLIC}/calls", {}, f"{PUBLIC}/calls/incoming-call"),
    (f"{PUBLIC}/Calls/v1/", {}, f"{PUBLIC}:443/Calls/v1/incoming-call"),
])
async def test_a_signature_counts_in_each_spelling_of_the_public_url(
    open_bridge: Open, public_url: str, headers: dict[str, str], signed: str,
) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=public_url)
    assert verbs(await ring(client, headers | signature(signed, CALL))) == ["Connect"]


async def test_a_scheme_that_is_none_is_not_called_a_host(open_bridge: Open) -> None:
    for headers in ({"X-Forwarded-Proto": "gopher"}, {"Forwarded": "proto=gopher"}):
        answer = await (await open_bridge()).post("/incoming-call", data=CALL, headers=headers)
        assert (answer.status, await answer.text()) == (
            400, "The proxy names a scheme that is neither http nor https.\n")


async def test_behind_a_proxy_that_takes_a_path_off_all_addresses_have_it(
    open_bridge: Open, model: SilentModel,
) -> None:
    public_url = "https://Bridge.Example.com/calls"
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=public_url, OPENAI_REALTIME_URL=model.url)
    document = await ring(client, signature(f"{public_url}/incoming-call", CALL))
    address, parameters = stream(document)
    assert address == f"wss://Bridge.Example.com/calls{STREAM}"
    assert document[0].attrib["action"].startswith(f"{public_url}/after-stream#")
    for signed in (address, address.lower().replace("/calls", "/other"), f"wss://Bridge.Example.com{STREAM}"):
        upgrade = client.ws_connect(STREAM, headers=signature(signed))
        if signed != address:
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await upgrade
            continue
        async with upgrade as socket:
            start = START["start"] | {"accountSid": ACCOUNT, "customParameters": parameters}
            await socket.send_json({"event": "start", "start": start})
            await asyncio.wait_for(model.arrived.wait(), 10)
    asked = CALL | {"CallStatus": "in-progress"}
    answer = await client.post("/after-stream", data=asked, headers=signature(f"{public_url}/after-stream", asked))
    assert answer.status == 200


HERE = f"{PUBLIC}/incoming-call"


@pytest.mark.parametrize("headers", [
    {},
    {"X-Twilio-Signature": ""},
    {"X-Twilio-Signature": "L/OH5YylLD5NRKLltdqwSvS0BnU="},
    {"X-Twilio-Signature": "é" * 28},
    signature(HERE, CALL, token="another"),
    signature(HERE, CALL | {"From": "+15550000000"}),
    signature(HERE),
    signature(HERE + "/", CALL),
    signature(HERE + "?x=1", CALL),
    signature("https://evil.example/incoming-call", CALL),
    signature("https://evil.example/incoming-call", CALL) | {"Host": "evil.example"},
    signature("https://evil.example/incoming-call", CALL) | {
        "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"},
], ids=[
    "none", "empty", "made up", "not ascii", "another token", "another body", "no body", "another path",
    "another query", "another host", "another host, and says so", "another host, and a proxy says so",
])
async def test_a_webhook_that_twilio_did_not_sign_is_turned_away(open_bridge: Open, headers: dict[str, str]) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC)
    answer = await client.post("/incoming-call", data=CALL, headers=headers)
    assert answer.status == 403
    assert "Response" not in await answer.text()


async def test_a_refusal_says_what_to_do_and_does_not_fill_the_log(
    open_bridge: Open, caplog: pytest.LogCaptureFixture,
) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC)
    for _ in range(5):
        assert (await client.post("/incoming-call", data=CALL)).status == 403
    assert (await client.get(STREAM)).status == 403
    [line] = [record.getMessage() for record in caplog.records if "was refused" in record.getMessage()]
    assert f"{PUBLIC}/incoming-call was refused" in line and "check TWILIO_AUTH_TOKEN, and set PUBLIC_URL" in line


@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Forwarded-Proto"])
@pytest.mark.parametrize("claimed", [{}, {"X-Twilio-Signature": "forged"}], ids=["unsigned", "forged"])
async def test_an_address_that_is_none_is_a_refusal_with_a_line_too(
    open_bridge: Open, caplog: pytest.LogCaptureFixture, header: str, claimed: dict[str, str],
) -> None:
    """It may be the owner's proxy that says so, of every call."""
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN)
    answer = await client.post("/incoming-call", data=CALL, headers={header: "a b"} | claimed)
    assert answer.status == (400 if claimed else 403)
    [line] = [record.getMessage() for record in caplog.records if "was refused" in record.getMessage()]
    assert "for /incoming-call was refused" in line and "set PUBLIC_URL" in line


async def test_an_unsigned_webhook_by_get_is_turned_away(open_bridge: Open) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC)
    assert (await client.get("/incoming-call", params=CALL)).status == 403
    answer = await client.get("/incoming-call", params=CALL, headers=signature(HERE))
    assert answer.status == 403


# ---- Twilio's signature on the upgrade


@pytest.mark.parametrize("signed", [
    f"wss://bridge.example.com{STREAM}",
    f"wss://bridge.example.com{STREAM}/",
    f"wss://bridge.example.com:443{STREAM}",
    f"wss://bridge.example.com:443{STREAM}/",
    f"https://bridge.example.com{STREAM}",
    f"https://bridge.example.com{STREAM}/",
    f"https://bridge.example.com:443{STREAM}",
])
@pytest.mark.parametrize(("environ", "proxy"), [
    ({"PUBLIC_URL": PUBLIC}, {}),
    ({}, {"Host": "bridge.example.com", "X-Forwarded-Proto": "https"}),
    ({}, {"Host": "bridge.example.com:443", "X-Forwarded-Proto": "https"}),
], ids=["public url", "proxy", "proxy with port"])
async def test_a_stream_that_twilio_signed_is_taken(
    open_bridge: Open, model: SilentModel, environ: dict[str, str], proxy: dict[str, str], signed: str,
) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, OPENAI_REALTIME_URL=model.url, **environ)
    async with client.ws_connect(STREAM, headers=proxy | signature(signed)):
        assert len(calls_of(client)) == 1
    assert model.opened == [], "it has not said which call it is"


async def test_a_proxy_may_call_the_scheme_of_an_upgrade_wss(open_bridge: Open) -> None:
    """As Traefik does: https://github.com/traefik/traefik/issues/6388"""
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN)
    proxy = {"Host": "bridge.example.com", "X-Forwarded-Proto": "wss"}
    async with client.ws_connect(STREAM, headers=proxy | signature(f"wss://bridge.example.com{STREAM}")):
        assert len(calls_of(client)) == 1


async def test_a_stream_on_this_machine_may_be_signed_without_tls(open_bridge: Open) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN)
    here = f"ws://{client.host}:{client.port}{STREAM}"
    async with client.ws_connect(STREAM, headers=signature(here)):
        assert len(calls_of(client)) == 1


@pytest.mark.parametrize("headers", [
    {},
    {"X-Twilio-Signature": ""},
    {"X-Twilio-Signature": "L/OH5YylLD5NRKLltdqwSvS0BnU="},
    signature(f"wss://bridge.example.com{STREAM}", token="another"),
    signature("wss://bridge.example.com/media-stream/15550000000"),
    signature("https://bridge.example.com/incoming-call", CALL),
    signature(f"wss://evil.example{STREAM}"),
    signature(f"wss://evil.example{STREAM}") | {"Host": "evil.example", "X-Forwarded-Proto": "https"},
    signature(f"wss://bridge.example.com{STREAM}", {"From": "+15551234567"}),
], ids=["none", "empty", "made up", "another token", "another caller", "the webhook's", "another host",
        "another host, and says so", "with a form"])
async def test_a_stream_that_twilio_did_not_sign_opens_nothing(
    open_bridge: Open, model: SilentModel, headers: dict[str, str],
) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC, OPENAI_REALTIME_URL=model.url)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await client.ws_connect(STREAM, headers=headers)
    assert refusal.value.status == 403
    assert not calls_of(client)
    assert model.opened == []


async def test_without_a_token_any_stream_is_taken(open_bridge: Open, model: SilentModel) -> None:
    client = await open_bridge(OPENAI_REALTIME_URL=model.url)
    async with client.ws_connect("/media-stream/..%2F..%2Fx") as socket:
        await socket.send_json(START)
        await asyncio.wait_for(model.arrived.wait(), 10)
    await asyncio.wait_for(model.closed.wait(), 10)
    assert model.opened == ["model=gpt-realtime-2.1"]


async def test_a_call_of_another_account_is_turned_away(open_bridge: Open) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, TWILIO_ACCOUNT_SID=ACCOUNT, PUBLIC_URL=PUBLIC)
    for form in (CALL | {"AccountSid": "AC" + "1" * 32}, {name: CALL[name] for name in CALL if name != "AccountSid"}):
        answer = await client.post(
            "/incoming-call", data=form, headers=signature(f"{PUBLIC}/incoming-call", form))
        assert answer.status == 403
