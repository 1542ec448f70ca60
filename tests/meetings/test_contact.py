"""How a caller can be reached: what is an address, what stands in the place of one, and what is neither."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.meetings.contact import e164, email_address, require
from bridge.meetings.schedule import Refused


@pytest.mark.parametrize(("said", "address"), [
    ("ada@example.com", "ada@example.com"), ("Ada@Example.COM", "Ada@example.com"), ("a@b.example", "a@b.example"),
    (" ada@example.com ", "ada@example.com"), ("mail@ada-lovelace.org", "mail@ada-lovelace.org"),
    ("no@bond.example", "no@bond.example"), ("na@harvard.edu", "na@harvard.edu"), ("test@gmail.com", "test@gmail.com"),
    ("me@noname.org", "me@noname.org"), ("ada@mail.com", "ada@mail.com"), ("12345678@qq.com", "12345678@qq.com"),
    ("nonette@example.com", "nonette@example.com"), ("eunice.none@example.com", "eunice.none@example.com"),
    ("ada at example dot com", "ada@example.com"), ("Ada dot Lovelace At firma dot no", "Ada.Lovelace@firma.no"),
    ("ädä@müller.example", "ädä@müller.example"),
])
def test_an_address_is_taken_normalised(said: str, address: str) -> None:
    assert email_address(said) == address


@pytest.mark.parametrize("said", [
    "", " ", "-", "...", "none", "None", "NONE.", "n/a", "N.A.", "nil", "null", "unknown", "no", "no email",
    "No e-mail address", "not provided", "not given", "the caller has none", "The caller has no e-mail.",
    "caller doesn't have one", "without",
    "none@none.com", "None@None.com", "none@gmail.com", "none@none", "no@no.com", "na@na.na", "n.a@n-a.com",
    "noemail@noemail.com", "no-email@provided.com", "no.email@example.com", "ada@noemail.com", "ada@none.com",
    "not-provided@example.com", "unknown@unknown.com", "null@null.null", "noreply@business.example",
    "anonymous@anonymous.invalid",
    "none at none dot com", "test@test.com", "email@email.com", "user@example.com", "caller@example.com",
    "name@domain.com", "john.doe@example.com", "xxx@xxx.com", "123@123.com", "example@mail.example.com",
])
def test_what_stands_in_the_place_of_an_address_is_none(said: str) -> None:
    assert email_address(said) == ""


@pytest.mark.parametrize("said", [
    "ada at example", "ada@", "@example.com", "ada@example", "=ada@example.com", "+1@example.com", "a b@example.com",
    "a@[127.0.0.1]", "ada", "x" * 300 + "@example.com",
])
def test_what_was_meant_as_an_address_and_cannot_be_is_refused(said: str) -> None:
    with pytest.raises(Refused, match="Ask the caller to spell it"):
        email_address(said)


@settings(deadline=None)
@given(st.text(max_size=254) | st.lists(st.sampled_from(
    "ada none no @ . at dot example com x 1 -".split())).map(" ".join) | st.emails())
def test_whatever_is_said_is_an_address_that_stays_one_or_none_or_a_sentence(said: str) -> None:
    try:
        address = email_address(said)
    except Refused as refusal:
        assert str(refusal).endswith("Ask the caller to spell it.")
        return
    assert address == "" or email_address(address) == address


@pytest.mark.parametrize(("said", "number"), [
    ("+15551234567", "+15551234567"), ("+1 (555) 123-4567", "+15551234567"), ("0044 20 7946 0958", "+442079460958"),
    ("+44 (0)20 7946 0958", "+442079460958"), ("tel:+15551234567", "+15551234567"), ("+49 30/901820", "+4930901820"),
    ("＋１５５５１２３４５６７", "+15551234567"), ("+1 555\u2011123\u20114567", "+15551234567"),
])
def test_a_number_is_taken_in_e164(said: str, number: str) -> None:
    assert e164(said) == number


@pytest.mark.parametrize("said", ["", "none", "unknown", "anonymous", "-", "+"])
def test_what_has_no_digit_is_no_number(said: str) -> None:
    assert e164(said) == ""


@pytest.mark.parametrize(("said", "why"), [
    ("555 123 4567", "country's code"), ("030 901820", "country's code"), ("+1", "cannot be right"),
    ("+0155512345", "cannot be right"), ("+1555123456789012", "cannot be right"),
    ("+266696687", "cannot be right"),               # what carriers send for ANONYMOUS
    ("+1 555 123 4567 extension 3", "cannot be right"), ("+1555CALLNOW1", "cannot be right"),
])
def test_a_number_that_nobody_can_dial_is_refused(said: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        e164(said)


@pytest.mark.parametrize(("email", "number", "required"), [
    ("ada@example.com", "", False), ("", "+15551234567", False), ("ada@example.com", "", True),
])
def test_a_caller_is_reached_by_either_or_as_the_owner_wants(email: str, number: str, required: bool) -> None:
    require(email, number, email_required=required)


@pytest.mark.parametrize(("number", "required", "why"), [
    ("", False, "a phone number or an e-mail address is needed"), ("+15551234567", True, "e-mail address is missing"),
    ("", True, "e-mail address is missing"),
])
def test_who_cannot_be_reached_is_asked(number: str, required: bool, why: str) -> None:
    with pytest.raises(Refused, match=why):
        require("", number, email_required=required)
