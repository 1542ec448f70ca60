"""The greeting, and from when on the caller is heard."""

from bridge.call.bounds import Bounds
from bridge.call.opening import BEGIN_MS, CONFIRM_MS, OVERRUN_MS, Opening


def opening(*, protected: bool) -> tuple[Opening, Bounds]:
    bounds = Bounds()
    made = Opening(bounds, done=False)
    made.begin(protected=protected)
    return made, bounds


def test_a_protected_greeting_has_to_begin_and_to_end() -> None:
    greeting, bounds = opening(protected=True)
    assert greeting.done and greeting.protected and not greeting.complete
    greeting.asked(0)
    assert bounds.soonest == BEGIN_MS
    greeting.sounded(1_000, 250)
    assert bounds.due(1_250 + OVERRUN_MS) == "greeting"


def test_a_greeting_that_is_not_protected_has_no_bound_of_its_own() -> None:
    greeting, bounds = opening(protected=False)
    greeting.asked(0)
    greeting.sounded(0, 250)
    assert bounds.soonest is None


def test_the_server_has_to_confirm_that_it_listens() -> None:
    greeting, bounds = opening(protected=True)
    greeting.asked(0)
    greeting.listen(100)
    assert greeting.listening and not greeting.protected
    assert bounds.soonest == 100 + CONFIRM_MS
    greeting.confirmed()
    assert bounds.soonest is None


def test_a_lost_session_waits_for_nothing_of_its_own() -> None:
    greeting, bounds = opening(protected=True)
    greeting.asked(0)
    greeting.forget_session()
    assert bounds.soonest is None and not greeting.protected and greeting.done


def test_a_second_greeting_is_not_complete_because_the_first_one_was() -> None:
    greeting, _ = opening(protected=True)
    greeting.complete = True
    greeting.begin(protected=True)
    assert not greeting.complete
