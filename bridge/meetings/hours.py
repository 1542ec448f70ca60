"""When the business is open, as its owner writes it: `Mon-Fri 09:00-17:00; Sat 10:00-13:00`.

Pure. A time of day is minutes since midnight, 0 to 1440. A meeting is inside if the business's clocks show an open time
during each of its minutes. So neither a change of the clocks nor two ranges that touch are special cases.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

#: From one minute of the day up to another, which is not included.
Range = tuple[int, int]

#: In minutes.
DAY, WEEK = 24 * 60, 7 * 24 * 60
_MINUTE = timedelta(minutes=1)
_DAYS = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?", re.IGNORECASE)
_RANGE = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """OPENING_HOURS, parsed: the open ranges of each weekday, Monday first. They are in order and do not overlap."""

    days: tuple[tuple[Range, ...], ...]

    @classmethod
    def parse(cls, text: str) -> "OpeningHours":
        """Entries `Mon-Fri 09:00-12:00,13:00-17:00` or `Mon,Wed 09:00-24:00`, separated by semicolons.

        Days may wrap around (`Fri-Mon`). Raises ValueError with what is wrong, as the end of a sentence.
        """
        days: list[list[Range]] = [[] for _ in DAYS]
        for entry in filter(None, map(str.strip, text.split(";"))):
            names, _, ranges = re.sub(r"\s*([,-])\s*", r"\1", entry).partition(" ")
            for day in _weekdays(names):
                days[day] += [_range(each) for each in ranges.split(",")]
        if not any(days):
            raise ValueError("names no day and no time")
        return cls(tuple(_apart(name, ranges) for name, ranges in zip(DAYS, days, strict=True)))

    def on(self, weekday: int) -> tuple[Range, ...]:
        """The open ranges of a weekday, 0 for Monday."""
        return self.days[weekday]

    def longest(self) -> int:
        """The longest time the business is open at a stretch, also past midnight, in minutes. At most a week."""
        week = [(day * DAY + begin, day * DAY + end) for day, ranges in enumerate(self.days) for begin, end in ranges]
        longest = run = last = 0
        for begin, end in [*week, *((begin + WEEK, end + WEEK) for begin, end in week)]:     # Monday follows Sunday
            run = end - begin + (run if begin == last else 0)
            last, longest = end, max(longest, run)
        return min(longest, WEEK)

    def contains(self, start: datetime, end: datetime) -> bool:
        """Whether all of a meeting is inside. `start` is aware, in the business's zone, and a whole minute."""
        begin, zone = start.astimezone(UTC), start.tzinfo
        minutes = math.ceil((end.astimezone(UTC) - begin) / _MINUTE)
        return all(self._open_at((begin + n * _MINUTE).astimezone(zone)) for n in range(minutes))

    def _open_at(self, local: datetime) -> bool:
        minute = local.hour * 60 + local.minute
        return any(begin <= minute < end for begin, end in self.days[local.weekday()])


def _weekdays(names: str) -> list[int]:
    """`Mon-Wed,Sat` as numbers. Raises ValueError."""
    numbers: list[int] = []
    for each in names.split(","):
        found = _DAYS.fullmatch(each)
        first, last = (_weekday(name or found[1]) for name in found.groups()) if found else (_weekday(each), 0)
        numbers += [(first + n) % 7 for n in range((last - first) % 7 + 1)]
    return numbers


def _weekday(name: str) -> int:
    try:
        return DAYS.index(name.capitalize())
    except ValueError:
        raise ValueError(f"has {name!r} where one of {', '.join(DAYS)} is needed") from None


def _range(text: str) -> Range:
    found = _RANGE.fullmatch(text)
    if not found:
        raise ValueError(f"has {text!r} where times such as 09:00-17:00 are needed")
    hour, minute, end_hour, end_minute = map(int, found.groups())
    begin, end = hour * 60 + minute, end_hour * 60 + end_minute
    if end > 24 * 60:
        raise ValueError(f"has {text!r}, but a day ends at 24:00")
    if end <= begin:
        raise ValueError(f"has {text!r}, which ends before it begins; past midnight is the next day's, from 00:00")
    return begin, end


def _apart(name: str, ranges: list[Range]) -> tuple[Range, ...]:
    """The ranges of a day in order. Raises ValueError if two overlap."""
    ranges = sorted(ranges)
    if any(later < end for (_, end), (later, _) in pairwise(ranges)):
        raise ValueError(f"has times on {name} that overlap")
    return tuple(ranges)
