"""What a forger sends does no harm."""

import pytest

from tests.stage.webhooks import CALL, PUBLIC, TOKEN, Open, ring, stream, together, verbs

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


@together
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", ["From", "To", "CallSid"])
async def test_nothing_a_forger_sends_leaves_its_place(open_shared: Open, name: str, value: str) -> None:
    client = await open_shared(PUBLIC_URL=PUBLIC)
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


@together
@pytest.mark.parametrize(("header", "host"), [
    *(("Host", host) for host in [*NO_HOSTS, "", "evil.example, bridge.example.com"]),
    *(("X-Forwarded-Host", host) for host in NO_HOSTS),
])
async def test_a_host_that_is_no_host_is_refused(open_shared: Open, header: str, host: str) -> None:
    answer = await (await open_shared()).post("/incoming-call", data=CALL, headers={header: host})
    assert answer.status == 400
    assert "<" not in await answer.text()


FORM = "application/x-www-form-urlencoded"
FILE = b'--x\r\nContent-Disposition: form-data; name="From"; filename="a"\r\n\r\n1\r\n--x--\r\n'


@together
@pytest.mark.parametrize("environ", [{}, {"TWILIO_AUTH_TOKEN": TOKEN}], ids=["open", "guarded"])
@pytest.mark.parametrize(("content_type", "body"), [
    (FORM, b"From=\xff"),
    (f"{FORM}; charset=nonsense", b"From=1"),
    ("multipart/form-data", b"From=1"),
    ("multipart/form-data; boundary=x", b"From=1"),
    ("multipart/form-data; boundary=x", FILE),
], ids=["no utf-8", "no charset", "no boundary", "another boundary", "a file"])
async def test_a_broken_form_is_the_senders_fault(
    open_shared: Open, environ: dict[str, str], content_type: str, body: bytes,
) -> None:
    client = await open_shared(**environ)
    answer = await client.post(
        "/incoming-call", data=body, headers={"Content-Type": content_type, "X-Twilio-Signature": "forged"})
    assert answer.status < 500
    if environ:
        assert answer.status in (400, 403)


@together
@pytest.mark.parametrize(("charset", "status"), [
    ("UTF-8", 200), ("utf8", 200), ('"utf-8"', 200), ("latin-1", 400), ("idna", 400), ("punycode", 400)])
async def test_a_form_is_utf_8_and_no_charset_that_takes_half_a_second_to_read(
    open_shared: Open, charset: str, status: int,
) -> None:
    """Python reads punycode in quadratic time, and every call would wait for it."""
    client = await open_shared()
    answer = await client.post(
        "/incoming-call", data=b"From=-1", headers={"Content-Type": f"{FORM}; charset={charset}"})
    assert answer.status == status


@together
@pytest.mark.parametrize("environ", [{}, {"TWILIO_AUTH_TOKEN": TOKEN}], ids=["open", "guarded"])
async def test_a_body_larger_than_any_form_is_refused(open_shared: Open, environ: dict[str, str]) -> None:
    client = await open_shared(**environ)
    answer = await client.post(
        "/incoming-call", data=CALL | {"Extra": "x" * 65 * 1024}, headers={"X-Twilio-Signature": "forged"})
    assert answer.status == 413
