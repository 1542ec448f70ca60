"""Twilio's signature: the documented vector, and the address it is checked against."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator

from bridge import composition
from bridge.twilio_side import signature
from tests.helpers import make_settings


def request(path: str, **headers: str) -> web.Request:
    named: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", path, headers={"Host": "example.com"} | named)


def check_upgrade(asked: web.Request, **environ: str) -> None:
    keys = composition.signature_keys(make_settings(TWILIO_AUTH_TOKEN="12345", **environ))
    asyncio.run(signature.check_upgrade(asked, keys))


def is_taken(asked: web.Request, **environ: str) -> bool:
    try:
        check_upgrade(asked, **environ)
    except web.HTTPForbidden:
        return False
    return True


def test_the_documented_example_is_signed_as_documented() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE", "Caller": "+14158675310", "Digits": "1234", "From": "+14158675310",
        "To": "+18005551212"}
    assert RequestValidator("12345").validate(
        "https://example.com/myapp.php?foo=1&bar=2", form, "L/OH5YylLD5NRKLltdqwSvS0BnU=")


def test_the_path_is_checked_as_it_came_and_not_as_it_reads() -> None:
    path = "/media-stream/%2B1555?x=%20+%2F"
    signed = RequestValidator("12345").compute_signature(f"wss://example.com{path}", {})
    check_upgrade(request(path, X_Twilio_Signature=signed, X_Forwarded_Proto="https"))


def test_the_header_may_be_written_in_lower_case() -> None:
    signed = RequestValidator("12345").compute_signature("wss://example.com/media-stream/1", {})
    check_upgrade(request("/media-stream/1", x_twilio_signature=signed), PUBLIC_URL="https://example.com")


def test_an_upgrade_without_tls_is_not_taken_for_one_with() -> None:
    signed = RequestValidator("12345").compute_signature("https://example.com/media-stream/1", {})
    with pytest.raises(web.HTTPForbidden):
        check_upgrade(request("/media-stream/1", X_Twilio_Signature=signed))


# ---- while the token is changed

@pytest.mark.parametrize(("token", "taken"), [("12345", True), ("the-old-one", True), ("an-older-one", False)])
def test_the_token_before_counts_too_while_it_is_changed(token: str, taken: bool) -> None:
    signed = RequestValidator(token).compute_signature("wss://example.com/media-stream/1", {})
    asked = request("/media-stream/1", X_Twilio_Signature=signed, X_Forwarded_Proto="https")
    assert is_taken(asked, TWILIO_AUTH_TOKEN_OLD="the-old-one") is taken


# ---- shared keys

SHARED = {"TWILIO_SHARED_KEYS": "one=0123456789abcdef,two=fedcba9876543210"}


@pytest.mark.parametrize(("named", "secret", "algorithm", "taken"), [
    (["key=one,algorithm=HMAC_SHA256"], "0123456789abcdef", HMAC_SHA256, True),
    (["key=two, algorithm=HMAC_SHA256"], "fedcba9876543210", HMAC_SHA256, True),
    (["key=two,algorithm=HMAC_SHA256"], "0123456789abcdef", HMAC_SHA256, False),
    (["key=three,algorithm=HMAC_SHA256"], "0123456789abcdef", HMAC_SHA256, False),
    (["key=one,algorithm=HMAC_SHA1"], "0123456789abcdef", HMAC_SHA1, False),
    (["key=one,algorithm=HMAC_SHA256"], "0123456789abcdef", HMAC_SHA1, False),
    (["key=one"], "0123456789abcdef", HMAC_SHA256, False),
    (["algorithm=HMAC_SHA256"], "12345", HMAC_SHA256, False),
    (["key=one,algorithm=HMAC_SHA256,algorithm=HMAC_SHA1"], "0123456789abcdef", HMAC_SHA1, False),
    (["key=one,algorithm=HMAC_SHA256"] * 2, "0123456789abcdef", HMAC_SHA256, False),
    (["key=one,algorithm=HMAC_SHA256"], "12345", HMAC_SHA1, False),
    ([""], "12345", HMAC_SHA1, False),
    ([], "0123456789abcdef", HMAC_SHA256, False),
    ([], "0123456789abcdef", HMAC_SHA1, False),
    ([], "12345", HMAC_SHA256, False),
    ([], "12345", HMAC_SHA1, True),
])
def test_a_shared_key_counts_where_it_is_named_and_nothing_else_does(
    named: list[str], secret: str, algorithm: str, taken: bool,
) -> None:
    signed = RequestValidator(secret).compute_signature("wss://example.com/media-stream/1", {}, algorithm)
    headers = CIMultiDict({"Host": "example.com", "X-Forwarded-Proto": "https", "X-Twilio-Signature": signed})
    headers.extend([("X-Twilio-Webhooks-Signature-Settings", each) for each in named])
    assert is_taken(make_mocked_request("GET", "/media-stream/1", headers=headers), **SHARED) is taken


def test_two_signatures_are_one_too_many() -> None:
    signed = RequestValidator("12345").compute_signature("wss://example.com/media-stream/1", {})
    headers = CIMultiDict({"Host": "example.com", "X-Forwarded-Proto": "https"})
    headers.extend([("X-Twilio-Signature", each) for each in ("forged", signed)])
    assert not is_taken(make_mocked_request("GET", "/media-stream/1", headers=headers))
