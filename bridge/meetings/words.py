"""What was said about a day and a time.

Pure. A small grammar in place of a library that guesses, because a meeting is a promise:

1. Every word counts: the whole text is covered by the rules of GRAMMAR and a few fillers, or it is refused.
2. All ways to cover it are found; if they do not mean the same, it is refused.
3. What is missing (the day, the half of the day) stays open here; schedule.py asks for it.

What people mean by it, where they may differ; the read-back to the caller settles it:
"Tuesday" and "this Tuesday" are the first one whose time is still to come, today's included; "next Tuesday" is that of
the next week (from Monday on); "Thursday in two weeks" is that of the week in which the day two weeks from today falls;
"a week from Thursday" is seven days after the coming one. "The 26th" and "26 November" are the first from today on.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from dateutil.relativedelta import relativedelta

from bridge.meetings.spoken import MONTHS, TENS, UNITS, WEEKDAYS, ordinal

#: A longer text names no moment; characters.
LONGEST = 200
NOT_UNDERSTOOD = "I did not understand the day and the time. Which day is it, and at what time?"
NOON, DAY = 12 * 60, 24 * 60


class Refused(Exception):
    """No meeting can be made of this; the message is a sentence for the caller's ear."""


class Times(NamedTuple):
    """The minutes of the day that a clock time may mean, from 1440 on the next day's; `sure`: it is the first."""

    minutes: tuple[int, ...]
    sure: bool = False


