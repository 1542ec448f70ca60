"""The grammar's rules for a time of day.

Pure. No rule makes a minute that was not said: "ten to three" is ten minutes before three, "2 to 3" names two hours.
Words that may mean either are asked about. "Half three" is half past three, as the British say it. The half of the day
stays open for a number up to twelve, except in 24-hour notation with two digits: 09:00, 10:30, 10h30.
"""

from datetime import UTC, datetime, timedelta

from bridge.meetings.days import A_WEEKDAY, MONTH_NAMES, WEEKDAY
from bridge.meetings.said import COUNT, DAY, NOON, Found, Question, Rule, Said, Times, count, fixed

#: "At five to six" may be the begin and the end of a meeting. "Tuesday ten to four" may be when the caller has time.
#: The longest that callers mean by each, in hours.
_LONGEST_MEETING, _LONGEST_DAY = 3, 8

_ONE_TIME = ("Pass only the time at which it begins, and minutes before an hour with that word: 'ten minutes to "
             "three'. If the caller has said it, do not ask again.")
_SPAN_OF_TIME = Question("At what time exactly should it begin?", _ONE_TIME)
_WHICH_TWELVE = Question(
    "Is that shortly before noon, or shortly before midnight?", "Pass it in 24-hour notation, such as 11:45 or 23:45.")


def _time(found: Found, here: datetime) -> Said | None:
    """ "10:30", "10 30", "ten", "fifteen". The half of the day is open for a number up to twelve."""
    hour, minute = int(found["hour"]), int(found.groupdict().get("minute") or 0)
    if hour > 23 or minute > 59:
        return None
    if not 1 <= hour <= 12:
        return Said(times=Times((hour * 60 + minute,), sure=True))
    return Said(times=_either(hour * 60 + minute, sure=found["hour"].startswith("0")))


def _notation(found: Found, here: datetime) -> Said | None:
    """ "10:30", "10h30". With two digits it is 24-hour notation."""
    if (found["hour"], found["minute"] or "00") == ("24", "00"):
        return Said(times=Times((DAY,), sure=True))
    said = _time(found, here)
    if said and said.times and not said.times.sure and len(found["hour"]) == 2:
        written = int(found["hour"]) * 60 + int(found["minute"] or 0)
        said = Said(times=Times((written, (written + NOON) % DAY), written=True))
    return said


def _military(found: Found, here: datetime) -> Said | None:
    """ "1500 hours", "ten hundred hours" """
    hour, minute = int(found["hour"]), int(found.groupdict().get("minute") or 0)
    return Said(times=Times((hour * 60 + minute,), sure=True)) if hour < 24 else None


def _either(minute: int, sure: bool = False) -> Times:
    """The two times at which a clock's face shows this, in the first and in the second half of the day."""
    return Times((minute % NOON, minute % NOON + NOON), sure and minute < NOON)


def _beside(found: Found, here: datetime) -> Said | None:
    """ "half past ten", "ten to three", "a quarter past midnight" """
    said = found.groupdict()
    away = {"quarter": 15, "half": 30}.get(found["away"]) or int(found["away"])
    hour = {"noon": 12, "midday": 12, "midnight": 24}.get(found["hour"]) or int(found["hour"])
    before = said.get("side") in ("to", "till", "before", "of")
    if away > 59 or before and away > 30:
        return None
    minute = hour * 60 + (-away if before else away)
    match found["hour"]:
        case "noon" | "midday":
            return Said(times=Times((minute,), sure=True))
        case "midnight":
            return Said(times=_midnight(minute - DAY) if minute >= DAY else Times((minute,), sure=True))
    if not 1 <= hour <= 23:
        return None
    return Said(times=_either(minute) if hour <= 12 else Times((minute,), sure=True))


def _hours(found: Found, here: datetime) -> Said | None:
    """ "2 to 3", "10-12", "from ten to three". The begin is still open. None if nobody means two hours by it."""
    begin, end = _hour(found["begin"]), _hour(found["end"])
    if begin is None or end is None:
        return None
    if found["sep"] == "and" and not found["from"]:
        return None
    if found["sep"] in ("to", "till") and found["begin"] in ("5", "10", "20") and not found["from"]:
        # It may mean minutes, like "ten to nine", "twenty to three" and "five to midnight".
        longest = _LONGEST_MEETING if found["at"] else _LONGEST_DAY
        if found["end"] == "midnight" or end <= 12 and (begin > 12 or not 1 <= (end - begin) % 12 <= longest):
            return None
    return Said(times=_either(begin * 60), question=_SPAN_OF_TIME)


def _bound(found: Found, here: datetime) -> Said | None:
    """ "after three", "not before 10:30" """
    hour = _hour(found["begin"])
    return None if hour is None else Said(times=_either(hour * 60), question=_SPAN_OF_TIME)


