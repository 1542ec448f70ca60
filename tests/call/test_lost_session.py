"""What each side hears when the model's session is lost, and another one goes on in its place."""

import pytest

from bridge.call import words
from bridge.call.floor import RETRIES
from bridge.call.steps import HangUp, Reconnect, Step
from bridge.records.endings import Ending
from bridge.tools.tool import Output
from tests.stage.talk import TIMING, Talk, asks, begins, ends, greeted, press, retold, says, until


def test_a_new_session_goes_on_where_the_other_stopped() -> None:
    talk = greeted()
    asks(talk, "c1", "When do you open?")
    begins(talk, "r", "a1", "We open at nine.")
    talk.breaks()
    talk.to_model.clear()
    talk.connects()
    kinds = [message["type"] for message in talk.to_model]
    assert kinds == ["conversation.item.create"] * 4 + ["response.create"]
    assert retold(talk)[:2] == ["Hello there.", "When do you open?"]
    assert retold(talk)[-1] == words.RESUMED
    assert talk.requests[-1].startswith("answer")


def test_a_session_lost_while_nobody_spoke_is_followed_by_one_that_waits_for_the_caller() -> None:
    talk = greeted()
    talk.breaks()
    talk.to_model.clear()
    talk.connects()
    assert retold(talk) == ["Hello there.", words.RESUMED]
    assert talk.requests == []


def test_nothing_reaches_the_old_session_and_the_callers_words_meanwhile_reach_the_new_one() -> None:
    talk = greeted()
    talk.frame("AAAA", at=20)
    talk.breaks()
    before = len(talk.to_model)
    talk.frame("BBBB", at=40)
    assert len(talk.to_model) == before
    talk.connects()
    assert [message["audio"] for message in talk.sent("input_audio_buffer.append")] == ["AAAA", "BBBB"]
    assert talk.to_model[-1]["type"] == "input_audio_buffer.append"      # the conversation so far comes first


def test_a_caller_who_was_speaking_is_asked_to_say_it_again() -> None:
    talk = greeted()
    talk.caller_speaks()
    talk.caller_stops()
    talk.model(type="conversation.item.added", item={"id": "c", "type": "message", "role": "user"})
    talk.breaks()
    talk.connects()
    assert words.INAUDIBLE in retold(talk)[-1]
    assert talk.requests[-1].startswith("answer")


def test_a_greeting_of_which_nothing_was_heard_is_spoken_by_the_next_session() -> None:
    talk = Talk(protect=True).open()
    talk.begins("greeting", "greeting_1")
    talk.breaks()
    assert not talk.dialogue.listens
    talk.connects()
    assert talk.requests == ["greeting_1", "greeting_2"] and retold(talk) == []


def test_a_greeting_that_broke_off_is_not_begun_anew() -> None:
    talk = Talk(protect=True).open()
    begins(talk, "greeting", "hello", "Hello, this is", request="greeting_1")
    talk.speaks("greeting", "hello")
    talk.breaks()
    assert talk.dialogue.listens
    talk.connects()
    assert talk.requests[-1].startswith("answer") and words.RESUMED in retold(talk)


def test_a_function_that_returns_while_there_is_no_session_is_told_to_the_next_one() -> None:
    talk = greeted()
    talk.begins("r")
    talk.calls("r", "schedule_meeting")
    talk.done("r")
    talk.breaks()
    talk.to_model.clear()
    talk.take(talk.dialogue.function_returned(
        "call", Output({"status": "confirmed"}, note="Booked. (meeting_id m1)"), talk.now))
    assert talk.to_model == []
    talk.connects()
    kinds = [message["item"]["type"] for message in talk.sent("conversation.item.create")]
    assert kinds == ["message", "function_call", "function_call_output", "message"]
    assert "Booked. (meeting_id m1)" in retold(talk)[-1]
    assert talk.requests[-1].startswith("answer")


def test_a_function_that_returns_after_the_new_session_is_told_with_its_call() -> None:
    talk = greeted()
    talk.begins("r")
    talk.calls("r", "schedule_meeting")
    talk.done("r")
    talk.breaks()
    talk.connects()
    talk.to_model.clear()
    talk.returns()
    assert [message["item"]["type"] for message in talk.sent("conversation.item.create")] == [
        "function_call", "function_call_output"]


def test_what_still_plays_of_the_old_session_can_be_interrupted_and_is_told_anew() -> None:
    talk = greeted()
    begins(talk, "r", "a1", "word " * 3)
    talk.frame(at=100)
    talk.breaks()
    talk.connects()
    talk.to_model.clear()
    talk.caller_speaks()
    assert talk.heard("clear")
    assert not talk.sent("conversation.item.truncate")
    assert [message["item_id"] for message in talk.sent("conversation.item.delete")] == ["a1"]


def test_a_goodbye_that_was_lost_is_said_by_the_next_session() -> None:
    talk = greeted()
    talk.begins("r")
    talk.calls("r", "end_call")
    talk.done("r")
    talk.breaks()
    talk.connects()
    farewell = talk.sent("response.create")[-1]
    assert "goodbye" in farewell["response"]["instructions"]
    says(talk, "bye", "b", "Goodbye.", request=farewell["event_id"])
    talk.time_passes()
    assert talk.steps == [HangUp(Ending.ASSISTANT_ENDED)]


