"""What single settings may hold, and what one asks of another."""

from typing import Any

import pytest

from bridge import composition
from bridge.openai_side import connection
from tests.stage.settings import make_settings, problems


# ---- what one setting asks of another

REST = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "token"}


@pytest.mark.parametrize(("environ", "missing", "given"), [
    ({"FALLBACK": "human"}, "FALLBACK_NUMBER must be set with FALLBACK=human", {"FALLBACK_NUMBER": "+15551234567"}),
    ({"FALLBACK": "message"}, "WEBHOOK_URL must be set with FALLBACK=message", {"WEBHOOK_URL": "https://a.example/"}),
    ({"TRANSFER_NUMBER": "+15551234567"}, "TRANSFER_NUMBER needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN", REST),
])
def test_a_setting_that_needs_another_says_so(environ: dict[str, str], missing: str, given: dict[str, str]) -> None:
    [problem] = problems(**environ)
    assert problem.startswith(missing)
    assert make_settings(**environ | given)


def test_a_setting_that_cannot_be_read_is_not_called_missing_too() -> None:
    [problem] = problems(FALLBACK="human", FALLBACK_NUMBER="5551234567")
    assert "a phone number with + and the country's code" in problem


@pytest.mark.parametrize(("text", "numbers"), [
    ("+15551234567", {"human": "+15551234567"}),
    ("sales=+15551234567", {"sales": "+15551234567"}),
    (" sales = +15551234567 , front desk=+441632960000,", {"sales": "+15551234567", "front desk": "+441632960000"}),
])
def test_a_transfer_goes_to_one_number_or_to_several_by_name(text: str, numbers: dict[str, str]) -> None:
    assert make_settings(TRANSFER_NUMBER=text, **REST).TRANSFER_NUMBER == numbers


@pytest.mark.parametrize(("text", "fault"), [
    ("5551234567", "a phone number with +"), ("+15551234567,+15557654321", "a phone number with +"),
    ("sales=5551234567", "a phone number with +"), ("sales=", "a phone number with +"),
    ("sales=+15551234567,+15557654321", "needs a name before each ="), ("=+15551234567", "needs a name before each ="),
    ("a=+15551234567,a=+15557654321", "has two numbers for 'a'"), ("<x>=+15551234567", "needs a name before each ="),
])
def test_a_transfer_says_what_it_cannot_be(text: str, fault: str) -> None:
    [problem] = problems(TRANSFER_NUMBER=text, **REST)
    assert fault in problem


@pytest.mark.parametrize("wrong", [
    "5551234567", "+*", "*", "+1900*5", "+1900**", "1900*", "+15551234567-9", "Bob", "+155512345678901234"])
def test_a_list_of_callers_says_what_it_cannot_hold(wrong: str) -> None:
    [problem] = problems(BLOCKED_CALLERS=f"+15551234567, {wrong}")
    assert problem.startswith("BLOCKED_CALLERS must be phone numbers with + and the country's code")


def test_what_is_spoken_is_one_sentence_that_fits() -> None:
    assert make_settings(FALLBACK_MESSAGE=" Wir sind\n gleich\tda. ").FALLBACK_MESSAGE == "Wir sind gleich da."
    for wrong in ("a\x07b", "x" * 1001):
        [problem] = problems(FALLBACK_MESSAGE=wrong)
        assert "a sentence of 1000 characters at most" in problem


@pytest.mark.parametrize("text", ["en", "de-DE", "cmn-CN", "es-419", "zh-Hant-TW"])
def test_a_language_is_one_of_twilio_s(text: str) -> None:
    assert make_settings(FALLBACK_LANGUAGE=text).FALLBACK_LANGUAGE == text


# ---- forms of single settings

INTERRUPTIBLE = {"create_response": True, "interrupt_response": True}


@pytest.mark.parametrize(("text", "detection"), [
    ("server_vad", {"type": "server_vad"}),
    ("server_vad,threshold=0.7", {"type": "server_vad", "threshold": 0.7}),
    ("server_vad, silence_duration_ms=800  prefix_padding_ms=200",
     {"type": "server_vad", "silence_duration_ms": 800, "prefix_padding_ms": 200}),
    ("semantic_vad", {"type": "semantic_vad"}),
    ("semantic_vad,eagerness=low", {"type": "semantic_vad", "eagerness": "low"}),
    ("", {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}),
])
def test_turn_detection_is_written_in_one_line(text: str, detection: dict[str, Any]) -> None:
    assert make_settings(TURN_DETECTION=text).TURN_DETECTION == detection | INTERRUPTIBLE