class Week(NamedTuple):
    """The week that begins on `monday`; `day` is meant where no weekday is named."""

    monday: date
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a text says; None where it does not say it. All of it is local to the zone that is meant.

    `weekday`: 0 for Monday. `part`: the minutes of the day from which up to which the time lies. `fold`: 0 before the
    clocks go back, 1 after. `moment`: an instant, said in full (an offset, or "in two hours").
    """

    day: date | None = None
    weekday: int | None = None
    week: Week | None = None
    times: Times | None = None
    part: tuple[int, int] | None = None
    fold: int | None = None
    moment: datetime | None = None

    @property
    def has_day(self) -> bool:
        in_week = self.week and (self.week.day or self.weekday is not None)
        return bool(self.day or in_week or self.weekday is not None)

    def minutes(self) -> tuple[int, ...]:
        """The minutes of the day that the time may mean: none if it contradicts itself."""
        if self.times is None:
            return ()
        if self.part is None:
            return self.times.minutes[:1] if self.times.sure else self.times.minutes
        begin, end = self.part
        return tuple(minute for minute in self.times.minutes if begin <= minute < end)


_SAYS = tuple(each.name for each in fields(Said))


def understand(text: str, here: datetime) -> Said:
    """What a `plain` text says, told to someone whose clock shows `here`, an aware date-time. Raises Refused."""
    reached: dict[int, set[Said]] = {0: {Said()}}
    for at in range(len(text)):
        for rule, meaning in GRAMMAR if at in reached else ():
            found = rule.match(text, at)
            piece = found and meaning(found, here)
            if found and piece:
                both = {_joined(said, piece) for said in reached[at]}
                reached.setdefault(found.end(), set()).update(said for said in both if said)
    ways = reached.get(len(text), set())
    if not ways:
        raise Refused(NOT_UNDERSTOOD)
    if len(ways) > 1:
        raise Refused("That can be understood in two ways. Which day is it, and at what time?")
    return ways.pop()


def _joined(one: Said, other: Said) -> Said | None:
    """What both say; None if they contradict each other."""
    joined: dict[str, Any] = {}
    for name in _SAYS:
        mine, new = getattr(one, name), getattr(other, name)
        if mine is None or new is None or mine == new:
            joined[name] = new if mine is None else mine
        elif name == "part":                         # "tomorrow morning at ten a.m."
            joined[name] = (max(mine[0], new[0]), min(mine[1], new[1]))
        else:
            return None
    return Said(**joined)


# ---- plain text: lower case, digits for numbers, no fillers

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
             "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth")
_DIGITS = {
    **{word: str(n) for n, word in enumerate(UNITS)},
    **{word: ordinal(n) for n, word in enumerate(_ORDINALS, 1)},
    **{ten: str(20 + 10 * n) for n, ten in enumerate(TENS)},
    "twentieth": "20th", "thirtieth": "30th",
}
_FILLERS = {"the", "on", "please", "um", "uh", "er", "for", "around", "about", "exactly", "sharp"}

_REWRITE_RULES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"[\u2010-\u2015\u2212]", "-"),                 # hyphens and dashes
    (r"o ?['\u2019\u02bc] ?clock\b", "oclock"),
    (r"(?<![a-z])([ap])\.? ?m\b\.?", r" \1m"),       # 10am, 10 a.m., ten A M
    (r"\b(day|week|fortnight|month|year)(?:s?['\u2019]?|['\u2019]s) time\b", r"\1"),   # in two weeks' time
    (r"(?<=[a-z])-(?=[a-z])", " "),
    (rf"\b({'|'.join(TENS)}) ({'|'.join((*UNITS[1:10], *_ORDINALS[:9]))})\b",
     lambda found: _DIGITS[found[1]][0] + _DIGITS[found[2]]),
    (r"[a-z]+", lambda found: _DIGITS.get(found[0], found[0])),
    (r"[,;!?]|\.(?= |$)", " "),
    (r"\b([0-9]{4}-[0-9]{2}-[0-9]{2}) +(?=[0-9]{2}:[0-9]{2}(?! *[ap]m))", r"\1t"),
)
_REWRITES = tuple((re.compile(pattern, re.ASCII), by) for pattern, by in _REWRITE_RULES)


def plain(text: str) -> str:
    """The text as the grammar reads it: words and digits with single spaces between them."""
    text = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    for pattern, by in _REWRITES:
        text = pattern.sub(by, text)
    return " ".join(word for word in text.split() if word not in _FILLERS)


# ---- what the rules mean: each makes a piece of what was said, or None if it is nothing

Found = re.Match[str]
Meaning = Callable[[Found, datetime], Said | None]


def _written(found: Found, here: datetime) -> Said | None:
    """ISO 8601: a date, a local date-time, or one with an offset."""
    day, time, offset = found.groups(default="")
    try:
        if not time:
            return Said(day=date.fromisoformat(day.upper()))
        moment = datetime.fromisoformat(f"{day}T{time}{offset}".upper())
    except ValueError:
        return None
    if moment.second or moment.microsecond:
        raise Refused("A meeting begins on a whole minute. At what time should it be?")
    if moment.tzinfo:
        return Said(moment=moment)
    return Said(day=moment.date(), times=Times((moment.hour * 60 + moment.minute,), sure=True))


def _after(**distance: int) -> Meaning:
    return lambda found, here: Said(day=here.date() + timedelta(**distance))


def _ahead(found: Found, here: datetime) -> Said:
    """ "in three days"; a number of weeks may be joined by a weekday."""
    day = _moved(here.date(), found)
    return Said(week=Week(_monday(day), day)) if found["unit"] in ("week", "fortnight") else Said(day=day)


def _ahead_of(found: Found, here: datetime) -> Said:
    """ "a week from Thursday" """
    today, name = here.date(), found["from"]
    away = {"today": 0, "now": 0, "tomorrow": 1}.get(name)
    if away is None:
        away = (_WEEKDAY[name] - today.weekday()) % 7
    return Said(day=_moved(today + timedelta(days=away), found))


def _moved(day: date, found: Found) -> date:
    count, unit = _count(found["count"]), found["unit"]
    if unit == "fortnight":
        count, unit = 2 * count, "week"
    # relativedelta keeps to the month: a month after the 31st of January is the last of February.
    return day + relativedelta(**{f"{unit}s": count})  # type: ignore[arg-type]


def _elapsed(found: Found, here: datetime) -> Said:
    """ "in an hour and a half", counted from now and rounded up to a whole minute."""
    said = found.groupdict()
    minutes = 60 * _count(said.get("hours")) + 30 * bool(said.get("half")) + _count(said.get("minutes"))
    moment = here.astimezone(UTC) + timedelta(minutes=minutes)
    return Said(moment=moment + timedelta(seconds=-moment.second % 60, microseconds=-moment.microsecond))


def _count(word: str | None) -> int:
    return 0 if word is None else 1 if word in ("a", "an") else int(word)


def _weekday(found: Found, here: datetime) -> Said:
    weekday = _WEEKDAY[found[2]]
    return Said(weekday=weekday, week=_week(here, 1) if found[1] == "next" else None)


def _week(here: datetime, away: int) -> Week:
    return Week(_monday(here.date() + timedelta(weeks=away)))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _date(found: Found, here: datetime) -> Said:
    """ "the 26th of November", with a year or the first from today on. Raises Refused where there is none."""
    day, month = int(found["day"]), _MONTH[found["month"]]
    spoken = found.groupdict().get("year")
    years = [int(spoken.replace(" ", ""))] if spoken else range(here.year, here.year + 9)
    dates = [each for year in years if (each := _on(year, month, day)) and (spoken or each >= here.date())]
    if not dates:
        raise Refused(f"There is no {ordinal(day)} of {MONTHS[month - 1]}{f' {years[0]}' if spoken else ''}."
                      " Which day should it be?")
    return Said(day=dates[0])


def _day_of_month(found: Found, here: datetime) -> Said | None:
    """ "the 26th", the first from today on; with "of next month" that one. Raises Refused where there is none."""
    day, named = int(found["day"]), found.groupdict().get("which")
    months = {"this": [0], "next": [1], None: range(13)}[named]
    first = here.date().replace(day=1)
    ahead = [first + relativedelta(months=each) for each in months]
    dates = [each for month in ahead if (each := _on(month.year, month.month, day)) and (named or each >= here.date())]
    if not dates and named:
        raise Refused(f"There is no {ordinal(day)} in {MONTHS[ahead[0].month - 1]}. Which day should it be?")
    return Said(day=dates[0]) if dates else None


def _on(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _time(found: Found, here: datetime) -> Said | None:
    """ "10:30", "10 30", "ten", "fifteen": the half of the day is open for a number up to twelve."""
    hour, minute = int(found["hour"]), int(found.groupdict().get("minute") or 0)
    if hour > 23 or minute > 59:
        return None
    if not 1 <= hour <= 12:
        return Said(times=Times((hour * 60 + minute,), sure=True))
    return Said(times=_either(hour * 60 + minute, sure=found["hour"].startswith("0")))


def _either(minute: int, sure: bool = False) -> Times:
    """What a clock's face may show, in the first or the second half of the day."""
    return Times((minute % NOON, minute % NOON + NOON), sure and minute < NOON)


