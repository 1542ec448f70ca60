"""What becomes of a call whose answers fail: what passes, what every call would meet, and what says when it is over."""

import logging
from typing import Any

import pytest

from bridge.call.floor import LONGEST_WAIT_MS, RETRIES
from bridge.call.steps import HangUp, Reconnect, Refusal
from bridge.folding import MOST_KINDS, Folded
from bridge.openai_side import errors
from bridge.records.endings import Ending
from tests.stage.talk import CLIPS, TIMING, Talk, asks, begins, clips, ends, greeted, press, says, until

LIMITED = {
    "type": "requests", "code": "rate_limit_exceeded", "message": "Rate limit reached. Please try again in 6.2s."}


def fails(talk: Talk, response: str, error: dict[str, Any] | None = None) -> None:
    talk.model(type="response.done", response={
        "id": response, "status": "failed", "status_details": {"type": "failed", "error": error}})


def served(talk: Talk) -> bool:
    """Whether an answer was heard to its end since the last look."""
    times, talk.served = talk.served, 0
    return times == 1


# ---- an answer that was heard

def test_an_answer_that_was_heard_to_its_end_is_worth_something_once() -> None:
    talk = greeted()
    assert served(talk)
    asks(talk, "c", "When do you open?")
    begins(talk, "r", "a", "At nine.")
    talk.marks_return()
    assert not served(talk)                          # more of it may come
    talk.done("r")
    assert served(talk)
    talk.marks_return()
    asks(talk, "c2", "And when do you close?")
    begins(talk, "r2", "a2", "At five.")
    talk.done("r2")
    assert not served(talk)                          # the caller still hears it
    talk.marks_return()
    assert served(talk)


@pytest.mark.parametrize("how", ["failed", "cancelled", "incomplete", "lost"])
def test_one_that_broke_off_is_not(how: str) -> None:
    talk = greeted()
    assert served(talk)
    asks(talk, "c", "When do you open?")
    begins(talk, "r", "a", "At nine.")
    talk.breaks() if how == "lost" else talk.done("r", how)
    assert not served(talk)
    talk.marks_return()
    assert not served(talk)


def test_a_session_carries_the_conversation_unless_somebody_waits_for_it() -> None:
    talk = greeted(clips=CLIPS)
    assert talk.dialogue.carried
    talk.caller_speaks()
    assert talk.dialogue.carried
    talk.caller_stops()
    assert not talk.dialogue.carried
    until(talk, 2_500)
    assert clips(talk) and not talk.dialogue.carried         # a recorded word is not its word
    talk.marks_return()
    begins(talk, "r", "a", "Yes?")
    assert talk.dialogue.carried
    talk.marks_return()
    assert not talk.dialogue.carried


def test_answers_that_begin_and_fail_are_given_up_as_others_are() -> None:
    talk = greeted()
    asks(talk, "c", "Hello?")
    for attempt in range(RETRIES + 1):
        begins(talk, f"r{attempt}", f"a{attempt}", "We", request=talk.requests[-1] if attempt else None)
        fails(talk, f"r{attempt}")
        if attempt < RETRIES:
            talk.marks_return()
            until(talk, talk.now + TIMING.retry_ms * RETRIES)
    assert talk.steps == [HangUp(Ending.MODEL_FAILED)]


def test_sessions_that_each_make_one_sound_are_given_up_as_silent_ones_are() -> None:
    talk = greeted()
    asks(talk, "c", "Hello?")
    ended = 0
    for attempt in range(RETRIES + 1):
        begins(talk, f"r{attempt}", f"a{attempt}", "We", request=talk.requests[-1] if attempt else None)
        talk.marks_return()
        talk.now += TIMING.mute_ms
        talk.take(talk.dialogue.time_passed(talk.now + 1_000))
        ended += talk.steps == [HangUp(Ending.MODEL_FAILED)]
        if not ended:
            assert isinstance(talk.steps[0], Reconnect)
            talk.breaks()
            talk.connects()
    assert ended == 1


# ---- what every call would meet

@pytest.mark.parametrize("code", sorted(errors.FATAL))
@pytest.mark.parametrize("where", ["an error", "a response", "a response that the caller cut"])
def test_what_every_call_would_meet_ends_it_at_once_and_says_what_to_do(code: str, where: str) -> None:
    talk = greeted()
    error = {"type": "invalid_request_error", "code": code, "message": "So it is."}
    asks(talk, "c", "Hello?")
    if where == "an error":
        talk.model(type="error", error=error)
    else:
        talk.begins("r")
        if where != "a response":
            talk.caller_speaks()
        fails(talk, "r", error)
    assert talk.steps == [Refusal(f"{code}: So it is. ({errors.FATAL[code]})"), HangUp(Ending.MODEL_REFUSED)]


def test_a_type_counts_as_a_code_does() -> None:
    talk = greeted()
    talk.begins("r")
    fails(talk, "r", {"type": "insufficient_quota", "code": None, "message": ""})
    assert talk.steps[-1] == HangUp(Ending.MODEL_REFUSED)


