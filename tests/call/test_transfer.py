"""A caller who is connected with a person, and one who comes back."""

import json
from typing import Any

import pytest

from bridge.call import words
from bridge.call.history import History
from bridge.call.leaving import TAIL_MS
from bridge.call.steps import HangUp, Transfer
from bridge.records.endings import Ending
from tests.stage.talk import CLIPS, PEOPLE, TIMING, Talk, asks, begins, clips, ends, greeted, press, retold, says, until


def transfer_call(talk: Talk, arguments: str) -> None:
    talk.model(type="response.output_item.done", response_id="r", item={
        "id": "f", "type": "function_call", "status": "completed", "name": "transfer_call", "call_id": "call",
        "arguments": arguments})


def output(talk: Talk) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(talk.sent("conversation.item.create")[-1]["item"]["output"])
    return answer


def test_the_caller_hears_of_the_transfer_before_it_is_done() -> None:
    talk = greeted(people=PEOPLE)
    begins(talk, "r", "a", "I connect you with support.")
    transfer_call(talk, '{"to": "support"}')
    assert output(talk)["status"] == "connecting"
    talk.done("r")
    assert not any(isinstance(step, Transfer) for step in talk.steps)
    talk.marks_return()
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [Transfer("support")]


def test_a_transfer_without_a_word_is_announced_first() -> None:
    talk = greeted(people=("human",))
    talk.begins("r")
    transfer_call(talk, "{}")
    talk.done("r")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING
    says(talk, "c", "a", "I connect you.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [Transfer("human")]


@pytest.mark.parametrize("arguments", ['{"to": "+15551234567"}', '{"to": 5}', "{", "{}", '["sales"]'])
def test_nobody_but_the_owners_people_can_be_called(arguments: str) -> None:
    talk = greeted(people=PEOPLE)
    talk.begins("r")
    transfer_call(talk, arguments)
    assert "sales, support" in output(talk)["error"]
    talk.done("r")
    assert talk.requests[-1].startswith("answer")


def test_a_caller_who_speaks_before_the_transfer_stays() -> None:
    talk = greeted(people=PEOPLE)
    begins(talk, "r", "a", "I connect you with sales.")
    transfer_call(talk, '{"to": "sales"}')
    talk.caller_speaks()
    talk.done("r", "cancelled")
    until(talk, talk.now + 60_000)
    assert not any(isinstance(step, Transfer) for step in talk.steps)


def test_a_transfer_that_fails_is_told_to_the_caller() -> None:
    talk = greeted(people=PEOPLE)
    talk.take(talk.dialogue.transfer_failed(talk.now))
    assert retold(talk) == [words.TRANSFER_FAILED]
    assert talk.requests[-1].startswith("answer")


def test_the_operators_key_cuts_the_assistant_off_and_asks_for_the_first_person() -> None:
    talk = greeted(people=PEOPLE, operator_key="0")
    begins(talk, "r", "a", "A long answer.")
    press(talk, "0")
    assert talk.heard("clear") and talk.sent("response.cancel")
    talk.done("r", "cancelled")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING
    says(talk, "c", "b", "I connect you.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [Transfer("sales")]


def test_a_caller_who_wants_a_person_amid_a_booking_hears_what_came_of_it_first() -> None:
    talk = greeted(people=PEOPLE, operator_key="0")
    talk.begins("r")
    talk.calls("r", "schedule_meeting")
    talk.done("r")
    press(talk, "0")
    talk.returns()
    says(talk, "booked", "a", "You are booked.", request=talk.requests[-1])
    says(talk, "c", "b", "I connect you.", request=talk.requests[-1])
    assert [request.partition("_")[0] for request in talk.requests] == ["greeting", "answer", "farewell"]
    talk.time_passes()
    assert talk.steps == [Transfer("sales")]


def test_a_caller_who_wants_a_person_is_not_answered_first() -> None:
    talk = greeted(people=PEOPLE, operator_key="0")
    begins(talk, "r", "a", "A long answer.")
    press(talk, "1#0")
    talk.done("r", "cancelled")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING


def test_a_key_takes_back_the_end_of_the_call() -> None:
    talk = greeted()
    begins(talk, "r", "a", "Goodbye.")
    talk.calls("r", "end_call")
    press(talk, "1#")
    ends(talk, "r", "a")
    says(talk, "one", "b", "You have pressed 1.", request=talk.requests[-1])
    until(talk, talk.now + 60_000)
    assert talk.steps == [] and len(talk.requests) == 2


def test_a_goodbye_that_met_another_response_is_not_said_once_it_was_taken_back() -> None:
    talk = greeted()
    talk.begins("r")
    talk.calls("r", "end_call")
    talk.done("r")
    talk.begins("faster")
    talk.model(type="error", error={
        "code": "conversation_already_has_active_response", "event_id": talk.requests[-1]})
    asks(talk, "c", "Wait!")
    talk.done("faster", "cancelled")
    says(talk, "r2", "a", "Yes?")
    assert [request.partition("_")[0] for request in talk.requests] == ["greeting", "farewell"]


def test_the_operators_key_during_a_goodbye_is_no_end_but_a_transfer() -> None:
    talk = greeted(people=PEOPLE, operator_key="0")
    begins(talk, "r", "a", "Goodbye.")
    talk.calls("r", "end_call")
    press(talk, "0")
    talk.done("r", "cancelled")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING


def test_the_operators_key_pressed_twice_does_not_skip_the_announcement() -> None:
    talk = greeted(people=PEOPLE, operator_key="0")
    press(talk, "0")
    begins(talk, "c", "a", "I conn", request=talk.requests[-1])
    press(talk, "0")
    talk.done("c", "cancelled")
    assert talk.steps and talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING


def test_an_answer_on_its_way_when_the_operators_key_is_pressed_is_not_heard() -> None:
    talk = greeted(people=PEOPLE, operator_key="0")
    press(talk, "1#")
    press(talk, "0")
    talk.begins("r", talk.requests[-1])
    assert [message["response_id"] for message in talk.sent("response.cancel")] == ["r"]


def test_a_caller_who_is_being_connected_does_not_wait_in_silence() -> None:
    talk = greeted(clips=CLIPS, people=PEOPLE, operator_key="0")
    press(talk, "0")
    says(talk, "c", "a", "I connect you.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [Transfer("sales")] and not talk.dialogue.quiet
    until(talk, talk.now + TIMING.hush_ms)
    assert clips(talk) == ["moment"]
    talk.take(talk.dialogue.transfer_failed(talk.now))
    says(talk, "sorry", "b", "Nobody is there.", request=talk.requests[-1])
    until(talk, talk.now + 2 * TIMING.hush_ms)
    assert clips(talk) == ["moment"]


def test_a_transfer_that_fails_after_the_time_was_used_up_does_not_keep_the_call() -> None:
    talk = greeted(most_ms=30_000, people=PEOPLE, operator_key="0")
    until(talk, 29_000)
    press(talk, "0")
    says(talk, "c", "a", "I connect you.", request=talk.requests[-1])
    until(talk, 30_000)
    talk.take(talk.dialogue.transfer_failed(talk.now))
    says(talk, "bye", "b", "The time is over.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp(Ending.TIME_USED_UP)]


def test_the_operators_key_amid_other_digits_is_a_digit() -> None:
    talk = greeted(people=PEOPLE, operator_key="0")
    press(talk, "10#")
    assert retold(talk) == [words.pressed("10")]


def test_a_caller_who_comes_back_is_not_greeted_and_hears_what_happened() -> None:
    history = History()
    history.noted("c", "I need help with my invoice.")
    talk = Talk(protect=True)
    talk.dialogue = talk.dialogue.followed_by(history, words.TRANSFER_UNANSWERED)
    talk.open()
    assert retold(talk) == ["I need help with my invoice.", words.TRANSFER_UNANSWERED]
    assert talk.requests == ["answer_1"]


def test_what_happened_to_one_who_came_back_is_told_until_it_was_answered() -> None:
    history = History()
    history.noted("c", "I need help with my invoice.")
    talk = Talk()
    talk.dialogue = talk.dialogue.followed_by(history, words.TRANSFER_UNANSWERED)
    talk.open()
    talk.breaks()
    talk.connects()
    assert retold(talk)[-1] == words.TRANSFER_UNANSWERED
    says(talk, "r", "a", "Nobody answered.", request=talk.requests[-1])
    talk.breaks()
    talk.connects()
    assert retold(talk)[-1] == words.RESUMED


def test_one_who_comes_back_to_a_session_that_was_set_up_to_greet_is_listened_to() -> None:
    history = History()
    history.noted("c", "I need help with my invoice.")
    talk = Talk(protect=True)
    talk.connects()                                  # before the phone said which call it is
    talk.dialogue = talk.dialogue.followed_by(history, words.TRANSFER_UNANSWERED)
    talk.take(talk.dialogue.started("MZ" + "0" * 32, talk.now))
    assert talk.sent("session.update")[0]["session"]["audio"]["input"]["turn_detection"]
    assert talk.requests == ["answer_1"]


def test_one_who_comes_back_to_a_session_that_listens_is_heard_at_once() -> None:
    history = History()
    history.noted("c", "I need help with my invoice.")
    talk = Talk()
    talk.connects()
    talk.dialogue = talk.dialogue.followed_by(history, words.TRANSFER_UNANSWERED)
    talk.take(talk.dialogue.started("MZ" + "0" * 32, talk.now))
    assert not talk.sent("session.update")
