"""What others are told of a call: each of them everything, in order, and none of them harms another or the call."""

import logging
from typing import TypeVar

import pytest

from bridge.call import call_log
from bridge.call.events import (
    Answered, AssistantSaid, AssistantSpeaks, AssistantUnheard, AssistantWrote, Audience, CallerSaid, CallerSpeaks,
    CallerUnclear, ClipPlayed, Closed, Connected, Event, Fault, Figures, FunctionAnswered, FunctionCalled, Interrupted,
    KeysPressed, Listener, Opened, Placed, Spent, TokensUsed,
)
from bridge.call.steps import HangUp
from bridge.records.endings import Ending
from bridge.twilio_side.caller import Caller
from tests.stage.talk import CLIPS, Talk, asks, begins, ends, greeted, press, retold, says, until

T = TypeVar("T")

WORDS = "I can offer you Friday at three or Monday at nine."


# ---- the audience

def test_all_are_told_of_each_event_in_order_one_after_the_other() -> None:
    told: list[tuple[str, Event]] = []
    audience = Audience(lambda event: told.append(("first", event)), lambda event: told.append(("second", event)))
    audience.tell(Connected())
    audience.tell(Interrupted())
    assert told == [
        ("first", Connected()), ("second", Connected()), ("first", Interrupted()), ("second", Interrupted())]


def test_a_listener_that_fails_keeps_nobody_else_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []

    def deaf(event: Event) -> None:
        raise RuntimeError("I cannot hear")
    audience = Audience(deaf, told.append)
    audience.tell(Fault("model lost"))
    assert told == [Fault("model lost")]
    [record] = caplog.records
    assert record.levelno == logging.ERROR and record.exc_info and "I cannot hear" in str(record.exc_info[1])
    assert "deaf failed to take Fault of a call, 1 times" in record.getMessage()


def test_a_listener_that_always_fails_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def deaf(event: Event) -> None:
        raise RuntimeError("I cannot hear")
    audience = Audience(deaf)
    for _ in range(100):
        audience.tell(Spent(0.01))
    audience.tell(Interrupted())
    assert [record.getMessage().rsplit(", ")[-1] for record in caplog.records] == [
        "1 times so far", "10 times so far", "100 times so far", "1 times so far"]


def test_what_is_no_mere_failure_ends_the_call() -> None:
    """A task that is cancelled, or a process told to end, is not kept by a listener."""
    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        Audience(interrupted).tell(Connected())


def test_each_call_has_listeners_of_its_own_beside_those_of_all_calls() -> None:
    everything: list[Event] = []
    calls: list[list[Event]] = []

    def listener() -> Listener:
        calls.append([])
        return calls[-1].append
    audience = Audience(everything.append)
    audience.add_for_each_call(listener)
    one, two = audience.of_a_call(), audience.of_a_call()
    one(Connected())
    two(Interrupted())
    assert everything == [Connected(), Interrupted()]
    assert calls == [[Connected()], [Interrupted()]]


# ---- the log

def test_the_log_has_a_line_for_the_beginning_and_one_for_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    figures = Figures(turns=3, interruptions=1, reconnects=0, usd=0.1234, first_audio_ms=812.4)
    for event in (
        Connected(), Opened("CA1", Caller("+15551234567")), CallerSaid("my number is 555"), AssistantSaid(WORDS),
        Closed("CA1", Ending.ASSISTANT_ENDED, 12.34, figures),
    ):
        call_log.hear(event)
    assert [record.getMessage() for record in caplog.records] == [
        "call CA1 opened, from +15*******67",
        "call CA1 closed after 12.3 s: assistant ended, 3 turns, 1 interruptions, 0 reconnects, 0.1234 USD, "
        "first audio after 812 ms"]


def test_a_stream_that_never_said_what_it_was_has_an_end_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call_log.hear(Closed(None, Ending.NO_START, 5.0, Figures()))
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("call unknown closed after 5.0 s: no start") and line.endswith("no audio")


# ---- what a conversation tells

def of_kind(talk: Talk, kind: type[T]) -> list[T]:
    return [each for each in talk.told if isinstance(each, kind)]


def test_what_the_caller_said_is_told() -> None:
    talk = greeted()
    talk.told.clear()
    asks(talk, "c", " Do you have time on Friday? ")
    assert [each for each in talk.told if isinstance(each, CallerSaid)] == [
        CallerSaid("Do you have time on Friday?", "c")]


def test_what_the_assistant_said_is_told_when_it_was_heard() -> None:
    talk = greeted()
    talk.told.clear()
    begins(talk, "r", "a", WORDS)
    assert not of_kind(talk, AssistantSaid), "the caller has not heard it yet"
    ends(talk, "r", "a")
    assert of_kind(talk, AssistantSaid) == [AssistantSaid(WORDS, "a", 249, 249)]


