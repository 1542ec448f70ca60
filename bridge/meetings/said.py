"""What a text says about a day and a time, in pieces that are joined.

Pure. The rules of days.py and clock.py each make one piece, words.py joins them, schedule.py makes an instant of it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

NOON, DAY = 12 * 60, 24 * 60

#: How the model passes a moment. No date is named that it might take for the caller's.
HOW = ("Pass the day and the time together, in English: a weekday or a date with the month as a word, and the time "
       "with am or pm or in 24-hour notation with two digits (09:00, 15:30); or all as a local ISO 8601 date and time. "
       "What the caller has said already, add yourself: do not ask for it again.")


class Refused(Exception):
    """No meeting can be made of this; the message is a sentence for the caller's ear.

    `how` is for the model: how it can pass the moment, so that the caller is not made to say the same again.
    """

    def __init__(self, message: str, how: str = "") -> None:
        super().__init__(message)
        self.how = how


class Question(NamedTuple):
    """What the caller has to be asked, and how the model passes the answer."""

    text: str
    how: str = HOW

    def refusal(self) -> Refused:
        return Refused(self.text, self.how)


class Times(NamedTuple):
    """The minutes of the day that a clock time may mean, from 1440 on the next day's; the likeliest one first.

    `sure`: it is the first. `written`: it is the first, as "10:00" is in 24-hour notation, unless the business is
    closed then and open at another one.
    """

    minutes: tuple[int, ...]
    sure: bool = False
    written: bool = False


class Week(NamedTuple):
    """The week that begins on `monday`; `day` is meant where no weekday is named."""

    monday: date
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What a text says; None where it does not say it. All of it is local to the zone that is meant.

    `weekday`: 0 for Monday. `part`: the minutes of the day from which up to which the time lies. `fold`: 0 before the
    clocks go back, 1 after. `moment`: an instant, said in full (an offset, or "in two hours"). `length`: how long the
    meeting is to be, minutes. `question`: what has to be asked before this is a moment.
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
        """The date that was said, but for a weekday alone, which depends on the time."""
        week, weekday = self.week, self.weekday
        in_week = week and (week.day if weekday is None else week.monday + timedelta(days=weekday))
        return self.day or in_week

    @property
    def agrees(self) -> bool:
        """Whether all that was said of the day is true of its date."""
        day = self.named_day
        if day is None:
            return True
        in_week = Said(week=self.week, weekday=self.weekday).named_day if self.day else day
        return self.weekday in (None, day.weekday()) and in_week in (None, day)

    def minutes(self) -> tuple[int, ...]:
        """The minutes of the day that the time may mean: none if it contradicts itself."""
        if self.times is None:
            return ()
        if self.part is None:
            return self.times.minutes[:1] if self.times.sure else self.times.minutes
        begin, end = self.part
        return tuple(minute for minute in self.times.minutes if begin <= minute < end)


_SAYS = tuple(each.name for each in fields(Said))


def joined(one: Said, other: Said) -> Said | None:
    """What both say; None if they contradict each other."""
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
#: What a rule makes of what it found, told to someone whose clock shows this; None if it is nothing.
Meaning = Callable[[Found, datetime], Said | None]
#: A pattern over plain text, and its meaning.
Rule = tuple[str, Meaning]


def fixed(said: Said) -> Meaning:
    """The meaning of a rule that says the same whatever it found."""
    return lambda found, here: said


#: "an hour", "two hours"
COUNT = "(?:an?|[0-9]{1,3})"


def count(word: str | None) -> int:
    return 0 if word is None else 1 if word in ("a", "an") else int(word)