def _beside(found: Found, here: datetime) -> Said | None:
    """ "half past ten", "ten to three", "a quarter past midnight" """
    away = {"quarter": 15, "half": 30}.get(found["away"]) or int(found["away"])
    hour = {"noon": 12, "midday": 12, "midnight": 24}.get(found["hour"]) or int(found["hour"])
    if away > 59 or found["side"] in ("to", "till") and found["away"] == "half":
        return None
    minute = hour * 60 + (away if found["side"] in ("past", "after") else -away)
    match found["hour"]:
        case "noon" | "midday":
            return Said(times=Times((minute,), sure=True))
        case "midnight":
            return Said(times=_midnight(minute - DAY) if minute >= DAY else Times((minute,), sure=True))
    if not 1 <= hour <= 23:
        return None
    return Said(times=_either(minute) if hour <= 12 else Times((minute,), sure=True))


def _midnight(past: int = 0) -> Times:
    """A day has two of them: which one is open."""
    return Times((past, past + DAY))


def _edge(found: Found, here: datetime) -> Said:
    """ "as the day begins", "as Friday ends" """
    return Said(weekday=_WEEKDAY[found[1]] if found[1] else None, part=_EDGES[found[2]])


def _fixed(said: Said) -> Meaning:
    return lambda found, here: said


# ---- the grammar

_WEEKDAY = {form: n for n, name in enumerate(map(str.lower, WEEKDAYS)) for form in (name, name[:3])}
_WEEKDAY |= {"tues": 1, "thur": 3, "thurs": 3}
_MONTH = {form: n for n, name in enumerate(map(str.lower, MONTHS), 1) for form in (name, name[:3])} | {"sept": 9}

#: The minutes of the day in which one says so. Midnight has words of its own: "twelve in the morning" is not clear.
_PARTS = {"morning": (60, NOON), "afternoon": (NOON, 19 * 60), "evening": (16 * 60, DAY), "night": (20 * 60, DAY)}
_EDGES = {**dict.fromkeys(("begin", "start", "beginning"), (0, 60)), "end": (DAY, DAY + 60)}

