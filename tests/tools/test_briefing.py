"""What the model is told of the business: nothing to guess, and of two steps only where there are two."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.meetings.closed_days import ClosedDays
from bridge.meetings.hours import OpeningHours
from bridge.meetings.schedule import Rules
from bridge.tools import briefing
from bridge.tools.declarations import Terms

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 9, 5, tzinfo=BERLIN)


def opening(hours: str = "", closed: str = "", now: datetime = NOW) -> str:
    return briefing.opening(Rules(
        BERLIN, opening=OpeningHours.parse(hours) if hours else None,
        closed=ClosedDays.parse(closed) if closed else None), now)


def booking(rules: Rules = Rules(BERLIN), **terms: bool) -> str:
    return briefing.booking(rules, Terms(**terms))


# ---- when the business is open

@pytest.mark.parametrize(("hours", "said"), [
    ("Mon-Fri 09:00-17:00; Sat 10:00-13:00",
     "Opening hours: Monday to Friday 09:00 to 17:00; Saturday 10:00 to 13:00; closed on Sunday."),
    ("Mon,Tue 09:00-12:00,13:30-17:00; Thu 09:00-24:00",
     "Opening hours: Monday and Tuesday 09:00 to 12:00 and 13:30 to 17:00; Thursday 09:00 to 24:00; closed on "
     "Wednesday, Friday to Sunday."),
    ("Mon-Sun 00:00-24:00", "Opening hours: Monday to Sunday 00:00 to 24:00."),
])
def test_each_weekday_s_hours_are_said(hours: str, said: str) -> None:
    assert opening(hours) == said


def test_where_the_hours_are_not_known_nothing_is_guessed() -> None:
    assert "never guess" in opening()


def test_the_coming_closed_days_are_said_with_what_closes_them() -> None:
    assert opening("Mon-Fri 09:00-17:00", "DE,2026-12-28..2026-12-31").endswith(
        " Closed besides, up to Sunday 21 February 2027: Friday 25 December 2026 (Christmas Day); Saturday 26 December "
        "2026 (Second Day of Christmas); Monday 28 December 2026 to Thursday 31 December 2026; Friday 1 January 2027 "
        "(New Year's Day).")


def test_today_is_the_business_s_day() -> None:
    late = datetime(2026, 11, 23, 23, 30, tzinfo=ZoneInfo("UTC"))
    assert "Tuesday 24 November 2026." in opening(closed="2026-11-23..2026-11-24", now=late)
    assert "Monday 23" not in opening(closed="2026-11-23..2026-11-24", now=late)


def test_no_closed_day_ahead_is_said_too() -> None:
    assert opening(closed="2020-01-01").endswith("up to Sunday 21 February 2027: no day.")


def test_many_closed_days_are_bounded_and_it_is_said_how_far_they_go() -> None:
    every_other = ",".join(f"{datetime(2026, 11, 24) + timedelta(days=2 * n):%Y-%m-%d}" for n in range(40))
    said = opening(closed=every_other)
    assert "up to Friday 1 January 2027:" in said and said.count(";") == briefing.MOST_CLOSED - 1


# ---- how meetings are made

def test_length_and_notice_are_said() -> None:
    said = booking(Rules(BERLIN, minutes=45, minimum_notice=timedelta(hours=2), maximum_notice=timedelta(days=90)))
    assert "A meeting takes forty-five minutes." in said
    assert "at least two hours and at most ninety days from now" in said
    assert "at least" not in booking(Rules(BERLIN))


def test_two_steps_are_spoken_of_only_where_there_are_two() -> None:
    assert "call it again only after the caller agreed" in booking(confirm=True)
    at_once = booking(confirm=False)
    assert "at once" in at_once and "again" not in at_once and "ead back" not in at_once and "agreed" not in at_once


def test_a_booking_is_never_claimed_before_it_is_confirmed() -> None:
    for confirm in (False, True):
        assert "with refused, that it is not booked" in booking(confirm=confirm)


def test_an_address_is_asked_for_as_the_owner_wants_it() -> None:
    assert "ask for name, e-mail address, date and time" in booking(email_required=True)
    assert "do without" not in booking(email_required=True)
    optional = booking()
    assert "ask for name, date and time" in optional and "do without for a caller who has none" in optional


def test_a_caller_who_hides_the_number_is_asked_for_one_of_the_two() -> None:
    assert "a phone number or an e-mail address too: one of them is needed" in booking(number_hidden=True)
    assert "in this call only" in booking(number_hidden=True)
    required = booking(number_hidden=True, email_required=True)
    assert "one of them" not in required and "in this call only" in required
