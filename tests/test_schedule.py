"""From what was said to an instant: offsets, clocks that change, and what is no date."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.meetings.schedule import Refused, instant

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=BERLIN)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("zone", "said", "meant"), [
    ("Europe/Berlin", "2027-01-31T15:00", "2027-01-31T14:00"),
    ("Europe/Berlin", "2027-07-31T15:00", "2027-07-31T13:00"),
    ("America/New_York", "2027-01-31T15:00", "2027-01-31T20:00"),
    ("America/New_York", "2027-07-31T15:00", "2027-07-31T19:00"),
    ("Asia/Kathmandu", "2027-01-31T15:00", "2027-01-31T09:15"),
    ("Australia/Lord_Howe", "2027-01-31T15:00", "2027-01-31T04:00"),
    ("Australia/Lord_Howe", "2027-07-31T15:00", "2027-07-31T04:30"),
    ("Pacific/Kiritimati", "2027-01-01T00:30", "2026-12-31T10:30"),
])
def test_a_time_without_an_offset_is_the_business_s_own(zone: str, said: str, meant: str) -> None:
    moment = instant(said, ZoneInfo(zone), NOW)
    assert moment.astimezone(UTC) == utc(meant)
    assert str(moment.tzinfo) == zone
    assert moment.replace(tzinfo=None) == datetime.fromisoformat(said)


@pytest.mark.parametrize("said", [
    "2027-01-31T15:00:00+01:00", "2027-01-31T14:00Z", "2027-01-31T09:00-05:00", "2027-01-31T19:45+05:45",
    "2027-01-31 15:00", "20270131T150000", " 2027-01-31T15:00 ", "2027-01-31T15",
])
def test_one_moment_may_be_written_in_many_ways(said: str) -> None:
    moment = instant(said, BERLIN, NOW)
    assert moment.isoformat() == "2027-01-31T15:00:00+01:00"
    assert moment.tzinfo is BERLIN


@pytest.mark.parametrize(("zone", "said"), [
    ("Europe/Berlin", "2027-03-28T02:30"),
    ("Europe/Berlin", "2027-03-28T02:00"),
    ("America/New_York", "2027-03-14T02:59"),
    ("Australia/Lord_Howe", "2027-10-03T02:15"),     # by half an hour only
])
def test_a_time_that_the_clocks_leave_out_does_not_exist(zone: str, said: str) -> None:
    with pytest.raises(Refused, match="does not exist"):
        instant(said, ZoneInfo(zone), NOW)


@pytest.mark.parametrize(("zone", "said"), [
    ("Europe/Berlin", "2027-10-31T02:30"),
    ("Europe/Berlin", "2027-10-31T02:00"),
    ("America/New_York", "2027-11-07T01:59"),
    ("Australia/Lord_Howe", "2027-04-04T01:45"),
])
def test_a_time_that_comes_twice_is_asked_for_again(zone: str, said: str) -> None:
    with pytest.raises(Refused, match="comes twice"):
        instant(said, ZoneInfo(zone), NOW)


@pytest.mark.parametrize("said", [
    "2027-03-28T01:59", "2027-03-28T03:00", "2027-10-31T01:59", "2027-10-31T03:00",
])
def test_the_hours_beside_a_change_are_times_like_any_other(said: str) -> None:
    assert instant(said, BERLIN, NOW).replace(tzinfo=None) == datetime.fromisoformat(said)


@pytest.mark.parametrize(("said", "meant"), [
    ("2027-10-31T02:30+02:00", "2027-10-31T00:30"), ("2027-10-31T02:30+01:00", "2027-10-31T01:30"),
    ("2027-03-28T02:30+01:00", "2027-03-28T01:30"),
])
def test_an_offset_says_which_of_two_hours_is_meant(said: str, meant: str) -> None:
    assert instant(said, BERLIN, NOW).astimezone(UTC) == utc(meant)


@pytest.mark.parametrize("said", ["2026-11-23T11:59", "2026-11-23T12:00", "2026-11-23T10:59Z", "1999-12-31T23:59"])
def test_what_is_past_is_past(said: str) -> None:
    with pytest.raises(Refused, match="already passed"):
        instant(said, BERLIN, NOW)


def test_the_next_minute_is_not_past() -> None:
    assert instant("2026-11-23T12:01", BERLIN, NOW) - NOW == timedelta(minutes=1)


def test_the_present_may_be_told_in_another_zone() -> None:
    now = datetime(2026, 11, 23, 6, 0, tzinfo=ZoneInfo("America/New_York"))
    assert instant("2026-11-23T12:01", BERLIN, now)
    with pytest.raises(Refused, match="already passed"):
        instant("2026-11-23T11:59", BERLIN, now)


def test_in_the_hour_that_comes_twice_the_first_one_is_past_during_the_second() -> None:
    second_half_past_two = datetime(2027, 10, 31, 2, 30, tzinfo=BERLIN, fold=1)
    with pytest.raises(Refused, match="already passed"):
        instant("2027-10-31T02:45+02:00", BERLIN, second_half_past_two)


def test_in_the_hour_that_comes_twice_the_second_one_is_ahead_during_the_first() -> None:
    first_half_past_two = datetime(2027, 10, 31, 2, 30, tzinfo=BERLIN)
    assert instant("2027-10-31T02:15+01:00", BERLIN, first_half_past_two)


@pytest.mark.parametrize("said", ["2027-01-31", "20270131", "2027-W05-1"])
def test_a_date_needs_a_time_of_day(said: str) -> None:
    with pytest.raises(Refused, match="time of day is missing"):
        instant(said, BERLIN, NOW)


@pytest.mark.parametrize("said", [
    "", "tomorrow at ten", "15:00", "2027-02-30T10:00", "2027-13-01T10:00", "2027-01-31T25:00", "31.01.2027 15:00",
    "2027-01-31T15:00 Europe/Berlin", "2027-01-31T15:00+25:00", "20270-01-31T15:00", "9" * 64, "\x00",
    "٢٠٢٧-٠١-٣١T١٥:٠٠",
])
def test_what_is_no_date_is_refused_with_the_form_that_is_wanted(said: str) -> None:
    with pytest.raises(Refused, match="ISO 8601"):
        instant(said, BERLIN, NOW)


@pytest.mark.parametrize(("zone", "said"), [
    ("America/New_York", "9999-12-31T23:59"), ("Asia/Tokyo", "9999-12-31T23:59"),
])
def test_the_end_of_the_calendar_is_a_date_too(zone: str, said: str) -> None:
    assert instant(said, ZoneInfo(zone), NOW).year == 9999


def test_a_date_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(Refused, match="too far away"):
        instant("9999-12-31T23:59-10:00", ZoneInfo("Asia/Tokyo"), NOW)