def test_a_goodbye_that_breaks_off_is_said_once_more_and_once_only() -> None:
    talk = greeted()
    begins(talk, "r", "a", "Well then, good")
    talk.calls("r", "end_call")
    talk.breaks()                                    # before the response is done
    talk.marks_return()
    talk.connects()
    says(talk, "bye", "b", "Goodbye.", request=talk.requests[-1])
    talk.time_passes()
    assert talk.steps == [HangUp(Ending.ASSISTANT_ENDED)]
    assert [request.partition("_")[0] for request in talk.requests] == ["greeting", "farewell"]


def test_a_renewed_session_knows_everything_and_says_nothing() -> None:
    talk = greeted()
    assert talk.dialogue.quiet
    talk.to_model.clear()
    talk.take(talk.dialogue.model_renewed(talk.now))
    assert retold(talk) == ["Hello there.", words.RESUMED] and talk.requests == []
    talk.frame("AAAA", at=20)
    assert talk.to_model[-1] == {"type": "input_audio_buffer.append", "audio": "AAAA"}


def test_a_moment_is_quiet_only_when_nobody_speaks_and_nothing_is_awaited() -> None:
    talk = greeted()
    talk.caller_speaks()
    assert not talk.dialogue.quiet
    talk.caller_stops()
    assert not talk.dialogue.quiet
    begins(talk, "r", "a", "Yes.")
    assert not talk.dialogue.quiet
    talk.done("r")
    assert not talk.dialogue.quiet                   # the caller still hears it
    talk.marks_return()
    assert talk.dialogue.quiet


def test_a_moment_amid_digits_or_before_the_end_is_not_quiet() -> None:
    talk = greeted()
    press(talk, "1")
    assert not talk.dialogue.quiet
    press(talk, "#")
    says(talk, "r", "a", "Yes.", request=talk.requests[-1])
    assert talk.dialogue.quiet
    begins(talk, "bye", "b", "Goodbye.")
    talk.calls("bye", "end_call")
    ends(talk, "bye", "b")
    assert not talk.dialogue.quiet


def test_a_response_that_brings_nothing_is_taken_for_a_dead_session() -> None:
    talk = greeted()
    asks(talk, "c", "Hello?")
    talk.begins("r")
    until(talk, talk.now + TIMING.mute_ms)
    assert talk.steps == [Reconnect("the model answers with nothing")]


def test_sessions_that_all_answer_nothing_end_the_call() -> None:
    talk = greeted()
    asks(talk, "c", "Hello?")
    seen: list[Step] = []
    for _ in range(RETRIES + 1):
        while not talk.steps or not isinstance(talk.steps[0], Reconnect | HangUp):
            talk.time_passes()
        seen += talk.steps
        talk.breaks()
        talk.connects()
    assert [type(step) for step in seen] == [Reconnect] * RETRIES + [HangUp]


def test_a_turn_whose_answer_is_limited_is_answered_after_a_short_pause() -> None:
    talk = greeted()
    asks(talk, "c", "Hello?")
    talk.model(type="error", error={"code": "rate_limit_exceeded", "event_id": None})
    until(talk, talk.now + TIMING.retry_ms)
    assert talk.requests[-1].startswith("answer")


@pytest.mark.parametrize("amid", ["a request", "a response", "a pause"])
def test_what_was_awaited_of_a_lost_session_is_not_awaited_any_more(amid: str) -> None:
    talk = greeted()
    press(talk, "1#")
    if amid != "a request":
        talk.begins("r", talk.requests[-1])
    if amid == "a pause":
        talk.done("r", "failed")
    talk.breaks()
    assert talk.dialogue.deadline is None
    talk.connects()
    assert len(talk.requests) == 3


def test_an_output_that_a_lost_session_did_not_acknowledge_is_known_to_the_next_one() -> None:
    talk = greeted()
    talk.begins("r")
    talk.calls("r", "schedule_meeting")
    talk.done("r")
    talk.returns()
    talk.breaks()
    talk.connects()
    asked = talk.requests[-1]
    begins(talk, "own", "a", "You are booked.")
    talk.model(type="error", error={"code": "conversation_already_has_active_response", "event_id": asked})
    ends(talk, "own", "a")
    assert talk.requests[-1] == asked


def test_a_turn_that_the_new_session_answers_by_itself_is_answered_once() -> None:
    talk = greeted()
    asks(talk, "c", "When do you open?")
    begins(talk, "r", "a1", "We open at")
    talk.breaks()
    talk.connects()
    asked = talk.requests[-1]
    asks(talk, "c2", "Hello?")                       # it was in the audio that was kept
    begins(talk, "own", "a2", "Yes, we open at nine.")
    talk.model(type="error", error={"code": "conversation_already_has_active_response", "event_id": asked})
    ends(talk, "own", "a2")
    assert talk.requests[-1] == asked
