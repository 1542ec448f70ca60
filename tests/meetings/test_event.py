"""What a receiver is sent, and that it is what the published schema promises."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar
from jsonschema import Draft202012Validator, ValidationError

from bridge.delivery.news import of_meeting
from bridge.meetings.event import SCHEMA, TEST, Kind, body
from bridge.meetings.meeting import Meeting
from tests.stage.store import DHAKA, TEN, make_meeting

NOW = datetime(2030, 11, 20, 9, 8, 7, 654321, tzinfo=timezone(timedelta(hours=6)))
MEETING = make_meeting()


def sent(meeting: Meeting = MEETING, kind: Kind = "meeting.booked", organizer: str = "") -> dict[str, Any]:
    """The body, read as a receiver reads it, when it is as the schema says."""
    read: dict[str, Any] = json.loads(body(meeting, kind, NOW, organizer))
    Draft202012Validator(SCHEMA).validate(read)
    return read


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_a_booking_says_all_of_it_flat() -> None:
    read = sent()
    assert read.pop("ics").startswith("BEGIN:VCALENDAR\r\n")
    assert read == {
        "type": "meeting.booked", "timestamp": "2030-11-20T03:08:07.654321Z", "id": MEETING.id, "sequence": 0,
        "status": "booked", "name": "Ada", "email": "a@b.example", "phone_number": "+8801711111111",
        "number_hidden": False,
        "description": "A tooth, and “quotes” 🦷", "datetime": "2030-11-26T10:00:00+06:00",
        "start": "2030-11-26T10:00:00+06:00", "end": "2030-11-26T10:30:00+06:00", "time_zone": "Asia/Dhaka",
        "duration_minutes": 30, "call_sid": "CA1", "read_back": "Tuesday at ten"}


def test_the_schema_describes_every_key_and_nothing_else() -> None:
    assert {*SCHEMA["properties"]} - {TEST} == {*SCHEMA["required"]} == {*sent()}
    assert all(each["description"] for each in SCHEMA["properties"].values())


@pytest.mark.parametrize("kind", get_args(Kind))
def test_each_kind_of_news_is_in_the_schema(kind: Kind) -> None:
    assert sent(kind=kind)["type"] == kind


@pytest.mark.parametrize(("key", "wrong"), [
    ("type", "meeting.lost"), ("sequence", -1),
    ("status", "confirmed"), ("datetime", "2030-11-26T10:00:00"), ("duration_minutes", 0),
    ("duration_minutes", "30"), ("name", ""), ("ics", ""), ("phone_number", None)])
def test_the_schema_refuses_what_is_wrong(key: str, wrong: Any) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(sent() | {key: wrong})


def test_a_cancellation_keeps_the_id() -> None:
    read = sent(replace(MEETING, status="cancelled", sequence=1), "meeting.cancelled", "office@example.com")
    assert (read["id"], read["status"]) == (MEETING.id, "cancelled")
    calendar = Calendar.from_ical(read["ics"])
    assert calendar["METHOD"] == "CANCEL"
    assert calendar.subcomponents[0]["UID"] == MEETING.id


def test_a_correction_is_the_next_version_of_the_same_invitation() -> None:
    read = sent(replace(MEETING, email="new@b.example", sequence=1), "meeting.updated", "office@example.com")
    assert (read["id"], read["sequence"], read["status"]) == (MEETING.id, 1, "booked")
    calendar = Calendar.from_ical(read["ics"])
    event = calendar.subcomponents[0]
    assert (calendar["METHOD"], event["UID"], event["SEQUENCE"]) == ("REQUEST", MEETING.id, 1)
    assert event["ATTENDEE"] == "mailto:new@b.example"


def test_the_invitation_comes_from_the_organizer() -> None:
    calendar = Calendar.from_ical(sent(organizer="office@example.com")["ics"])
    assert calendar["METHOD"] == "REQUEST"
    assert calendar.subcomponents[0]["ORGANIZER"] == "mailto:office@example.com"
    assert calendar.subcomponents[0].decoded("DTSTAMP") == NOW.astimezone(UTC).replace(microsecond=0)


def test_times_are_in_the_business_s_zone_whatever_zone_they_came_in() -> None:
    assert sent(replace(MEETING, start=TEN.astimezone(UTC)))["start"] == "2030-11-26T10:00:00+06:00"


def test_a_meeting_across_the_end_of_summer_time_has_both_offsets() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    read = sent(replace(MEETING, zone=berlin, start=datetime(2030, 10, 27, 2, 30, tzinfo=berlin)))
    assert (read["start"], read["end"]) == ("2030-10-27T02:30:00+02:00", "2030-10-27T02:00:00+01:00")


def test_a_caller_who_hides_the_number_has_none() -> None:
    assert sent(replace(MEETING, phone_number=""))["phone_number"] == ""


def test_a_number_that_was_only_said_is_told_apart() -> None:
    said = sent(replace(MEETING, caller=MEETING.call_sid, phone_number="+15551234567"))
    assert (said["phone_number"], said["number_hidden"]) == ("+15551234567", True)
    assert sent()["number_hidden"] is False


@pytest.mark.parametrize(("email", "valid"), [
    ("ada@example.com", True), ("", True), ("none", False), (" ", False), (None, False)])
def test_an_address_is_one_or_empty(email: str | None, valid: bool) -> None:
    checked = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert checked.is_valid(sent() | {"email": email}) is valid


def test_a_meeting_without_an_address_is_as_the_schema_says() -> None:
    read = sent(replace(MEETING, email=""), organizer="office@example.com")
    assert read["email"] == "" and "ATTENDEE" not in read["ics"]


def test_whatever_is_said_the_body_is_plain_ascii_json() -> None:
    words = 'a "quote", \\ a line\n, a \x00, ünï 🦷'
    text = body(replace(MEETING, name=words, description=words), "meeting.booked", NOW)
    assert text.isascii() and "\x00" not in text
    assert json.loads(text)["description"] == words


def test_each_receiver_has_a_delivery_of_its_own() -> None:
    urls = ["https://one.example/a", "https://two.example/b"]
    deliveries = of_meeting(MEETING, urls, "meeting.booked", NOW)
    assert [each.url for each in deliveries] == urls
    assert [each.type for each in deliveries] == ["meeting.booked"] * 2
    assert {each.body for each in deliveries} == {body(MEETING, "meeting.booked", NOW)}
    ids = {each.id for each in deliveries + of_meeting(MEETING, urls, "meeting.booked", NOW)}
    assert len(ids) == 4
    assert all(each.startswith("msg_") and len(each) == len("msg_") + 32 for each in ids)


def test_the_first_receiver_s_may_be_leased_to_whoever_promises_it() -> None:
    urls = ["https://one.example/a", "https://two.example/b"]
    assert [each.lease_s for each in of_meeting(MEETING, urls, "meeting.booked", NOW, lease_first=8.0)] == [8.0, 0.0]
    assert [each.lease_s for each in of_meeting(MEETING, urls, "meeting.booked", NOW)] == [0.0, 0.0]


def test_nobody_to_tell_is_no_delivery() -> None:
    assert of_meeting(MEETING, [], "meeting.booked", NOW) == []


def test_the_zone_of_the_meeting_is_the_business_s() -> None:
    assert sent()["time_zone"] == DHAKA.key
