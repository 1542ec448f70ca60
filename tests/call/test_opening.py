"""How a call begins: the greeting, what the caller says before it was heard, and a server that has to listen then."""

from collections.abc import Callable

import pytest

from bridge.call.bounds import BEGIN_MS
from bridge.call.floor import RETRIES
from bridge.call.steps import HangUp, Reconnect, Step
from bridge.records.endings import Ending
from tests.stage.talk import STREAM, Talk


@pytest.mark.parametrize("first", ["started", "model_ready"])
def test_the_greeting_is_asked_for_when_both_sides_are_there(first: str) -> None:
    talk = Talk()
    both: list[Callable[[], list[Step]]] = [
        lambda: talk.dialogue.started(STREAM, 0), lambda: talk.dialogue.model_ready(0, listens=True)]
    one, two = both if first == "started" else both[::-1]
    assert one() == []
    talk.take(two())
    assert [message["response"]["instructions"] for message in talk.sent("response.create")] == ["Say hello."]


def test_what_the_caller_says_before_the_line_is_open_comes_first() -> None:
    early = Talk()
    early.take(early.dialogue.started(STREAM, 0))
    for payload in ("AAAA", "BBBB"):
        early.frame(payload)
    assert early.to_model == []
    early.take(early.dialogue.model_ready(0, listens=True))
    early.frame("CCCC")
    assert [message["audio"] for message in early.sent("input_audio_buffer.append")] == ["AAAA", "BBBB", "CCCC"]


def test_no_more_than_two_seconds_of_it_are_kept() -> None:
    talk = Talk()
    talk.take(talk.dialogue.started(STREAM, 0))
    for number in range(150):
        talk.frame(f"{number:04}")
    talk.take(talk.dialogue.model_ready(0, listens=True))
    assert [message["audio"] for message in talk.sent("input_audio_buffer.append")] == [
        f"{number:04}" for number in range(50, 150)]


def test_a_protected_greeting_is_heard_to_its_end_before_the_caller_is() -> None:
    talk = Talk(protect=True).open()
    talk.frame("AAAA")
    talk.begins("greeting", "greeting_1")
    talk.speaks("greeting")
    talk.done("greeting")
    assert not talk.sent("input_audio_buffer.append")
    talk.marks_return()
    assert [message["type"] for message in talk.to_model] == [
        "response.create", "session.update", "input_audio_buffer.append"]
    assert talk.sent("session.update")[0]["session"] == {
        "type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}


def test_a_protected_greeting_heard_before_its_response_is_done_is_over_when_it_is() -> None:
    talk = Talk(protect=True).open()
    talk.begins("greeting", "greeting_1")
    talk.speaks("greeting")
    talk.marks_return()
    assert not talk.sent("session.update")
    talk.done("greeting")
    assert talk.sent("session.update")


def test_a_greeting_that_never_ends_is_bounded() -> None:
    talk = Talk(protect=True).open()
    talk.begins("greeting", "greeting_1")
    talk.speaks("greeting")
    talk.frame("AAAA")
    talk.time_passes()
    assert talk.now <= BEGIN_MS
    assert talk.sent("session.update") and talk.sent("input_audio_buffer.append")


def test_a_model_that_does_not_begin_to_greet_is_reconnected_and_then_given_up() -> None:
    talk = Talk(protect=True).open()
    for _ in range(RETRIES):
        talk.time_passes()
        assert talk.steps == [Reconnect("the model did not begin to answer in time")]
        talk.breaks()
        talk.connects()
    talk.time_passes()
    assert talk.steps == [HangUp(Ending.MODEL_FAILED)]
    assert [request.partition("_")[0] for request in talk.requests] == ["greeting"] * (1 + RETRIES)


def test_a_greeting_that_failed_is_spoken_at_the_second_attempt_and_stays_protected() -> None:
    talk = Talk(protect=True).open()
    talk.frame("AAAA")
    talk.begins("first", "greeting_1")
    talk.done("first", "failed")
    talk.time_passes()
    assert talk.requests == ["greeting_1", "greeting_2"] and not talk.sent("session.update")
    talk.begins("second", "greeting_2")
    talk.speaks("second")
    talk.done("second")
    talk.marks_return()
    assert talk.sent("session.update") and talk.sent("input_audio_buffer.append")


def test_a_greeting_that_is_refused_again_and_again_is_given_up() -> None:
    talk = Talk(protect=True).open()
    for _ in range(RETRIES + 1):
        talk.model(type="error", error={"code": "rate_limit_exceeded", "event_id": talk.requests[-1]})
        if not talk.steps:
            talk.time_passes()
    assert talk.steps == [HangUp(Ending.MODEL_FAILED)]


# ---- listening

@pytest.fixture
def listening() -> Talk:
    """The protected greeting has just been heard, and the server was asked to listen."""
    talk = Talk(protect=True).open()
    talk.begins("greeting", "greeting_1")
    talk.speaks("greeting")
    talk.done("greeting")
    talk.marks_return()
    return talk


def test_a_server_that_refuses_to_listen_does_not_make_a_deaf_call(listening: Talk) -> None:
    listening.model(type="error", error={"code": "invalid_value", "event_id": "listen"})
    assert listening.steps == [HangUp(Ending.MODEL_REFUSED)]


def test_a_server_that_never_says_it_listens_does_not_make_a_deaf_call(listening: Talk) -> None:
    listening.time_passes()
    assert listening.steps == [Reconnect("the model does not say that it listens to the caller")]


def test_a_server_that_says_it_listens_is_taken_at_its_word(listening: Talk) -> None:
    pcmu = {"format": {"type": "audio/pcmu"}}
    listening.model(type="session.updated", session={"audio": {
        "input": {**pcmu, "turn_detection": {"type": "server_vad"}}, "output": pcmu}})
    assert listening.steps == [] and listening.dialogue.deadline is None


def test_a_bound_that_was_put_off_just_before_its_time_does_not_fire() -> None:
    talk = Talk(protect=True).open()
    talk.begins("greeting", "greeting_1")
    due = talk.dialogue.deadline
    assert due is not None
    talk.now = due - 1
    talk.speaks("greeting")
    talk.take(talk.dialogue.time_passed(due))
    assert talk.steps == []
