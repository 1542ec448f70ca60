"""What each side hears next, decided without a socket."""

from collections.abc import Callable

import pytest

from bridge.call.bounds import BEGIN_MS
from bridge.call.floor import RETRIES
from bridge.call.leaving import TAIL_MS
from bridge.call.patience import FILLER_MS
from bridge.call.steps import HangUp, Reconnect, Refusal, RunFunction, Step
from bridge.openai_side import errors
from bridge.records.endings import Ending
from bridge.twilio_side import media_streams
from tests.stage.talk import DELTA_250_MS, STREAM, TIMING, Talk, until


@pytest.fixture
def talk() -> Talk:
    return Talk().open()


@pytest.fixture
def greeted() -> Talk:
    """The greeting is over; the caller may speak."""
    talk = Talk().open()
    talk.begins("greeting", "greeting_1")
    talk.speaks("greeting", "hello")
    talk.marks_return()
    talk.done("greeting")
    talk.to_caller.clear()
    return talk


# ---- the greeting

@pytest.mark.parametrize("first", ["started", "model_ready"])
def test_the_greeting_is_asked_for_when_both_sides_are_there(first: str) -> None:
    talk = Talk()
    both: list[Callable[[], list[Step]]] = [
        lambda: talk.dialogue.started(STREAM, 0), lambda: talk.dialogue.model_ready(0, listens=True)]
    one, two = both if first == "started" else both[::-1]
    assert one() == []
    talk.take(two())
    assert [message["response"]["instructions"] for message in talk.sent("response.create")] == ["Say hello."]


def test_what_the_caller_says_before_the_line_is_open_comes_first(talk: Talk) -> None:
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


# ---- audio

def test_audio_passes_unopened_with_a_mark_behind_it(talk: Talk) -> None:
    talk.begins("r")
    talk.speaks("r")
    kinds = [message["event"] for message in talk.to_caller]
    assert kinds == ["mark", "media", "mark"]        # the first one tells when an idle phone begins to play
    assert talk.heard("media")[0]["media"]["payload"] == DELTA_250_MS


def test_other_tracks_are_not_the_caller(talk: Talk) -> None:
    talk.frame(track="outbound")
    assert not talk.sent("input_audio_buffer.append")


# ---- barge-in

