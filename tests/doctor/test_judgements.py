"""What the checks make of what they were told: nothing is asked here."""

from dataclasses import replace
from datetime import UTC, date, datetime
from email.utils import formatdate

import pytest

from bridge.delivery.answer import Answer
from bridge.doctor import account, address, alerts, clock, model, numbers, webhooks
from bridge.doctor.finding import GROUPS, Finding, Report, ordered
from bridge.doctor.model import Listing, Session
from bridge.program import command
from bridge.twilio_side.account import Alert, Number

ORIGIN = "https://phone.example.com/calls"
OURS = Number("PN1", "+15550100199", voice_url=f"{ORIGIN}/incoming-call#rc=2",
              voice_fallback_url="https://twimlets.com/a")
ELSEWHERE = Number("PN2", "+15550100200", voice_url="https://old.example.org/voice")
TODAY = date(2026, 11, 28)


def states(findings: list[Finding]) -> list[str]:
    return [f"{each.state} {each.name}" for each in findings]


# A report

@pytest.mark.parametrize("found, code, verdict", [
    ([], 0, "Nothing speaks against a call."),
    (["not proven"], 0, "Nothing speaks against a call. 1 thing cannot be proven from here."),
    (["warning", "skipped"], 1, "Calls should work; 1 thing is worth doing."),
    (["warning", "failure", "failure"], 2, "A call would fail: 2 failures, 1 warning."),
])
def test_the_worst_decides(found: list[str], code: int, verdict: str) -> None:
    report = Report([Finding("dns", state, "It.") for state in found], "1", 0, 1)   # type: ignore[arg-type]
    assert (report.exit_code, report.verdict()) == (code, verdict)


def test_a_line_for_each_check_and_one_for_what_is_to_be_done() -> None:
    found = [Finding("dns", "ok", "It leads here."), Finding("tls", "failure", "It ended.", "Renew it:", "x y")]
    report = Report(found, "1", 0, 1)
    assert [*report.lines()][:3] == [
        "ok         dns           It leads here.", "failure    tls           It ended.",
        "                         → Renew it: x y"]


def test_the_order_is_that_of_a_call() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert [each.name for each in ordered([Finding(name, "ok", "It.") for name in reversed(names)])] == names


# Numbers

def test_numbers_that_lead_elsewhere_are_nobodys_concern_here() -> None:
    found = numbers.judged([ELSEWHERE, OURS], ORIGIN, {})
    assert states(found) == ["ok number", "skipped number", "ok fallback"]
    assert found[1].says == "2 numbers; 1 of them lead elsewhere."


def test_another_server_behind_the_same_proxy_is_none_of_ours() -> None:
    other = replace(OURS, voice_url="https://phone.example.com/callsign/incoming-call")
    assert states(numbers.judged([other, OURS], ORIGIN, {})) == ["ok number", "skipped number", "ok fallback"]
    [found] = numbers.judged([other], ORIGIN, {})
    assert found.state == "failure" and "leads to phone.example.com/callsign/incoming-call" in found.says
    [found] = numbers.judged([replace(OURS, voice_url="")], ORIGIN, {})
    assert found.state == "failure" and "leads to nowhere" in found.says


def test_an_application_that_leads_here_is_as_good_as_an_address() -> None:
    led = replace(ELSEWHERE, voice_application_sid="AP1")
    assert states(numbers.judged([led], ORIGIN, {"AP1": f"{ORIGIN}/incoming-call"})) == ["ok number", "ok fallback"]


def test_a_fallback_on_the_same_server_is_told_for_what_it_is() -> None:
    [*_, found] = numbers.judged([replace(OURS, voice_fallback_url="https://phone.example.com/sorry")], ORIGIN, {})
    assert (found.name, found.state) == ("fallback", "ok") and "leads to this server too" in found.says


def test_what_cannot_be_known_of_numbers() -> None:
    assert states(numbers.judged([], ORIGIN, {})) == ["failure number"]
    assert states(numbers.judged([OURS], "", {})) == ["not proven number"]


def test_the_command_for_a_number_names_the_address_too() -> None:
    """Without PUBLIC_URL it would not know where to lead it."""
    [found] = numbers.judged([replace(OURS, trunk_sid="TK1")], ORIGIN, {})
    assert found.command == command("number", "set", OURS.phone_number, "--url", ORIGIN, "--detach")


def test_numbers_say_where_the_server_is_if_they_agree() -> None:
    assert numbers.origin_of([OURS, ELSEWHERE]) == ORIGIN
    assert numbers.origin_of([OURS, replace(OURS, voice_url="https://b.example/incoming-call")]) == ""
    assert numbers.origin_of([replace(OURS, trunk_sid="TK1")]) == ""


# Twilio

@pytest.mark.parametrize("api, region", [
    ("https://api.twilio.com", "region US1"), ("https://api.dublin.ie1.twilio.com", "region IE1"),
    ("http://127.0.0.1:5000", "127.0.0.1")])
def test_a_host_names_its_region(api: str, region: str) -> None:
    assert account.region_of(api) == region and account.obsolete(api) is None


def test_a_host_that_was_switched_off() -> None:
    found = account.obsolete("https://api.ie1.twilio.com")
    assert found and found.do == "Set TWILIO_API_URL=https://api.dublin.ie1.twilio.com"
    assert account.obsolete("https://api.us1.twilio.com") is None


