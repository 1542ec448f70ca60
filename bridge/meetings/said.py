"""What a text says about a day and a time, in pieces that are joined.

Pure. Each rule of days.py and clock.py makes a piece. words.py joins the pieces. schedule.py makes an instant of them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

NOON, DAY = 12 * 60, 24 * 60

#: How the model passes a moment. It names no date, because the model might take it for the caller's.
HOW = ("Pass the day and the time together, in English: a weekday or a date with the month as a word, and the time "
       "with am or pm or in 24-hour notation with two digits (09:00, 15:30); or all as a local ISO 8601 date and time. "
       "What the caller has said already, add yourself: do not ask for it again.")


class Refused(Exception):
    """No meeting can be made of this. The message is a sentence for the caller's ear.

    `how` tells the model how to pass the moment, so that the caller need not say the same again.
    """

    def __init__(self, message: str, how: str = "") -> None:
        super().__init__(message)
        self.how = how


class Question(NamedTuple):
    """A question for the caller, and how the model passes the answer."""

    text: str
    how: str = HOW

    def refusal(self) -> Refused:
        return Refused(self.text, self.how)


class Times(NamedTuple):
    """The minutes of the day that a clock time may mean, the likeliest first. From 1440 on they are the next day's.

    `sure`: the first is meant. `written`: it is 24-hour notation, such as "10:00". The first is meant, unless the
    business is closed then and open at another.
    """

    minutes: tuple[int, ...]
    sure: bool = False
    written: bool = False


class Week(NamedTuple):
    """The week that begins on `monday`. Without a weekday, `day` is meant."""

    monday: date
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a text says, local to the zone that is meant. None stands for what it does not say.

    `weekday`: 0 for Monday. `part`: the range of minutes of the day in which the time lies, the end not included.
    `fold`: 0 before the clocks go back, 1 after. `moment`: an instant that was said in full (an offset, or "in two
    hours"). `length`: how long the meeting is to be, in minutes. `question`: must be asked before this is a moment.
    """

    day: date | None = None
    weekday: int | None = None
    week: Week | None = None
    times: Times | None = None
    part: tuple[int, int] | None = None
    fold: int | None = None
    moment: datetime | None = None
    length: int | None = None
    question: Question | None = None

    @property
    def has_day(self) -> bool:
        return self.named_day is not None or self.weekday is not None

    @property
    def named_day(self) -> date | None:
        """The date that was said. None for a weekday alone, whose date depends on the time."""
        week, weekday = self.week, self.weekday
        in_week = week and (week.day if weekday is None else week.monday + timedelta(days=weekday))
        return self.day or in_week

    @property
    def agrees(self) -> bool:
        """Whether everything that was said about the day is true of its date."""
        day = self.named_day
        if day is None:
            return True
        in_week = Said(week=self.week, weekday=self.weekday).named_day if self.day else day
        return self.weekday in (None, day.weekday()) and in_week in (None, day)

    def minutes(self) -> tuple[int, ...]:
        """The minutes of the day that the time may mean. None of them if it contradicts itself."""
        if self.times is None:
            return ()
        if self.part is None:
            return self.times.minutes[:1] if self.times.sure else self.times.minutes
        begin, end = self.part
        return tuple(minute for minute in self.times.minutes if begin <= minute < end)


_SAYS = tuple(each.name for each in fields(Said))


def joined(one: Said, other: Said) -> Said | None:
    """What both say together, or None if they contradict each other."""
    both: dict[str, Any] = {}
    for name in _SAYS:
        mine, new = getattr(one, name), getattr(other, name)
        if mine is None or new is None or mine == new:
            both[name] = new if mine is None else mine
        elif name == "part":                         # "tomorrow morning at ten a.m."
            both[name] = (max(mine[0], new[0]), min(mine[1], new[1]))
        else:
            return None
    return Said(**both)


Found = re.Match[str]
#: What a rule makes of a match. The date-time is what the listener's clock shows. None: the rule does not apply.
Meaning = Callable[[Found, datetime], Said | None]
#: A pattern over plain text, and its meaning.
Rule = tuple[str, Meaning]


def fixed(said: Said) -> Meaning:
    """The meaning of a rule that always says the same."""
    return lambda found, here: said


#: "an hour", "two hours"
COUNT = "(?:an?|[0-9]{1,3})"


def count(word: str | None) -> int:
    return 0 if word is None else 1 if word in ("a", "an") else int(word)