def test_of_an_answer_that_was_interrupted_only_what_was_heard_is_told() -> None:
    talk = greeted()
    asks(talk, "c", "When?")
    talk.told.clear()
    begins(talk, "r", "a", WORDS)
    for _ in range(8):
        talk.speaks("r", "a")
    first = talk.heard("mark")[-9]
    first["back"] = True
    talk.mark_back(first["mark"]["name"])
    talk.frame(at=1_000)
    talk.caller_speaks()
    [said] = of_kind(talk, AssistantSaid)
    assert said.words and WORDS.startswith(said.words) and said.words != WORDS
    assert 0 < said.heard_ms < said.sent_ms
    assert of_kind(talk, AssistantWrote) == [AssistantWrote("a", WORDS)], "what was not heard is known all the same"
    assert Interrupted() in talk.told


def test_an_answer_of_which_nothing_was_heard_is_told_as_unheard() -> None:
    talk = greeted()
    talk.told.clear()
    begins(talk, "r", "a", WORDS)
    talk.caller_speaks()
    assert not of_kind(talk, AssistantSaid)
    assert of_kind(talk, AssistantUnheard) == [AssistantUnheard("a", 0, 249)]
    assert of_kind(talk, AssistantWrote) == [AssistantWrote("a", WORDS)]


def test_words_that_come_after_an_interruption_are_not_taken_for_heard() -> None:
    talk = greeted()
    begins(talk, "r", "a", WORDS)
    talk.speaks("r", "a")
    talk.frame(at=200)
    for mark in talk.heard("mark")[-3:-1]:
        talk.mark_back(mark["mark"]["name"])
    talk.caller_speaks()
    talk.model(type="response.output_audio_transcript.delta", response_id="r", item_id="a", delta=" And more.")
    talk.breaks()
    talk.connects()
    assert not [text for text in retold(talk) if "And more" in text]


def test_each_thing_that_is_said_is_told_with_its_place_and_its_beginning() -> None:
    talk = greeted()
    talk.told.clear()
    talk.model(type="input_audio_buffer.speech_started", item_id="c")
    talk.caller_stops()
    talk.model(type="conversation.item.added", previous_item_id="hello",
               item={"id": "c", "type": "message", "role": "user"})
    begins(talk, "r", "a", WORDS)
    talk.model(type="conversation.item.input_audio_transcription.failed", item_id="c", error={
        "code": "audio_unintelligible"})
    talk.model(type="response.output_audio_transcript.done", response_id="r", item_id="a", transcript=WORDS)
    assert [each for each in talk.told if not isinstance(each, Answered)] == [
        CallerSpeaks("c"), Placed("c", "caller", "hello"), Placed("a", "assistant", None),
        AssistantSpeaks("a", "answer"), CallerUnclear("c", "audio_unintelligible"), AssistantWrote("a", WORDS)]


def test_keys_and_recorded_sentences_are_told() -> None:
    talk = greeted(clips=CLIPS)
    talk.told.clear()
    press(talk, "42#")
    assert of_kind(talk, KeysPressed) == [KeysPressed("42")]
    until(talk, talk.now + 3_000)
    assert of_kind(talk, ClipPlayed) == [ClipPlayed("moment")]


def test_what_a_function_answers_is_told_with_its_call() -> None:
    talk = greeted()
    talk.calls("r", "check_availability", "call_1")
    talk.done("r")
    talk.returns("call_1")
    assert of_kind(talk, FunctionAnswered) == [FunctionAnswered("call_1", {"ok": True})]


def test_what_was_heard_before_the_caller_hung_up_is_told_once() -> None:
    talk = greeted()
    begins(talk, "r", "a", WORDS)
    talk.speaks("r", "a")
    talk.frame(at=100)
    for mark in talk.heard("mark")[-3:-1]:
        talk.mark_back(mark["mark"]["name"])
    wrote, said = talk.dialogue.over()
    assert isinstance(wrote, AssistantWrote) and wrote.words == WORDS
    assert isinstance(said, AssistantSaid)
    assert said.words and WORDS.startswith(said.words) and said.words != WORDS
    assert not talk.dialogue.over()


def test_a_function_that_the_model_calls_is_told_whoever_runs_it() -> None:
    talk = greeted()
    talk.calls("r", "check_availability", "call_1")
    talk.calls("r", "end_call", "call_2")
    assert [each.name for each in talk.told if isinstance(each, FunctionCalled)] == ["check_availability", "end_call"]


def test_what_a_response_costs_is_told_by_direction_and_kind() -> None:
    talk = greeted()
    talk.model(type="response.done", response={"id": "r", "status": "completed", "usage": {
        "input_token_details": {"text_tokens": 10, "audio_tokens": 20, "cached_tokens_details": {"text_tokens": 4}},
        "output_token_details": {"text_tokens": 5, "audio_tokens": 50}}})
    [used] = [each for each in talk.told if isinstance(each, TokensUsed)]
    assert used.counts == {
        ("input", "text"): 10, ("input", "audio"): 20, ("cached", "text"): 4, ("cached", "audio"): 0,
        ("output", "text"): 5, ("output", "audio"): 50}
    assert [each for each in talk.told if isinstance(each, Spent)]


def test_a_goodbye_is_told_before_the_call_is_over() -> None:
    talk = greeted()
    talk.calls("r", "end_call", "call_1")
    talk.told.clear()
    says(talk, "r", "a", "Goodbye then.")
    talk.time_passes()
    assert talk.steps == [HangUp(Ending.ASSISTANT_ENDED)]
    assert "Goodbye then." in [each.words for each in of_kind(talk, AssistantSaid)]
