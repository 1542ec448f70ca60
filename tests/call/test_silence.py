"""Nobody is left in silence: a caller who waits hears a word, and one who says nothing is asked."""

import pytest

from bridge.call import words
from bridge.call.events import Answered
from bridge.call.leaving import TAIL_MS
from bridge.call.steps import HangUp
from bridge.records.endings import Ending
from bridge.twilio_side import media_streams
from tests.stage.talk import CLIPS, TIMING, Talk, asks, begins, clips, greeted, press, says, until


def test_a_caller_without_a_model_hears_a_word_after_a_second_and_again() -> None:
    talk = greeted(clips=CLIPS)
    talk.breaks()
    lost = talk.now
    until(talk, lost + TIMING.hush_lost_ms - 1)
    assert clips(talk) == []
    until(talk, lost + TIMING.hush_lost_ms)
    assert clips(talk) == ["moment"]
    talk.marks_return()
    until(talk, talk.now + TIMING.hush_again_ms)
    assert clips(talk) == ["moment", "still_here"]


def test_what_still_plays_is_no_silence() -> None:
    talk = greeted(clips=CLIPS)
    begins(talk, "r", "a", "A long answer.")
    talk.breaks()
    until(talk, talk.now + 5 * TIMING.hush_lost_ms)
    assert clips(talk) == []
    talk.marks_return()
    until(talk, talk.now + TIMING.hush_lost_ms)
    assert clips(talk) == ["moment"]


def test_a_caller_who_waits_for_the_first_session_hears_a_word() -> None:
    talk = Talk(clips=CLIPS)
    talk.take(talk.dialogue.started("MZ" + "0" * 32, 0))
    until(talk, TIMING.hush_first_ms)
    assert clips(talk) == ["moment"]


def test_a_model_that_thinks_for_long_is_bridged_and_one_that_answers_is_not() -> None:
    talk = greeted(clips=CLIPS)
    asks(talk, "c", "Hm?")
    talk.begins("r")
    until(talk, talk.now + TIMING.hush_ms)
    assert clips(talk) == ["moment"]
    talk.marks_return()
    talk.speaks("r", "a")
    until(talk, talk.now + 2 * TIMING.hush_ms)
    assert clips(talk) == ["moment"]


def test_what_the_caller_has_just_heard_puts_a_recorded_word_off() -> None:
    talk = greeted(clips=CLIPS)
    asks(talk, "c", "Hm?")
    talk.begins("r")
    until(talk, TIMING.hush_ms - 100)
    talk.speaks("r", "a")
    talk.marks_return()
    until(talk, 2 * TIMING.hush_ms - 101)
    assert clips(talk) == []


def test_no_word_is_said_over_the_caller() -> None:
    talk = greeted(clips=CLIPS)
    talk.caller_speaks()
    until(talk, talk.now + 60_000)
    assert clips(talk) == []


def test_the_caller_may_talk_over_a_recorded_word_and_the_model_hears_nothing_of_it() -> None:
    talk = greeted(clips=CLIPS)
    talk.breaks()
    until(talk, talk.now + TIMING.hush_lost_ms)
    talk.connects()
    talk.to_model.clear()
    talk.caller_speaks()
    assert talk.heard("clear")
    assert not talk.sent("conversation.item.truncate") and not talk.sent("conversation.item.delete")


# ---- a silent caller

def test_a_silent_caller_is_asked_once_and_then_left() -> None:
    talk = greeted(silence_prompt_ms=12_000)
    heard = talk.now
    until(talk, heard + 11_999)
    assert len(talk.requests) == 1
    until(talk, heard + 12_000)
    asked = talk.sent("response.create")[-1]
    assert asked["response"]["instructions"] == words.STILL_THERE
    says(talk, "there", "t", "Are you still there?", request=asked["event_id"])
    until(talk, talk.now + 12_000)
    bye = talk.sent("response.create")[-1]
    assert bye["response"]["instructions"] == words.NOBODY_THERE
    says(talk, "bye", "b", "Goodbye.", request=bye["event_id"])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp(Ending.CALLER_SILENT)]


