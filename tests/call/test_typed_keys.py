"""What the caller types."""

from bridge.call import words
from bridge.call.keypad import DIGITS_MS, MOST_DIGITS
from tests.stage.talk import Talk, begins, ends, greeted, press, retold, until


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
