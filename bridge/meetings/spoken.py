"""An instant as people say it, so that the caller hears exactly what was understood.

Pure. words.py understands everything that is said here: a read-back that is handed in again names the same instant. It
says which midnight is meant, and which hour when clocks go back. It says the year only if that is not clear.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from bridge.meetings.hours import Range

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")
UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
         "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

#: How far ahead a date is said without its year. Nearly a year ahead, listeners might think of another year.
_SAME_YEAR = relativedelta(months=11)


def read_back(start: datetime, caller_zone: ZoneInfo | None = None, *, now: datetime | None = None) -> str:
    """ "Thursday the 26th of November at ten in the morning, Dhaka time". `start` is aware, in the business's zone.

    With `now` the year is added, unless the date is today or within 11 months. Another `caller_zone` adds ", that is
    four in the morning, London time", with the weekday there if it differs.
    """
    year = "" if now is None or _at_hand(start, now.astimezone(start.tzinfo)) else f" {start.year}"
    said = f"{date_of(start)}{year} at {clock(start)}{_which(start)}, {place(start.tzinfo)}"
    if caller_zone is None or str(caller_zone) == str(start.tzinfo):
        return said
    there = start.astimezone(caller_zone)
    day = "" if there.date() == start.date() else f" on {WEEKDAYS[there.weekday()]}"
    return f"{said}, that is {clock(there)}{day}, {place(caller_zone)}"


def date_of(day: date) -> str:
    """ "Thursday the 26th of November" """
    return f"{WEEKDAYS[day.weekday()]} the {ordinal(day.day)} of {MONTHS[day.month - 1]}"


def number(value: int) -> str:
    """0 to 99 in words."""
    if value < len(UNITS):
        return UNITS[value]
    tens, unit = divmod(value, 10)
    return TENS[tens - 2] + (f"-{UNITS[unit]}" if unit else "")


def ordinal(day: int) -> str:
    """ "26th" """
    suffix = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"


def clock(moment: datetime) -> str:
    """A time of day in words, such as "half past ten in the morning", "noon" or "midnight, as the day begins"."""
    hour, minute = moment.hour, moment.minute
    if (hour, minute) == (12, 0):
        return "noon"
    if hour == 0:
        return _face("midnight", minute, most=59) + ", as the day begins"
    part = "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"
    return f"{_face(number((hour - 1) % 12 + 1), minute, most=30)} in the {part}"


def _face(hour: str, minute: int, most: int) -> str:
    """A time on a clock's face: "ten", up to `most` minutes "seven minutes past ten", then "ten forty-five"."""
    if minute == 0:
        return hour
    if minute > most:
        return f"{hour} {number(minute)}"
    past = {15: "quarter", 30: "half", 1: "one minute"}.get(minute) or f"{number(minute)} minutes"
    return f"{past} past {hour}"


def _at_hand(start: datetime, here: datetime) -> bool:
    return here.date() <= start.date() and start <= here + _SAME_YEAR


def _which(start: datetime) -> str:
    """Says which one is meant in the hour that comes twice, else ""."""
    # `fold` matters also in the hour that clocks leave out, but no instant is in there.
    if start.replace(fold=0).utcoffset() == start.replace(fold=1).utcoffset():
        return ""
    return f", {'after' if start.fold else 'before'} the clocks go back"


def place(zone: tzinfo | None) -> str:
    """A zone by its city: "Dhaka time", "New York time", and "UTC"."""
    city = str(zone).rpartition("/")[2].replace("_", " ")
    return city if city == "UTC" else f"{city} time"


def details(said: Mapping[str, str]) -> str:
    """The details of a meeting in words, such as "the name is Ada Lovelace, and it is about: a tooth"."""
    words = {"name": "the name is {}", "email": "the e-mail address is {}",
             "phone_number": "the phone number is {}", "description": "it is about: {}"}
    parts = [sentence.format(said[name]) for name, sentence in words.items() if said.get(name)]
    return ", and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def opening(weekday: int, ranges: Sequence[Range]) -> str:
    """ "On Saturdays we are open from ten in the morning to noon." """
    if not ranges:
        return f"We are closed on {WEEKDAYS[weekday]}s."
    said = " and ".join(f"from {_hour(begin)} to {_hour(end)}" for begin, end in ranges)
    return f"On {WEEKDAYS[weekday]}s we are open {said}."


def _hour(minute: int) -> str:
    if minute % 1440 == 0:
        return "midnight"
    return clock(datetime(2000, 1, 1, minute // 60, minute % 60, tzinfo=UTC)).removesuffix(", as the day begins")
