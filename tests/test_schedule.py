"""From what was said to an instant, and back to the caller's ear: words, clocks that change, and the rules."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.meetings.closed_days import ClosedDays
from bridge.meetings.schedule import (
    OpeningHours, Refused, Rules, allowed, duration, free_starts, read_back, resolve,
)
from tests.moments import ANY_TIME, BERLIN, DHAKA, LONDON, NEW_YORK, NOW, OFFICE, at, local, refused


# ---- days

@pytest.mark.parametrize(("said", "day"), [
    ("today", "2026-11-23"), ("tomorrow", "2026-11-24"), ("the day after tomorrow", "2026-11-25"),
    ("Tuesday", "2026-11-24"), ("on tues", "2026-11-24"), ("this Tuesday", "2026-11-24"),
    ("this coming Tuesday", "2026-11-24"), ("next Tuesday", "2026-12-01"), ("next Monday", "2026-11-30"),
    ("Thursday next week", "2026-12-03"), ("Thursday of next week", "2026-12-03"), ("next week Thursday", "2026-12-03"),
    ("this week on Friday", "2026-11-27"), ("Friday of the week after next", "2026-12-11"),
    ("in a day", "2026-11-24"), ("in 3 days", "2026-11-26"), ("ten days from now", "2026-12-03"),
    ("in two weeks", "2026-12-07"), ("in two weeks' time", "2026-12-07"), ("in a fortnight", "2026-12-07"),
    ("Thursday in two weeks", "2026-12-10"), ("in two weeks on Thursday", "2026-12-10"),
    ("a week from Thursday", "2026-12-03"), ("a week from today", "2026-11-30"), ("a week from tomorrow", "2026-12-01"),
    ("two weeks after Friday", "2026-12-11"), ("in one month", "2026-12-23"), ("in a year", "2027-11-23"),
    ("the 26th", "2026-11-26"), ("the 22nd", "2026-12-22"), ("the twenty-sixth", "2026-11-26"),
    ("the 31st", "2026-12-31"), ("the fifth of next month", "2026-12-05"), ("the 30th of this month", "2026-11-30"),
    ("the 26th of November", "2026-11-26"), ("November 26", "2026-11-26"), ("Nov. 26th", "2026-11-26"),
    ("november the twenty sixth", "2026-11-26"), ("26 november", "2026-11-26"), ("the first of March", "2027-03-01"),
    ("22 November", "2027-11-22"), ("26 November 2027", "2027-11-26"), ("November 26th, 2027", "2027-11-26"),
    ("November twenty-sixth twenty twenty-seven", "2027-11-26"), ("29 February", "2028-02-29"),
    ("2026-11-26", "2026-11-26"), ("20261126", "2026-11-26"), ("2026-W48-4", "2026-11-26"),
    ("2026-W53-7", "2027-01-03"), ("31 december", "2026-12-31"), ("1 January", "2027-01-01"),
    ("tomorrow, Tuesday the 24th of November", "2026-11-24"), ("Thursday the 26th", "2026-11-26"),
    ("next Thursday the 3rd of December", "2026-12-03"),
])
def test_a_day_is_said_in_many_ways(said: str, day: str) -> None:
    assert local(f"{said} at three in the afternoon") == f"{day}T15:00"
    assert local(f"at 3 pm {said}") == f"{day}T15:00"


@pytest.mark.parametrize(("now", "said", "meant"), [
    ("2026-11-24T12:00", "Tuesday at 15:00", "2026-11-24T15:00"),       # today, still to come
    ("2026-11-24T12:00", "Tuesday at 11:59 am", "2026-12-01T11:59"),
    ("2026-11-29T12:00", "next Tuesday at 15:00", "2026-12-01T15:00"),  # from a Sunday the next week is near
    ("2026-11-27T12:00", "Thursday in two weeks at 15:00", "2026-12-10T15:00"),
    ("2027-01-31T12:00", "in one month at 15:00", "2027-02-28T15:00"),
    ("2028-01-31T12:00", "in one month at 15:00", "2028-02-29T15:00"),
    ("2028-02-28T12:00", "tomorrow at 15:00", "2028-02-29T15:00"),
    ("2028-02-29T12:00", "in a year at 15:00", "2029-02-28T15:00"),
    ("2027-02-28T12:00", "tomorrow at 15:00", "2027-03-01T15:00"),
    ("2026-12-31T12:00", "tomorrow at 15:00", "2027-01-01T15:00"),
    ("2026-12-31T12:00", "the 1st at 15:00", "2027-01-01T15:00"),
    ("2026-12-28T12:00", "next Friday at 15:00", "2027-01-08T15:00"),
    ("2026-12-31T23:50", "in 20 minutes", "2027-01-01T00:10"),
    ("2026-11-23T12:00:30", "in an hour", "2026-11-23T13:01"),          # a whole minute, and not before
])
def test_days_are_counted_on_the_calendar(now: str, said: str, meant: str) -> None:
    assert local(said, now=at(now)) == meant


@pytest.mark.parametrize(("said", "meant"), [
    ("in an hour", "13:00"), ("in 90 minutes", "13:30"), ("in ninety minutes", "13:30"),
    ("half an hour from now", "12:30"),
    ("in an hour and a half", "13:30"), ("in two and a half hours", "14:30"), ("in 2 hours and 5 minutes", "14:05"),
    ("in a minute", "12:01"), ("today in an hour", "13:00"),
])
def test_a_time_may_be_counted_from_now(said: str, meant: str) -> None:
    assert local(said) == f"2026-11-23T{meant}"


def test_hours_from_now_pass_while_clocks_change() -> None:
    assert local("in 3 hours", now=at("2027-03-28T01:00")) == "2027-03-28T05:00"


# ---- times of day

@pytest.mark.parametrize(("said", "time"), [
    ("10 am", "10:00"), ("10am", "10:00"), ("ten a.m.", "10:00"), ("10:30 A.M.", "10:30"), ("10\u202fAM", "10:00"),
    ("ten o'clock in the morning", "10:00"), ("10 o\u2019clock am", "10:00"), ("in the morning at ten", "10:00"),
    ("half past ten in the morning", "10:30"), ("quarter to three pm", "14:45"), ("a quarter past three pm", "15:15"),
    ("ten to three in the afternoon", "14:50"), ("seven minutes past three in the afternoon", "15:07"),
    ("twenty-five past three pm", "15:25"), ("ten forty-five am", "10:45"), ("ten oh five am", "10:05"),
    ("quarter to twelve in the morning", "11:45"), ("quarter to noon", "11:45"), ("half past noon", "12:30"),
    ("noon", "12:00"), ("12 noon", "12:00"), ("midday", "12:00"), ("12 pm", "12:00"), ("12:30 pm", "12:30"),
    ("12 am", "00:00"), ("midnight as the day begins", "00:00"), ("at the start of the day at midnight", "00:00"),
    ("ten to midnight", "23:50"), ("quarter past midnight, as Tuesday begins", "00:15"),
    ("15:00", "15:00"), ("at 15", "15:00"), ("09:00", "09:00"), ("09:00 pm", "21:00"), ("00:30", "00:30"),
    ("fifteen thirty", "15:30"), ("twenty-one thirty", "21:30"), ("half past fifteen", "15:30"), ("15:00:00", "15:00"),
    ("morning at 10 a.m.", "10:00"), ("evening at eight", "20:00"), ("ten at night", "22:00"),
    ("around ten in the morning, please", "10:00"),
])
def test_a_time_is_said_in_many_ways(said: str, time: str) -> None:
    assert local(f"tomorrow {said}") == f"2026-11-24T{time}"


def test_a_length_that_was_said_is_the_meeting_s_or_asked_about() -> None:
    for said in ("tomorrow at 3 pm for half an hour", "in two hours for 30 minutes"):
        assert resolve(said, ANY_TIME, NOW)
    for said in ("tomorrow at 3 pm for an hour", "in two hours for 45 minutes", "for an hour tomorrow"):
        assert refused(said) == "A meeting takes thirty minutes. Is that all right?"
    assert local("tomorrow at 3 pm for an hour", Rules(BERLIN, 60)) == "2026-11-24T15:00"


def test_what_has_passed_is_told_with_its_year_and_today_s_date() -> None:
    """A model that takes another year for the present one learns which it is."""
    for said in ("2024-12-01T10:00", "Sunday the 1st of December 2024 at ten", "01.12.2024"):
        with pytest.raises(Refused) as refusal:
            resolve(said, OFFICE, NOW)
        assert str(refusal.value) == "Sunday the 1st of December 2024 has already passed. Which later day would suit?"
        assert refusal.value.how.startswith("Today is Monday the 23rd of November 2026.")


def test_of_two_times_one_may_have_passed() -> None:
    assert local("today at 3") == "2026-11-23T15:00"
    long = Rules(BERLIN, opening=OpeningHours.parse("Mon-Fri 07:00-22:00"))
    assert local("today at 7", long) == "2026-11-23T19:00"
    assert "has already passed" in refused("today at 11", long)


def test_24_hour_notation_yields_to_the_opening_hours() -> None:
    evenings = Rules(BERLIN, opening=OpeningHours.parse("Mon-Sun 18:00-23:00"))
    assert local("tomorrow at 10:00", evenings) == "2026-11-24T22:00"
    for exact in ("tomorrow at 09:00", "2026-11-24T10:00"):
        assert "outside our opening hours" in refused(exact, evenings)
    long = Rules(BERLIN, opening=OpeningHours.parse("Mon-Fri 07:00-23:00"))
    assert local("tomorrow at 10:00", long) == "2026-11-24T10:00"


def test_this_morning_and_tonight_are_today() -> None:
    assert local("this afternoon at three") == "2026-11-23T15:00"
    assert local("tonight at eight") == "2026-11-23T20:00"


def test_a_day_ends_at_the_midnight_of_the_next() -> None:
    assert local("Tuesday at midnight, as the day ends") == "2026-11-25T00:00"
    assert local("midnight at the end of Tuesday") == "2026-11-25T00:00"


@pytest.mark.parametrize(("said", "asks"), [
    ("tomorrow at ten", "morning, or in the afternoon"), ("tomorrow at 9:30", "morning, or in the afternoon"),
    ("tomorrow at half past ten", "morning, or in the afternoon"), ("tomorrow at 12", "noon, or at midnight"),
    ("tomorrow at half past twelve", "noon, or at midnight"),
    ("tomorrow at midnight", "begins or as it ends"), ("tomorrow, quarter past midnight", "begins or as it ends"),
    ("tomorrow at twelve in the morning", "noon, or at midnight"),
    ("tomorrow at 15:00 in the morning", "morning, or in the afternoon"), ("tomorrow at 3 at night", "morning, or"),
    ("tomorrow", "what time"), ("tomorrow morning", "what time"), ("2026-11-26", "what time"),
    ("next week at 10 am", "Which day"), ("at 10 am", "Which day"), ("", "Which day should it be, and at what time"),
    ("please", "Which day should it be, and at what time"), ("next week", "Which day should it be, and at what time"),
    ("friday the 26th at noon", "is a Thursday"), ("tomorrow, friday, at noon", "is a Tuesday"),
    ("in an hour at ten am", "two different times"), ("tomorrow in an hour", "two different times"),
    ("26 november 20 27", "in two ways"),
    ("the 31st of November at noon", "no 31st of November"), ("30 February at noon", "no 30th of February"),
    ("29 February 2027 at noon", "no 29th of February 2027"), ("the 31st of this month at noon", "no 31st in November"),
    ("2027-01-31T15:00:30", "whole minute"),
])
def test_what_is_missing_or_open_is_asked_for(said: str, asks: str) -> None:
    assert asks in refused(said)


@pytest.mark.parametrize("said", [
    "soon", "not tomorrow at noon", "tomorrow at 25:00", "tomorrow at 10:60", "tomorrow at 2500", "tomorrow 1500",
    "the 32nd at noon", "the 0th at noon", "tomorrow the 25th at noon", "tomorrow noon at 10 am", "31/31/2026 at noon",
    "32.01.2027 15:00", "half to ten tomorrow", "ten to zero tomorrow", "99 past ten tomorrow",
    "2027-02-30T10:00", "2027-13-01T10:00", "2027-01-31T25:00", "20270-01-31T15:00", "2027-01-31T15:00+25:00",
    "2027-01-31T15:00:00+01:00:30",
    "9" * 64, "\x00", "٢٠٢٧-٠١-٣١T١٥:٠٠", "tomorrow " * 30, "ﷺ" * 200, "10 am tomorrow that is", "that is noon",
])
def test_every_word_counts(said: str) -> None:
    assert "did not understand" in refused(said)


@pytest.mark.parametrize(("said", "meant"), [
    ("Tuesday at ten", "2026-11-24T10:00"), ("tomorrow at 3", "2026-11-24T15:00"), ("today at 4", "2026-11-23T16:00"),
    ("tomorrow at 12", "2026-11-24T12:00"), ("tomorrow at 12:30", "2026-11-24T12:30"),
    ("Monday at ten", "2026-11-30T10:00"), ("Saturday at 12:30", "2026-11-28T12:30"),
])
def test_opening_hours_may_leave_one_half_of_the_day(said: str, meant: str) -> None:
    assert local(said, OFFICE) == meant


def test_opening_hours_may_leave_both_halves_or_none() -> None:
    long = Rules(BERLIN, opening=OpeningHours.parse("Mon-Fri 07:00-22:00"))
    assert "morning, or in the afternoon" in refused("tomorrow at nine", long)
    assert refused("tomorrow at six", OFFICE).startswith("On Tuesdays we are open from nine in the morning to five in")
    assert refused("Sunday at ten", OFFICE).startswith("We are closed on Sundays.")


# ---- the rules

@pytest.mark.parametrize("said", [
    "2026-11-23T11:59", "2026-11-23T12:00", "2026-11-23T10:59Z", "1999-12-31T23:59", "today at 10 am",
    "Monday the 23rd of November at 10 am", "0001-01-02T00:00",
])
def test_what_is_past_is_past(said: str) -> None:
    assert "has already passed" in refused(said)


def test_the_present_may_be_told_in_another_zone() -> None:
    now = datetime(2026, 11, 23, 6, 0, tzinfo=NEW_YORK)
    assert local("2026-11-23T12:01", now=now) == "2026-11-23T12:01"
    assert "passed" in refused("2026-11-23T12:00", now=now)


def test_notice_is_kept() -> None:
    rules = Rules(BERLIN, minimum_notice=timedelta(hours=2), maximum_notice=timedelta(days=30))
    assert local("today at 14:00", rules) == "2026-11-23T14:00"
    assert "too soon: we need notice of two hours" in refused("today at 13:59", rules)
    assert local("2026-12-23T12:00", rules) == "2026-12-23T12:00"
    assert "too far away: we book up to thirty days ahead" in refused("2026-12-23T12:01", rules)


@pytest.mark.parametrize("said", [
    "9999-12-31T23:59", "9999-12-31T23:59-10:00", "0001-01-01T00:00+14:00", "in 999 years at noon",
])
def test_the_ends_of_the_calendar_are_too_far(said: str) -> None:
    assert "too far away" in refused(said)
    assert "too far away" in refused(said, Rules(ZoneInfo("Asia/Tokyo")))


def test_a_meeting_that_would_end_behind_the_calendar_is_too_far() -> None:
    assert "too far away" in refused("9999-12-31T23:59", Rules(BERLIN, maximum_notice=timedelta.max))


def test_a_meeting_that_would_end_behind_the_calendar_is_too_far_whatever_the_notice() -> None:
    assert "too far away" in refused("31 December 9999 at 23:59", Rules(BERLIN, maximum_notice=timedelta.max))


def test_outside_opening_hours_the_day_s_hours_are_told() -> None:
    rules = Rules(BERLIN, 90, OpeningHours.parse("Mon 09:00-12:00,13:00-17:30; Tue 18:00-24:00"))
    message = refused("2026-11-30T16:30", rules)
    assert message == (
        "Monday the 30th of November at half past four in the afternoon, Berlin time, is outside our opening hours. "
        "On Mondays we are open from nine in the morning to noon and from one in the afternoon to half past five in "
        "the afternoon. A meeting takes ninety minutes. Which other time would suit?")
    assert "six in the evening to midnight" in refused("2026-11-24T23:00", rules)
    assert local("2026-11-24T22:30", rules) == "2026-11-24T22:30"


def test_a_start_from_elsewhere_is_held_to_the_same_rules() -> None:
    allowed(at("2026-11-24T08:00", ZoneInfo("UTC")), OFFICE, NOW)
    with pytest.raises(Refused, match="Berlin time, is outside"):
        allowed(at("2026-11-24T07:59", ZoneInfo("UTC")), OFFICE, NOW)


@pytest.mark.parametrize(("text", "length"), [
    ("0", timedelta(0)), ("30m", timedelta(minutes=30)), ("2h", timedelta(hours=2)), ("1d", timedelta(days=1)),
])
def test_a_duration_is_a_number_with_a_unit(text: str, length: timedelta) -> None:
    assert duration(text) == length


@pytest.mark.parametrize("text", ["", "1", "h", "2 h", "-1h", "1.5h", "1w", "2H", "99999d", "٣h", "1h30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30m"):
        duration(text)


# ---- reading back

@pytest.mark.parametrize(("start", "said"), [
    ("2026-11-26T10:00", "Thursday the 26th of November at ten in the morning, Dhaka time"),
    ("2026-12-01T10:30", "Tuesday the 1st of December at half past ten in the morning, Dhaka time"),
    ("2026-12-02T15:15", "Wednesday the 2nd of December at quarter past three in the afternoon, Dhaka time"),
    ("2026-12-03T15:07", "Thursday the 3rd of December at seven minutes past three in the afternoon, Dhaka time"),
    ("2026-12-11T09:01", "Friday the 11th of December at one minute past nine in the morning, Dhaka time"),
    ("2026-12-12T10:45", "Saturday the 12th of December at ten forty-five in the morning, Dhaka time"),
    ("2026-12-13T12:00", "Sunday the 13th of December at noon, Dhaka time"),
    ("2026-12-21T12:30", "Monday the 21st of December at half past twelve in the afternoon, Dhaka time"),
    ("2026-12-22T20:00", "Tuesday the 22nd of December at eight in the evening, Dhaka time"),
    ("2026-12-23T00:00", "Wednesday the 23rd of December at midnight, as the day begins, Dhaka time"),
    ("2026-12-31T00:10", "Thursday the 31st of December at ten minutes past midnight, as the day begins, Dhaka time"),
])
def test_an_instant_is_read_back_as_one_says_it(start: str, said: str) -> None:
    assert read_back(at(start, DHAKA)) == said


def test_the_year_is_said_where_it_is_not_at_hand() -> None:
    assert read_back(at("2027-10-23T12:00"), now=NOW) == "Saturday the 23rd of October at noon, Berlin time"
    assert read_back(at("2027-10-23T12:01"), now=NOW).startswith("Saturday the 23rd of October 2027 at one minute past")


def test_a_zone_is_said_by_its_city() -> None:
    assert read_back(at("2026-11-26T10:00", NEW_YORK)).endswith("in the morning, New York time")
    assert read_back(at("2026-11-26T10:00", ZoneInfo("UTC"))).endswith("in the morning, UTC")


def test_a_caller_elsewhere_hears_both_clocks() -> None:
    start = at("2026-11-26T10:00", DHAKA)
    assert read_back(start, LONDON).endswith("Dhaka time, that is four in the morning, London time")
    assert read_back(start, NEW_YORK).endswith(", that is eleven in the evening on Wednesday, New York time")
    assert read_back(start, DHAKA) == read_back(start)


def test_both_clocks_are_understood_and_must_agree() -> None:
    said = read_back(at("2026-11-26T10:00", DHAKA), NEW_YORK)
    rules = Rules(DHAKA)
    assert local(said, rules, caller_zone="America/New_York") == "2026-11-26T10:00"
    for wrong in (said.replace("eleven", "ten"), said.replace("Wednesday", "Thursday")):
        assert "two different times" in refused(wrong, rules, caller_zone="America/New_York")


# ---- what is free

def test_free_times_are_a_meeting_apart_within_the_opening_hours() -> None:
    starts = free_starts(OFFICE, NOW, [], at("2026-11-23T16:10"), 3)
    assert [f"{start:%a %H:%M}" for start in starts] == ["Mon 16:30", "Tue 09:00", "Tue 09:30"]
    assert all(start.tzinfo is BERLIN for start in starts)


def test_free_times_overlap_nothing_that_is_taken() -> None:
    taken = [(at("2026-11-24T09:40"), at("2026-11-24T10:10")), (at("2026-11-24T08:00"), at("2026-11-24T09:15"))]
    starts = free_starts(OFFICE, NOW, taken, at("2026-11-24T00:00"), 2)
    assert [f"{start:%H:%M}" for start in starts] == ["10:30", "11:00"]


def test_what_only_touches_is_free() -> None:
    taken = [(at("2026-11-24T09:30"), at("2026-11-24T10:00"))]
    assert [f"{start:%H:%M}" for start in free_starts(OFFICE, NOW, taken, at("2026-11-24T00:00"))] == [
        "09:00", "10:00", "10:30"]


def test_free_times_keep_notice_and_end_where_nothing_is_known() -> None:
    rules = Rules(BERLIN, 60, OFFICE.opening, timedelta(hours=3), timedelta(hours=23))
    assert [f"{start:%a %H:%M}" for start in free_starts(rules, NOW, [], NOW, 9)] == [
        "Mon 15:00", "Mon 16:00", "Tue 09:00", "Tue 10:00", "Tue 11:00"]
    until = free_starts(OFFICE, NOW, [], NOW, 9, until=at("2026-11-23T13:45"))
    assert [f"{start:%H:%M}" for start in until] == ["12:30", "13:00"]


def test_without_opening_hours_any_time_is_free_also_while_clocks_change() -> None:
    forward = free_starts(ANY_TIME, NOW, [], at("2027-03-28T01:30"), 2)
    assert [f"{start:%H:%M}" for start in forward] == ["01:30", "03:00"]
    back = free_starts(ANY_TIME, NOW, [], at("2027-10-31T02:30"), 4)
    assert [f"{start:%H:%M%z}" for start in back] == ["02:30+0200", "02:00+0100", "02:30+0100", "03:00+0100"]


def test_nothing_is_free_where_everything_is_taken() -> None:
    assert free_starts(OFFICE, NOW, [(NOW, NOW + timedelta(days=999))], NOW) == []


# ---- closed days

CLOSED = Rules(BERLIN, 60, OFFICE.opening, closed=ClosedDays.parse("2026-11-26..2026-11-27,DE"))


@pytest.mark.parametrize(("said", "why"), [
    ("Thursday at ten", "We are closed on Thursday the 26th of November. Which other day would suit?"),
    ("2026-11-27T10:00", "We are closed on Friday the 27th of November. Which other day would suit?"),
    ("25 December at ten", "We are closed on Friday the 25th of December, Christmas Day. Which other day would suit?"),
    ("Sunday at ten", "We are closed on Sundays. Which other time would suit?"),
])
def test_on_a_closed_day_there_is_no_meeting_and_the_caller_hears_why(said: str, why: str) -> None:
    assert refused(said, CLOSED).endswith(why)


def test_the_day_before_and_the_day_after_are_open() -> None:
    assert local("Wednesday at ten", CLOSED) == "2026-11-25T10:00"
    assert local("Saturday at ten", CLOSED) == "2026-11-28T10:00"


def test_a_closed_day_needs_no_opening_hours() -> None:
    closed = Rules(BERLIN, closed=ClosedDays.parse("2026-11-26"))
    assert "We are closed on Thursday the 26th" in refused("Thursday at ten", closed), "and not: morning or evening?"
    assert "in the morning, or in the afternoon" in refused("Friday at ten", closed)


def test_a_meeting_does_not_go_on_into_a_closed_day_nor_out_of_one() -> None:
    night = Rules(BERLIN, 60, closed=ClosedDays.parse("2026-11-26"))
    assert local("Wednesday at 23:00", night) == "2026-11-25T23:00"
    assert "We are closed on Thursday the 26th" in refused("Wednesday at 23:30", night)
    assert "We are closed on Thursday the 26th" in refused("Thursday at 23:30", night)
    assert local("2026-11-27T00:00", night) == "2026-11-27T00:00"


def test_it_is_the_business_s_day_that_is_closed() -> None:
    rules = Rules(BERLIN, closed=ClosedDays.parse("2026-11-25"))
    assert local("Wednesday at 23:30", rules, caller_zone="America/New_York") == "2026-11-26T05:30"


def test_free_times_leave_closed_days_out() -> None:
    starts = free_starts(CLOSED, NOW, [], at("2026-11-25T16:00"), 3)
    assert [f"{start:%a %H:%M}" for start in starts] == ["Wed 16:00", "Sat 10:00", "Sat 11:00"]


def test_the_first_open_day_is_found_behind_a_long_holiday() -> None:
    rules = Rules(BERLIN, closed=ClosedDays.parse("2026-11-23..2027-01-10"))
    assert rules.first_open(NOW) == at("2027-01-11T00:00")
    assert rules.first_open(at("2027-01-11T15:00")) == at("2027-01-11T15:00")
    always = Rules(BERLIN, closed=ClosedDays.parse("*-01-01..*-12-31"))
    assert always.first_open(NOW) and free_starts(always, NOW, [], NOW) == []
