"""Twilio's signature: the documented vector, and the address it is checked against."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from twilio.request_validator import RequestValidator

from bridge.twilio_side import signature


def request(path: str, **headers: str) -> web.Request:
    named: dict[str, Any] = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", path, headers={"Host": "example.com"} | named)


def test_the_documented_example_is_signed_as_documented() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE", "Caller": "+14158675310", "Digits": "1234", "From": "+14158675310",
        "To": "+18005551212"}
    assert RequestValidator("12345").validate(
        "https://example.com/myapp.php?foo=1&bar=2", form, "L/OH5YylLD5NRKLltdqwSvS0BnU=")


def test_the_path_is_checked_as_it_came_and_not_as_it_reads() -> None:
    path = "/media-stream/%2B1555?x=%20+%2F"
    signed = RequestValidator("12345").compute_signature(f"wss://example.com{path}", {})
    signature.check_upgrade(
        request(path, X_Twilio_Signature=signed, X_Forwarded_Proto="https"), "12345", public_url="")


def test_the_header_may_be_written_in_lower_case() -> None:
    signed = RequestValidator("12345").compute_signature("wss://example.com/media-stream/1", {})
    signature.check_upgrade(
        request("/media-stream/1", x_twilio_signature=signed), "12345", public_url="https://example.com")


def test_an_upgrade_without_tls_is_not_taken_for_one_with() -> None:
    signed = RequestValidator("12345").compute_signature("https://example.com/media-stream/1", {})
    with pytest.raises(web.HTTPForbidden):
        signature.check_upgrade(request("/media-stream/1", X_Twilio_Signature=signed), "12345", public_url="")
