"""From the end of the caller's words to the sounds that follow at the phone."""

from bridge.call.latency import Latency, Waited


def test_it_is_measured_by_the_first_mark_of_the_answer() -> None:
    latency = Latency()
    latency.caller_stopped(1_000)
    latency.sent("5", answer=True)
    latency.sent("6", answer=True)
    assert latency.mark_back("6", 1_900) is None
    assert latency.mark_back("5", 1_800) == Waited(answer_ms=800, first_ms=800, silence_ms=800)
    assert latency.mark_back("5", 1_900) is None


def test_words_that_nobody_said_are_answered_without_a_measure() -> None:
    latency = Latency()
    latency.sent("1", answer=True)
    assert latency.mark_back("1", 100) is None


def test_a_caller_who_goes_on_has_not_been_answered() -> None:
    latency = Latency()
    latency.caller_stopped(1_000)
    latency.sent("5", answer=True)
    latency.caller_speaks()
    assert latency.mark_back("5", 1_800) is None
    latency.caller_stopped(3_000)
    latency.sent("9", answer=True)
    assert latency.mark_back("9", 3_500) == Waited(500, 500, 500)


def test_a_filler_is_the_first_sound_and_not_the_answer() -> None:
    latency = Latency()
    latency.caller_stopped(0)
    latency.sent("1", answer=False)
    assert latency.mark_back("1", 700) is None
    latency.all_heard(2_000)
    latency.sent("2", answer=True)
    assert latency.mark_back("2", 3_500) == Waited(answer_ms=3_500, first_ms=700, silence_ms=1_500)


def test_the_longest_silence_may_be_any_of_those_before_the_answer() -> None:
    latency = Latency()
    latency.caller_stopped(0)
    for number, (begins, ends) in enumerate(((2_200, 3_000), (3_500, 4_000))):
        latency.sent(str(number), answer=False)
        latency.mark_back(str(number), begins)
        latency.all_heard(ends)
    latency.sent("9", answer=True)
    assert latency.mark_back("9", 5_000) == Waited(answer_ms=5_000, first_ms=2_200, silence_ms=2_200)


def test_an_answer_that_follows_a_filler_at_once_leaves_no_silence_between_them() -> None:
    latency = Latency()
    latency.caller_stopped(0)
    latency.sent("1", answer=False)
    latency.sent("2", answer=True)
    latency.mark_back("1", 600)
    assert latency.mark_back("2", 1_600) == Waited(answer_ms=1_600, first_ms=600, silence_ms=600)
