"""What the model is told before a call."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from bridge.openai_side import prompt
from bridge.tools.hand_over import hand_over
from bridge.tools.registry import Tools
from bridge.tools.tool import CallContext

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=ZoneInfo("Europe/Berlin"))


def told(*, caller_number: str = "+15551234567", business: str = "") -> str:
    functions = Tools(hand_over()).for_call()
    return prompt.instructions("You sell boats.", NOW, caller_number, business, functions.prompt(CallContext(NOW)))


def test_the_owner_s_words_come_first_and_as_they_are() -> None:
    assert told().startswith("You sell boats.\n\n")


@pytest.mark.parametrize(("now", "said"), [
    (NOW, "It is now Monday, 23 November 2026, 09:05, time zone Europe/Berlin (UTC+01:00)."),
    (datetime(2027, 7, 1, 23, 59, tzinfo=ZoneInfo("America/New_York")),
     "It is now Thursday, 1 July 2027, 23:59, time zone America/New_York (UTC-04:00)."),
    (datetime(2027, 1, 2, 0, 0, 30, 5, tzinfo=ZoneInfo("Asia/Kathmandu")),
     "It is now Saturday, 2 January 2027, 00:00, time zone Asia/Kathmandu (UTC+05:45)."),
    (datetime(2027, 1, 2, 12, 0, tzinfo=ZoneInfo("UTC")),
     "It is now Saturday, 2 January 2027, 12:00, time zone UTC (UTC+00:00)."),
    (datetime(2027, 1, 2, 12, 0, tzinfo=UTC), "It is now Saturday, 2 January 2027, 12:00, time zone UTC (UTC+00:00)."),
])
def test_the_model_knows_the_local_date_weekday_time_and_zone(now: datetime, said: str) -> None:
    assert prompt.moment(now) == said
    assert said in prompt.instructions("", now, "")


def test_the_caller_s_number_is_known_and_not_asked_for() -> None:
    assert "The caller's phone number is +15551234567; do not ask for it." in told()


def test_nothing_is_said_of_the_number_of_a_caller_who_hides() -> None:
    assert "phone number" not in told(caller_number="")


def test_what_is_told_of_the_business_comes_before_the_end_of_the_call() -> None:
    assert "\n\nOpening hours: always.\n\nWhen the conversation is over" in told(business="Opening hours: always.")


def test_the_model_may_always_end_the_call() -> None:
    assert "end_call" in told()


def test_the_greeting_is_to_be_said_word_for_word_by_the_same_person() -> None:
    words = "Grüß Gott! This is Bridge Dental.\nHow can I help?"
    asked = prompt.greeting("You sell boats.", words)
    assert asked.startswith("You sell boats.\n\n")
    assert asked.endswith("\n\n" + words)
    assert "exactly" in asked
