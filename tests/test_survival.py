"""What each side hears when the model's session is lost, when nobody speaks, and when a call has to end."""

import json
from typing import Any

import pytest

from bridge.call import words
from bridge.call.dialogue import (
    BEGIN_MS, DIGITS_MS, HUSH_AGAIN_MS, HUSH_FIRST_MS, HUSH_LOST_MS, HUSH_MS, LAST_MS, MOST_DIGITS, MUTE_MS, RETRIES,
    RETRY_MS, TAIL_MS, WARNING_MS,
)
from bridge.call.history import History
from bridge.call.steps import Clip, HangUp, Reconnect, Step, Transfer
from bridge.openai_side.prices import Prices
from bridge.twilio_side import media_streams
from tests.talk import Talk

CLIPS = {"moment": Clip("bW9tZW50", 4000), "still_here": Clip("c3RpbGw=", 4000), "goodbye": Clip("Ynll", 8000)}


def greeted(**plan: Any) -> Talk:
    """The greeting was heard; the caller may speak."""
    talk = Talk(**plan).open()
    says(talk, "greeting", "hello", "Hello there.", request="greeting_1")
    return talk


def begins(talk: Talk, response: str, item: str, text: str, request: str | None = None) -> None:
    talk.begins(response, request)
    talk.model(type="conversation.item.added", item={"id": item, "type": "message", "role": "assistant"})
    talk.model(type="response.output_audio_transcript.delta", response_id=response, item_id=item, delta=text)
    talk.speaks(response, item)


def says(talk: Talk, response: str, item: str, text: str, request: str | None = None) -> None:
    """A whole answer, heard to its end."""
    begins(talk, response, item, text, request)
    ends(talk, response, item)


def ends(talk: Talk, response: str, item: str) -> None:
    talk.model(type="response.output_item.done", response_id=response, item={
        "id": item, "type": "message", "role": "assistant", "status": "completed"})
    talk.done(response)
    talk.marks_return()


def asks(talk: Talk, item: str, text: str) -> None:
    """The caller's turn."""
    talk.caller_speaks()
    talk.caller_stops()
    talk.model(type="conversation.item.added", item={"id": item, "type": "message", "role": "user"})
    talk.model(type="conversation.item.input_audio_transcription.completed", item_id=item, transcript=text)


def press(talk: Talk, keys: str) -> None:
    for key in keys:
        talk.take(talk.dialogue.from_caller(media_streams.Dtmf(media_streams.DtmfBody(key)), talk.now))


def retold(talk: Talk) -> list[str]:
    """The texts that the newest session was told, its notes last."""
    items = [message["item"] for message in talk.sent("conversation.item.create")]
    return [item["content"][0]["text"] for item in items if item["type"] == "message"]


def clips(talk: Talk) -> list[str]:
    payloads = [message["media"]["payload"] for message in talk.heard("media")]
    return [name for payload in payloads for name, clip in CLIPS.items() if clip.payload == payload]


def until(talk: Talk, ms: float) -> None:
    """Lets everything happen that is due by then."""
    while talk.dialogue.deadline is not None and talk.dialogue.deadline <= ms:
        talk.time_passes()
    talk.now = ms


# ---- the model's session is lost

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
        "call", {"status": "confirmed", "meeting_id": "m1", "message": "Booked."}, talk.now))
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
    assert talk.steps == [HangUp("assistant ended")]


def test_a_goodbye_that_breaks_off_is_said_once_more_and_once_only() -> None:
    talk = greeted()
    begins(talk, "r", "a", "Well then, good")
    talk.calls("r", "end_call")
    talk.breaks()                                    # before the response is done
    talk.marks_return()
    talk.connects()
    says(talk, "bye", "b", "Goodbye.", request=talk.requests[-1])
    talk.time_passes()
    assert talk.steps == [HangUp("assistant ended")]
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
    until(talk, talk.now + MUTE_MS)
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
    until(talk, talk.now + RETRY_MS)
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


# ---- nobody is left in silence

