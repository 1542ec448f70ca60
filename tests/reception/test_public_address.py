"""Where the server stands: by PUBLIC_URL, or by what its proxy says."""

import asyncio

import aiohttp
import pytest

from tests.stage.webhooks import (
    ACCOUNT, CALL, PUBLIC, START, STREAM, TOKEN, Open, SilentModel, ring, signature, stream, together,
)


async def test_the_public_url_wins_over_what_the_request_says(open_bridge: Open) -> None:
    client = await open_bridge(PUBLIC_URL=PUBLIC + ":8443")
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
    address, _ = stream(await ring(client, forged))
    assert address == "wss://bridge.example.com:8443/media-stream/15551234567"


@together
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
    open_shared: Open, headers: dict[str, str], host: str,
) -> None:
    address, _ = stream(await ring(await open_shared(), headers))
    assert address == f"wss://{host}/media-stream/15551234567"


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