def alert(code: str, hour: int, path: str = "/incoming-call", text: str = "") -> Alert:
    return Alert(f"NO{code}{hour}", code, text, f"https://phone.example.com{path}", "POST", "CA1",
                 datetime(2026, 11, 28, hour, 14, tzinfo=UTC))


def test_each_kind_of_alert_is_a_sentence() -> None:
    noted = [alert("31920", 11, "/media-stream/15550001111"), alert("11200", 9, text="httpResponse=502"),
             alert("11200", 8, text="httpResponse=500"), alert("31920", 7, "/media-stream/15559999999")]
    assert [each.says for each in alerts.judged(noted, [])] == [
        "31920, 2 times, last at 11:14 UTC, /media-stream: the upgrade of the stream was not answered with 101: a "
        "proxy without upgrades, or a 403.",
        "11200, 2 times, last at 09:14 UTC, /incoming-call: this server, or a proxy before it, answered 502."]
    assert alerts.newest_of_each_kind(noted) == noted[:2]
    assert alerts.judged([alert("99999", 9, text="Msg=Something+odd")], [])[0].says.endswith(": Something odd.")
    assert len(alerts.judged([alert(str(code), 9) for code in range(20)], [])) == alerts.MOST + 1


def test_alerts_of_others_are_left_out() -> None:
    noted = [alert("11200", 9), replace(alert("11200", 9), request_url="https://x.example/", text="To=+15550100199"),
             replace(alert("11200", 9), request_url="no address at all: ["), replace(alert("11200", 9), request_url="")]
    assert alerts.concerning(noted, ORIGIN, ["+15550100199"]) == noted[:2]


# The model

FOUND = Listing(200, {"m": "", "soon": "2027-01-20", "later": "2027-06-01", "past": "2026-11-01"})


@pytest.mark.parametrize("name, state, words", [
    ("m", "ok", "no end of it is announced"), ("soon", "warning", "ends on 2027-01-20, in 53 days"),
    ("later", "ok", "until 2027-06-01"), ("past", "warning", "was to end on 2026-11-01"),
    ("unlisted", "ok", "is not listed")])
def test_how_long_a_model_lasts(name: str, state: str, words: str) -> None:
    found = model.judged(name, "", FOUND, Session(), TODAY)[1]
    assert (found.name, found.state) == ("model", state) and words in found.says


def test_a_transcription_model_that_ends_is_told_too() -> None:
    found = model.judged("m", "soon", FOUND, Session(), TODAY)
    assert states(found)[:3] == ["ok key", "ok model", "warning model"] and "TRANSCRIPTION" in found[2].says


@pytest.mark.parametrize("listing", [Listing(404), Listing(403), Listing(problem="no connection")])
def test_where_no_models_are_listed_the_session_decides(listing: Listing) -> None:
    assert states(model.judged("m", "", listing, Session(), TODAY)) == [
        "not proven key", "ok model", "ok session", "not proven credit"]
    assert states(model.judged("m", "", listing, Session("closed"), TODAY)) == [
        "not proven key", "not proven model", "failure session", "skipped credit"]


@pytest.mark.parametrize("url, models", [
    ("wss://api.openai.com/v1/realtime", "https://api.openai.com/v1/models"),
    ("ws://127.0.0.1:8000/v1/realtime?x=1", "http://127.0.0.1:8000/v1/models")])
def test_the_models_are_beside_the_realtime_api(url: str, models: str) -> None:
    assert str(model.models_address(url)) == models


# The rest

@pytest.mark.parametrize("off_s, state, words", [
    (0, "ok", "The clock is right."), (-12, "ok", "12 s slow"), (45, "warning", "45 s fast"),
    (-300, "warning", "5 minutes slow")])
def test_a_clock(off_s: float, state: str, words: str) -> None:
    now = 1_800_000_000.5
    found = clock.judged(formatdate(now - off_s, usegmt=True), now, 0.0)
    assert found.state == state and words in found.says
    assert clock.judged("", now, 0.0).state == clock.judged("yesterday", now, 0.0).state == "not proven"


def test_a_certificate_that_ends_soon() -> None:
    assert address.certificate(86400 * 9.5, 0).state == "warning"
    assert address.certificate(86400 * 80, 0).says == "The certificate is trusted, until 1970-03-22."


@pytest.mark.parametrize("answer, state", [
    (Answer("taken"), "ok"), (Answer("no", problem="answered with status 409"), "ok"),
    (Answer("set-up", problem="answered with status 404"), "warning"), (Answer("later"), "warning")])
def test_what_a_test_booking_is_answered(answer: Answer, state: str) -> None:
    assert webhooks.taken("hooks.example.net", answer, 0.1).state == state


def test_n8ns_own_404_to_head_proves_nothing() -> None:
    assert webhooks.answered("https://n8n.example.net/webhook/abc", 404, "", 0.1).state == "not proven"


# ---- what others send

def test_what_others_say_does_not_steer_the_terminal() -> None:
    said = Finding("alerts", "warning", "They say \x1b[2J\x9b31m\u202e.", "Do\nthis.")
    assert "\n".join(Report([said], "1", 0.0, 0.0).lines()).replace("\n", "").replace("→", "").isprintable()
    assert len([*Report([said], "1", 0.0, 0.0).lines()]) == 4
