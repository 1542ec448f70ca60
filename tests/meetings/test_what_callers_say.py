"""The table what_callers_say.txt holds, and no reading is one that nobody means: no hour or minute comes out unsaid."""

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.meetings.schedule import OpeningHours, Refused, Rules, resolve
from bridge.meetings.spoken import TENS, UNITS, number

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=BERLIN)
FAR = timedelta(days=800)
ANY_TIME = Rules(BERLIN, maximum_notice=FAR)
OFFICE = Rules(BERLIN, opening=OpeningHours.parse("Mon-Fri 09:00-17:00; Sat 10:00-13:00"), maximum_notice=FAR)
TABLE = Path(__file__).with_name("what_callers_say.txt")

#: How each question of the table begins or ends.
QUESTIONS = {
    "half": r"Is that in the morning, or in the afternoon or evening\?",
    "twelve": r"Is that at noon, or at midnight\?.*",
    "11 or 23": r"Is that shortly before noon, or shortly before midnight\?",
    "time": r"At what time of day should it be\?",
    "day": r"Which day should it be\?",
    "day and time": r"Which day should it be, and at what time\?",
    "begin": r"At what time exactly should it begin\?",
    "several": r"Those are several times\. Which one should it be\?",
    "which date": r"Is that \w+day the \d+\w\w of \w+ \d{4}, or \w+day the \d+\w\w of \w+ \d{4}\?",
    "weekday": r"That day is a \w+day\. Which day is meant\?",
    "no such day": r"There is no .*\. Which day should it be\?",
    "zone": r"I do not know that time zone\. Which large city has the same time\?",
    "length": r"A meeting takes thirty minutes\. Is that all right\?",
    "free": r"Which day would suit\?",
    "passed": r".* has already passed\. Which later (?:day|time) would suit\?",
    "outside": r".*(?:[Ww]e are open|closed on).* Which other time would suit\?",
    "not understood": r"I did not understand the day and the time\. Which day is it, and at what time\?",
}


class Row(NamedTuple):
    said: str
    meant: str
    meant_at_the_office: str


def rows() -> list[Row]:
    lines = [line for line in TABLE.read_text().partition("\n##")[2].splitlines() if "|" in line]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [Row(said, meant, other[0] if other else meant) for said, meant, *other in cells]


ROWS = rows()


def told(said: str, rules: Rules) -> tuple[str, Refused | None]:
    """As the table has it, and what was refused."""
    try:
        return f"{resolve(said, rules, NOW):%a %Y-%m-%d %H:%M}", None
    except Refused as refused:
        names = [name for name, question in QUESTIONS.items() if re.fullmatch(question, str(refused))]
        assert len(names) == 1, f"{refused} is {names or 'none'} of the questions"
        return f"? {names[0]}", refused


@pytest.mark.parametrize("row", ROWS, ids=[row.said for row in ROWS])
def test_it_means_what_the_table_says(row: Row) -> None:
    assert told(row.said, ANY_TIME)[0] == row.meant
    assert told(row.said, OFFICE)[0] == row.meant_at_the_office


def test_the_table_has_every_question_and_nothing_twice() -> None:
    said = [row.said for row in ROWS]
    assert len(said) > 300 and len(said) == len(set(said))
    told = {cell.removeprefix("? ") for row in ROWS for cell in row[1:] if cell.startswith("?")}
    assert told == set(QUESTIONS)


@pytest.mark.parametrize("row", [row for row in ROWS if "?" in row.meant], ids=lambda row: row.said)
def test_every_refusal_tells_the_model_how_to_pass_the_moment(row: Row) -> None:
    for rules in (ANY_TIME, OFFICE):
        _, refused = told(row.said, rules)
        assert refused is None or re.search(r"\b[Pp]ass\b|check_availability", refused.how) and refused.how[-1] == "."


def test_what_a_refusal_asks_for_is_understood_when_it_is_passed() -> None:
    for said in ("tomorrow at 09:00", "tomorrow at 21:00", "tomorrow at 11:45", "tomorrow at 23:45", "tomorrow at noon",
                 "tomorrow at midnight as the day begins", "tomorrow at midnight as the day ends",
                 "tomorrow at ten minutes to three pm", "the 1st of December 2026 at 10 am", "2026-12-01T15:30"):
        assert told(said, ANY_TIME)[1] is None


# ---- no reading that nobody means

