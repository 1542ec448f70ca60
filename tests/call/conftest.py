"""Where many tests of a dialogue begin."""

import pytest

from tests.stage.talk import Talk


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
