"""The stamp in a call's record: what the caller was told of the recording, whether it was heard, what was answered."""

import json
from typing import Any

import pytest

from bridge.call.consent import Consent, Notice
from bridge.call.events import AssistantSaid, AssistantSpeaks, Connected, Consented, Event

TOLD = "This call is recorded."


def stamp(*events: Event, how: str = "told", words: str = TOLD) -> dict[str, Any]:
    consent = Consent(Notice("told" if how == "told" else "asked", words))
    for at, event in enumerate(events):
        consent.hear(event, at * 100)
    found: dict[str, Any] = json.loads(consent.text) if consent.text else {}
    return found


@pytest.mark.parametrize(("said", "heard"), [
    ("This call is recorded. Hello!", True), ("this call is recorded — hello", True), ("This call is", False),
    ("Hello!", False)])
def test_it_says_whether_the_announcement_was_heard_to_its_end(said: str, heard: bool) -> None:
    found = stamp(Connected(), AssistantSpeaks("g", "greeting"), AssistantSaid(said, "g", 900, 900))
    assert found == {"how": "told", "words": TOLD, "at_ms": 100, "heard": heard, "agreed": None, "agreed_ms": None}


def test_words_that_are_not_the_greeting_are_no_announcement() -> None:
    found = stamp(AssistantSpeaks("g", "greeting"), AssistantSpeaks("a", "answer"), AssistantSaid(TOLD, "a", 900, 900))
    assert not found["heard"]


def test_it_is_empty_where_no_greeting_was_heard() -> None:
    assert stamp(Connected(), AssistantSpeaks("a", "answer"), AssistantSaid(TOLD, "a", 900, 900)) == {}


def test_without_an_announcement_nothing_is_claimed() -> None:
    assert stamp(AssistantSpeaks("g", "greeting"), AssistantSaid("Hello!", "g", 900, 900), words="") == {}


def test_the_last_answer_counts() -> None:
    found = stamp(AssistantSpeaks("g", "greeting"), Consented(True), Consented(False), how="asked")
    assert (found["agreed"], found["agreed_ms"]) == (False, 200)
