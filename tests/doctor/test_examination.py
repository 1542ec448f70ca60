"""`doctor` with everything in good order, and with one thing after another that is not: it names exactly that one."""

import base64
import shutil
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from aiohttp import web

from bridge import keys
from bridge.doctor import database
from bridge.doctor.finding import SCHEMA, Report
from bridge.meetings.event import SCHEMA as MEETING
from bridge.records import sqlite_file
from bridge.sim.realtime import Faults
from bridge.sim.twilio_rest import Alert, RestFaults, TwilioRest
from tests.stage.clinic import ACCOUNT, HOST, INSIDE, Clinic, Patient, clinic, with_manners
from tests.stage.proxy import listening, proxying
from tests.stage.store import rows

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: nobody makes a certificate")]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Clinic]:
    async with clinic(tmp_path_factory.mktemp("clinic")) as shared:
        yield shared


@pytest_asyncio.fixture(loop_scope="module")
async def patient(shared: Clinic) -> AsyncIterator[Patient]:
    async with shared.patient() as patient:
        yield patient


def told(report: Report) -> list[str]:
    return [f"{each.state} {each.name}" for each in report.findings]


async def test_who_is_well_is_told_so_and_nothing_is_changed_or_spent(patient: Patient) -> None:
    report = await patient.examined()
    assert told(report) == [
        "ok settings", "ok port", "ok database", "ok clock", "ok dns", "ok tls", "ok incoming_call", "ok media_stream",
        "not proven reach", "ok account", "ok number", "ok fallback", "ok alerts", "ok key", "ok model", "ok session",
        "not proven credit", "ok webhook"], "\n".join(report.lines())
    assert report.exit_code == 0
    jsonschema.validate(report.as_json(), SCHEMA)
    assert await rows(patient.clinic.app[keys.DATABASE], "calls") == []
    assert {asked.method for asked in patient.twilio.asked} == {"GET"}
    assert [[event["type"] for event in session.received] for session in patient.model.sessions] == [["session.update"]]
    assert (patient.receiver.heads, patient.receiver.taken) == (1, [])


# One thing that is wrong

#: Makes the patient ill, by what is done or by what it returns: settings.
Defect = Callable[[Patient], dict[str, str] | None]


def number(**fields: object) -> Defect:
    def make(patient: Patient) -> None:
        for name, value in fields.items():
            setattr(patient.number, name, value)
    return make


def url(pattern: str) -> Defect:
    return lambda patient: setattr(patient.number, "voice_url", pattern.format(patient.clinic.origin[len("https://"):]))


def application(patient: Patient) -> None:
    patient.twilio.numbers.applications["AP" + "1" * 32] = "https://demo.twilio.com/welcome/voice/"
    patient.number.voice_application_sid = "AP" + "1" * 32


def proxy(**manners: Any) -> Defect:
    return lambda patient: setattr(patient.proxy, "manners", with_manners(**manners))


def faults(**changed: Any) -> Defect:
    return lambda patient: setattr(patient.model, "faults", Faults(**changed))


def receiver(**changed: object) -> Defect:
    def make(patient: Patient) -> None:
        for name, value in changed.items():
            setattr(patient.receiver, name, value)
        patient.around = replace(patient.around, slow_s=0.1)
    return make


def alert(code: str, text: str) -> Defect:
    def make(patient: Patient) -> None:
        patient.twilio.alerts += [
            Alert(code, f"{patient.clinic.origin}/incoming-call", alert_text=text,
                  response_body="<html><style>b {}</style><b>Bad</b> Gateway</html>"),
            Alert("11200", "https://another.example.com/"),
            Alert(code, f"{patient.clinic.origin}/incoming-call", alert_text=text,
                  date_generated=datetime.now(UTC) - timedelta(days=2))]
    return make