@pytest.mark.parametrize("sign", ["speech", "key"])
def test_a_caller_who_gives_a_sign_is_asked_from_the_beginning(sign: str) -> None:
    talk = greeted(silence_prompt_ms=12_000)
    until(talk, 12_000)
    says(talk, "there", "t", "Are you still there?", request=talk.requests[-1])
    if sign == "speech":
        asks(talk, "c", "Yes!")
        says(talk, "yes", "y", "Good.")
    else:
        press(talk, "1#")
        says(talk, "yes", "y", "Good.", request=talk.requests[-1])
    until(talk, talk.now + 12_000)
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.STILL_THERE


@pytest.mark.parametrize("happens", ["the session is renewed", "a lone hash", "the question fails"])
def test_a_caller_who_stays_silent_is_asked_whatever_happens_meanwhile(happens: str) -> None:
    talk = greeted(silence_prompt_ms=12_000)
    match happens:
        case "the session is renewed":
            talk.take(talk.dialogue.model_renewed(talk.now))
        case "a lone hash":
            press(talk, "#")
        case "the question fails":
            until(talk, 12_000)
            talk.begins("there", talk.requests[-1])
            talk.done("there", "failed")
    asked = len(talk.requests)
    until(talk, talk.now + 12_000)
    assert len(talk.requests) == asked + 1


def test_a_question_that_was_lost_with_its_session_is_asked_by_the_next_one() -> None:
    talk = greeted(silence_prompt_ms=12_000)
    until(talk, 12_000)
    talk.breaks()
    talk.connects()
    asked = talk.sent("response.create")[1:]
    assert [message["response"]["instructions"] for message in asked] == [words.STILL_THERE] * 2


def test_a_question_that_the_caller_has_answered_is_not_asked_again() -> None:
    talk = greeted(silence_prompt_ms=12_000)
    until(talk, 12_000)
    talk.begins("there", talk.requests[-1])
    talk.caller_speaks()
    talk.breaks()
    talk.connects()
    assert [request.partition("_")[0] for request in talk.requests] == ["greeting", "notice", "answer"]


def test_silence_counts_from_what_the_caller_has_heard() -> None:
    talk = greeted(silence_prompt_ms=12_000)
    begins(talk, "r", "a", "A long answer.")
    talk.done("r")
    until(talk, talk.now + 9_000)
    talk.marks_return()                              # it played for so long
    until(talk, talk.now + 12_000 - 1)
    assert len(talk.requests) == 1


def test_a_caller_who_waits_for_a_function_is_not_silent() -> None:
    talk = greeted(silence_prompt_ms=12_000)
    talk.begins("r")
    talk.calls("r", "check_availability")
    talk.done("r")
    until(talk, talk.now + 900)
    assert talk.dialogue.deadline is not None and talk.dialogue.deadline < talk.now + 12_000
    assert not talk.dialogue.quiet


# ---- the measure of an answer

def test_the_time_to_an_answer_is_measured_from_the_callers_last_word_to_its_sound_at_the_phone() -> None:
    talk = greeted()
    talk.dialogue._plan.turn_detection["silence_duration_ms"] = 500
    talk.told.clear()
    talk.now = 10_000
    asks(talk, "c", "Hello?")
    talk.now = 10_400
    begins(talk, "r", "a", "Hello.")
    talk.now = 10_450
    first = next(each for each in talk.to_caller if each["event"] == "mark" and not each.get("back"))
    talk.take(talk.dialogue.from_caller(
        media_streams.Mark(media_streams.MarkBody(first["mark"]["name"])), talk.now))
    [answered] = [each for each in talk.told if isinstance(each, Answered)]
    assert answered.seconds == pytest.approx(0.95)
