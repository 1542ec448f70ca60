"""Tells the model about the business before a call: when it is open, and how meetings are made.

Pure: the present moment is an argument. The functions apply the same rules, so nothing is booked against them. This
text is for callers who ask "when are you open?" and must not get a guess.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from bridge.meetings.closed_days import ClosedDays, Run
from bridge.meetings.hours import OpeningHours, Range
from bridge.meetings.schedule import Rules, length
from bridge.meetings.spoken import MONTHS, WEEKDAYS
from bridge.tools.declarations import Terms

#: How far ahead closed days are named, and the most runs of them.
CLOSED_AHEAD = timedelta(days=90)
MOST_CLOSED = 20


def opening(rules: Rules, now: datetime) -> str:
    """The opening hours and the coming closed days, for the session's instructions. `now` is aware."""
    hours = (f"Opening hours: {_week(rules.opening)}." if rules.opening else
             "You do not know the opening hours, unless they are said above: never guess them.")
    return hours + (_closed(rules.closed, now.astimezone(rules.zone).date()) if rules.closed else "")


def booking(rules: Rules, terms: Terms) -> str:
    """How to make a meeting with the functions of declarations.py, for the session's instructions."""
    takes = f"A meeting takes {length(timedelta(minutes=rules.minutes))}."
    least = f"at least {length(rules.minimum_notice)} and " if rules.minimum_notice else ""
    ahead = f"It must begin {least}at most {length(rules.maximum_notice)} from now."
    needed = "name, e-mail address, date and time" if terms.email_required else "name, date and time"
    ask = f"When the caller wants to meet, ask for {needed}, and what it is about, and call schedule_meeting."
    steps = "Read back what it answers, and call it again only after the caller agreed." if terms.confirm else (
        "It books at once, so call it when you have all of that, and tell the caller what it answers.")
    true = ("Say that a meeting is booked when the function answered with status confirmed; with recorded, that it is "
            "noted down and still to be confirmed; with refused, that it is not booked, and why.")
    return " ".join(filter(None, [takes, ahead, ask, _contact(terms), steps, true]))


def _contact(terms: Terms) -> str:
    alone = "Because the number is hidden, a meeting can be moved or cancelled by phone in this call only."
    if terms.email_required:
        return f"The caller hides the phone number. {alone}" if terms.number_hidden else ""
    if terms.number_hidden:
        return ("The caller hides the phone number, so ask for a phone number or an e-mail address too: one of them is "
                f"needed. {alone}")
    return "Ask for an e-mail address too, but do without for a caller who has none. Never make one up."


# ---- opening hours

def _week(opening: OpeningHours) -> str:
    """ "Monday to Friday 09:00 to 17:00; Saturday 10:00 to 13:00; closed on Sunday" """
    said = [f"{_named(days)} {_ranges(ranges)}" for days, ranges in _alike(opening) if ranges]
    closed = [_named(days) for days, ranges in _alike(opening) if not ranges]
    return "; ".join([*said, *([f"closed on {', '.join(closed)}"] if closed else [])])


def _alike(opening: OpeningHours) -> Iterator[tuple[range, tuple[Range, ...]]]:
    """Weekdays in a row that have the same ranges."""
    first = 0
    for day in range(1, 8):
        if day == 7 or opening.on(day) != opening.on(first):
            yield range(first, day), opening.on(first)
            first = day


def _named(days: range) -> str:
    first, last = WEEKDAYS[days[0]], WEEKDAYS[days[-1]]
    return first if first == last else f"{first} {'and' if len(days) == 2 else 'to'} {last}"


def _ranges(ranges: tuple[Range, ...]) -> str:
    return " and ".join(f"{_clock(begin)} to {_clock(end)}" for begin, end in ranges)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


# ---- closed days

def _closed(closed: ClosedDays, today: date) -> str:
    last = today + CLOSED_AHEAD
    runs = closed.ahead(today, last)
    if len(runs) > MOST_CLOSED:
        runs = runs[:MOST_CLOSED]
        last = runs[-1].last
    said = "; ".join(map(_run, runs)) or "no day"
    return f" Closed besides, up to {_dated(last)}: {said}."


def _run(run: Run) -> str:
    days = _dated(run.first) if run.first == run.last else f"{_dated(run.first)} to {_dated(run.last)}"
    return f"{days} ({run.reason})" if run.reason else days


def _dated(day: date) -> str:
    return f"{WEEKDAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]} {day.year}"
