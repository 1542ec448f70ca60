"""What a caller dictates, or a model makes up, on its whole way: through the functions into a database, the webhook's
JSON and headers, the calendar file, the owner's terminal; and nowhere else."""

import argparse
import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from bridge.commands import meetings as command
from bridge.delivery.news import of_message
from bridge.delivery.webhook import headers_for
from bridge.meetings.calendar import export, ics
from bridge.meetings.message import Message
from bridge.meetings.tidy import one_line, several_lines, without_formula
from bridge.records.database import open_database, parse_url
from bridge.records.deliveries import Delivery
from bridge.records.meetings import Meetings
from bridge.records.messages import Messages
from bridge.tools.hand_over import hand_over
from bridge.tools.registry import Tools
from bridge.tools.tool import HandOver
from bridge.twilio_side import twiml
from bridge.twilio_side.caller import Caller
from tests.stage.store import DHAKA, TEN, make_meeting, news
from tests.stage.booking import CALL, WANTED, office, run, schedule, settled

NASTY = (
    '=HYPERLINK("http://evil.example")\r\nX-Injected: yes\n\x1b[31mred\x9b2J\x00\u202egnp\u2066\u2028'
    "<script>{{7*7}}</script>")


# ---- tidying up

@pytest.mark.parametrize(("text", "tidy"), [
    ("  Ada \t Lovelace\n", "Ada Lovelace"), ("Ada\u202eevil", "Ada evil"), ("Zoë 🦷", "Zoë 🦷"),
    ("ای\u200cران", "ای\u200cران"), ("👩\u200d⚕️", "👩\u200d⚕️"), ("a\x00b\ud800c\ufeff", "a b c"), ("\r\n", ""),
])
def test_a_text_is_brought_on_one_line_and_keeps_its_words(text: str, tidy: str) -> None:
    assert one_line(text) == tidy


@pytest.mark.parametrize(("text", "harmless"), [
    ("=1+1", "1+1"), ("+1", "1"), ("-2+3", "2+3"), ("@SUM(A1)", "SUM(A1)"), (" =@-+ x", "x"), ("＝1", "1"),
    ("- a list", "a list"), ("Jean-Luc = x", "Jean-Luc = x"), ("===", ""), ("", ""),
])
def test_a_text_is_no_formula(text: str, harmless: str) -> None:
    assert without_formula(text) == harmless


@given(st.text())
def test_tidy_text_is_harmless_and_stays_as_it_is(text: str) -> None:
    tidy = without_formula(several_lines(text))
    assert tidy == without_formula(several_lines(tidy))
    assert all(line == one_line(line) != "" for line in tidy.split("\n") if tidy)
    assert not tidy.startswith(("=", "+", "-", "@", "\t", "\r"))
    tidy.encode()


# ---- through the functions