def read_only(patient: Patient) -> dict[str, str]:
    """By SQLite's own word for it, a version of writing that is too new: root may write to every file."""
    file = patient.clinic.folder / "read_only.db"
    shutil.copy(patient.clinic.folder / "bridge.db", file)
    file.chmod(0o600)
    with file.open("r+b") as header:
        header.seek(18)
        header.write(b"\x03")
    return {"DATABASE_URL": f"sqlite:///{file}"}


def shown(patient: Patient) -> dict[str, str]:
    file = patient.clinic.folder / "shown.db"
    shutil.copy(patient.clinic.folder / "bridge.db", file)
    file.chmod(0o644)
    return {"DATABASE_URL": f"sqlite:///{file}"}


def set_to(**environ: str) -> Defect:
    return lambda patient: environ


DEFECTS: dict[str, tuple[Defect, str, str]] = {
    "wrong token": (
        lambda patient: setattr(patient.twilio, "_auth_token", "one that was never told"), "failure account",
        "Twilio refuses TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"),
    "rotated token": (
        lambda patient: patient.twilio.rotate(), "failure account", "Twilio signs with another token"),
    "account suspended": (
        lambda patient: setattr(patient.twilio, "status", "suspended"), "failure account", "is suspended"),
    "account closed": (
        lambda patient: setattr(patient.twilio, "status", "closed"), "failure account", "or the account is closed"),
    "region without edge": (
        set_to(TWILIO_API_URL="https://api.ie1.twilio.com"), "failure account", "switched off on 2026-04-28"),
    "http url": (url("http://{}/incoming-call"), "failure number", "by http, and a stream needs https"),
    "number with another path": (url("https://{}/voice"), "failure number", "/voice, and not to"),
    "number elsewhere": (
        url("https://old.example.org/voice"), "failure number", "+15550100199 leads to old.example.org"),
    "application set": (application, "failure number", "has an application (AP1"),
    "trunk set": (number(trunk_sid="TK" + "1" * 32), "failure number", "has a trunk (TK1"),
    "number without voice": (number(voice=False), "failure number", "cannot be called"),
    "number for faxes": (number(voice_receive_mode="fax"), "failure number", "takes faxes"),
    "no fallback": (number(voice_fallback_url=""), "warning fallback", "is not set"),
    "path rewritten by the proxy": (
        proxy(path=lambda path: f"/app{path}"), "failure incoming_call", "status 404: a proxy asks for another path"),
    "path taken off by the proxy": (
        proxy(path=lambda path: path.replace("/calls", "", 1)), "failure incoming_call",
        "the server sees /incoming-call, and Twilio signs for /calls/incoming-call"),
    "host replaced": (
        proxy(host="internal"), "failure incoming_call", "the server sees internal, and Twilio signs for phone."),
    "proto not told": (proxy(tells_proto=False), "failure incoming_call", "sees http, and Twilio signs for https"),
    "proxy that redirects": (proxy(status=301), "failure incoming_call", "redirects to https://elsewhere.example.com/"),
    "no server behind the proxy": (proxy(status=502), "failure incoming_call", "no server is behind it"),
    "another server": (proxy(status=403), "failure incoming_call", "by a server with another TWILIO_AUTH_TOKEN"),
    "proxy without upgrade": (proxy(upgrades=False), "failure media_stream", "answered with status 4"),
    "no such key": (set_to(OPENAI_API_KEY="sk-made-up-by-somebody"), "failure key", "refuses OPENAI_API_KEY"),
    "key without Realtime access": (
        faults(refuse_session="insufficient_permissions"), "failure session", "its project's permissions"),
    "key refused at the upgrade": (faults(refuse_status=403), "failure session", "refused with status 403"),
    "unknown model": (set_to(OPENAI_MODEL="gpt-realtime-99"), "failure model", "not among the models of this key"),
    "model with a shutdown date": (
        lambda patient: setattr(patient.model, "models", {"gpt-realtime-2.1": soon()}), "warning model",
        "in 59 days"),
    "no credit": (faults(refuse_session="insufficient_quota"), "failure session", "credit is used up"),
    "no credit, told late": (faults(error_after_created="insufficient_quota"), "failure session", "credit is used up"),
    "wrong audio echo": (faults(wrong_format=True), "failure session", "did not take audio/pcmu both ways"),
    "receiver 404": (receiver(status=404), "warning webhook", "status 404"),
    "receiver 302": (
        receiver(status=302, headers={"Location": "https://login.example.com/?next=1"}), "warning webhook",
        "redirects to login.example.com (status 302)"),
    "receiver 500": (receiver(status=500), "warning webhook", "status 500"),
    "slow receiver": (receiver(late_s=0.3), "warning webhook", "s to answer"),
    "webhook-test": (
        set_to(WEBHOOK_URL="https://n8n.example.net/webhook-test/abc"), "warning webhook", "n8n's editor"),
    "private webhook": (
        set_to(WEBHOOK_URL=f"https://{INSIDE}/meetings"), "warning webhook", "its address is private"),
    "read-only database": (read_only, "failure database", "readonly"),
    "database for all to read": (shown, "warning database", "mode 644"),
    "no folder for the database": (set_to(DATABASE_URL="sqlite:////nowhere/bridge.db"), "failure database", "/nowhere"),
    "clock slow": (
        lambda patient: setattr(patient.model, "clock_off_s", 300), "warning clock", "5 minutes slow"),
    "clock fast": (
        lambda patient: setattr(patient.model, "clock_off_s", -300), "warning clock", "5 minutes fast"),
    "alert": (
        alert("11200", "Msg=Got+HTTP+502&httpResponse=502"), "warning alerts", ", /incoming-call: this server, or a "
        "proxy before it, answered 502 (“Bad Gateway”)"),
    "setting misspelt": (set_to(WEBHOOK_SECRT="x"), "warning settings", "WEBHOOK_SECRT"),
}