def _hour(text: str) -> int | None:
    """The hour of "3", "3:30", "3 pm" or "noon", or None if there is none."""
    hour = {"noon": 12, "midday": 12, "midnight": 24}.get(text) or int(text[:2] if text[:2].isdigit() else text[:1])
    return None if text == "0" or hour > 24 else hour


def _midnight(past: int = 0) -> Times:
    """A day has two midnights, and which one is meant is open. `past`: minutes after it."""
    return Times((past, past + DAY))


def _edge(found: Found, here: datetime) -> Said:
    """ "as the day begins", "as Friday ends" """
    return Said(weekday=WEEKDAY[found[1]] if found[1] else None, part=_EDGES[found[2]])


def _elapsed(found: Found, here: datetime) -> Said:
    """ "in an hour and a half", counted from now and rounded up to a whole minute."""
    moment = here.astimezone(UTC) + timedelta(minutes=_minutes(found))
    return Said(moment=moment + timedelta(seconds=-moment.second % 60, microseconds=-moment.microsecond))


def _lasting(found: Found, here: datetime) -> Said:
    return Said(length=_minutes(found))


def _minutes(found: Found) -> int:
    said = found.groupdict()
    quarters = {"quarter": 15, "half": 30}.get(said.get("part") or "", 0)
    return 60 * count(said.get("hours")) + quarters * (count(said.get("parts")) or 1) + count(said.get("minutes"))


#: The minutes of the day that each word covers. Midnight has words of its own: "twelve in the morning" is not clear.
_PARTS = {"morning": (60, NOON), "afternoon": (NOON, 19 * 60), "evening": (16 * 60, DAY), "night": (20 * 60, DAY),
          "lunch": (11 * 60, 15 * 60)}
_EDGES = {**dict.fromkeys(("begin", "start", "beginning"), (0, 60)), "end": (DAY, DAY + 60)}

_HOUR = "(?P<hour>[0-9]{1,2})"
_MINUTE = "(?P<minute>[0-5][0-9])"
#: Not followed by a number, unless that number begins a date.
_ALONE = rf"(?! [0-9]{{1,2}}(?:$| (?!(?:of )?{MONTH_NAMES})))"
_OCLOCK = "(?: oclock)?"
_OF_DAY = "(?P<hour>[0-9]{1,2}|noon|midday|midnight)" + _OCLOCK
_ON_A_FACE = "(?P<hour>1[0-2]|[1-9]|noon|midday|midnight)" + _OCLOCK
_TO = "(?P<side>to|till)(?! 12 [ap]m)"
_HOURS, _MINUTES = "(?:h|hrs?|hours?)", "(?:min|mins|minutes?)"
_SPANS = (
    "(?:an? )?(?P<part>half)(?: an)? hour",
    "(?:an? |(?P<parts>3) )?(?P<part>quarter)s? of an hour",
    f"(?P<hours>{COUNT}) {_HOURS} and an? (?P<part>half|quarter)",
    f"(?P<hours>{COUNT}) and a (?P<part>half) {_HOURS}",
    f"(?P<hours>{COUNT}) ?{_HOURS}(?:(?: and)? (?P<minutes>{COUNT}) {_MINUTES})?",
    f"(?P<minutes>{COUNT}) ?{_MINUTES}",
)
#: A time as one end of a span. It has no named groups.
_END = r"(?:[0-9]{1,2}(?:[:.h ][0-5][0-9])?(?: oclock|(?: uhr|h))?(?: [ap]m)?(?![0-9:.])|noon|midday|midnight)"

_BOUND = ("(?:(?:any|some) ?time )?(?:after|before|from|until|till|by|(?:at )?(?:earliest|latest)|"
          "(?:not|no) (?:before|after|later than|earlier than))")