NUMBERS = {**{word: n for n, word in enumerate(UNITS)}, **{ten: 20 + 10 * n for n, ten in enumerate(TENS)}}
#: The minutes that clocks' faces show; others are not said before an hour without the word "minutes".
FACE = {5, 10, 20, 25}
BEFORE = {"to", "till", "before", "of"}
UTC_RULES = Rules(ZoneInfo("UTC"))
UTC_NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def numbers_in(words: list[str]) -> set[int]:
    found = [int(each) if each.isdigit() else NUMBERS.get(each) for each in words]
    both = {ten + unit for ten, unit in zip(found, found[1:], strict=False)
            if ten and unit and ten in range(20, 60, 10) and unit < 10}
    return {each for each in found if each is not None} | both


def said_minutes(words: list[str]) -> set[int]:
    """Every minute that these words can name, counted by hand and not by the grammar."""
    numbers = numbers_in(words)
    minutes = {0} | {each for each in numbers if each < 60}
    minutes |= {15} if "quarter" in words else set()
    minutes |= {30} if "half" in words else set()
    if BEFORE & set(words):
        minutes |= {60 - each for each in numbers if each in FACE or each <= 30 and {"minute", "minutes"} & set(words)}
        minutes |= {45} if "quarter" in words else set()
    return minutes


def said_hours(words: list[str]) -> set[int]:
    """Every hour that these words can name, on the face of a clock."""
    hours = {each % 12 for each in numbers_in(words)} | ({0} if {"noon", "midnight"} & set(words) else set())
    return hours | ({(each - 1) % 12 for each in hours} if BEFORE & set(words) else set())


spoken_numbers = st.integers(0, 59).flatmap(lambda n: st.sampled_from([str(n), number(n)]))
tokens = spoken_numbers | st.sampled_from([
    *"to to to till past after before of from between and until - : . h or at for half quarter a minutes noon midnight "
     "oclock oh hundred hours am pm uhr the in morning afternoon evening night".split()])
clock_talk = st.lists(tokens, min_size=1, max_size=6) | st.tuples(
    st.sampled_from(["", "at", "from"]), spoken_numbers, st.sampled_from(["", "minutes"]),
    st.sampled_from(["to", "till", "past", "-", "until", "after", ":", ".", "h", " "]), spoken_numbers,
    st.sampled_from(["", "am", "pm", "in the morning", "in the afternoon"])).map(list)


@settings(deadline=None, max_examples=300)
@given(clock_talk)
@example(["2", "to", "3", "pm"])
@example(["nine", "to", "ten", "am"])
@example(["at", "10", "to", "12", "am"])
def test_no_result_has_an_hour_or_a_minute_that_was_not_said(talk: list[str]) -> None:
    said = "tomorrow " + " ".join(filter(None, talk)).replace(" : ", ":").replace(" . ", ".")
    try:
        start = resolve(said, UTC_RULES, UTC_NOON)
    except Refused:
        return
    words = re.findall(r"[a-z]+|[0-9]+", said)
    assert start.minute in said_minutes(words), said
    assert start.hour % 12 in said_hours(words), said


HOURS = range(1, 25)


@pytest.mark.parametrize("at", ["", "at"])
@pytest.mark.parametrize("spoken", [str, number], ids=["digits", "words"])
def test_two_hours_are_never_minutes_before_the_hour(at: str, spoken: type[str]) -> None:
    """But for those of a clock's face, where nobody means as many hours as lie between."""
    for one, other in product(HOURS, HOURS):
        said = " ".join(f"tomorrow {at} {spoken(one)} to {spoken(other)} pm".split())
        try:
            start = resolve(said, UTC_RULES, UTC_NOON)
        except Refused:
            continue
        between = (other - one) % 12
        assert one in FACE and other <= 12 and start.minute == 60 - one, said
        assert one == 20 or between == 0 or between > (3 if at else 8), said


@given(st.integers(1, 12), st.integers(1, 31), st.sampled_from([2026, 2027]), st.sampled_from("/-"))
@settings(deadline=None)
def test_a_date_in_numbers_is_the_one_it_can_be_or_asked_about(one: int, other: int, year: int, sign: str) -> None:
    def on(month: int, day: int) -> str | None:
        try:
            return f"{datetime(year, month, day):%Y-%m-%d}"
        except ValueError:
            return None
    possible = {day for day in (on(one, other), on(other, one) if other <= 12 else None) if day}
    result, refused = told(f"{one}{sign}{other}{sign}{year} at 10:00", ANY_TIME)
    if len(possible) == 2:
        assert result == "? which date"
    elif possible and min(possible) > "2026-11-23":
        assert refused is None and possible == {result[4:14]}
    else:
        assert refused