@pytest.mark.parametrize("defect", DEFECTS)
async def test_what_is_wrong_is_named_and_nothing_else(patient: Patient, defect: str) -> None:
    make, finding, words = DEFECTS[defect]
    if "taken off" in defect:
        patient.environ["PUBLIC_URL"] += "/calls"
        patient.number.voice_url = f"{patient.environ['PUBLIC_URL']}/incoming-call"
    patient.environ |= make(patient) or {}
    report = await patient.examined()
    wrong = [each for each in report.findings if each.state in ("failure", "warning")]
    assert [f"{each.state} {each.name}" for each in wrong] == [finding], "\n".join(report.lines())
    assert words in wrong[0].says and (wrong[0].do or wrong[0].command), wrong[0]
    assert report.exit_code == (2 if finding.startswith("failure") else 1)
    jsonschema.validate(report.as_json(), SCHEMA)
    assert patient.environ["TWILIO_AUTH_TOKEN"] not in "\n".join(report.lines())


async def test_a_region_refuses_the_credentials_of_another(patient: Patient) -> None:
    async with TwilioRest(ACCOUNT, "the token of another region") as there:
        patient.environ["TWILIO_API_URL"] = there.url
        patient.around = replace(patient.around, regions={"US1": patient.twilio.url, "IE1": there.url})
        report = await patient.examined()
    [wrong] = [each for each in report.findings if each.state in ("failure", "warning")]
    assert "are of Twilio's region US1" in wrong.says and wrong.do == f"Set TWILIO_API_URL={patient.twilio.url}"


async def test_a_port_that_another_program_has(patient: Patient) -> None:
    async with listening(web.Application()) as port:
        patient.environ["PORT"] = str(port)
        report = await patient.examined()
    [wrong] = [each for each in report.findings if each.state in ("failure", "warning")]
    assert (wrong.name, wrong.says) == ("port", f"Another program listens on port {port}.")


