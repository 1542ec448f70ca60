"""The grammar's rules for a day.

Pure. People differ in what they mean by some of these. The rules take one meaning, and the read-back settles it:

- "Tuesday" and "this Tuesday" are the first one whose time is still to come, today included.
- "Next Tuesday" is the one of the next week, which begins on Monday.
- "Thursday in two weeks" is in the week of the day two weeks from today.
- "A week from Thursday" and "Thursday week" are seven days after the coming Thursday.
- "The 26th" and "26 November" are the first from today on.
- Dots are European: 1.12.2026 is the 1st of December. With slashes it may also be the 12th of January.
"""

from datetime import date, datetime, timedelta

from dateutil.relativedelta import relativedelta

from bridge.meetings.said import COUNT, Found, Meaning, Question, Refused, Rule, Said, Times, Week, count, fixed
from bridge.meetings.spoken import MONTHS, WEEKDAYS, ordinal

WEEKDAY = {form: n for n, name in enumerate(map(str.lower, WEEKDAYS)) for form in (name, name[:3])}
WEEKDAY |= {"tues": 1, "thur": 3, "thurs": 3}
_MONTH = {form: n for n, name in enumerate(map(str.lower, MONTHS), 1) for form in (name, name[:3])} | {"sept": 9}

_FIRST_FREE = Question("Which day would suit?", "check_availability knows the first free times: offer those.")


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
    """ "in three days". A weekday may join a number of weeks."""
    day = _moved(here.date(), found)
    return Said(week=Week(_monday(day), day)) if found["unit"] in ("week", "fortnight") else Said(day=day)


def _ahead_of(found: Found, here: datetime) -> Said:
    """ "a week from Thursday", "Thursday week" """
    today, name = here.date(), found["from"]
    away = {"today": 0, "now": 0, "tomorrow": 1}.get(name)
    if away is None:
        away = (WEEKDAY[name] - today.weekday()) % 7
    return Said(day=_moved(today + timedelta(days=away), found))


def _moved(day: date, found: Found) -> date:
    number, unit = count(found.groupdict().get("count") or "a"), found["unit"]
    if unit == "fortnight":
        number, unit = 2 * number, "week"
    # relativedelta stays in the month: a month after the 31st of January is the last of February.
    return day + relativedelta(**{f"{unit}s": number})  # type: ignore[arg-type]


def _weekday(found: Found, here: datetime) -> Said:
    weekday = WEEKDAY[found[2]]
    return Said(weekday=weekday, week=_week(here, 1) if found[1] == "next" else None)


def _week(here: datetime, away: int) -> Week:
    return Week(_monday(here.date() + timedelta(weeks=away)))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _date(found: Found, here: datetime) -> Said:
    """ "the 26th of November". Without a year it is the first from today on. Raises Refused if there is none."""
    day, month = int(found["day"]), _MONTH[found["month"]]
    spoken = found.groupdict().get("year")
    date = _first(here, day, month, int(spoken.replace(" ", "")) if spoken else None)
    if date is None:
        raise Refused(f"There is no {ordinal(day)} of {MONTHS[month - 1]}{f' {spoken}' if spoken else ''}."
                      " Which day should it be?")
    return Said(day=date)


def _numeric(found: Found, here: datetime) -> Said | None:
    """ "01.12.2026", "1.12.26", "12/1", "2026/12/1". None if it is no date in this order."""
    spoken = found.groupdict().get("year")
    year = int(spoken) + (2000 if len(spoken) == 2 else 0) if spoken else None
    date = _first(here, int(found["day"]), int(found["month"]), year)
    return Said(day=date) if date else None


def _first(here: datetime, day: int, month: int, year: int | None) -> date | None:
    """The date in this year, or without a year the first from today on. None if there is none."""
    if year is not None:
        return _on(year, month, day)
    dates = (_on(each, month, day) for each in range(here.year, here.year + 9))
    return next((each for each in dates if each and each >= here.date()), None)


def _day_of_month(found: Found, here: datetime) -> Said | None:
    """ "the 26th" is the first from today on, "the 26th of next month" that one. Raises Refused if there is none."""
    day, named = int(found["day"]), found.groupdict().get("which")
    months = {"this": [0], "next": [1], None: range(13)}[named]
    ahead = [_month(here, each) for each in months]
    dates = [each for month in ahead if (each := _on(month.year, month.month, day)) and (named or each >= here.date())]
    if not dates and named:
        raise Refused(f"There is no {ordinal(day)} in {MONTHS[ahead[0].month - 1]}. Which day should it be?")
    return Said(day=dates[0]) if dates else None


def _weekday_of_month(found: Found, here: datetime) -> Said | None:
    """ "the first Monday in December", "the last Friday of this month". Without a year the first from today on."""
    nth, weekday, month = found["nth"], WEEKDAY[found["weekday"]], found.groupdict().get("month")
    if month is None:
        months = [_month(here, 1 if found["which"] == "next" else 0)]
    else:
        spoken = found.groupdict().get("year")
        years = [int(spoken.replace(" ", ""))] if spoken else [here.year, here.year + 1]
        months = [first for year in years if (first := _on(year, _MONTH[month], 1))]
    dates = [each for first in months if (each := _nth(first, nth, weekday))]
    if not dates and months:
        name, of = WEEKDAYS[weekday], MONTHS[months[0].month - 1]
        raise Refused(f"There is no {nth} {name} in {of}. Which day should it be?")
    return Said(day=next((each for each in dates if each >= here.date()), dates[-1])) if dates else None


