"""What a function's output means for the call, whichever function it was."""

import json
from typing import Any

from bridge.call import words
from bridge.call.leaving import TAIL_MS
from bridge.records.endings import Ending
from bridge.call.steps import HangUp, RunFunction, Transfer
from bridge.tools.tool import EndCall, HandOver, Output
from tests.stage.talk import Talk, asks, begins, greeted, retold, says, until

LOOK_UP = "look_up_the_invoice"


def called() -> Talk:
    """The model has called a function that nobody here knows, and it runs."""
    talk = greeted()
    asks(talk, "c", "Who can help me?")
    talk.begins("r")
    talk.calls("r", LOOK_UP)
    assert talk.steps == [RunFunction("call", LOOK_UP, "{}", turn=1)]
    talk.done("r")
    return talk


def returns(talk: Talk, output: Output) -> None:
    talk.take(talk.dialogue.function_returned("call", output, talk.now))


def answers(talk: Talk) -> list[dict[str, Any]]:
    items = [message["item"] for message in talk.sent("conversation.item.create")]
    return [json.loads(item["output"]) for item in items if item["type"] == "function_call_output"]


def test_a_function_that_hands_over_announces_it_and_then_does_it() -> None:
    talk = called()
    returns(talk, Output({"status": "connecting"}, HandOver("billing")))
    assert answers(talk) == [{"status": "connecting"}]
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING
    says(talk, "c", "a", "I connect you.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [Transfer("billing")]


def test_a_function_that_ends_the_call_lets_the_caller_hear_a_goodbye_first() -> None:
    talk = called()
    returns(talk, Output({"status": "ending"}, EndCall()))
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.FAREWELL
    says(talk, "bye", "a", "Goodbye.", request=talk.requests[-1])
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp(Ending.ASSISTANT_ENDED)]


def test_a_function_that_hands_over_amid_an_answer_waits_for_its_end() -> None:
    talk = called()
    begins(talk, "r2", "b", "Meanwhile I can tell you that")
    returns(talk, Output({"status": "connecting"}, HandOver("billing")))
    assert len(talk.requests) == 1
    talk.done("r2")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING


def test_a_caller_who_speaks_when_a_function_hands_over_stays() -> None:
    talk = called()
    talk.caller_speaks()
    returns(talk, Output({"status": "connecting"}, HandOver("billing"), note="A ticket was opened"))
    assert [answer["status"] for answer in answers(talk)] == ["cancelled"]
    until(talk, talk.now + 60_000)
    assert not any(isinstance(step, Transfer) for step in talk.steps)
    talk.breaks()
    talk.connects()
    assert "A ticket was opened" in retold(talk)[-1]          # what was done is done


def test_a_function_that_hands_over_while_there_is_no_session_is_announced_by_the_next_one() -> None:
    talk = called()
    talk.breaks()
    returns(talk, Output({"status": "connecting"}, HandOver("billing")))
    talk.connects()
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.CONNECTING


def test_the_next_session_is_told_what_functions_have_done_and_no_more() -> None:
    talk = called()
    returns(talk, Output({"free": ["tomorrow"]}))
    says(talk, "r2", "a", "Tomorrow.", request=talk.requests[-1])
    talk.breaks()
    talk.connects()
    assert "Done in this call already" not in retold(talk)[-1]
    talk.begins("r3")
    talk.calls("r3", LOOK_UP, "second")
    talk.take(talk.dialogue.function_returned("second", Output({"status": "sent"}, note="It was sent"), talk.now))
    talk.breaks()
    talk.connects()
    assert "Done in this call already: It was sent." in retold(talk)[-1]


def test_a_function_of_any_name_that_decides_at_once_ends_the_call_in_the_same_turn() -> None:
    talk = greeted(immediate={"adieu": lambda arguments: Output({"ok": "yes"}, EndCall())})
    begins(talk, "r", "a", "Goodbye.")
    talk.calls("r", "adieu")
    assert not any(isinstance(step, RunFunction) for step in talk.steps)
    assert [*answers(talk)] == [{"ok": "yes"}]
    talk.done("r")
    talk.marks_return()
    until(talk, talk.now + TAIL_MS)
    assert talk.steps == [HangUp(Ending.ASSISTANT_ENDED)]
