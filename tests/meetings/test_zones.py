"""Where the time is that was said, and what becomes of it while clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.meetings.schedule import Rules, read_back, resolve
from tests.stage.moments import ANY_TIME, DHAKA, NOW, OFFICE, at, local, refused


# ---- zones

@pytest.mark.parametrize(("zone", "said", "meant"), [
    ("Europe/Berlin", "2027-01-31T15:00", "2027-01-31T14:00"),
    ("Europe/Berlin", "2027-07-31T15:00", "2027-07-31T13:00"),
    ("America/New_York", "2027-01-31T15:00", "2027-01-31T20:00"),
    ("Asia/Kathmandu", "2027-01-31T15:00", "2027-01-31T09:15"),
    ("Australia/Lord_Howe", "2027-01-31T15:00", "2027-01-31T04:00"),
    ("Australia/Lord_Howe", "2027-07-31T15:00", "2027-07-31T04:30"),
    ("Pacific/Kiritimati", "2027-01-01T00:30", "2026-12-31T10:30"),
])
def test_a_time_is_the_business_s_own(zone: str, said: str, meant: str) -> None:
    rules = Rules(ZoneInfo(zone))
    assert resolve(said, rules, NOW) == at(meant, ZoneInfo("UTC"))
    assert local(said, rules) == said


@pytest.mark.parametrize("said", [
    "2027-01-31T15:00:00+01:00", "2027-01-31T14:00Z", "2027-01-31t14:00:00.000z", "2027-01-31T09:00-05:00",
    "2027-01-31T19:45+05:45", "2027-01-31 15:00", "20270131T150000", " on 2027-01-31T15:00, please ", "2027-01-31T15",
    "2027-W04-7T15:00", "2027-01-31 2:00 pm UTC", "2027-01-31T14:00 UTC", "2027-01-31T15:00 Europe/Berlin",
    "2027-01-31 15:00 in Berlin time", "2027-01-31 03:00 PM", "Sunday 2027-01-31T14:00Z",
])
def test_one_moment_may_be_written_in_many_ways(said: str) -> None:
    assert local(said) == "2027-01-31T15:00"


def test_a_caller_speaks_of_the_caller_s_own_day_and_clock() -> None:
    rules = Rules(DHAKA)
    assert local("tomorrow at four in the morning", rules, caller_zone="Europe/London") == "2026-11-24T10:00"
    late = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)                    # it is Tuesday in Dhaka already
    assert local("tomorrow at noon", rules, late) == "2026-11-25T12:00"
    assert local("tomorrow at noon", rules, late, "Europe/London") == "2026-11-24T18:00"


def test_a_zone_in_the_words_goes_first() -> None:
    rules = Rules(DHAKA)
    for said in ("tomorrow at noon, Dhaka time", "tomorrow at noon Asia/Dhaka", "2026-11-24T06:00Z"):
        assert local(said, rules, caller_zone="America/New_York") == "2026-11-24T12:00"
    assert local("tomorrow at noon New York time", rules, caller_zone="America/New_York") == "2026-11-24T23:00"


def test_opening_hours_are_the_business_s() -> None:
    assert local("tomorrow at 4", OFFICE, caller_zone="America/New_York") == "2026-11-24T10:00"
    assert "Berlin time, is outside" in refused("tomorrow at noon", OFFICE, caller_zone="America/New_York")


@pytest.mark.parametrize("zone", [
    "Mars/Olympus", "Europe", "../etc/passwd", "/etc/passwd", "x" * 999, "\x00", "é", " ",
])
def test_an_unknown_zone_is_asked_about(zone: str) -> None:
    assert "do not know that time zone" in refused("tomorrow at noon", caller_zone=zone)


def test_a_zone_that_nobody_passed_is_asked_about() -> None:
    assert "do not know that time zone" in refused("tomorrow at noon Springfield time")
    assert "do not know that time zone" in refused("tomorrow at noon Eastern")
    assert "do not know that time zone" in refused("tomorrow at noon Narnia/Cair_Paravel")


def test_a_city_that_the_database_names_is_known() -> None:
    assert local("tomorrow at noon London time") == "2026-11-24T13:00"
    assert local("tomorrow at 10 in the morning, New York time") == "2026-11-24T16:00"
    assert local("tomorrow at noon Asia/Dhaka time", caller_zone="Europe/London") == "2026-11-24T07:00"


def test_whose_time_is_meant_may_be_said() -> None:
    rules = Rules(DHAKA)
    for said in ("tomorrow at noon my time", "tomorrow at noon, local time"):
        assert local(said, rules, caller_zone="Europe/London") == "2026-11-24T18:00"
        assert local(said, rules) == "2026-11-24T12:00"
    assert local("tomorrow at noon your time", rules, caller_zone="Europe/London") == "2026-11-24T12:00"


@pytest.mark.parametrize(("zone", "said", "meant"), [
    ("America/New_York", "10 am Eastern", "10:00"), ("America/New_York", "10 am EST", "10:00"),
    ("America/Chicago", "10 am Central time", "10:00"), ("America/Los_Angeles", "10 am PT", "10:00"),
    ("Europe/London", "10 am BST", "10:00"), ("Europe/Berlin", "10 am CEST", "10:00"),
    ("Europe/London", "10 am GMT", "11:00"), ("America/New_York", "10 am GMT", "06:00"),
])
def test_a_zone_of_one_s_own_has_other_names(zone: str, said: str, meant: str) -> None:
    """Also in summer, when New York's clocks show EDT; GMT is one everywhere, also when London's do not show it."""
    assert local(f"1 July 2027 at {said}", Rules(ZoneInfo(zone), maximum_notice=timedelta(days=800))) == (
        f"2027-07-01T{meant}")


def test_any_time_names_no_place() -> None:
    for said in ("any time on Tuesday", "this time tomorrow", "the same time on Tuesday"):
        assert "At what time of day" in refused(said)
    assert local("in an hour's time") == "2026-11-23T13:00"


# ---- clocks that change

@pytest.mark.parametrize(("zone", "said"), [
    ("Europe/Berlin", "2027-03-28T02:30"), ("Europe/Berlin", "2027-03-28T02:00"),
    ("America/New_York", "2027-03-14T02:59"), ("Australia/Lord_Howe", "2027-10-03T02:15"),
    ("America/Santiago", "2027-09-05T00:30"), ("America/Santiago", "4 September 2027 midnight, as the day ends"),
])
def test_a_time_that_the_clocks_leave_out_does_not_exist(zone: str, said: str) -> None:
    assert "does not exist" in refused(said, Rules(ZoneInfo(zone)))


@pytest.mark.parametrize(("zone", "said", "apart"), [
    ("Europe/Berlin", "2027-10-31T02:30", 60),
    ("Europe/Berlin", "the 31st of October at half past two in the morning", 60),
    ("America/New_York", "2027-11-07T01:59", 60), ("Australia/Lord_Howe", "2027-04-04T01:45", 30),
    ("America/Santiago", "2027-04-03T23:10", 60), ("Africa/Casablanca", "2027-02-07T02:30", 60),
])
def test_of_a_time_that_comes_twice_it_is_asked_which(zone: str, said: str, apart: int) -> None:
    rules = Rules(ZoneInfo(zone))
    assert "comes twice" in refused(said, rules)
    first = resolve(f"{said} before the clocks go back", rules, NOW)
    second = resolve(f"{said}, after the clocks change", rules, NOW)
    assert second.timestamp() - first.timestamp() == apart * 60
    assert ", before the clocks go back," in read_back(first)
    assert ", after the clocks go back," in read_back(second)


@pytest.mark.parametrize(("said", "meant"), [
    ("2027-10-31T02:30+02:00", "2027-10-31T00:30"), ("2027-10-31T02:30+01:00", "2027-10-31T01:30"),
    ("2027-03-28T02:30+01:00", "2027-03-28T01:30"),
])
def test_an_offset_says_which_of_two_hours_is_meant(said: str, meant: str) -> None:
    assert resolve(said, ANY_TIME, NOW).astimezone(UTC) == at(meant).replace(tzinfo=UTC)


@pytest.mark.parametrize("said", [
    "2027-03-28T01:59", "2027-03-28T03:00", "2027-10-31T01:59", "2027-10-31T03:00",
])
def test_the_hours_beside_a_change_are_times_like_any_other(said: str) -> None:
    assert local(said) == said
    assert "do not go back" in refused(f"{said} after the clocks go back")


def test_in_the_hour_that_comes_twice_the_first_one_is_past_during_the_second() -> None:
    during_the_second = at("2027-10-31T02:30", fold=1)
    assert "passed" in refused("2027-10-31T02:45+02:00", now=during_the_second)
    during_the_first = at("2027-10-31T02:30")
    assert resolve("2027-10-31T02:15+01:00", ANY_TIME, during_the_first) > during_the_first.astimezone(UTC)