@pytest.mark.parametrize(("text", "fault"), [
    ("none", "must begin with server_vad or semantic_vad"),
    ("server_vad,threshold=2", "needs threshold from 0 to 1"),
    ("server_vad,threshold=nan", "needs threshold from 0 to 1"),
    ("server_vad,threshold", "needs threshold from 0 to 1"),
    ("server_vad,silence_duration_ms=0.5", "needs silence_duration_ms from 50 to 10000"),
    ("server_vad,eagerness=low", "has no 'eagerness' for server_vad"),
    ("server_vad,create_response=0", "has no 'create_response'"),
    ("semantic_vad,threshold=0.5", "has no 'threshold' for semantic_vad, only eagerness"),
    ("semantic_vad,eagerness=eager", "low, medium, high, auto"),
    ('{"type":"server_vad"}', "must begin with"),
])
def test_turn_detection_says_what_it_cannot_be(text: str, fault: str) -> None:
    [problem] = problems(TURN_DETECTION=text)
    assert fault in problem


@pytest.mark.parametrize(("text", "origin"), [
    ("https://bridge.example.com", "https://bridge.example.com"),
    ("https://bridge.example.com/", "https://bridge.example.com"),
    ("https://bridge.example.com:443", "https://bridge.example.com"),
    ("https://Bridge.Example.com", "https://Bridge.Example.com"),
    ("https://Bridge.Example.com:443/Calls/", "https://Bridge.Example.com/Calls"),
    ("https://böse.example/calls", "https://xn--bse-sna.example/calls"),
    ("https://bridge.example.com/calls/v1", "https://bridge.example.com/calls/v1"),
    ("https://bridge.example.com:8443", "https://bridge.example.com:8443"),
    ("http://localhost:5050", "http://localhost:5050"),
    ("http://127.0.0.1:5050", "http://127.0.0.1:5050"),
    ("http://[::1]:5050/", "http://[::1]:5050"),
])
def test_the_public_url_is_an_origin_and_perhaps_a_path(text: str, origin: str) -> None:
    assert make_settings(PUBLIC_URL=text).PUBLIC_URL == origin


@pytest.mark.parametrize("text", [
    "http://bridge.example.com", "http://localhost.example.com", "wss://bridge.example.com", "bridge.example.com",
    "https://bridge.example.com/incoming-call", "https://bridge.example.com?x=1", "https://bridge.example.com#x",
    "https://bridge.example.com/calls/incoming-call/", "https://bridge.example.com/calls//", "https://x.example/a b?c",
    "https://user@bridge.example.com", "https://:443", "https://bridge.example.com:99999", "//bridge.example.com",
])
def test_the_public_url_is_nothing_else(text: str) -> None:
    [problem] = problems(PUBLIC_URL=text)
    assert problem.endswith("for example PUBLIC_URL=https://bridge.example.com")


@pytest.mark.parametrize("text", [
    "wss://api.openai.com/v1/realtime", "ws://127.0.0.1:8080/v1/realtime", "ws://localhost/v1/realtime",
])
def test_the_model_may_stand_on_this_machine(text: str) -> None:
    assert make_settings(OPENAI_REALTIME_URL=text).OPENAI_REALTIME_URL == text


def test_the_model_is_appended_to_its_address() -> None:
    account = composition.account(
        make_settings(OPENAI_MODEL="gpt-x", OPENAI_REALTIME_URL="wss://example.com/v1/realtime?region=eu"))
    assert str(connection.address(account)) == "wss://example.com/v1/realtime?region=eu&model=gpt-x"
    assert connection.headers(account) == {"Authorization": "Bearer sk-simulated"}


def test_azure_takes_its_key_in_a_header_of_its_own() -> None:
    settings = make_settings(
        OPENAI_REALTIME_URL="wss://dental.openai.azure.com/openai/v1/realtime", OPENAI_MODEL="my-deployment")
    assert str(connection.address(composition.account(settings))) == (
        "wss://dental.openai.azure.com/openai/v1/realtime?model=my-deployment")
    assert connection.headers(composition.account(settings)) == {"api-key": "sk-simulated"}


def test_a_host_that_only_looks_like_azure_is_none() -> None:
    settings = make_settings(OPENAI_REALTIME_URL="wss://azure.com.example.com/v1/realtime")
    assert "api-key" not in connection.headers(composition.account(settings))