async def test_what_a_caller_dictates_arrives_as_harmless_words(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        said = await schedule(world.functions(), name=NASTY[:200], description=f"-1\n\n{NASTY}")
        assert said["status"] == "confirmed"
        await settled(world)
    [body] = world.bodies
    assert body["name"].startswith("HYPERLINK(") and body["name"].isprintable()
    first, *others = body["description"].split("\n")
    assert first == "1" and others and all(line.isprintable() for line in others)
    [event] = Calendar.from_ical(body["ics"]).subcomponents
    assert event["SUMMARY"] == "Meeting with " + body["name"]
    assert "X-INJECTED" not in event


@pytest.mark.parametrize("arguments", [
    {"name": "\u202e\r\n"}, {"name": "=+-@"}, {"email": "=cmd|'/c'!A0@example.com"}, {"email": "+1@example.com"},
    {"email": "a@example.com\r\nBcc: b@example.com"}, {"email": '"a b"@example.com'},
    {"email": "a@[127.0.0.1]"}, {"name": "x" * 201}, {"description": "x" * 2001}, {"time_zone": "../../etc/passwd"},
    {"time_zone": "x" * 65}, {"confirmation_id": "' OR 1=1 --"},
])
async def test_what_cannot_be_meant_is_refused(tmp_path: Path, arguments: dict[str, str]) -> None:
    async with office(tmp_path) as world:
        assert (await schedule(world.functions(), **arguments))["status"] == "refused"
        assert await world.diary.meetings.all() == []


async def test_a_wrong_shape_is_an_answer_and_no_fault(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        for function in ("schedule_meeting", "reschedule_meeting", "cancel_meeting", "check_availability"):
            for arguments in ("[" * 100_000, "[" * 10_000, '{"name":' * 1500, "null", "\ud800", '{"name": "\\ud800"}',
                              '{"x": "' + "x" * 20_000 + '"}', "", "NaN", "[]", "{" * 15_000):
                said = (await world.functions().run(function, arguments, CALL)).answer
                assert said["status"] == "refused", (function, arguments[:50])
        for wrong in ({"a": 1}, ["a"], 1, True):
            said = (await world.functions().run("schedule_meeting", json.dumps(WANTED | {"name": wrong}), CALL)).answer
            assert said["status"] == "refused"


async def test_a_meeting_s_id_is_only_compared(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        for wrong in ("%", "' OR 1=1 --", "*"):
            said = await run(world.functions(), "cancel_meeting", meeting_id=wrong)
            assert said["status"] == "refused"
        assert [each.status for each in await world.diary.meetings.all()] == ["booked"]


# ---- each place on its own: an older row, or another program's, may hold anything

@given(st.text(max_size=50), st.text(max_size=50))
def test_no_text_breaks_out_of_the_calendar(name: str, description: str) -> None:
    injected = f"{name}\r\nATTENDEE:mailto:x@evil.example\r\nEND:VEVENT\r\nBEGIN:VEVENT\nX:{description}"
    meeting = make_meeting(name=injected, description=injected, email="a@b.example\r\nX-A:1", phone_number="+1\nX-B:2")
    for text in (ics(meeting, "owner@example.com", TEN), export([meeting], TEN)):
        [event] = Calendar.from_ical(text).subcomponents
        assert not {"X-A", "X-B", "X"} & set(event)
        assert isinstance(event.get("ATTENDEE", ""), str), "one at most"
        assert "evil" not in event.get("ATTENDEE", "")
        assert all(line and not {"\r", "\n", "\0"} & set(line) for line in text.removesuffix("\r\n").split("\r\n"))


def delivery(body: str) -> Delivery:
    return Delivery(
        id="msg_1", about_kind="meeting", about_id="m",
        url="", type="meeting.booked", body=body, created_at=0, since=0, attempts=1,
        state="pending", next_at=0, last_error="", answer="")


def test_nothing_that_was_said_is_in_a_header() -> None:
    secrets = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",)
    bland, nasty = (headers_for(delivery(body), secrets, 1.0) for body in ("{}", json.dumps(NASTY)))
    assert bland.keys() == nasty.keys()
    assert {name for name in bland if bland[name] != nasty[name]} == {"webhook-signature"}
    assert all(value.isascii() and value.isprintable() for value in nasty.values())


def test_what_was_said_does_not_steer_the_owner_s_terminal(
    sqlite_url: str, capsys: pytest.CaptureFixture[str],
) -> None:
    meeting = make_meeting(name=NASTY.replace("\x00", ""), description=NASTY.replace("\x00", ""), email="\x1b@\x9b")
    message = Message(id="RE1", caller="\x1b[1m", call_sid="\x9b", recording_url="\u202e", seconds=1,
                      recorded=datetime.now(UTC))

    async def keep() -> None:
        async with open_database(parse_url(sqlite_url)) as database:
            await Meetings(database).book(meeting, news)
            await Messages(database).keep(message, of_message(message, ["https://\x1b/"], DHAKA), 0)
    asyncio.run(keep())
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers(dest="command"))
    for arguments in (["list"], ["show", meeting.id], ["show", "RE1"], ["show", NASTY], ["resend", NASTY]):
        command.run(parser.parse_args(["meetings", *arguments]), parse_url(sqlite_url))
        printed = capsys.readouterr()
        assert all(line.isprintable() for line in (printed.out + printed.err).splitlines())
        assert "X-Injected: yes\n" not in printed.out


# ---- TwiML, addresses and numbers come from the settings alone

KNOWN = ("sales", "support")


def target(arguments: str) -> str | None:
    """With whom the caller is connected when the model says this."""
    then = Tools(hand_over(KNOWN)).for_call().immediate["transfer_call"](arguments).then
    return then.target if isinstance(then, HandOver) else None


@pytest.mark.parametrize("arguments", [
    {"to": "+15550009999"}, {"to": "sip:x@evil.example"}, {"to": "sales</Number><Number>+1555"}, {"to": "Sales"},
    {"to": "sales,support"}, {"to": ""}, {"to": None}, {}, {"number": "+15550009999"}, {"to": ["sales"]},
])
def test_the_model_transfers_to_names_of_the_settings_only(arguments: dict[str, Any]) -> None:
    assert target(json.dumps(arguments)) is None


@given(st.text())
def test_whatever_the_model_says_the_target_is_a_known_one(arguments: str) -> None:
    assert target(arguments) is None
    assert target(json.dumps({"to": arguments})) in (None, *KNOWN)


def test_what_a_transfer_dials_is_a_setting() -> None:
    call = twiml.Call("https://bridge.example.com", Caller(NASTY), NASTY, NASTY)
    document = twiml.transfer("+15551234567", call)
    assert document.count("<Number>") == 1 and "<Number>+15551234567</Number>" in document
    assert "evil" not in document and "Injected" not in document
