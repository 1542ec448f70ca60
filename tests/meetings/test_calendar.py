"""The iCalendar file: what a calendar program reads in it, parsed back by icalendar; and that words stay words."""

from dataclasses import replace
from datetime import UTC, datetime
from time import process_time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar, Event

from bridge.meetings.calendar import export, ics
from bridge.meetings.meeting import Meeting, Status

DHAKA = ZoneInfo("Asia/Dhaka")
STAMP = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
OWNER = "office@example.com"
MEETING = Meeting(
    id="5e6d3a52-0c1d-4f8e-9d2b-7a1c3b5e9f00", caller="+15551234567", call_sid="CA" + "1" * 32, name="Ada Lovelace",
    email="ada@example.com", description="The analytical engine", phone_number="+15551234567",
    start=datetime(2026, 11, 26, 10, tzinfo=DHAKA), minutes=30, zone=DHAKA, read_back="Thursday at ten")


def parsed(text: str) -> tuple[Calendar, Event]:
    """The calendar and its only event, when it holds nothing else."""
    calendar = Calendar.from_ical(text)
    assert isinstance(calendar, Calendar)
    [event] = calendar.subcomponents
    assert isinstance(event, Event)
    assert event.subcomponents == [] and event.errors == []
    return calendar, event


def test_a_booking_invites_the_caller() -> None:
    calendar, event = parsed(ics(MEETING, OWNER, STAMP))
    assert (calendar["METHOD"], calendar["VERSION"]) == ("REQUEST", "2.0")
    assert calendar["PRODID"]
    assert event["UID"] == MEETING.id
    assert (event["SEQUENCE"], event["STATUS"]) == (0, "CONFIRMED")
    assert event["ORGANIZER"] == "mailto:office@example.com"
    assert event["ATTENDEE"] == "mailto:ada@example.com"
    assert event["ATTENDEE"].params == {
        "CN": "Ada Lovelace", "ROLE": "REQ-PARTICIPANT", "PARTSTAT": "NEEDS-ACTION", "RSVP": "TRUE"}
    assert event["SUMMARY"] == "Meeting with Ada Lovelace"
    assert event["DESCRIPTION"] == "The analytical engine"
    assert event["CONTACT"] == "Ada Lovelace, +15551234567, ada@example.com"


def test_times_are_written_in_utc() -> None:
    text = ics(MEETING, OWNER, STAMP)
    assert "DTSTART:20261126T040000Z\r\n" in text
    assert "DTEND:20261126T043000Z\r\n" in text
    assert "DTSTAMP:20261123T083000Z\r\n" in text
    assert "TZID" not in text


def test_an_hour_across_the_end_of_summer_time_is_an_hour() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    late = replace(MEETING, zone=berlin, start=datetime(2026, 10, 25, 2, 30, tzinfo=berlin), minutes=60)
    _, event = parsed(ics(late, OWNER, STAMP))
    assert event.decoded("DTSTART") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert event.decoded("DTEND") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(("status", "stands"), [("booked", "CONFIRMED"), ("cancelled", "CANCELLED")])
def test_without_an_address_nobody_is_invited_and_it_is_published(status: Status, stands: str) -> None:
    """An iTIP request or cancellation without an ATTENDEE is invalid; a publication has none."""
    calendar, event = parsed(ics(replace(MEETING, email="", status=status), OWNER, STAMP))
    assert (calendar["METHOD"], event["STATUS"], event["ORGANIZER"]) == ("PUBLISH", stands, f"mailto:{OWNER}")
    assert "ATTENDEE" not in event and event["CONTACT"] == "Ada Lovelace, +15551234567"


def test_a_change_is_a_request_of_the_same_meeting_with_a_higher_sequence() -> None:
    moved = replace(MEETING, start=datetime(2026, 11, 27, 15, tzinfo=DHAKA), sequence=1)
    calendar, event = parsed(ics(moved, OWNER, STAMP))
    assert (calendar["METHOD"], event["UID"], event["SEQUENCE"]) == ("REQUEST", MEETING.id, 1)


def test_a_cancellation_cancels_it() -> None:
    calendar, event = parsed(ics(replace(MEETING, status="cancelled", sequence=2), OWNER, STAMP))
    assert calendar["METHOD"] == "CANCEL"
    assert (event["UID"], event["SEQUENCE"], event["STATUS"]) == (MEETING.id, 2, "CANCELLED")
    assert event["ORGANIZER"] == "mailto:office@example.com"
    assert event["ATTENDEE"] == "mailto:ada@example.com"


