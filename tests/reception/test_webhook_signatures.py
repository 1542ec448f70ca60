"""Twilio's signature on a webhook."""

import pytest

from tests.stage.webhooks import (
    ACCOUNT, CALL, PUBLIC, STREAM, TOKEN, Open, ring, signature, stream, together, twiml, verbs,
)


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


@together
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
    open_shared: Open, headers: dict[str, str], signed: str,
) -> None:
    client = await open_shared(TWILIO_AUTH_TOKEN=TOKEN)
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


HERE = f"{PUBLIC}/incoming-call"


@together
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
async def test_a_webhook_that_twilio_did_not_sign_is_turned_away(open_shared: Open, headers: dict[str, str]) -> None:
    client = await open_shared(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC)
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


async def test_a_call_of_another_account_is_turned_away(open_bridge: Open) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, TWILIO_ACCOUNT_SID=ACCOUNT, PUBLIC_URL=PUBLIC)
    for form in (CALL | {"AccountSid": "AC" + "1" * 32}, {name: CALL[name] for name in CALL if name != "AccountSid"}):
        answer = await client.post(
            "/incoming-call", data=form, headers=signature(f"{PUBLIC}/incoming-call", form))
        assert answer.status == 403
