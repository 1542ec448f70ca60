"""How the assistant says goodbye: the caller hears it, may still go on, and is left then."""

from bridge.call.bounds import BEGIN_MS
from bridge.call.leaving import TAIL_MS
from bridge.call.steps import HangUp
from bridge.records.endings import Ending
from bridge.twilio_side import media_streams
from tests.stage.talk import Talk


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
