"""Whatever is said: an instant that obeys the rules and reads back to itself, or a sentence; never anything else.

The present moment is drawn from around the hours in which clocks change, leap days and the turns of the year.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.meetings.closed_days import ClosedDays
from bridge.meetings.hours import DAYS
from bridge.meetings.schedule import OpeningHours, Refused, Rules, allowed, free_starts, read_back, resolve
from bridge.meetings.spoken import MONTHS, WEEKDAYS, number, ordinal

ZONES = [*map(ZoneInfo, (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca", "Asia/Dhaka",
    "UTC",
))]

#: Clocks change in one of ZONES, a leap day begins, or a year, or nothing happens; UTC.
TURNS = [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (
    "2027-03-28T01:00", "2027-10-31T01:00", "2027-03-14T07:00", "2027-11-07T06:00", "2027-04-03T15:00",
    "2027-10-02T15:30", "2027-04-04T03:00", "2027-09-05T04:00", "2027-02-07T02:00", "2027-03-14T02:00",
    "2028-02-29T00:00", "2028-03-01T00:00", "2026-12-31T23:00", "2027-12-31T12:00", "2026-06-15T12:00",
)]

bounded = settings(deadline=None, max_examples=250)

nows = st.builds(
    lambda turn, minutes, seconds, zone: (turn + timedelta(minutes=minutes, seconds=seconds)).astimezone(zone),
    st.sampled_from(TURNS), st.integers(-3 * 1440, 600) | st.integers(-120, 120), st.integers(0, 59),
    st.sampled_from(ZONES))

openings = st.none() | st.sampled_from([OpeningHours.parse(each) for each in (
    "Mon-Fri 09:00-17:00; Sat 10:00-13:00", "Mon-Sun 00:00-24:00", "Fri-Mon 07:30-12:00,13:00-22:00",
    "Sun 00:00-02:30; Sat 21:00-24:00",
)])

rules = st.builds(
    Rules, zone=st.sampled_from(ZONES), minutes=st.sampled_from([15, 30, 45, 90]), opening=openings,
    minimum_notice=st.sampled_from([timedelta(0), timedelta(hours=2), timedelta(days=1)]),
    maximum_notice=st.sampled_from([timedelta(days=3), timedelta(days=365), timedelta(days=1500)]),
    closed=st.none() | st.sampled_from([ClosedDays.parse(each) for each in (
        "*-12-24..*-01-02", "2027-03-28,2027-10-31", "DE-BY")]))

caller_zones = st.sampled_from(["", *(zone.key for zone in ZONES), "Asia/Kathmandu"])


# ---- what callers say

def either(*choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices)


def phrase(*parts: st.SearchStrategy[str] | str) -> st.SearchStrategy[str]:
    drawn = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(*drawn).map(lambda words: " ".join(filter(None, words)))


counts = st.integers(1, 40).flatmap(lambda n: either(str(n), number(n))) | either("a", "an")
units = either("day", "days", "week", "weeks", "month", "months", "fortnight", "years")
weekdays = either(*WEEKDAYS, "tue", "thurs")
month_days = st.integers(1, 31).flatmap(lambda n: either(str(n), ordinal(n), f"the {ordinal(n)}"))
years = either("", "", "2026", "2027", "2028", "twenty twenty-seven")
dates = st.one_of(
    either("today", "tomorrow", "the day after tomorrow", "next week", "this week"),
    phrase(either("", "on", "this", "next", "coming"), weekdays),
    phrase("in", counts, units),
    phrase(counts, units, "from", either("today", "tomorrow", "now") | weekdays),
    phrase(month_days, either("", "of"), either(*MONTHS, "feb", "sept"), years),
    phrase(either(*MONTHS), month_days, years),
    st.integers(1, 31).map(lambda n: f"the {ordinal(n)}"),
    st.dates(datetime(2026, 6, 1).date(), datetime(2028, 12, 31).date()).map(str))
hours = st.integers(0, 24).flatmap(lambda n: either(str(n), f"{n:02}", number(n)))
minutes = st.integers(0, 59).flatmap(lambda n: either(f":{n:02}", f":{n:02}", f" {number(n)}"))
parts = either("", "am", "pm", "in the morning", "in the afternoon", "in the evening", "at night", "as the day begins",
               "as the day ends", "o'clock")
times = st.one_of(
    phrase("at", hours, parts),
    st.tuples(hours, minutes, parts).map(lambda said: f"at {said[0]}{said[1]} {said[2]}"),
    phrase(either("half", "a quarter", "ten", "seven minutes"), either("past", "to"),
           hours | either("midnight"), parts),
    phrase(either("noon", "midnight"), parts))
which = either("", "", "", ", before the clocks go back", "after the clocks change")
zones = either("", "", "", ", Berlin time", "UTC", "Europe/Berlin", "Dhaka time", "Lord Howe time")
told = st.one_of(
    phrase(dates, times, which, zones), phrase(times, which, dates, zones), phrase(dates, dates, times),
    phrase("in", counts, either("minutes", "hours", "hours and a half")))
instants = st.builds(
    lambda turn, away: turn + timedelta(minutes=away), st.sampled_from(TURNS), st.integers(-9000, 9000))
written = st.builds(
    lambda moment, zone, naive: f"{moment.astimezone(zone).replace(tzinfo=None) if naive else moment.astimezone(zone)}",
    instants, st.sampled_from(ZONES), st.booleans())
words = st.one_of(told, written)


# ---- what holds

def promise(said: str, rules: Rules, now: datetime, caller_zone: str) -> datetime | None:
    """Checks whatever comes out; None if it was refused."""
    try:
        start = resolve(said, rules, now, caller_zone)
    except Refused as refusal:
        assert str(refusal).strip()[-1] in ".?"
        return None
    assert start.tzinfo is rules.zone
    assert (start.second, start.microsecond) == (0, 0)
    assert start.timestamp() > now.timestamp()
    allowed(start, rules, now)
    assert not rules.closed or rules.closed.on(start.date()) is None
    for zone in (None, ZoneInfo(caller_zone) if caller_zone else None):
        again = resolve(read_back(start, zone, now=now), rules, now, caller_zone)
        assert again.timestamp() == start.timestamp(), read_back(start, zone, now=now)
    return start


@bounded
@given(words, rules, nows, caller_zones)
@example("tomorrow at 02:30", Rules(ZONES[0]), datetime(2027, 10, 30, 12, tzinfo=ZONES[0]), "")
def test_what_callers_say_becomes_an_allowed_instant_or_a_sentence(
    said: str, rules: Rules, now: datetime, caller_zone: str,
) -> None:
    promise(said, rules, now, caller_zone)


word = either("that is", "berlin time", "2027-03-28", *(
    "at in on the a 10 ten 26th half past to week next from tuesday may noon of am - :".split()))


@bounded
@given(st.text() | st.lists(word).map(" ".join), nows, caller_zones | st.text())
def test_any_text_at_all_becomes_one_or_the_other(said: str, now: datetime, caller_zone: str) -> None:
    try:
        resolve(said, Rules(ZONES[0]), now, caller_zone)
    except Refused as refusal:
        assert str(refusal).strip()


@bounded
@given(instants, st.sampled_from(ZONES), nows)
def test_every_minute_ahead_can_be_said(instant: datetime, zone: ZoneInfo, now: datetime) -> None:
    """Written with its offset, and as it is read back."""
    start = instant.astimezone(zone)
    if instant > now.astimezone(UTC):
        promised = promise(start.isoformat(), Rules(zone, maximum_notice=timedelta(days=2000)), now, "")
        assert promised and promised.astimezone(UTC) == instant


@bounded
@given(st.sampled_from(ZONES), st.sampled_from(TURNS), st.integers(-180, 180), st.sampled_from(["", "before", "after"]))
def test_around_a_change_a_local_time_is_what_the_clocks_show(
    zone: ZoneInfo, turn: datetime, away: int, side: str,
) -> None:
    now = turn - timedelta(days=2)
    shown = (turn.astimezone(zone).replace(tzinfo=None) + timedelta(minutes=away))
    possible = [turn + timedelta(minutes=minute) for minute in range(-600, 601)]
    shows = [each for each in possible if each.astimezone(zone).replace(tzinfo=None) == shown]
    said = f"{shown.isoformat()} {side and f'{side} the clocks go back'}"
    start = promise(said, Rules(zone), now, "")
    # In UTC: a date-time in the hour that comes twice equals none of another zone.
    meant = start and start.astimezone(UTC)
    if side:
        assert meant == (shows[side == "after"] if len(shows) == 2 else None)
    else:
        assert meant == (shows[0] if len(shows) == 1 else None)


@bounded
@given(rules, nows, st.lists(st.tuples(st.integers(-60, 6000), st.integers(1, 600)), max_size=12),
       st.integers(-99, 9999))
def test_what_is_offered_is_allowed_free_and_in_order(
    rules: Rules, now: datetime, busy: list[tuple[int, int]], after: int,
) -> None:
    begin = now.astimezone(UTC)
    taken = [(begin + timedelta(minutes=at), begin + timedelta(minutes=at + long)) for at, long in busy]
    earliest = begin + timedelta(minutes=after)
    starts = [start.astimezone(UTC) for start in free_starts(rules, now, taken, earliest, 3)]
    assert len(starts) <= 3 and starts == sorted(set(starts))
    for start in starts:
        allowed(start, rules, now)
        assert start >= earliest
        assert not any(start < until and since < start + timedelta(minutes=rules.minutes) for since, until in taken)


@bounded
@given(st.lists(st.tuples(either(*DAYS), either(*DAYS, ""), st.integers(0, 1440), st.integers(0, 1440)), max_size=5))
def test_opening_hours_are_apart_or_refused(entries: list[tuple[str, str, int, int]]) -> None:
    def clock(minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"
    text = "; ".join(f"{first}{last and f'-{last}'} {clock(begin)}-{clock(end)}" for first, last, begin, end in entries)
    try:
        hours = OpeningHours.parse(text)
    except ValueError as error:
        assert str(error)
        return
    for day in range(7):
        edges = [edge for each in hours.on(day) for edge in each]
        assert edges == sorted(edges)