def test_a_caller_without_a_model_hears_a_word_after_a_second_and_again() -> None:
    talk = greeted(clips=CLIPS)
    talk.breaks()
    lost = talk.now
    until(talk, lost + HUSH_LOST_MS - 1)
    assert clips(talk) == []
    until(talk, lost + HUSH_LOST_MS)
    assert clips(talk) == ["moment"]
    talk.marks_return()
    until(talk, talk.now + HUSH_AGAIN_MS)
    assert clips(talk) == ["moment", "still_here"]


def test_what_still_plays_is_no_silence() -> None:
    talk = greeted(clips=CLIPS)
    begins(talk, "r", "a", "A long answer.")
    talk.breaks()
    until(talk, talk.now + 5 * HUSH_LOST_MS)
    assert clips(talk) == []
    talk.marks_return()
    until(talk, talk.now + HUSH_LOST_MS)
    assert clips(talk) == ["moment"]


def test_a_caller_who_waits_for_the_first_session_hears_a_word() -> None:
    talk = Talk(clips=CLIPS)
    talk.take(talk.dialogue.started("MZ" + "0" * 32, 0))
    until(talk, HUSH_FIRST_MS)
    assert clips(talk) == ["moment"]


def test_a_model_that_thinks_for_long_is_bridged_and_one_that_answers_is_not() -> None:
    talk = greeted(clips=CLIPS)
    asks(talk, "c", "Hm?")
    talk.begins("r")
    until(talk, talk.now + HUSH_MS)
    assert clips(talk) == ["moment"]
    talk.marks_return()
    talk.speaks("r", "a")
    until(talk, talk.now + 2 * HUSH_MS)
    assert clips(talk) == ["moment"]


def test_what_the_caller_has_just_heard_puts_a_recorded_word_off() -> None:
    talk = greeted(clips=CLIPS)
    asks(talk, "c", "Hm?")
    talk.begins("r")
    until(talk, HUSH_MS - 100)
    talk.speaks("r", "a")
    talk.marks_return()
    until(talk, 2 * HUSH_MS - 101)
    assert clips(talk) == []


def test_no_word_is_said_over_the_caller() -> None:
    talk = greeted(clips=CLIPS)
    talk.caller_speaks()
    until(talk, talk.now + 60_000)
    assert clips(talk) == []


def test_the_caller_may_talk_over_a_recorded_word_and_the_model_hears_nothing_of_it() -> None:
    talk = greeted(clips=CLIPS)
    talk.breaks()
    until(talk, talk.now + HUSH_LOST_MS)
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
    assert talk.steps == [HangUp("caller silent")]


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
    until(talk, talk.now + 60_000)
    assert len(talk.requests) == 1                   # it still plays


def test_a_caller_who_waits_for_a_function_is_not_silent() -> None:
    talk = greeted(silence_prompt_ms=12_000)
    talk.begins("r")
    talk.calls("r", "check_availability")
    talk.done("r")
    until(talk, talk.now + 900)
    assert "silence" not in talk.dialogue._bounds


# ---- limits

def test_the_end_of_the_time_is_announced_a_minute_before_and_then_comes() -> None:
    talk = greeted(most_ms=1_800_000)
    until(talk, 1_800_000 - WARNING_MS)
    warning = talk.sent("response.create")[-1]
    assert warning["response"]["instructions"] == words.ONE_MINUTE
    says(talk, "w", "w", "One more minute.", request=warning["event_id"])
    until(talk, 1_800_000)
    bye = talk.sent("response.create")[-1]
    assert bye["response"]["instructions"] == words.TIME_OVER
    says(talk, "bye", "b", "Goodbye.", request=bye["event_id"])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp("time used up")]


def test_a_caller_who_talks_on_at_the_end_of_the_time_cannot_put_it_off() -> None:
    talk = greeted(most_ms=30_000)
    until(talk, 30_000)
    asks(talk, "c", "But wait!")
    says(talk, "r", "a", "I am listening.")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.TIME_OVER
    asks(talk, "c2", "No, wait!")
    until(talk, 30_000 + LAST_MS)
    assert talk.steps == [HangUp("time used up")]