@pytest.mark.parametrize("whose", ["public", "receiver"])
async def test_a_certificate_that_nobody_vouches_for(patient: Patient, whose: str) -> None:
    here = patient.clinic
    async with proxying(f"http://127.0.0.1:{here.port}", here.untrusted) as proxy:
        async with here.secure_receiver(here.untrusted if whose == "receiver" else here.trusted) as receiver:
            patient.environ["WEBHOOK_URL"] = receiver
            if whose == "public":
                patient.environ["PUBLIC_URL"] = f"https://{HOST}:{proxy.port}"
                patient.number.voice_url = f"https://{HOST}:{proxy.port}/incoming-call"
            report = await patient.examined()
    [wrong] = [each for each in report.findings if each.state in ("failure", "warning")]
    assert wrong.name == {"public": "tls", "receiver": "webhook"}[whose] and "self-signed" in wrong.says


async def test_a_name_that_leads_nowhere_or_only_here(patient: Patient) -> None:
    async def nowhere(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def here(host: str) -> list[str]:
        return ["127.0.0.1"]

    async def inside(host: str) -> list[str]:
        return ["192.168.1.2"]
    for look_up, state, words in ((nowhere, "failure", "leads nowhere"), (here, "failure", "this machine itself"),
                                  (inside, "warning", "a private address")):
        patient.around = replace(patient.around, look_up=look_up)
        [wrong] = [each for each in (await patient.examined()).findings if each.state in ("failure", "warning")]
        assert (wrong.name, wrong.state) == ("dns", state) and words in wrong.says


async def test_a_call_of_today_proves_that_twilio_comes_here(patient: Patient) -> None:
    file = patient.clinic.folder / "called.db"
    sqlite_file.back_up(str(patient.clinic.folder / "bridge.db"), str(file))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(
            "INSERT INTO calls (call_sid, caller, process, admitted_at, lease_until, ended_at, reason, history) "
            "VALUES ('CA1', '', 'web.1', ?, 0, 0, '', '')", (time.time() - 60,))
    patient.environ["DATABASE_URL"] = f"sqlite:///{file}"
    assert "ok reach" in told(await patient.examined())


async def test_an_address_that_cannot_be_reached_from_here_may_be_from_outside(patient: Patient) -> None:
    patient.environ["PUBLIC_URL"] = f"https://{HOST}:1"
    patient.number.voice_url = f"https://{HOST}:1/incoming-call"
    report = await patient.examined()
    assert report.exit_code == 0 and {"not proven incoming_call", "skipped media_stream"} <= {*told(report)}


async def test_without_a_public_url_the_numbers_say_where_the_server_is(patient: Patient) -> None:
    del patient.environ["PUBLIC_URL"]
    report = await patient.examined()
    assert report.exit_code == 0 and "ok media_stream" in told(report)


async def test_what_does_not_answer_in_time_is_not_proven(patient: Patient) -> None:
    patient.twilio.faults, patient.model.faults = RestFaults(never_answers=True), Faults(hang_handshake=True)
    patient.around = replace(patient.around, enough_s=0.5)
    report = await patient.examined()
    assert report.exit_code == 0 and {"not proven account", "ok incoming_call"} <= {*told(report)}


async def test_a_mistake_in_one_check_keeps_nobody_from_the_others(
    patient: Patient, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mistaken(url: object) -> None:
        raise ZeroDivisionError("a mistake")
    monkeypatch.setattr(database, "look", mistaken)
    report = await patient.examined()
    assert report.exit_code == 0 and {"not proven database", "ok session"} <= {*told(report)}


async def test_a_receiver_is_sent_one_booking_that_is_marked_as_a_test(patient: Patient) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    patient.environ["WEBHOOK_SECRET"] = secret
    report = await patient.examined(receiver=True)
    [(headers, booking)] = patient.receiver.taken
    assert booking["test"] is True and headers["webhook-signature"].startswith("v1,")
    jsonschema.validate(booking, MEETING)
    assert patient.receiver.heads == 0 and "localhost took the test" in report.findings[-1].says
    assert await rows(patient.clinic.app[keys.DATABASE], "meetings") == []


def soon() -> str:
    return str(datetime.now(UTC).date() + timedelta(days=59))
