"""A call comes in: what Twilio is told to do with it."""

import asyncio

import aiohttp
import pytest

from bridge import keys
from bridge.openai_side.breaker import FAILURES
from bridge.twilio_side.twiml import APOLOGY
from tests.stage.webhooks import (
    ACCOUNT, CALL, PUBLIC, START, STREAM, TOKEN, Open, SilentModel, ask, ring, signature, stream, together, twiml,
    verbs,
)


async def test_a_call_is_connected_to_a_stream_of_its_own(open_bridge: Open) -> None:
    client = await open_bridge()
    address, parameters = stream(await ring(client))
    assert address == f"wss://{client.host}:{client.port}/media-stream/15551234567"
    assert parameters == {"caller": "+15551234567", "called": "+15557654321", "call_sid": CALL["CallSid"]}


async def test_a_webhook_by_get_is_answered_just_the_same(open_bridge: Open) -> None:
    client = await open_bridge()
    by_get = await twiml(await client.get("/incoming-call", params=CALL))
    assert stream(by_get) == stream(await ring(client))


@together
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
async def test_a_caller_who_hides_gets_a_stream_too(open_shared: Open, number: str, path: str) -> None:
    address, parameters = stream(await ring(await open_shared(PUBLIC_URL=PUBLIC), From=number))
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


async def test_a_stream_more_than_allowed_is_not_taken(open_bridge: Open, model: SilentModel) -> None:
    client = await open_bridge(MAX_CALLS="1", OPENAI_REALTIME_URL=model.url)
    async with client.ws_connect(STREAM) as socket:
        await socket.send_json(START)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await client.ws_connect(STREAM)
        assert refusal.value.status == 503
        await asyncio.wait_for(model.arrived.wait(), 10)
    await asyncio.wait_for(model.closed.wait(), 10)
