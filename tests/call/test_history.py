"""What a new session of the model is told of a call: what was said, as it was heard."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.call.history import MOST_CHARACTERS, MOST_ITEMS, MOST_UNHEARD, History, heard
from bridge.openai_side import realtime
from tests.stage.vendor import check_client_event


def told(history: History) -> list[dict[str, Any]]:
    """The items of a replay; each is an event that the vendor's own types know."""
    events = [json.loads(event) for event in history.replay()]
    for event in events:
        check_client_event(event)
    return [event["item"] for event in events]


def words(history: History) -> list[tuple[str, str]]:
    return [(item["role"], item["content"][0]["text"]) for item in told(history) if item["type"] == "message"]


def caller(history: History, item_id: str, text: str | None = None) -> None:
    history.added(realtime.Item(item_id, "message", role="user"))
    if text is not None:
        history.transcribed(item_id, text)


def assistant(history: History, item_id: str, text: str, ms: float, *, complete: bool = True) -> None:
    history.added(realtime.Item(item_id, "message", role="assistant"))
    for word in text.split(" "):
        history.said(item_id, f" {word}" if word != text.split(" ")[0] else word)
    history.sounded(item_id, ms)
    if complete:
        history.completed(item_id)


def test_it_is_told_in_the_order_of_the_conversation_however_late_the_words_come() -> None:
    history = History()
    assistant(history, "a1", "Hello, how can I help you?", 2000)
    caller(history, "c1")
    assistant(history, "a2", "We open at nine.", 1500)
    history.transcribed("c1", " When do you open? ")
    assert words(history) == [
        ("assistant", "Hello, how can I help you?"), ("user", "When do you open?"), ("assistant", "We open at nine.")]
    assert [item["content"][0]["type"] for item in told(history)] == ["output_text", "input_text", "output_text"]


def test_what_was_not_heard_was_not_said() -> None:
    history = History()
    assistant(history, "a", "one two three four five six seven eight", 8000)
    history.cut("a", 4000)
    assert words(history) == [("assistant", "one two three four")]


def test_an_answer_whose_session_broke_ends_with_what_was_sent_of_it() -> None:
    history = History()
    assistant(history, "a", "these words ran far ahead of the voice that was to say them", 1000, complete=False)
    history.lost()
    assert words(history) == [("assistant", "these words")]


def test_an_answer_of_which_nothing_was_sent_was_not_given() -> None:
    history = History()
    assistant(history, "a", "never spoken", 0, complete=False)
    history.lost()
    assert history.empty


def test_a_function_is_told_with_its_output_or_not_yet() -> None:
    history = History()
    history.called(realtime.Item("f1", "function_call", name="check_availability", call_id="one", arguments="{}"))
    history.called(realtime.Item("f2", "function_call", name="schedule_meeting", call_id="two", arguments="{}"))
    history.returned("one", {"free": []})
    assert [(item["type"], item["call_id"]) for item in told(history)] == [
        ("function_call", "one"), ("function_call_output", "one")]
    history.returned("two", {"status": "confirmed"})
    late = [json.loads(event)["item"] for event in history.function_output("two")]
    assert [item["type"] for item in late] == ["function_call", "function_call_output"]


def test_the_output_of_a_call_that_the_session_knows_is_told_alone() -> None:
    history = History()
    history.called(realtime.Item("f", "function_call", name="schedule_meeting", call_id="one", arguments="{}"))
    history.returned("one", {"status": "confirmed"})
    assert [json.loads(event)["item"]["type"] for event in history.function_output("one")] == ["function_call_output"]


def test_an_item_told_as_text_is_told_anew_when_it_is_cut() -> None:
    history = History()
    caller(history, "c", "Hello?")
    assistant(history, "a", "one two three four", 4000)
    told(history)
    assert history.retold("a")
    history.cut("a", 2000)
    delete, create = [json.loads(event) for event in history.again("a")]
    assert delete["item_id"] == "a" and create["previous_item_id"] == "c"
    assert create["item"]["content"][0]["text"] == "one two" and create["item"]["id"] != "a"


def test_an_item_told_anew_stands_behind_one_that_the_session_knows() -> None:
    history = History()
    history.noted("k", "The caller pressed 1.")
    caller(history, "c")                             # nobody wrote down what was said: it is not told
    assistant(history, "a", "one two three four", 1000)
    told(history)
    history.cut("a", 500)
    assert [json.loads(event) for event in history.again("a")][1]["previous_item_id"] == "k"


def test_words_of_the_caller_that_nobody_wrote_down_are_known_to_be_missing() -> None:
    history = History()
    caller(history, "c")
    assert history.inaudible and told(history) == []
    history.transcribed("c", "Hello?")
    assert not history.inaudible


def test_a_long_call_is_told_from_its_newest_end() -> None:
    history = History()
    for number in range(2 * MOST_ITEMS):
        caller(history, f"c{number}", f"{number} " + "word " * 60)
    replay = words(history)
    assert replay[0] == ("system", "The beginning of this call is left out here.")
    assert replay[-1][1].startswith(f"{2 * MOST_ITEMS - 1} ")
    assert sum(len(text) for _, text in replay) < MOST_CHARACTERS + 100


def test_no_more_than_the_newest_items_are_kept() -> None:
    history = History()
    for number in range(MOST_ITEMS + 10):
        history.noted(f"i{number}", "Yes.")
    assert len(told(history)) == MOST_ITEMS


def test_it_survives_being_written_down() -> None:
    history = History()
    caller(history, "c", "Hello?")
    assistant(history, "a", "Good morning.", 900)
    assert words(History.load(history.dump())) == words(history)


@given(st.text(max_size=200), st.floats(0, 60_000), st.none() | st.floats(0, 60_000))
def test_what_was_heard_is_a_beginning_of_whole_words(text: str, heard_ms: float, all_ms: float | None) -> None:
    part = heard(text, heard_ms, all_ms)
    assert text.startswith(part)
    assert part == text or not part or text[len(part)].isspace()


# ---- what was heard

def texts(history: History) -> list[str]:
    return [item.text for item in history.settled()]


def test_what_was_heard_is_told_once_and_only_when_it_is_complete() -> None:
    history = History()
    assistant(history, "a", "Hello there.", 1000)
    assistant(history, "b", "I can offer", 1000, complete=False)
    assert texts(history) == ["Hello there."] and texts(history) == []
    history.completed("b")
    assert texts(history) == ["I can offer"]


def test_words_that_had_no_sound_were_not_heard() -> None:
    history = History()
    assistant(history, "a", "silent words", 0)
    assert texts(history) == [] and history.unheard == []


def test_of_what_was_cut_the_words_up_to_there_were_heard() -> None:
    history = History()
    assistant(history, "a", "one two three four", 4000)
    history.cut("a", 2000)
    [item] = history.settled()
    assert (item.text, item.unheard, item.sound_ms, item.sent_ms) == ("one two", " three four", 2000, 4000)


def test_what_was_cut_before_a_word_of_it_was_heard_is_known_as_unheard() -> None:
    history = History()
    assistant(history, "a", "one two", 1000)
    history.cut("a", 0)
    [item] = history.settled()
    assert (item.text, item.unheard, item.sent_ms) == ("", "one two", 1000)
    assert history.empty


def test_items_whose_end_is_lost_do_not_pile_up() -> None:
    history = History()
    for number in range(100):
        assistant(history, f"a{number}", "no end", 1000, complete=False)
    assert len(history.unheard) <= MOST_UNHEARD + 1