@pytest.mark.parametrize("error", [None, {"type": "server_error", "code": None}, {"code": "weather"}])
def test_what_may_pass_is_asked_for_again(error: dict[str, Any] | None) -> None:
    talk = greeted()
    talk.begins("r")
    fails(talk, "r", error)
    talk.time_passes()
    assert talk.requests[-1].startswith("answer")


def test_a_complaint_that_comes_again_and_again_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    talk = greeted()
    for _ in range(500):
        talk.model(type="error", error={"type": "invalid_request_error", "code": "invalid_value", "message": "No."})
    talk.model(type="error", error={"type": "invalid_request_error", "code": "unknown_parameter", "message": "No."})
    assert len(caplog.records) == 4                  # the first, the tenth, the hundredth; and the other
    assert "100th time" in caplog.text


def test_kinds_without_end_are_counted_together() -> None:
    folded = Folded()
    lines = [folded.worth_a_line(str(kind)) for kind in range(MOST_KINDS + 1000)]
    assert lines[:MOST_KINDS] == [1] * MOST_KINDS
    assert [each for each in lines[MOST_KINDS:] if each] == [1, 10, 100, 1000]


# ---- a limit that says when it is over

@pytest.mark.parametrize(("message", "seconds"), [
    ("Rate limit reached for gpt-realtime on tokens per min. Please try again in 6.2s. Visit the page.", 6.2),
    ("Please try again in 250ms.", 0.25), ("Please retry after 3 seconds.", 3), ("try again in 1 second", 1),
    ("Please try again in 1m12.5s.", 72.5), ("Try again in 20 minutes", 1200), ("try again in 2h0m0s", 7200),
    ("Please try again in 114h18m0s.", 411480), ("retry after 2 days", 172800),
    ("Please try again later.", None), ("try again in a moment", None), ("", None), ("wait 5s", None),
    ("try again in 5 stones", None), ("try again in 5", None),
])
def test_how_long_to_wait_is_read_from_the_words(message: str, seconds: float | None) -> None:
    assert errors.named_wait_s(message) == pytest.approx(seconds)


@pytest.mark.parametrize("where", ["a response", "a request", "the caller's turn"])
def test_a_named_wait_is_honoured_and_the_caller_hears_a_word_meanwhile(where: str) -> None:
    talk = greeted(clips=CLIPS)
    assert served(talk)
    if where == "a request":
        press(talk, "1#")
        talk.model(type="error", error=LIMITED | {"event_id": talk.requests[-1]})
    else:
        asks(talk, "c", "Hello?")
        if where == "a response":
            talk.begins("r")
            fails(talk, "r", LIMITED)
        else:
            talk.model(type="error", error=LIMITED)
    began, before = talk.now, len(talk.requests)
    while talk.now < began + 6_199:
        until(talk, min(talk.now + 100, began + 6_199))
        talk.marks_return()
    assert len(talk.requests) == before and clips(talk)[:2] == ["moment", "still_here"]
    until(talk, began + 6_201)
    assert len(talk.requests) == before + 1
    says(talk, "again", "a", "Hello.", request=talk.requests[-1])
    assert served(talk)


def test_a_wait_that_is_shorter_than_our_own_pause_does_not_shorten_it() -> None:
    talk = greeted()
    talk.begins("r")
    fails(talk, "r", LIMITED | {"message": "Please try again in 20ms."})
    assert talk.dialogue.deadline == talk.now + TIMING.retry_ms


@pytest.mark.parametrize("message", ["Please try again in 1m0s.", "Please try again in 114h18m0s."])
def test_a_wait_that_no_caller_would_wait_for_is_not_begun(message: str) -> None:
    talk = greeted()
    talk.begins("r")
    fails(talk, "r", LIMITED | {"message": message})
    assert talk.steps == [HangUp(Ending.MODEL_FAILED)]


def test_waits_come_to_an_end() -> None:
    talk = greeted()
    talk.begins("r")
    fails(talk, "r", LIMITED)
    for attempt in range(RETRIES):
        talk.time_passes()
        talk.begins(f"r{attempt}", talk.requests[-1])
        fails(talk, f"r{attempt}", LIMITED)
    assert talk.steps == [HangUp(Ending.MODEL_FAILED)]
    assert talk.now <= (RETRIES + 1) * LONGEST_WAIT_MS


def test_a_caller_who_speaks_during_the_wait_does_not_use_up_the_attempts() -> None:
    talk = greeted()
    assert served(talk)
    asks(talk, "c", "Hello?")
    talk.model(type="error", error=LIMITED)
    over = talk.now + 6_200
    for turn in range(2 * RETRIES):
        talk.now += 500
        asks(talk, f"again{turn}", "Hello?")
        talk.model(type="error", error=LIMITED | {"message": f"Please try again in {(over - talk.now) / 1000}s."})
        assert not any(isinstance(step, HangUp) for step in talk.steps)
    assert talk.dialogue.deadline == pytest.approx(over)
    talk.time_passes()
    begins(talk, "r", "a", "Hello.", request=talk.requests[-1])
    ends(talk, "r", "a")
    assert served(talk)