def _nth(first: date, nth: str, weekday: int) -> date | None:
    """The nth date of that weekday in the month that begins on `first`, or None."""
    if nth == "last":
        day = first + relativedelta(months=1, days=-1)
        return day - timedelta(days=(day.weekday() - weekday) % 7)
    day = first + timedelta(days=(weekday - first.weekday()) % 7, weeks=int(nth[0]) - 1)
    return day if day.month == first.month else None


def _month(here: datetime, away: int) -> date:
    """The first day of the month that is `away` months ahead of this one."""
    return here.date().replace(day=1) + relativedelta(months=away)


def _on(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


A_WEEKDAY = f"(?:{'|'.join(WEEKDAY)})"
MONTH_NAMES = f"(?:{'|'.join(_MONTH)})"
_A_MONTH = f"(?P<month>{MONTH_NAMES})"
_A_DAY = "(?P<day>[0-9]{1,2})"
_NTH_DAY = f"{_A_DAY}(?:st|nd|rd|th)"
_ANY_DAY = f"{_A_DAY}(?:st|nd|rd|th)?"
_YEAR = "(?P<year>[0-9]{4}|20 [0-9]{2})"
_A_YEAR = f"(?: of)? {_YEAR}"
_WHICH_MONTH = "(?:(?P<which>this|next) month|month)"
_SPAN = f"(?P<count>{COUNT}) (?P<unit>day|week|fortnight|month|year)s?"
_FROM = f"(?P<from>today|tomorrow|{A_WEEKDAY})"
_NTH = f"(?P<nth>[1-5](?:st|nd|rd|th)|last) (?P<weekday>{A_WEEKDAY})(?: of| in)?"
_ISO_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}|[0-9]{4}-?w[0-9]{2}-?[0-9]"
_DD, _MM, _YY = "(?P<day>[0-9]{1,2})", "(?P<month>[0-9]{1,2})", "(?P<year>[0-9]{4}|[0-9]{2})"

DAYS: tuple[Rule, ...] = (
    (rf"(?:at )?({_ISO_DATE})(?:t([0-9:.]+)(z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?)?", _written),
    (r"(?:later )?today", _after(days=0)),
    (r"tomorrow", _after(days=1)),
    (r"day after tomorrow", _after(days=2)),
    (rf"(?:(this|next|coming|this coming) )?({A_WEEKDAY})", _weekday),
    (r"(?:of )?(?:later )?this week", lambda found, here: Said(week=_week(here, 0))),
    (r"(?:of )?next week", lambda found, here: Said(week=_week(here, 1))),
    (r"(?:of )?week after next", lambda found, here: Said(week=_week(here, 2))),
    (r"(?:as soon|as early) as possible|asap|(?:right )?now|immediately|next available(?: time| slot| appointment)?",
     fixed(Said(question=_FIRST_FREE))),
    (r"(?:at )?(?:this )?weekend", lambda found, here: Said()),                  # its day is still open
    (rf"in {_SPAN}", _ahead),
    (rf"{_SPAN} (?:from|after) {_FROM}", _ahead_of),
    (rf"{_SPAN} from (?P<from>now)", _ahead_of),
    # "a fortnight on Friday", "two weeks today", "Tuesday week"
    (rf"(?P<count>{COUNT}) (?P<unit>week|fortnight)s? {_FROM}", _ahead_of),
    (rf"(?<![0-9] )(?P<unit>week|fortnight) {_FROM}", _ahead_of),
    (rf"{_FROM} (?P<unit>week|fortnight)", _ahead_of),
    (_NTH_DAY, _day_of_month),
    (rf"{_NTH_DAY}(?: of)? (?P<which>this|next) month", _day_of_month),
    (rf"(?P<which>this|next) month {_NTH_DAY}", _day_of_month),
    (rf"{_NTH} {_WHICH_MONTH}", _weekday_of_month),
    # One rule with a year and one without, because a "20 27" after it may be a time.
    *((rf"{_NTH} {_A_MONTH}{year}", _weekday_of_month) for year in ("", _A_YEAR)),
    *((rf"{_ANY_DAY}(?: of)? {_A_MONTH}{year}", _date) for year in ("", _A_YEAR)),
    *((rf"(?:in )?{_A_MONTH} {_ANY_DAY}{year}", _date) for year in ("", _A_YEAR)),
    (rf"{_DD}\.{_MM}\.{_YY}", _numeric),
    (rf"{_DD}\.{_MM}(?! (?:[ap]m|h|uhr))", _numeric),
    (rf"{_DD}([/-]){_MM}\2{_YY}", _numeric),
    (rf"{_MM}([/-]){_DD}\2{_YY}", _numeric),
    (rf"{_DD}/{_MM}", _numeric),
    (rf"{_MM}/{_DD}", _numeric),
    (rf"(?P<year>[0-9]{{4}})([/.-]){_MM}\2{_DD}", _numeric),
)