def test_a_last_goodbye_that_the_caller_cut_is_said_again() -> None:
    talk = greeted(most_ms=30_000)
    until(talk, 30_000)
    begins(talk, "bye", "b", "The time for", request=talk.requests[-1])
    talk.caller_speaks()
    talk.done("bye", "cancelled")
    until(talk, talk.now + 5_000)
    assert talk.steps == []                          # not in the middle of what the caller says
    talk.caller_stops()
    says(talk, "r", "a", "Sorry, our time is over.")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.TIME_OVER


def test_what_happens_during_the_last_goodbye_does_not_have_it_said_twice() -> None:
    talk = greeted(most_ms=30_000)
    until(talk, 30_000)
    begins(talk, "bye", "b", "Goodbye.", request=talk.requests[-1])
    press(talk, "1#")
    ends(talk, "bye", "b")
    assert [request.partition("_")[0] for request in talk.requests] == ["greeting", "farewell"]
    talk.time_passes()
    assert talk.steps == [HangUp("time used up")]


def spends(talk: Talk, response: str, tokens: int) -> None:
    begins(talk, response, f"item-{response}", "Yes.")
    talk.model(type="response.done", response={
        "id": response, "status": "completed", "usage": {"output_tokens": tokens}})
    talk.marks_return()


#: 1000 tokens are a dollar.
PRICES = Prices(audio_in=0, audio_cached=0, audio_out=1000, text_in=0, text_cached=0, text_out=1000)


def test_a_call_is_wrapped_up_before_its_money_is_used_up_and_then_ended() -> None:
    talk = greeted(most_usd=1.0, prices=PRICES)
    spends(talk, "one", 500)
    assert words.WRAP_UP not in retold(talk)
    spends(talk, "two", 350)
    assert retold(talk).count(words.WRAP_UP) == 1
    talk.breaks()
    talk.connects()
    assert words.WRAP_UP in retold(talk)[-1]         # the next session knows it too
    spends(talk, "three", 200)
    assert talk.dialogue.figures.usd == pytest.approx(1.05)
    bye = talk.sent("response.create")[-1]
    assert bye["response"]["instructions"] == words.TIME_OVER
    says(talk, "bye", "b", "Goodbye.", request=bye["event_id"])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp("money used up")]


# ---- the keypad

def test_digits_are_one_text_after_two_seconds() -> None:
    talk = greeted()
    press(talk, "4")
    until(talk, talk.now + 1000)
    press(talk, "2")
    until(talk, talk.now + DIGITS_MS - 1)
    assert not talk.sent("conversation.item.create")
    until(talk, talk.now + 1)
    assert retold(talk) == [words.pressed("42")]
    assert talk.requests[-1].startswith("answer") and talk.dialogue.figures.turns == 1


def test_a_hash_ends_the_digits_at_once_and_alone_means_nothing() -> None:
    talk = greeted()
    press(talk, "#")
    assert not talk.sent("conversation.item.create")
    press(talk, "123#")
    assert retold(talk) == [words.pressed("123")]


def test_more_digits_than_anybody_types_are_left_out() -> None:
    talk = greeted()
    press(talk, "5" * 100 + "#")
    assert retold(talk) == [words.pressed("5" * MOST_DIGITS)]


def test_digits_during_the_greeting_are_answered_after_it() -> None:
    talk = Talk(protect=True).open()
    begins(talk, "greeting", "hello", "Hello.", request="greeting_1")
    press(talk, "7#")
    assert len(talk.requests) == 1
    ends(talk, "greeting", "hello")
    assert talk.requests[-1].startswith("answer")


def test_digits_pressed_while_there_is_no_session_reach_the_next_one() -> None:
    talk = greeted()
    talk.breaks()
    press(talk, "9#")
    talk.connects()
    assert words.pressed("9") in retold(talk) and talk.requests[-1].startswith("answer")


# ---- a person

PEOPLE = ("sales", "support")


