"""From the end of the caller's words to the answer's first sound at the phone."""

from bridge.call.latency import Latency


def test_it_is_measured_by_the_first_mark_of_the_answer() -> None:
    latency = Latency()
    latency.caller_stopped(1_000)
    latency.answer_sent("5")
    latency.answer_sent("6")
    assert latency.mark_back("6", 1_900) is None
    assert latency.mark_back("5", 1_800) == 800
    assert latency.mark_back("5", 1_900) is None


def test_words_that_nobody_said_are_answered_without_a_measure() -> None:
    latency = Latency()
    latency.answer_sent("1")
    assert latency.mark_back("1", 100) is None


def test_a_caller_who_goes_on_has_not_been_answered() -> None:
    latency = Latency()
    latency.caller_stopped(1_000)
    latency.answer_sent("5")
    latency.caller_speaks()
    assert latency.mark_back("5", 1_800) is None
    latency.caller_stopped(3_000)
    latency.answer_sent("9")
    assert latency.mark_back("9", 3_500) == 500
