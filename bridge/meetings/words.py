"""Understands what a text says about a day and a time.

Pure. It is a small grammar, because a meeting is a promise:

1. Every word counts. The rules of GRAMMAR and the courtesies of plain.py cover all of the text, or it is refused.
2. All ways to cover it are found. If they differ in meaning, the caller is asked which one is meant.
3. A missing day, or half of the day, stays open here. schedule.py asks for it.

The libraries for this guess. dateutil (fuzzy), parsedatetime and recurrent read "Tuesday 2 to 3 pm" as three o'clock,
"not tomorrow at noon" as tomorrow at noon, and "tomorrow at half three" as nine or as no time. They and dateparser read
"01.12.2026" as the 12th of January. Microsoft's recognizers find both halves of a day, but skip unknown words like the
others ("Tuesday week" is this Tuesday), and are not maintained any more. tests/meetings/what_callers_say.txt lists
phrases with their meaning.
"""

import re
from dataclasses import replace
from datetime import datetime

from bridge.meetings.clock import CLOCK
from bridge.meetings.days import DAYS
from bridge.meetings.said import HOW, Question, Refused, Said, joined
from bridge.meetings.spoken import date_of

#: The longest text that may name a moment, in characters.
LONGEST = 200
NOT_UNDERSTOOD = "I did not understand the day and the time. Which day is it, and at what time?"
ONE_OF_SEVERAL = "Those are several times. Which one should it be?"

_MONTH_AS_A_WORD = "Pass the month as a word, or the date as ISO 8601. If the caller has said it, do not ask again."

GRAMMAR = tuple((re.compile(f"(?:{pattern})(?: |$)", re.ASCII), meaning) for pattern, meaning in (*DAYS, *CLOCK))


def understand(text: str, here: datetime) -> Said:
    """What a `plain` text says to a listener whose clock shows `here`, an aware date-time. Raises Refused.

    Use `schedule.resolve` for a caller's words. It calls this, and applies the zone and the rules.
    """
    ways = _ways(text, here)
    if not ways:
        several = {"or", "and"} & set(text.split())
        raise Refused(ONE_OF_SEVERAL if several else NOT_UNDERSTOOD, HOW)
    # A way that contradicts itself is dropped if another does not: its date is not the weekday that was said, or "ten
    # to three in the afternoon" would begin at ten.
    ways = {way for way in ways if way.agrees} or ways
    ways = {way for way in ways if way.minutes() or not way.times} or ways
    for way in sorted(ways, key=repr):
        if way.question:
            raise way.question.refusal()
    if len(ways) > 1:
        raise _which(ways).refusal()
    return ways.pop()


def _ways(text: str, here: datetime) -> set[Said]:
    """Everything that the text may mean as a whole."""
    reached: dict[int, set[Said]] = {0: {Said()}}
    for at in range(len(text)):
        for rule, meaning in GRAMMAR if at in reached else ():
            found = rule.match(text, at)
            piece = found and meaning(found, here)
            if found and piece:
                both = {joined(said, piece) for said in reached[at]}
                reached.setdefault(found.end(), set()).update(said for said in both if said)
    return reached.get(len(text), set())


def _which(ways: set[Said]) -> Question:
    """Asks which of several readings is meant."""
    days = sorted({way.day for way in ways if way.day})
    if len(days) == len(ways) == 2 and len({replace(way, day=None) for way in ways}) == 1:
        one, other = (f"{date_of(day)} {day.year}" for day in days)
        return Question(f"Is that {one}, or {other}?", _MONTH_AS_A_WORD)
    return Question("That can be understood in two ways. Which day is it, and at what time?")
