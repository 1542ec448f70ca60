"""How a call ends that has to end: its time or its money is used up, or the server stops."""

import pytest

from bridge.call import words
from bridge.call.bounds import BEGIN_MS
from bridge.call.budget import WARNING_MS
from bridge.call.leaving import LAST_MS, TAIL_MS
from bridge.call.steps import HangUp
from bridge.openai_side.prices import Prices
from bridge.records.endings import Ending
from tests.stage.talk import CLIPS, PEOPLE, Talk, asks, begins, clips, ends, greeted, press, retold, says, until


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
    assert talk.steps == [HangUp(Ending.TIME_USED_UP)]


def test_a_caller_who_talks_on_at_the_end_of_the_time_cannot_put_it_off() -> None:
    talk = greeted(most_ms=30_000)
    until(talk, 30_000)
    asks(talk, "c", "But wait!")
    says(talk, "r", "a", "I am listening.")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.TIME_OVER
    asks(talk, "c2", "No, wait!")
    until(talk, 30_000 + LAST_MS)
    assert talk.steps == [HangUp(Ending.TIME_USED_UP)]


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
    assert talk.steps == [HangUp(Ending.TIME_USED_UP)]


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
    assert talk.steps == [HangUp(Ending.MONEY_USED_UP)]


# ---- the server stops

def test_a_server_that_stops_says_a_recorded_goodbye_and_nothing_else() -> None:
    talk = greeted(clips=CLIPS)
    begins(talk, "r", "a", "A long answer.")
    talk.take(talk.dialogue.stopping(Ending.SERVER_STOPPING, talk.now))
    assert talk.heard("clear") and clips(talk) == ["goodbye"]
    media = len(talk.heard("media"))
    talk.speaks("r", "a")
    assert len(talk.heard("media")) == media
    talk.marks_return()
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp(Ending.SERVER_STOPPING)]


def test_nothing_that_still_happens_disturbs_the_servers_goodbye() -> None:
    talk = greeted(clips=CLIPS, people=PEOPLE, operator_key="0")
    talk.begins("r")
    talk.calls("r", "schedule_meeting")
    talk.breaks()
    talk.take(talk.dialogue.stopping(Ending.SERVER_STOPPING, talk.now))
    talk.connects()
    talk.returns()
    press(talk, "10#")
    press(talk, "0")
    assert len(talk.requests) == 1 and not talk.heard("clear")
    until(talk, talk.now + BEGIN_MS)
    assert talk.steps == [HangUp(Ending.SERVER_STOPPING)]


@pytest.mark.parametrize("complete", [True, False])
def test_a_server_that_stops_in_mid_greeting_does_not_begin_to_listen(complete: bool) -> None:
    talk = Talk(protect=True, clips=CLIPS).open()
    talk.begins("r", "greeting_1")
    talk.speaks("r")
    if complete:
        talk.done("r")
    talk.take(talk.dialogue.stopping(Ending.SERVER_STOPPING, talk.now))
    talk.marks_return()
    assert not talk.sent("session.update") and clips(talk) == ["goodbye"]
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp(Ending.SERVER_STOPPING)]


def test_a_phone_that_does_not_say_that_it_heard_the_goodbye_is_let_go_of() -> None:
    talk = greeted(clips=CLIPS)
    talk.take(talk.dialogue.stopping(Ending.SERVER_STOPPING, talk.now))
    until(talk, talk.now + BEGIN_MS)
    assert talk.steps == [HangUp(Ending.SERVER_STOPPING)]
