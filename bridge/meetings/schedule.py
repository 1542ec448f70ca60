"""From a caller's words to an instant, by the business's rules.

Pure: the present moment is an argument. words.py says what words mean. Here they meet a zone's clocks:

1. A time that clocks leave out is no time. A time that they show twice is asked about. Neither is guessed.
2. A clock time without its half of the day is taken only if the opening hours leave just one of the two.
3. The result obeys `allowed`, and its `read_back` resolves to the same instant.

Instants are compared in UTC. Python compares two date-times of one zone by what its clocks show, and a date-time in an
hour that comes twice equals none of another zone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bridge.meetings import places
from bridge.meetings.closed_days import ClosedDays, Run
from bridge.meetings.hours import OpeningHours
from bridge.meetings.plain import plain
from bridge.meetings.said import HOW, Refused, Said
from bridge.meetings.spoken import MONTHS, WEEKDAYS, date_of, number, opening, ordinal, read_back
from bridge.meetings.words import LONGEST, NOT_UNDERSTOOD, understand

__all__ = ["OpeningHours", "Refused", "Rules", "allowed", "duration", "free_starts", "length", "read_back", "resolve"]

_HALF = ("Pass the time with am or pm, or in 24-hour notation with two digits, such as 09:00 or 21:00. If the caller "
         "has said which, do not ask again.")
_TWELVE = ("Pass noon, or midnight with 'as the day begins' or 'as the day ends'. If the caller has said which, do not "
           "ask again.")
_WITHOUT_LENGTH = "When the caller agrees, pass the moment without a length."
_ANOTHER = "When the caller names another time, pass that one; check_availability knows what is free."
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Rules:
    """When the business takes meetings. `minutes` is how long each one takes.

    Without `opening` the business is open at any time, except on `closed` days.
    """

    zone: ZoneInfo
    minutes: int = 30
    opening: OpeningHours | None = None
    minimum_notice: timedelta = timedelta(0)
    maximum_notice: timedelta = timedelta(days=365)
    closed: ClosedDays | None = None

    def open_for(self, start: datetime) -> bool:
        """Whether a whole meeting fits into the opening hours and touches no closed day."""
        start = start.astimezone(self.zone)
        end = _later(start, self.minutes)
        return (self.opening is None or self.opening.contains(start, end)) and self.closed_day(start) is None

    def closed_day(self, start: datetime) -> Run | None:
        """The first closed day that a meeting would touch, or None."""
        if self.closed is None:
            return None
        start = start.astimezone(self.zone)
        last = _later(start, self.minutes) - timedelta(microseconds=1)
        return next(iter(self.closed.ahead(start.date(), last.date())), None)

    def first_open(self, after: datetime) -> datetime:
        """The moment itself or, if its day is closed, the beginning of the next open day within a year."""
        if self.closed is None:
            return after
        today = after.astimezone(self.zone).date()
        days = (today + timedelta(days=n) for n in range(367))
        day = next((each for each in days if self.closed.on(each) is None), today)
        return after if day == today else datetime.combine(day, time(), self.zone)


def duration(text: str) -> timedelta:
    """Parses `30m`, `2h`, `1d` or `0`. Raises ValueError with what is wrong, as the end of a sentence."""
    found = re.fullmatch(r"([0-9]{1,4})([mhd])", text)
    if not found and text != "0":
        raise ValueError("must be minutes, hours or days, such as 30m, 2h or 1d, or 0")
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta(0)


# ---- resolving

def resolve(words: str, rules: Rules, now: datetime, caller_zone: str = "") -> datetime:
    """The instant that is meant: aware, in the business's zone, a whole minute, allowed by the rules. Raises Refused.

    The words, and "today" in them, are local to the zone `caller_zone` (an IANA name), or without it to the business's.
    A zone or an offset in the words overrides both. A second time, as in "..., that is four in the morning, London
    time", is checked against the first.
    """
    try:
        start = _meant(words, rules, now, caller_zone)
        allowed(start, rules, now)
        return start
    except OverflowError:
        raise Refused("That date is too far away. Which other day would suit?", HOW) from None
    except Refused as refusal:
        refusal.how = refusal.how or HOW
        raise


def first_day(words: str, rules: Rules, now: datetime) -> date:
    """The first day for which free times are wanted. The words need not say a time. Raises Refused.

    A week without a day, such as "next week", begins on its Monday. The day may have passed.
    """
    try:
        said, zone = _in_zone(plain(words[:LONGEST]), rules.zone, None, now)
        today = now.astimezone(zone).date()
        if said.moment is not None:
            return said.moment.astimezone(rules.zone).date()
        if said.week is not None and not said.has_day:
            return said.week.monday
        if said.named_day is not None and said.agrees:
            return said.named_day
        if said.named_day is None and said.weekday is not None:
            return today + timedelta(days=(said.weekday - today.weekday()) % 7)
    except OverflowError:
        raise Refused("That day is too far away. Which earlier day?", HOW) from None
    raise Refused(NOT_UNDERSTOOD, HOW)


def _meant(words: str, rules: Rules, now: datetime, caller_zone: str) -> datetime:
    """The instant that is meant, allowed or not. Raises Refused, and OverflowError beyond the calendar."""
    if len(words) > LONGEST:
        raise Refused(NOT_UNDERSTOOD)
    caller = places.zone_called(caller_zone) if caller_zone else None
    said, *others = plain(words).split(" that is ")
    start = _start(*_in_zone(said, rules.zone, caller, now), rules, now)
    for other in others:
        _check(*_in_zone(other, rules.zone, caller, now), start)
    return start


def _in_zone(text: str, business: ZoneInfo, caller: ZoneInfo | None, now: datetime) -> tuple[Said, ZoneInfo]:
    """What the text says, and the zone it is local to."""
    rest, zone = places.named(text, business, caller)
    try:
        return understand(rest, now.astimezone(zone)), zone
    except Refused as refusal:
        if str(refusal) == NOT_UNDERSTOOD and places.is_place_unknown(rest):
            raise places.UNKNOWN_ZONE.refusal() from None
        raise


def _start(said: Said, zone: ZoneInfo, rules: Rules, now: datetime) -> datetime:
    """The one instant that was said. Raises Refused, and OverflowError beyond the calendar."""
    if said.length not in (None, rules.minutes):
        takes = f"A meeting takes {length(timedelta(minutes=rules.minutes))}."
        raise Refused(f"{takes} Is that all right?", _WITHOUT_LENGTH)
    if said.moment is not None:
        _check(said, zone, said.moment)
        return said.moment.astimezone(rules.zone)
    if not said.has_day:
        raise Refused("Which day should it be?" if said.times else "Which day should it be, and at what time?")
    if said.named_day:
        _day(said, now.astimezone(zone).date())
    if said.times is None:
        raise Refused("At what time of day should it be?")
    times = {minute: _starts(said, minute, zone, now) for minute in said.minutes()}
    starts = [*times.values()][0] if len(times) == 1 else _open_one(times, said, rules, now)
    return _one(starts, said.fold).astimezone(rules.zone)


def _open_one(times: dict[int, list[datetime]], said: Said, rules: Rules, now: datetime) -> list[datetime]:
    """The starts of the one time of day that can be meant. Raises Refused if none or several can.

    It is the one at which the business is open and that has not passed.
    """
    shown = [starts for starts in times.values() if starts]
    possible = [starts for starts in shown if any(map(rules.open_for, starts))]
    if said.times and said.times.written and possible and possible[0] is shown[0]:
        return possible[0]
    to_come = [starts for starts in possible if not _passed(starts, now)]
    if len(to_come) == 1:
        return to_come[0]
    if shown and all(_passed(starts, now) for starts in possible or shown):
        return (possible or shown)[-1]               # `allowed` says that it has passed
    if shown and not possible:
        raise Refused(_hours(shown[0][0], rules), _ANOTHER)
    if said.times and said.times.minutes[0] % 720 < 60:
        raise Refused("Is that at noon, or at midnight? And if at midnight, as the day begins or as it ends?", _TWELVE)
    raise Refused("Is that in the morning, or in the afternoon or evening?", _HALF)


def _passed(starts: Sequence[datetime], now: datetime) -> bool:
    return all(each <= now.astimezone(UTC) for each in starts)


def _starts(said: Said, minute: int, zone: ZoneInfo, now: datetime) -> list[datetime]:
    """The instants, two at most, at which clocks show this minute on the day that was said."""
    if said.named_day:
        return _showing(said.named_day, minute, zone)
    assert said.weekday is not None                  # because has_day is true
    today = now.astimezone(zone).date()
    first = today + timedelta(days=(said.weekday - today.weekday()) % 7)
    starts = _showing(first, minute, zone)
    # The weekday is the first one whose time is still to come.
    passed = first == today and starts and _passed(starts, now)
    return _showing(first + timedelta(days=7), minute, zone) if passed else starts


def _day(said: Said, today: date) -> None:
    """Raises Refused if the date contradicts itself or has passed."""
    day = said.named_day
    assert day is not None
    if not said.agrees:
        raise Refused(f"That day is a {WEEKDAYS[day.weekday()]}. Which day is meant?")
    if day < today:
        raise Refused(f"{date_of(day)} {day.year} has already passed. Which later day would suit?", _past(today))


def _showing(day: date, minute: int, zone: ZoneInfo) -> list[datetime]:
    """The instants, in UTC and in order, at which clocks in `zone` show this. None of them where clocks skip it."""
    shown = datetime.combine(day, time()) + timedelta(minutes=minute)
    both = {shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(each for each in both if each.astimezone(zone).replace(tzinfo=None) == shown)


def _one(starts: list[datetime], fold: int | None) -> datetime:
    if not starts:
        raise Refused("The clocks are put forward at that hour, so this time does not exist. Which other time?")
    if len(starts) == 1 and fold is not None:
        raise Refused("The clocks do not go back at that time. Which day is it, and at what time?")
    if len(starts) == 2 and fold is None:
        raise Refused("The clocks are put back at that hour, so this time comes twice. "
                      "Is it before or after the clocks go back?")
    return starts[fold or 0]


def _past(today: date) -> str:
    """How the model passes a day that is still to come."""
    return (f"Today is {date_of(today)} {today.year}. Pass the day as the caller said it, and a year only if the "
            "caller said one.")


def _check(said: Said, zone: ZoneInfo, start: datetime) -> None:
    """Raises Refused unless everything that was said is true of this instant."""
    local = start.astimezone(zone)
    agrees = (
        said.week is None and said.fold is None
        and said.day in (None, local.date())
        and said.weekday in (None, local.weekday())
        and (said.moment is None or said.moment.astimezone(UTC) == start.astimezone(UTC))
        and (not (said.times or said.part) or _minute(local) in {minute % 1440 for minute in said.minutes()})
    )
    if not agrees:
        raise Refused("That names two different times. Which day is it, and at what time?")


def _minute(local: datetime) -> int:
    return local.hour * 60 + local.minute


# ---- the rules

def allowed(start: datetime, rules: Rules, now: datetime) -> None:
    """Raises Refused if a start is past, too soon or too far ahead, or its meeting is outside the opening hours."""
    ahead, how = start.astimezone(UTC) - now.astimezone(UTC), _ANOTHER
    if ahead <= timedelta(0):
        problem, how = "has already passed. Which later time would suit?", _past(now.astimezone(rules.zone))
    elif ahead < rules.minimum_notice:
        problem = f"is too soon: we need notice of {length(rules.minimum_notice)}. Which later time?"
    elif ahead > rules.maximum_notice:
        problem = f"is too far away: we book up to {length(rules.maximum_notice)} ahead. Which earlier day?"
    elif not rules.open_for(start):
        problem = f"is outside our opening hours. {_hours(start, rules)}"
    else:
        return
    raise Refused(f"{read_back(start.astimezone(rules.zone), now=now)}, {problem}", how)


def _hours(start: datetime, rules: Rules) -> str:
    if closed := rules.closed_day(start):
        day, why = closed.first, f", {closed.reason}" if closed.reason else ""
        return (f"We are closed on {WEEKDAYS[day.weekday()]} the {ordinal(day.day)} of {MONTHS[day.month - 1]}{why}. "
                "Which other day would suit?")
    weekday = start.astimezone(rules.zone).weekday()
    ranges = rules.opening.on(weekday) if rules.opening else ()
    takes = f" A meeting takes {length(timedelta(minutes=rules.minutes))}." if ranges else ""
    return f"{opening(weekday, ranges)}{takes} Which other time would suit?"


def length(of: timedelta) -> str:
    """ "two hours", "90 minutes" """
    minutes = int(of.total_seconds() // 60)
    units = ((1440, "day"), (60, "hour"), (1, "minute"))
    size, unit = next((size, unit) for size, unit in units if minutes % size == 0)
    count = minutes // size
    return f"{number(count) if count < 100 else count} {unit}{'s' if count != 1 else ''}"


# ---- what is free

def free_starts(
    rules: Rules, now: datetime, taken: Sequence[tuple[datetime, datetime]], after: datetime, count: int = 3,
    *, until: datetime | None = None,
) -> list[datetime]:
    """The first `count` allowed starts from `after` on that overlap nothing `taken`, in the business's zone.

    They are a meeting's length apart, counted from each opening of a day, and within a year of `after`. `taken` is
    known up to `until`. If it is given, the meetings are over by then.
    """
    busy = sorted((begin.astimezone(UTC), end.astimezone(UTC)) for begin, end in taken)
    free: list[datetime] = []
    at, busy_until = 0, datetime.min.replace(tzinfo=UTC)
    for start in _grid(rules, max(after.astimezone(UTC), now.astimezone(UTC) + rules.minimum_notice)):
        end = _later(start, rules.minutes)
        if len(free) == count or start - now.astimezone(UTC) > rules.maximum_notice or until and end > until:
            break
        # Starts only grow, so each busy interval is looked at once.
        while at < len(busy) and busy[at][0] < end:
            busy_until = max(busy_until, busy[at][1])
            at += 1
        if busy_until <= start and _is_allowed(start, rules, now):
            free.append(start.astimezone(rules.zone))
    return free


def _grid(rules: Rules, after: datetime) -> Iterator[datetime]:
    """Every start that may be offered, in UTC and in order."""
    first = after.astimezone(rules.zone).date()
    for day in (first + timedelta(days=n) for n in range(367)):
        if rules.closed and rules.closed.on(day) is not None:
            continue
        ranges = rules.opening.on(day.weekday()) if rules.opening else ((0, 1440),)
        minutes = [minute for begin, end in ranges for minute in range(begin, end, rules.minutes)]
        starts = {start for minute in minutes for start in _showing(day, minute, rules.zone)}
        yield from sorted(start for start in starts if start >= after)


def _is_allowed(start: datetime, rules: Rules, now: datetime) -> bool:
    try:
        allowed(start, rules, now)
    except Refused:
        return False
    return True


def _later(start: datetime, minutes: int) -> datetime:
    """The moment `minutes` of elapsed time later, whatever the clocks do, in the zone of `start`."""
    return (start.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(start.tzinfo)