def test_a_caller_who_talks_over_the_assistant_is_heard_at_once(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r", "a")
    greeted.frame(at=100)
    first = greeted.heard("mark")[0]["mark"]["name"]
    greeted.take(greeted.dialogue.from_caller(media_streams.Mark(media_streams.MarkBody(first)), 0))
    greeted.frame(at=220)
    greeted.caller_speaks()
    assert greeted.to_caller[-1] == {"event": "clear", "streamSid": STREAM}
    [cut] = greeted.sent("conversation.item.truncate")
    assert (cut["item_id"], cut["content_index"], cut["audio_end_ms"]) == ("a", 0, 120)


def test_late_audio_of_a_cut_response_does_not_reach_the_caller(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r")
    greeted.caller_speaks()
    sent = len(greeted.to_caller)
    greeted.speaks("r")
    greeted.done("r", "cancelled")
    greeted.speaks("r")
    assert len(greeted.to_caller) == sent
    greeted.begins("next")
    greeted.speaks("next", "b")
    assert len(greeted.to_caller) > sent


def test_an_item_of_which_nothing_was_heard_is_deleted_and_never_truncated_at_0(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r", "a")
    greeted.caller_speaks()
    greeted.speaks("r", "a")
    greeted.speaks("r", "late")
    greeted.speaks("r", "late")
    assert not greeted.sent("conversation.item.truncate")
    assert [message["item_id"] for message in greeted.sent("conversation.item.delete")] == ["a", "late"]


def test_audio_that_still_plays_after_the_response_is_done_can_be_interrupted(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r")
    greeted.done("r")
    greeted.caller_speaks()
    assert greeted.heard("clear")
    assert greeted.dialogue.figures.interruptions == 1


def test_nothing_is_cleared_when_everything_was_heard(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r")
    greeted.marks_return()
    greeted.done("r")
    greeted.caller_speaks()
    assert not greeted.heard("clear")
    assert greeted.dialogue.figures.interruptions == 0


def test_a_second_speech_start_finds_nothing_left_to_cut(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r")
    greeted.caller_speaks()
    greeted.caller_speaks()
    assert len(greeted.heard("clear")) == 1
    assert len(greeted.sent("conversation.item.delete")) == 1


def test_a_response_the_caller_overtook_is_cancelled_when_it_begins(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
    greeted.returns()
    request = greeted.requests[-1]
    greeted.caller_speaks()                          # before response.created: it cannot be cancelled yet
    greeted.begins("late", request)
    assert [message["response_id"] for message in greeted.sent("response.cancel")] == ["late"]
    greeted.speaks("late")
    assert not greeted.heard("media")


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
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
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
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
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
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
    greeted.returns()
    greeted.time_passes()
    assert isinstance(greeted.steps[0], Reconnect)
    greeted.breaks()
    greeted.connects()
    assert [request.partition("_")[0] for request in greeted.requests] == ["greeting", "answer", "answer"]


def test_what_returns_while_the_server_is_about_to_answer_is_spoken_about(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
    greeted.caller_speaks()
    greeted.caller_stops()
    greeted.returns()
    greeted.time_passes()
    assert greeted.requests[-1].startswith("answer")


def test_a_bound_that_was_put_off_just_before_its_time_does_not_fire() -> None:
    talk = Talk(protect=True).open()
    talk.begins("greeting", "greeting_1")
    due = talk.dialogue.deadline
    assert due is not None
    talk.now = due - 1
    talk.speaks("greeting")
    talk.take(talk.dialogue.time_passed(due))
    assert talk.steps == []


def test_a_function_that_takes_its_time_is_bridged_by_one_word(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
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
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
    greeted.returns()
    assert greeted.dialogue.deadline == TIMING.request_ms


def test_no_filler_is_spoken_over_a_caller_who_speaks(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "schedule_meeting")
    greeted.done("r")
    greeted.caller_speaks()
    until(greeted, greeted.now + 2 * FILLER_MS)
    assert greeted.requests == ["greeting_1"]


# ---- the end

def says_goodbye_and_ends(talk: Talk) -> None:
    talk.begins("bye")
    talk.speaks("bye", "goodbye")
    talk.calls("bye", "end_call")
    talk.done("bye")


def test_the_goodbye_is_heard_before_the_call_ends(greeted: Talk) -> None:
    says_goodbye_and_ends(greeted)
    assert greeted.requests == ["greeting_1"]
    assert not any(isinstance(step, HangUp) for step in greeted.steps)
    greeted.marks_return()
    assert greeted.dialogue.deadline == greeted.now + TAIL_MS
    greeted.time_passes()
    assert greeted.steps == [HangUp(Ending.ASSISTANT_ENDED)]


def test_a_goodbye_whose_mark_never_returns_is_bounded(greeted: Talk) -> None:
    says_goodbye_and_ends(greeted)
    while not greeted.steps:
        greeted.time_passes()
    assert greeted.steps == [HangUp(Ending.ASSISTANT_ENDED)]
    assert greeted.now <= BEGIN_MS + 250 + TAIL_MS


def test_a_caller_who_speaks_first_goes_on(greeted: Talk) -> None:
    says_goodbye_and_ends(greeted)
    greeted.marks_return()
    greeted.caller_speaks()
    assert greeted.dialogue.deadline is None
    greeted.caller_stops()
    greeted.begins("next")
    greeted.speaks("next", "b")
    greeted.done("next")
    greeted.marks_return()
    assert greeted.dialogue.deadline is None


def test_a_model_that_ends_without_a_goodbye_is_asked_for_one(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "end_call")
    greeted.done("r")
    farewell = greeted.sent("response.create")[-1]
    assert "goodbye" in farewell["response"]["instructions"]
    greeted.begins("bye", farewell["event_id"])
    greeted.speaks("bye")
    greeted.done("bye")
    greeted.marks_return()
    greeted.time_passes()
    assert greeted.steps == [HangUp(Ending.ASSISTANT_ENDED)]


def test_a_farewell_that_never_comes_does_not_keep_the_call(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.calls("r", "end_call")
    greeted.done("r")
    greeted.begins("bye", greeted.requests[-1])
    greeted.done("bye", "failed")
    greeted.time_passes()
    assert greeted.steps == [HangUp(Ending.ASSISTANT_ENDED)]


def test_a_call_is_not_ended_while_the_caller_speaks(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.caller_speaks()
    greeted.calls("r", "end_call")
    assert "cancelled" in greeted.sent("conversation.item.create")[-1]["item"]["output"]
    greeted.done("r", "cancelled")
    assert greeted.dialogue.deadline is None


def test_what_came_of_a_booking_is_told_before_the_call_ends(greeted: Talk) -> None:
    greeted.begins("r")
    greeted.speaks("r", "a")
    greeted.calls("r", "schedule_meeting", "book")
    greeted.calls("r", "end_call", "end")
    greeted.done("r")
    greeted.marks_return()
    assert greeted.dialogue.deadline and greeted.dialogue.deadline > TAIL_MS
    greeted.returns("book")
    greeted.begins("result", greeted.requests[-1])
    greeted.speaks("result", "b")
    greeted.done("result")
    greeted.marks_return()
    greeted.time_passes()
    assert greeted.steps == [HangUp(Ending.ASSISTANT_ENDED)]


def test_a_hang_up_ends_the_call(greeted: Talk) -> None:
    greeted.take(greeted.dialogue.from_caller(media_streams.Stop(), 0))
    assert greeted.steps == [HangUp(Ending.CALLER_HUNG_UP)]


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
