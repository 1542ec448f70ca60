"""One attempt, against real receivers: what they are sent, and what is made of everything they may answer."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from standardwebhooks import Webhook, WebhookVerificationError

from bridge import __version__
from bridge.delivery import webhook
from bridge.delivery.answer import Answer
from bridge.delivery.webhook import message_of, parse_secrets, post
from bridge.records.deliveries import Delivery

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"              # the one of the Standard Webhooks specification
OLD_SECRET = "whsec_" + base64.b64encode(b"an old secret of 32 bytes, or so").decode()
DELIVERY = Delivery(
    id="msg_1", about_kind="meeting", about_id="meeting-1",
    url="", type="meeting.booked", body='{"name": "Zoë \\u2603"}', created_at=0,
    since=0, attempts=1, state="pending", next_at=0, last_error="", answer="")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@asynccontextmanager
async def receiver(handler: Handler) -> AsyncIterator[Delivery]:
    """A delivery to a server that answers with `handler`; everything but /hook is somewhere else."""
    async def elsewhere(request: web.Request) -> web.Response:
        raise AssertionError("a redirect was followed")
    app = web.Application()
    app.router.add_post("/hook", handler)
    app.router.add_route("*", "/elsewhere", elsewhere)
    async with TestServer(app) as server:
        yield replace(DELIVERY, url=str(server.make_url("/hook")))


def answering(status: int = 204, body: bytes = b"", **headers: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return answer


# ---- what is sent

async def test_the_request_is_what_standard_webhooks_asks_for(http: aiohttp.ClientSession) -> None:
    requests: list[tuple[dict[str, str], bytes]] = []

    async def take(request: web.Request) -> web.Response:
        requests.append((dict(request.headers), await request.read()))
        return web.Response()
    now = time.time()
    async with receiver(take) as delivery:
        await post(http, delivery, (SECRET,), lambda: now)
    [(headers, body)] = requests
    assert body.decode() == DELIVERY.body
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == f"bridge/{__version__}"
    assert headers["webhook-id"] == headers["Idempotency-Key"] == "msg_1"
    assert headers["webhook-timestamp"] == str(int(now))
    assert Webhook(SECRET).verify(body, headers) == json.loads(DELIVERY.body)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD_SECRET).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"Zo", b"Za"), headers)


def test_while_secrets_change_a_receiver_may_know_either() -> None:
    headers = webhook.headers_for(DELIVERY, (SECRET, OLD_SECRET), time.time())
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(DELIVERY.body, headers)


def test_the_signature_is_the_one_of_the_specification() -> None:
    delivery = replace(DELIVERY, id="msg_p5jXN8AQM9LWM0D4loKWxJek", body='{"test": 2432232314}')
    headers = webhook.headers_for(delivery, (SECRET,), 1614265330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_nothing_is_signed() -> None:
    assert "webhook-signature" not in webhook.headers_for(DELIVERY, (), time.time())


# ---- what is answered

@pytest.mark.parametrize("status", [200, 202, 204])
async def test_a_2xx_is_no_problem(http: aiohttp.ClientSession, status: int) -> None:
    async with receiver(answering(status)) as delivery:
        answer = await post(http, delivery, ())
    assert (answer.meaning, answer.message, answer.problem) == ("taken", "", "")


async def test_the_receiver_s_message_is_kept(http: aiohttp.ClientSession) -> None:
    said = b'{"message_to_caller": "See you at the back door.", "more": [1, 2], "message": "Workflow was started"}'
    async with receiver(answering(200, said)) as delivery:
        answer = await post(http, delivery, ())
    assert (answer.message, answer.untold) == ("See you at the back door.", False)


async def test_what_platforms_say_by_themselves_is_not_for_the_caller(http: aiohttp.ClientSession) -> None:
    async with receiver(answering(200, b'{"message": "Workflow was started"}')) as delivery:
        answer = await post(http, delivery, ())
    assert (answer.meaning, answer.message, answer.untold, answer.problem) == ("taken", "", True, "")


async def test_a_receiver_that_is_busy_says_for_how_long(http: aiohttp.ClientSession) -> None:
    async with receiver(answering(429, Retry_After="30")) as delivery:
        answer = await post(http, delivery, ())
    assert (answer.meaning, answer.wait_s, answer.problem) == ("later", 30, "answered with status 429")


@pytest.mark.parametrize("status", [400, 409, 410, 422])
async def test_the_words_of_a_no_are_for_the_caller(http: aiohttp.ClientSession, status: int) -> None:
    async with receiver(answering(status, b'{"message_to_caller": "We are closed then."}')) as delivery:
        answer = await post(http, delivery, ())
    assert (answer.meaning, answer.message) == ("no", "We are closed then.")
    assert answer.problem == f"answered with status {status}"


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500, 503])
async def test_the_words_of_what_is_tried_again_are_not(http: aiohttp.ClientSession, status: int) -> None:
    async with receiver(answering(status, b'{"message_to_caller": "Sorry, something broke."}')) as delivery:
        assert (await post(http, delivery, ())).message == ""


@pytest.mark.parametrize(("status", "advice"), [
    (400, "could not read the request"), (401, "WEBHOOK_SECRET"), (402, "to be paid"), (403, "WEBHOOK_SECRET"),
    (404, "check WEBHOOK_URL"), (405, "takes a POST"), (413, "raise its limit"), (418, "check WEBHOOK_URL"),
    (307, "must be the final address")])
async def test_a_mistake_of_set_up_is_told_with_what_to_mend(
    http: aiohttp.ClientSession, status: int, advice: str,
) -> None:
    async with receiver(answering(status)) as delivery:
        answer = await post(http, delivery, ())
    assert answer.meaning == "set-up"
    assert answer.problem.startswith(f"answered with status {status}: ") and advice in answer.problem


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(http: aiohttp.ClientSession, status: int) -> None:
    async with receiver(answering(status, Location="/elsewhere")) as delivery:
        answer = await post(http, delivery, ())
    assert answer.meaning == "set-up"
    assert answer.problem.startswith(f"answered with status {status}: redirects are not followed")


@pytest.mark.parametrize(("body", "message"), [
    (b"", ""), (b"OK", ""), (b"[]", ""), (b'"message_to_caller"', ""), (b'{"message_to_caller": 1}', ""),
    (b'{"message_to_caller": null}', ""), (b'{"message_to_caller": "x"', ""), (b'{"message": "x"}', ""),
    (b"\xff\xfe", ""), (b'{"message_to_caller": "\xff"}', ""),
    (b'{"message_to_caller": "\\ud800"}', ""), (b"[" * 60_000, ""), (b'{"a":' * 10_000, ""),
    (b'{"message_to_caller": "  one\\r\\ntwo\\u0000three\\u2028four "}', "one two three four"),
    (b'{"message_to_caller": "' + b"x" * 600 + b'"}', "x" * 500),
    ('{"message_to_caller": "Grüße, می‌خواهم 🦷"}'.encode(), "Grüße, می‌خواهم 🦷")])
def test_only_a_string_under_the_one_key_is_for_the_caller(body: bytes, message: str) -> None:
    assert message_of(body) == message


async def test_of_an_endless_answer_only_the_beginning_is_read(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths: list[int] = []

    def measure(body: bytes) -> str:
        lengths.append(len(body))
        return ""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"x" * 1000)
        return response
    monkeypatch.setattr(webhook, "message_of", measure)
    monkeypatch.setattr(webhook, "BODY_S", 30.0)
    async with receiver(endless) as delivery:
        assert (await post(http, delivery, ())).meaning == "taken"
    assert lengths == [64 * 1024]


async def test_an_answer_that_does_not_end_is_an_answer(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=201)
        await response.prepare(request)
        await response.write(b'{"message": ')
        await over.wait()
        return response
    monkeypatch.setattr(webhook, "BODY_S", 0.01)
    async with receiver(stall) as delivery:
        answer = await post(http, delivery, ())
        over.set()
    assert (answer.meaning, answer.message, answer.problem) == ("taken", "", "")


async def test_an_answer_that_breaks_off_is_an_answer(http: aiohttp.ClientSession) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport
        request.transport.close()
        return response
    async with receiver(break_off) as delivery:
        assert (await post(http, delivery, ())).meaning == "taken"


async def test_a_body_that_is_not_what_its_encoding_says_is_an_answer(http: aiohttp.ClientSession) -> None:
    async with receiver(answering(200, b"this is not gzip", Content_Encoding="gzip")) as delivery:
        assert (await post(http, delivery, ())).meaning == "taken"


# ---- when nothing is answered

async def test_a_receiver_that_is_silent_is_given_up(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = asyncio.Event()

    async def silent(request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.05)
    async with receiver(silent) as delivery:
        answer = await post(http, delivery, ())
        over.set()
    assert answer == Answer(problem="did not answer within 0.05 s")


async def test_a_receiver_that_is_not_there(http: aiohttp.ClientSession) -> None:
    answer = await post(http, replace(DELIVERY, url=f"http://127.0.0.1:{unused_port()}/secret"), ())
    assert answer.meaning == "later"
    assert answer.problem.startswith("could not be reached (")
    assert "secret" not in answer.problem


async def test_a_receiver_that_hangs_up(http: aiohttp.ClientSession) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport
        request.transport.close()
        return web.Response()
    async with receiver(hang_up) as delivery:
        answer = await post(http, delivery, ())
    assert (answer.meaning, answer.problem) == ("later", "could not be reached (ServerDisconnectedError)")


@pytest.mark.parametrize("url", ["https://", "nonsense", "ftp://host/secret", "http://[::1/secret", "http://a:99999/"])
async def test_an_address_that_is_none(http: aiohttp.ClientSession, url: str) -> None:
    answer = await post(http, replace(DELIVERY, url=url), ())
    assert answer.meaning in ("set-up", "later")
    assert answer.problem.startswith("could not be reached (")
    assert "secret" not in answer.problem


# ---- WEBHOOK_SECRET

@pytest.mark.parametrize(("text", "secrets"), [
    ("", ()), (SECRET, (SECRET,)), (f"{SECRET} {OLD_SECRET}", (SECRET, OLD_SECRET)),
    (f" {SECRET},{OLD_SECRET}, ", (SECRET, OLD_SECRET)), (OLD_SECRET.rstrip("="), (OLD_SECRET.rstrip("="),))])
def test_secrets_are_read(text: str, secrets: tuple[str, ...]) -> None:
    assert parse_secrets(text) == secrets
    for secret in secrets:
        Webhook(secret)


@pytest.mark.parametrize(("text", "wrong"), [
    ("c2VjcmV0", "must begin with whsec_"),
    ("whpk_c2VjcmV0", "must begin with whsec_"),
    ("whsec_c2Vjc-_0", "must be base64 after whsec_"),
    ("whsec_c2VjcmV0c", "must be base64 after whsec_"),
    ("whsec_ключ", "must be base64 after whsec_"),
    ("whsec_", "holds nothing after whsec_"),
    ("whsec_==", "holds nothing after whsec_"),
    (f"{SECRET} c2VjcmV0", "(secret 2 of 2) must begin with whsec_")])
def test_a_malformed_secret_is_described_and_not_shown(text: str, wrong: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_secrets(text)
    assert str(caught.value) == wrong
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
