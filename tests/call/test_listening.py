"""The greeting, and from when on the caller is heard."""

from bridge.call.bounds import BEGIN_MS, Bounds
from bridge.call.listening import CONFIRM_MS, Listening
from bridge.call.timing import Timing

TIMING = Timing()


def listening(*, protected: bool) -> tuple[Listening, Bounds]:
    bounds = Bounds()
    made = Listening(bounds, TIMING, greeted=False)
    made.greet(protected=protected)
    return made, bounds


def test_a_protected_greeting_has_to_begin_and_to_end() -> None:
    greeting, bounds = listening(protected=True)
    assert greeting.greeted and greeting.protected and not greeting.said
    greeting.asked(0)
    assert bounds.soonest == BEGIN_MS
    greeting.sounded(1_000, 250)
    assert bounds.due(1_250 + TIMING.overrun_ms) == "protected"


def test_a_greeting_that_is_not_protected_has_no_bound_of_its_own() -> None:
    greeting, bounds = listening(protected=False)
    greeting.asked(0)
    greeting.sounded(0, 250)
    assert bounds.soonest is None


def test_the_server_has_to_confirm_that_it_listens() -> None:
    greeting, bounds = listening(protected=True)
    greeting.asked(0)
    greeting.start(100)
    assert greeting.on and not greeting.protected
    assert bounds.soonest == 100 + CONFIRM_MS
    greeting.confirmed()
    assert bounds.soonest is None


def test_a_lost_session_waits_for_nothing_of_its_own() -> None:
    greeting, bounds = listening(protected=True)
    greeting.asked(0)
    greeting.forget_session()
    assert bounds.soonest is None and not greeting.protected and greeting.greeted


def test_a_second_greeting_is_not_complete_because_the_first_one_was() -> None:
    greeting, _ = listening(protected=True)
    greeting.said = True
    greeting.greet(protected=True)
    assert not greeting.said


def test_the_answer_to_a_turn_without_an_end_is_protected_until_it_was_heard() -> None:
    greeting, bounds = listening(protected=False)
    greeting.start(0)
    greeting.confirmed()
    greeting.stop(100, protected=True)
    assert greeting.protected and not greeting.on and not greeting.said
    assert bounds.soonest == 100 + BEGIN_MS
    greeting.acted(1_000, 500)
    assert bounds.soonest == 1_500 + BEGIN_MS
