"""Which response is asked for, and when: answers that are owed, that fail, or that take their time; and errors."""

import pytest

from bridge.call.floor import RETRIES
from bridge.call.patience import FILLER_MS
from bridge.call.steps import HangUp, Reconnect, Refusal, RunFunction
from bridge.openai_side import errors
from bridge.records.endings import Ending
from tests.stage.talk import TIMING, Talk, until


def books(talk: Talk) -> None:
    """The model has called a function, and has nothing else to say."""
    talk.begins("r")
    talk.calls("r", "schedule_meeting")
    talk.done("r")


# ---- functions

def test_one_response_is_asked_for_after_all_functions_of_a_batch(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting", "one")
    assert greeted.steps == [RunFunction("one", "schedule_meeting", "{}", turn=0)]
    greeted.calls("r", "schedule_meeting", "two")
    greeted.returns("one")
    greeted.done("r")
    assert greeted.requests == ["greeting_1"]
    greeted.returns("two")
    assert len(greeted.requests) == 2
    assert [message["item"]["call_id"] for message in greeted.sent("conversation.item.create")] == ["one", "two"]


def test_no_response_is_asked_for_while_one_is_active(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.returns()
    assert len(greeted.requests) == 1
    greeted.done("r")
    assert len(greeted.requests) == 2


def test_a_function_call_that_was_cut_off_is_not_run(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting", status="incomplete")
    assert greeted.steps == []


def finished_while_the_caller_spoke(greeted: Talk) -> None:
    books(greeted)
    greeted.caller_speaks()
    greeted.returns()


def test_an_answer_to_the_caller_that_saw_the_output_takes_the_place_of_the_one_owed(greeted: Talk) -> None:
    finished_while_the_caller_spoke(greeted)
    greeted.model(type="conversation.item.added", item={"type": "function_call_output", "call_id": "call"})
    greeted.caller_stops()
    greeted.begins("by-itself")
    greeted.speaks("by-itself")
    greeted.done("by-itself")
    assert greeted.requests == ["greeting_1"]


def test_an_answer_that_began_before_the_output_arrived_does_not(greeted: Talk) -> None:
    finished_while_the_caller_spoke(greeted)
    greeted.caller_stops()
    greeted.begins("by-itself")
    greeted.model(type="conversation.item.added", item={"type": "function_call_output", "call_id": "call"})
    greeted.speaks("by-itself")
    greeted.done("by-itself")
    assert len(greeted.requests) == 2


def test_an_answer_the_server_never_gives_is_asked_for(greeted: Talk) -> None:
    finished_while_the_caller_spoke(greeted)
    greeted.caller_stops()
    assert greeted.dialogue.deadline == TIMING.answer_ms
    greeted.time_passes()
    assert len(greeted.requests) == 2


def test_a_request_that_met_another_response_is_made_again_after_it(greeted: Talk) -> None:
    books(greeted)
    greeted.returns()
    greeted.begins("faster")
    greeted.model(type="error", error={
        "type": "invalid_request_error", "code": "conversation_already_has_active_response",
        "event_id": greeted.requests[-1]})
    assert len(greeted.requests) == 2
    greeted.speaks("faster")
    greeted.done("faster")
    assert len(greeted.requests) == 3


def test_a_turn_the_server_could_not_answer_for_a_response_in_its_way_is_answered_after_it(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.caller_stops()
    greeted.model(type="error", error={"code": "conversation_already_has_active_response", "event_id": None})
    greeted.speaks("r")
    greeted.done("r")
    assert len(greeted.requests) == 2


def test_an_answer_that_fails_is_asked_for_again_and_then_given_up(greeted: Talk) -> None:
    for attempt in range(RETRIES + 1):
        greeted.begins(f"r{attempt}", greeted.requests[-1] if attempt else None)
        greeted.done(f"r{attempt}", "failed")
        if not greeted.steps:
            greeted.time_passes()
    assert greeted.steps == [HangUp(Ending.MODEL_FAILED)]
    assert len(greeted.requests) == 1 + RETRIES


def test_an_answer_that_is_given_at_last_forgets_the_failures(greeted: Talk) -> None:
    for round_ in range(RETRIES + 2):
        greeted.begins(f"bad{round_}")
        greeted.done(f"bad{round_}", "failed")
        greeted.time_passes()
        greeted.begins(f"good{round_}", greeted.requests[-1])
        greeted.speaks(f"good{round_}", f"item{round_}")
        greeted.done(f"good{round_}")
    assert not any(isinstance(step, HangUp) for step in greeted.steps)


def test_a_failed_answer_is_out_of_date_when_the_caller_speaks(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.done("r", "failed")
    greeted.caller_speaks()
    assert greeted.dialogue.deadline is None


def test_a_request_without_any_reply_is_made_again_on_another_connection(greeted: Talk) -> None:
    books(greeted)
    greeted.returns()
    greeted.time_passes()
    assert isinstance(greeted.steps[0], Reconnect)
    greeted.breaks()
    greeted.connects()
    assert [request.partition("_")[0] for request in greeted.requests] == ["greeting", "answer", "answer"]


def test_what_returns_while_the_server_is_about_to_answer_is_spoken_about(greeted: Talk) -> None:
    books(greeted)
    greeted.caller_speaks()
    greeted.caller_stops()
    greeted.returns()
    greeted.time_passes()
    assert greeted.requests[-1].startswith("answer")


def test_a_function_that_takes_its_time_is_bridged_by_one_word(greeted: Talk) -> None:
    books(greeted)
    assert greeted.dialogue.deadline == FILLER_MS
    greeted.time_passes()
    filler = greeted.requests[-1]
    assert filler.startswith("filler")
    greeted.begins("filler", filler)
    greeted.speaks("filler")
    greeted.done("filler")
    greeted.marks_return()
    assert greeted.dialogue.deadline is None
    greeted.returns()
    assert greeted.requests[-1].startswith("answer")


def test_no_filler_is_spoken_over_what_the_caller_still_hears(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
    assert "filler" not in greeted.dialogue._bounds
    greeted.now = 500.0
    greeted.marks_return()
    assert greeted.dialogue.deadline == 500 + FILLER_MS


def test_a_fast_function_needs_no_filler(greeted: Talk) -> None:
    books(greeted)
    greeted.returns()
    assert greeted.dialogue.deadline == TIMING.request_ms


def test_no_filler_is_spoken_over_a_caller_who_speaks(greeted: Talk) -> None:
    books(greeted)
    greeted.caller_speaks()
    until(greeted, greeted.now + 2 * FILLER_MS)
    assert greeted.requests == ["greeting_1"]


# ---- errors

@pytest.mark.parametrize("error", [{"code": "insufficient_quota"}, {"type": "invalid_api_key"}])
def test_an_error_that_cannot_be_mended_ends_the_call(greeted: Talk, error: dict[str, str]) -> None:
    greeted.model(type="error", error=error)
    refusal, ending = greeted.steps
    assert isinstance(refusal, Refusal) and ending == HangUp(Ending.MODEL_REFUSED)


@pytest.mark.parametrize("code", sorted(errors.BENIGN))
def test_events_that_crossed_on_the_way_harm_nothing(
    greeted: Talk, code: str, caplog: pytest.LogCaptureFixture,
) -> None:
    greeted.model(type="error", error={"type": "invalid_request_error", "code": code})
    assert greeted.steps == [] and not caplog.records


def test_a_format_that_changes_in_the_call_is_never_relayed(greeted: Talk) -> None:
    pcm = {"format": {"type": "audio/pcm", "rate": 24000}}
    greeted.model(type="session.updated", session={"audio": {"input": pcm, "output": pcm}})
    assert greeted.steps == [HangUp(Ending.WRONG_AUDIO_FORMAT)]