def transfer_call(talk: Talk, arguments: str) -> None:
    talk.model(type="response.output_item.done", response_id="r", item={
        "id": "f", "type": "function_call", "status": "completed", "name": "transfer_call", "call_id": "call",
        "arguments": arguments})


def output(talk: Talk) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(talk.sent("conversation.item.create")[-1]["item"]["output"])
    return answer


def test_the_caller_hears_of_the_transfer_before_it_is_done() -> None:
    talk = greeted(transfer_targets=PEOPLE)
    begins(talk, "r", "a", "I connect you with support.")
    transfer_call(talk, '{"to": "support"}')
    assert output(talk)["status"] == "connecting"
    talk.done("r")
    assert not any(isinstance(step, Transfer) for step in talk.steps)
    talk.marks_return()
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [Transfer("support")]


def test_a_transfer_without_a_word_is_announced_first() -> None:
    talk = greeted(transfer_targets=("human",))
    talk.begins("r")
    transfer_call(talk, "{}")
    talk.done("r")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING
    says(talk, "c", "a", "I connect you.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [Transfer("human")]


@pytest.mark.parametrize("arguments", ['{"to": "+15551234567"}', '{"to": 5}', "{", "{}", '["sales"]'])
def test_nobody_but_the_owners_people_can_be_called(arguments: str) -> None:
    talk = greeted(transfer_targets=PEOPLE)
    talk.begins("r")
    transfer_call(talk, arguments)
    assert "sales, support" in output(talk)["error"]
    talk.done("r")
    assert talk.requests[-1].startswith("answer")


def test_a_caller_who_speaks_before_the_transfer_stays() -> None:
    talk = greeted(transfer_targets=PEOPLE)
    begins(talk, "r", "a", "I connect you with sales.")
    transfer_call(talk, '{"to": "sales"}')
    talk.caller_speaks()
    talk.done("r", "cancelled")
    until(talk, talk.now + 60_000)
    assert not any(isinstance(step, Transfer) for step in talk.steps)


def test_a_transfer_that_fails_is_told_to_the_caller() -> None:
    talk = greeted(transfer_targets=PEOPLE)
    talk.take(talk.dialogue.transfer_failed(talk.now))
    assert retold(talk) == [words.TRANSFER_FAILED]
    assert talk.requests[-1].startswith("answer")


def test_the_operators_key_cuts_the_assistant_off_and_asks_for_the_first_person() -> None:
    talk = greeted(transfer_targets=PEOPLE, operator_key="0")
    begins(talk, "r", "a", "A long answer.")
    press(talk, "0")
    assert talk.heard("clear") and talk.sent("response.cancel")
    talk.done("r", "cancelled")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING
    says(talk, "c", "b", "I connect you.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [Transfer("sales")]


def test_a_caller_who_wants_a_person_amid_a_booking_hears_what_came_of_it_first() -> None:
    talk = greeted(transfer_targets=PEOPLE, operator_key="0")
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
    talk = greeted(transfer_targets=PEOPLE, operator_key="0")
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
    talk = greeted(transfer_targets=PEOPLE, operator_key="0")
    begins(talk, "r", "a", "Goodbye.")
    talk.calls("r", "end_call")
    press(talk, "0")
    talk.done("r", "cancelled")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING


def test_the_operators_key_pressed_twice_does_not_skip_the_announcement() -> None:
    talk = greeted(transfer_targets=PEOPLE, operator_key="0")
    press(talk, "0")
    begins(talk, "c", "a", "I conn", request=talk.requests[-1])
    press(talk, "0")
    talk.done("c", "cancelled")
    assert talk.steps and talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING


def test_an_answer_on_its_way_when_the_operators_key_is_pressed_is_not_heard() -> None:
    talk = greeted(transfer_targets=PEOPLE, operator_key="0")
    press(talk, "1#")
    press(talk, "0")
    talk.begins("r", talk.requests[-1])
    assert [message["response_id"] for message in talk.sent("response.cancel")] == ["r"]


def test_a_caller_who_is_being_connected_does_not_wait_in_silence() -> None:
    talk = greeted(clips=CLIPS, transfer_targets=PEOPLE, operator_key="0")
    press(talk, "0")
    says(talk, "c", "a", "I connect you.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [Transfer("sales")] and not talk.dialogue.quiet
    until(talk, talk.now + HUSH_MS)
    assert clips(talk) == ["moment"]
    talk.take(talk.dialogue.transfer_failed(talk.now))
    says(talk, "sorry", "b", "Nobody is there.", request=talk.requests[-1])
    until(talk, talk.now + 2 * HUSH_MS)
    assert clips(talk) == ["moment"]


def test_a_transfer_that_fails_after_the_time_was_used_up_does_not_keep_the_call() -> None:
    talk = greeted(most_ms=30_000, transfer_targets=PEOPLE, operator_key="0")
    until(talk, 29_000)
    press(talk, "0")
    says(talk, "c", "a", "I connect you.", request=talk.requests[-1])
    until(talk, 30_000)
    talk.take(talk.dialogue.transfer_failed(talk.now))
    says(talk, "bye", "b", "The time is over.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp("time used up")]


def test_the_operators_key_amid_other_digits_is_a_digit() -> None:
    talk = greeted(transfer_targets=PEOPLE, operator_key="0")
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


# ---- the server stops

def test_a_server_that_stops_says_a_recorded_goodbye_and_nothing_else() -> None:
    talk = greeted(clips=CLIPS)
    begins(talk, "r", "a", "A long answer.")
    talk.take(talk.dialogue.stopping("server stopping", talk.now))
    assert talk.heard("clear") and clips(talk) == ["goodbye"]
    media = len(talk.heard("media"))
    talk.speaks("r", "a")
    assert len(talk.heard("media")) == media
    talk.marks_return()
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp("server stopping")]


def test_nothing_that_still_happens_disturbs_the_servers_goodbye() -> None:
    talk = greeted(clips=CLIPS, transfer_targets=PEOPLE, operator_key="0")
    talk.begins("r")
    talk.calls("r", "schedule_meeting")
    talk.breaks()
    talk.take(talk.dialogue.stopping("server stopping", talk.now))
    talk.connects()
    talk.returns()
    press(talk, "10#")
    press(talk, "0")
    assert len(talk.requests) == 1 and not talk.heard("clear")
    until(talk, talk.now + BEGIN_MS)
    assert talk.steps == [HangUp("server stopping")]


@pytest.mark.parametrize("complete", [True, False])
def test_a_server_that_stops_in_mid_greeting_does_not_begin_to_listen(complete: bool) -> None:
    talk = Talk(protect=True, clips=CLIPS).open()
    talk.begins("r", "greeting_1")
    talk.speaks("r")
    if complete:
        talk.done("r")
    talk.take(talk.dialogue.stopping("server stopping", talk.now))
    talk.marks_return()
    assert not talk.sent("session.update") and clips(talk) == ["goodbye"]
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp("server stopping")]


def test_a_phone_that_does_not_say_that_it_heard_the_goodbye_is_let_go_of() -> None:
    talk = greeted(clips=CLIPS)
    talk.take(talk.dialogue.stopping("server stopping", talk.now))
    until(talk, talk.now + BEGIN_MS)
    assert talk.steps == [HangUp("server stopping")]


# ---- the measure of an answer

def test_the_time_to_an_answer_is_measured_from_the_callers_last_word_to_its_sound_at_the_phone() -> None:
    talk = greeted()
    talk.dialogue._plan.turn_detection["silence_duration_ms"] = 500
    talk.measured.clear()
    talk.now = 10_000
    asks(talk, "c", "Hello?")
    talk.now = 10_400
    begins(talk, "r", "a", "Hello.")
    talk.now = 10_450
    first = next(each for each in talk.to_caller if each["event"] == "mark" and not each.get("back"))
    talk.take(talk.dialogue.from_caller(
        media_streams.Mark(media_streams.MarkBody(first["mark"]["name"])), talk.now))
    assert [(each.what, each.value) for each in talk.measured] == [("turn", pytest.approx(0.95))]
