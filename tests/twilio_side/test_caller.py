"""Who calls, what stands in the stream's path for them, and what may be shown."""

import pytest

from bridge.twilio_side.caller import ANONYMOUS, Caller


@pytest.mark.parametrize("name", ["+15551234567", "+4930123456", "+6421234567", "+881612345678901"])
def test_a_number_is_a_number(name: str) -> None:
    assert Caller(name).number == name
    assert Caller(name).path == name[1:]


@pytest.mark.parametrize("name", [
    "", "anonymous", "Anonymous", "Restricted", "unknown", "client:bob", "sip:bob@example.com",
    "sip:+15551234567@example.com", "+266696687", "+7378742833", "+86282452253", "+8656696", "+2562533",
    "15551234567", "+0555123456", "+155512", "+1555123456789012", "+1555 123 4567", "+15551234567\n", "+1/../x",
    "+１５５５１２３４５６７", "whatsapp:+15551234567",
])
def test_everything_else_is_a_caller_without_a_number(name: str) -> None:
    assert Caller(name).number == ""
    assert Caller(name).path == ANONYMOUS
    assert str(Caller(name)) == ANONYMOUS
    assert Caller(name).name == name


@pytest.mark.parametrize("path", ["15551234567", "4930123456"])
def test_a_path_leads_back_to_its_number(path: str) -> None:
    assert Caller.from_path(path).number == "+" + path
    assert Caller.from_path(path).path == path


@pytest.mark.parametrize("path", ["anonymous", "", "+15551234567", "1/../x", "155512345678901234567", "266696687", "x"])
def test_any_other_path_leads_to_nobody(path: str) -> None:
    assert Caller.from_path(path).number == ""


@pytest.mark.parametrize(("name", "shown"), [
    ("+15551234567", "+15*******67"), ("+4930123456", "+49******56"), ("+1234567", "+12***67"),
])
def test_a_log_line_shows_a_number_by_its_ends_only(name: str, shown: str) -> None:
    assert str(Caller(name)) == shown
