"""Opening hours as the owner writes them, and what is inside."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.meetings.hours import OpeningHours

NINE, NOON, FIVE = 9 * 60, 12 * 60, 17 * 60


def inside(hours: str, start: str, minutes: int = 30, zone: str = "Europe/Berlin", fold: int = 0) -> bool:
    begin = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone), fold=fold)
    end = (begin.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(ZoneInfo(zone))
    return OpeningHours.parse(hours).contains(begin, end)


def test_each_weekday_has_its_ranges() -> None:
    hours = OpeningHours.parse("Mon-Fri 09:00-17:00; Sat 10:00-13:00")
    assert [hours.on(day) for day in range(5)] == [((NINE, FIVE),)] * 5
    assert hours.on(5) == ((600, 780),)
    assert hours.on(6) == ()


@pytest.mark.parametrize(("text", "days"), [
    ("Fri-Mon 09:00-17:00", {4, 5, 6, 0}),
    ("Mon,Wed 09:00-17:00", {0, 2}),
    ("mon - tue , SUN 09:00 - 17:00;", {0, 1, 6}),
    ("Wed-Wed 09:00-17:00", {2}),
    ("Mon-Sun 09:00-17:00", set(range(7))),
])
def test_days_are_listed_and_wrap_around(text: str, days: set[int]) -> None:
    hours = OpeningHours.parse(text)
    assert {day for day in range(7) if hours.on(day) == ((NINE, FIVE),)} == days
    assert {day for day in range(7) if hours.on(day)} == days


@pytest.mark.parametrize("text", [
    "Mon 09:00-12:00,13:00-17:00", "Mon 13:00-17:00, 09:00-12:00", "Mon 13:00-17:00; Mon 09:00-12:00",
])
def test_a_day_may_have_several_ranges(text: str) -> None:
    assert OpeningHours.parse(text).on(0) == ((NINE, NOON), (780, FIVE))


@pytest.mark.parametrize(("text", "problem"), [
    ("", "names no day"), (" ; ", "names no day"), ("always", "'always'"), ("09:00-17:00", "'09:00-17:00'"),
    ("Mon", "''"), ("Mon-Fri", "''"), ("Mon 9-17", "'9-17'"), ("Mon 09:00", "'09:00'"), ("Mon 09:00-17:60", "17:60"),
    ("Mon 24:00-24:00", "24:00"), ("Mon 09:00-24:01", "ends at 24:00"), ("Mon 09:00-25:00", "25:00"),
    ("Mon 17:00-09:00", "ends before it begins"), ("Mon 09:00-09:00", "ends before it begins"),
    ("Mon 09:00-12:00,11:59-13:00", "on Mon that overlap"), ("Mon-Wed 09:00-12:00; Tue 10:00-11:00", "on Tue"),
    ("Mon-Fri-Sun 09:00-17:00", "Mon-Fri-Sun"), ("Xyz 09:00-17:00", "'Xyz'"), ("Mon-Xyz 09:00-17:00", "'Xyz'"),
    ("Mon ٠٩:00-17:00", "٠٩"), ("Mon 09:00-17:00,", "''"),
])
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        OpeningHours.parse(text)


@pytest.mark.parametrize(("start", "fits"), [
    ("2026-11-23T09:00", True), ("2026-11-23T16:30", True), ("2026-11-23T16:31", False), ("2026-11-23T08:59", False),
    ("2026-11-22T12:00", False), ("2026-11-23T17:00", False),
])
def test_the_whole_meeting_fits_or_it_does_not(start: str, fits: bool) -> None:
    assert inside("Mon-Fri 09:00-17:00", start) is fits


def test_ranges_that_touch_are_one() -> None:
    assert inside("Mon 09:00-12:00,12:00-17:00", "2026-11-23T11:45")
    assert not inside("Mon 09:00-12:00,12:01-17:00", "2026-11-23T11:45")


def test_a_meeting_may_go_past_midnight() -> None:
    assert inside("Mon 22:00-24:00; Tue 00:00-02:00", "2026-11-23T23:45")
    assert not inside("Mon 22:00-24:00; Tue 00:10-02:00", "2026-11-23T23:45")


def test_where_clocks_change_the_clock_s_face_counts() -> None:
    night = "Sun 00:00-02:30"
    assert inside(night, "2026-10-25T02:00") and inside(night, "2026-10-25T02:00", fold=1)
    assert not inside(night, "2026-10-25T02:00", minutes=60)        # closed from the first half past two on
    assert inside("Sun 00:00-04:00", "2026-10-25T02:30", minutes=150)
    assert inside("Sun 00:00-04:00", "2026-03-29T01:45", minutes=75)
    assert not inside("Sun 00:00-04:00", "2026-03-29T01:45", minutes=76)


def test_around_the_clock_is_so_in_every_zone_s_night_of_change() -> None:
    for zone, start in (("America/Santiago", "2026-09-05T22:00"), ("America/Santiago", "2026-04-04T22:00"),
                        ("Australia/Lord_Howe", "2026-10-04T01:00"), ("Africa/Casablanca", "2026-02-15T01:00")):
        assert inside("Mon-Sun 00:00-24:00", start, minutes=300, zone=zone)