@pytest.mark.parametrize("status", ["booked", "cancelled"])
def test_without_an_organizer_it_is_a_snapshot_that_invites_nobody(status: Status) -> None:
    calendar, event = parsed(ics(replace(MEETING, status=status), "", STAMP))
    assert "METHOD" not in calendar
    assert "ORGANIZER" not in event and "ATTENDEE" not in event
    assert "ada@example.com" in str(event["CONTACT"])
    assert event["STATUS"] == {"booked": "CONFIRMED", "cancelled": "CANCELLED"}[status]


def test_an_export_holds_all_meetings_and_invites_nobody() -> None:
    other = replace(MEETING, id="another", name="Grace Hopper")
    calendar = Calendar.from_ical(export([MEETING, other], STAMP))
    assert [str(event["UID"]) for event in calendar.subcomponents] == [MEETING.id, "another"]
    assert "METHOD" not in calendar
    assert not any("ATTENDEE" in event for event in calendar.subcomponents)


def test_an_export_of_nothing_would_be_no_calendar() -> None:
    with pytest.raises(ValueError, match="needs a meeting"):
        export([], STAMP)


@pytest.mark.slow
def test_an_export_takes_as_long_for_each_meeting_however_many_there_are() -> None:
    """CPU time, five seconds on a slow machine; when each line copied all before it, it was more than two minutes."""
    began = process_time()
    text = export([replace(MEETING, id=str(number)) for number in range(20_000)], STAMP)
    assert process_time() - began < 40
    assert text.count("BEGIN:VEVENT") == 20_000


HOSTILE = [
    "Ada\r\nBEGIN:VALARM\r\nACTION:AUDIO\r\nEND:VALARM",
    "Ada\nEND:VEVENT\nEND:VCALENDAR\nBEGIN:VCALENDAR",
    'Ada" ;CN="Eve":mailto:eve@example.com',
    "Ada;ROLE=CHAIR:mailto:eve@example.com",
    "Lovelace, Ada; Countess: of \\n Lovelace \\",
    "Ada\u2028ATTENDEE:mailto:eve@example.com\x85X:1\x0b\x0c\x00\x1b[31m",
    "Ada \ud800 \udfff", "Ада Лавлейс 🧮 " * 12, "x" * 500, "^n^'^^",
]


@pytest.mark.parametrize("words", HOSTILE)
def test_what_is_said_cannot_become_a_line_of_the_file(words: str) -> None:
    text = ics(replace(MEETING, name=words, description=words), OWNER, STAMP)
    _, event = parsed(text)
    assert {*event} == {
        "UID", "DTSTAMP", "DTSTART", "DTEND", "SEQUENCE", "STATUS", "SUMMARY", "DESCRIPTION", "CONTACT", "ORGANIZER",
        "ATTENDEE"}
    assert event["ATTENDEE"] == "mailto:ada@example.com"
    assert {*event["ATTENDEE"].params} == {"CN", "ROLE", "PARTSTAT", "RSVP"}
    assert event["ATTENDEE"].params["ROLE"] == "REQ-PARTICIPANT"
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))


def test_what_separates_in_the_file_is_kept_in_the_words() -> None:
    words = "One; two, three: \"four\" \\ five\n\nsix \\n seven"
    _, event = parsed(ics(replace(MEETING, name="Lovelace, Ada; \"A\" \\", description=words), OWNER, STAMP))
    assert event["DESCRIPTION"] == words
    assert event["SUMMARY"] == "Meeting with Lovelace, Ada; \"A\" \\"


def test_an_address_cannot_become_a_line_either() -> None:
    _, event = parsed(ics(replace(MEETING, email="ada@example.com\r\nBEGIN:VALARM"), OWNER, STAMP))
    assert event["ATTENDEE"] == "mailto:ada@example.com BEGIN:VALARM"


@settings(deadline=None)
@given(name=st.text(max_size=80), description=st.text(max_size=200))
def test_any_words_make_one_event(name: str, description: str) -> None:
    for organizer in (OWNER, ""):
        _, event = parsed(ics(replace(MEETING, name=name, description=description), organizer, STAMP))
        assert event["UID"] == MEETING.id
        assert event.decoded("DTSTART") == MEETING.start