CLOCK: tuple[Rule, ...] = (
    (rf"(?:at )?{_HOUR}:(?P<minute>[0-9]{{2}})(?::00)?(?: ?(?:h|hrs|hours|uhr))?", _notation),
    (rf"(?:at )?{_HOUR} ?(?:h|uhr)(?: ?{_MINUTE})?(?: ?(?:h|uhr))?", _notation),
    # "3.30" is a time, because no date has a 30th month. "At" or "pm" makes a time of 3.05 too.
    (rf"(?:at )?{_HOUR}\.(?P<minute>1[3-9]|[2-5][0-9]|0[05]|10)(?: ?(?:h|uhr))?", _notation),
    (rf"at {_HOUR}\.{_MINUTE}(?: ?(?:h|uhr))?", _notation),
    (rf"{_HOUR}\.{_MINUTE}(?: ?(?:h|uhr)|(?= [ap]m))", _notation),
    (rf"at (?P<hour>[0-2][0-9]){_MINUTE}(?! [ap]m)", _notation),
    (rf"(?:at )?{_HOUR}{_MINUTE}(?= [ap]m)", _time),
    (rf"(?:at )?(?P<hour>[0-2][0-9]){_MINUTE} ?(?:h|hrs|hours)", _military),
    (rf"(?:at )?{_HOUR} hundred(?: hours| hrs)?", _military),
    (rf"(?:at )?(?:oh|o|0) {_HOUR}(?: {_MINUTE}| hundred(?: hours)?)", _military),
    (rf"(?:at )?{_HOUR} {_MINUTE}", _time),
    (rf"(?:at )?{_HOUR} (?:oh|o|0) (?P<minute>[1-9])", _time),
    # In "5 may 10 am" five is the day, and "10 10" is one time.
    (rf"at {_HOUR}{_ALONE}", _time),
    (rf"{_HOUR}(?! (?:of )?{MONTH_NAMES}){_ALONE}", _time),
    (rf"(?:at )?{_HOUR} oclock", _time),
    # Without the word "minutes", the number before an hour is one of a clock's face.
    (rf"(?:at )?(?P<away>half) past {_OF_DAY}", _beside),
    (rf"(?:at )?(?P<away>half) (?P<hour>1[0-2]|[1-9]){_OCLOCK}", _beside),
    (rf"(?:at )?(?:a )?(?P<away>quarter) (?P<side>past|after|before|of) {_OF_DAY}", _beside),
    (rf"(?:at )?(?:a )?(?P<away>quarter) {_TO} {_OF_DAY}", _beside),
    (rf"(?:at )?(?P<away>[0-9]{{1,2}}) (?P<side>past) {_OF_DAY}", _beside),
    (rf"(?:at )?(?P<away>5|10|20|25) (?P<side>after|of) {_OF_DAY}", _beside),
    (rf"(?:at )?(?P<away>5|10|20|25) {_TO} {_ON_A_FACE}", _beside),
    (rf"(?:at )?(?P<away>[0-9]{{1,2}}) minutes? (?P<side>past|after|before) {_OF_DAY}", _beside),
    (rf"(?:at )?(?P<away>[0-9]{{1,2}}) minutes? {_TO} {_OF_DAY}", _beside),
    # People say this for 23:45 as well as for 11:45.
    (r"(?:at )?(?:a )?(?:quarter|20|25|[0-9]{1,2} minutes) (?:to|till) 12 [ap]m", fixed(Said(question=_WHICH_TWELVE))),
    (rf"(?:(?P<at>at) )?(?:(?P<from>from|between) )?(?P<begin>{_END}) ?(?P<sep>to|till|until|through|and|-) ?"
     rf"(?P<end>{_END})", _hours),
    (rf"{_BOUND} (?P<begin>{_END})(?: onwards?)?", _bound),
    (r"(?:at )?(?:12 )?(?:noon|midday)", fixed(Said(times=Times((NOON,), sure=True)))),
    (r"(?:at )?(?:12 )?midnight", fixed(Said(times=_midnight()))),
    # "any time on Tuesday", "same time next week": the time is still open
    (r"(?:at )?(?:(?:any|some|same|this) ?time)", fixed(Said())),
    (r"am", fixed(Said(part=(0, NOON)))),
    (r"pm", fixed(Said(part=(NOON, DAY)))),
    (r"(?:(?:in|at) )?(?:early |late |mid )?(morning|afternoon|evening|night)(?: of)?",
     lambda found, here: Said(part=_PARTS[found[1]])),
    (r"(?:at |over )?(lunch)(?: ?time)?", lambda found, here: Said(part=_PARTS[found[1]])),
    (r"1st thing", fixed(Said(part=_PARTS["morning"]))),
    (r"(?:later )?this (morning|afternoon|evening)", lambda found, here: Said(day=here.date(), part=_PARTS[found[1]])),
    # The end is included, for "midnight tonight".
    (r"tonight", lambda found, here: Said(day=here.date(), part=(16 * 60, DAY + 1))),
    (rf"as (?:day|it|({A_WEEKDAY})) (begin|end|start)s", _edge),
    (r"(?:at )?(start|beginning|end) of(?: day)?", lambda found, here: Said(part=_EDGES[found[1]])),
    (r"before clocks (?:go back|change)", fixed(Said(fold=0))),
    (r"after clocks (?:go back|change)", fixed(Said(fold=1))),
    *((f"in {span}", _elapsed) for span in _SPANS),
    *((f"{span} from now", _elapsed) for span in _SPANS),
    *((f"for {span}", _lasting) for span in _SPANS),
    (r"for [0-9]{1,2}(?: people| persons| guests| of us)?", fixed(Said())),     # how many people, and not when
)
