"""Twilio's signature on the upgrade to a stream."""

import asyncio

import aiohttp
import pytest

from tests.stage.webhooks import CALL, PUBLIC, START, STREAM, TOKEN, Open, SilentModel, calls_of, signature


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