_A_WEEKDAY = f"(?:{'|'.join(_WEEKDAY)})"
_A_MONTH = f"(?P<month>{'|'.join(_MONTH)})"
_A_DAY = "(?P<day>[0-9]{1,2})"
_TH = "(?:st|nd|rd|th)"
_A_YEAR = "(?: of)? (?P<year>[0-9]{4}|20 [0-9]{2})"
_COUNT = "(?:an?|[0-9]{1,3})"
_SPAN = f"(?P<count>{_COUNT}) (?P<unit>day|week|fortnight|month|year)s?"
_ELAPSED = (
    "(?P<half>half) an hour",
    f"(?P<hours>{_COUNT})(?: hours?)? (?P<half>and a half)(?: hours?)?",
    f"(?P<hours>{_COUNT}) hours?(?:(?: and)? (?P<minutes>{_COUNT}) minutes?)?",
    f"(?P<minutes>{_COUNT}) minutes?",
)
_ISO_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{4}-?w[0-9]{2}-?[0-9]"
_HOUR = "(?P<hour>[0-9]{1,2})"

_RULES: tuple[tuple[str, Meaning], ...] = (
    # the day
    (rf"(?:at )?({_ISO_DATE})(?:t([0-9:.]+)(z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?)?", _written),
    (r"today", _after(days=0)),
    (r"tomorrow", _after(days=1)),
    (r"day after tomorrow", _after(days=2)),
    (rf"(?:(this|next|coming|this coming) )?({_A_WEEKDAY})", _weekday),
    (r"(?:of )?this week", lambda found, here: Said(week=_week(here, 0))),
    (r"(?:of )?next week", lambda found, here: Said(week=_week(here, 1))),
    (r"(?:of )?week after next", lambda found, here: Said(week=_week(here, 2))),
    (rf"in {_SPAN}", _ahead),
    (rf"{_SPAN} (?:from|after) (?P<from>today|now|tomorrow|{_A_WEEKDAY})", _ahead_of),
    (rf"{_A_DAY}{_TH}", _day_of_month),
    (rf"{_A_DAY}{_TH}(?: of)? (?P<which>this|next) month", _day_of_month),
    (rf"{_A_DAY}{_TH}?(?: of)? {_A_MONTH}", _date),
    (rf"{_A_DAY}{_TH}?(?: of)? {_A_MONTH}{_A_YEAR}", _date),
    (rf"{_A_MONTH} {_A_DAY}{_TH}?", _date),
    (rf"{_A_MONTH} {_A_DAY}{_TH}?{_A_YEAR}", _date),
    # the time
    (rf"(?:at )?{_HOUR}:(?P<minute>[0-9]{{2}})(?::00)?", _time),
    (rf"(?:at )?{_HOUR} (?P<minute>[0-5][0-9])", _time),
    (rf"(?:at )?{_HOUR} oh (?P<minute>[1-9])", _time),
    (rf"(?:at )?{_HOUR}(?: oclock)?", _time),
    # "quarter to 12 am" is said for 23:45 as well as for 11:45.
    (r"(?:at )?(?:a )?(?P<away>quarter|half|[0-9]{1,2})(?: minutes?)? (?P<side>past|after|(?:to|till)(?! 12 [ap]m)) "
     r"(?P<hour>[0-9]{1,2}|noon|midday|midnight)(?: oclock)?", _beside),
    (r"(?:at )?(?:12 )?(?:noon|midday)", _fixed(Said(times=Times((NOON,), sure=True)))),
    (r"(?:at )?(?:12 )?midnight", _fixed(Said(times=_midnight()))),
    (r"am", _fixed(Said(part=(0, NOON)))),
    (r"pm", _fixed(Said(part=(NOON, DAY)))),
    (r"(?:(?:in|at) )?(morning|afternoon|evening|night)(?: of)?", lambda found, here: Said(part=_PARTS[found[1]])),
    (r"this (morning|afternoon|evening)", lambda found, here: Said(day=here.date(), part=_PARTS[found[1]])),
    (r"tonight", lambda found, here: Said(day=here.date(), part=_PARTS["evening"])),
    (rf"as (?:day|it|({_A_WEEKDAY})) (begin|end|start)s", _edge),
    (r"at (start|beginning|end) of(?: day)?", lambda found, here: Said(part=_EDGES[found[1]])),
    (r"before clocks (?:go back|change)", _fixed(Said(fold=0))),
    (r"after clocks (?:go back|change)", _fixed(Said(fold=1))),
    # both
    *((f"in {span}", _elapsed) for span in _ELAPSED),
    *((f"{span} from now", _elapsed) for span in _ELAPSED),
)
GRAMMAR = tuple((re.compile(f"(?:{pattern})(?: |$)", re.ASCII), meaning) for pattern, meaning in _RULES)
