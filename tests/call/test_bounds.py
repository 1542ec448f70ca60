"""What must have happened by when."""

import pytest

from bridge.call.bounds import TIMER_MS, Bounds


def test_the_one_that_is_due_first_is_told_and_cleared() -> None:
    bounds = Bounds()
    late, early = bounds.own("late"), bounds.own("early")
    late.set(200)
    early.set(100)
    assert bounds.soonest == 100
    assert bounds.due(100) == "early" and not early.is_set
    assert bounds.soonest == 200
    assert bounds.due(200) == "late"
    assert bounds.soonest is None and bounds.due(10_000) is None


def test_a_timer_may_be_a_little_early_but_not_more() -> None:
    bounds = Bounds()
    bounds.own("it").set(100)
    assert bounds.due(100 - 2 * TIMER_MS) is None
    assert bounds.due(100 - TIMER_MS) == "it"


def test_what_was_put_off_is_not_due() -> None:
    bounds = Bounds()
    it = bounds.own("it")
    it.set(100)
    it.set(300)
    assert bounds.due(100) is None and bounds.soonest == 300


def test_a_bound_has_one_owner() -> None:
    bounds = Bounds()
    bounds.own("it")
    with pytest.raises(ValueError, match="has an owner"):
        bounds.own("it")


def test_it_begins_once_comes_sooner_and_is_cleared() -> None:
    bounds = Bounds()
    it = bounds.own("it")
    it.begin(100)
    it.begin(50)
    assert bounds.soonest == 100
    it.sooner(150)
    assert bounds.soonest == 100
    it.sooner(80)
    assert bounds.soonest == 80
    it.clear()
    it.clear()
    assert bounds.soonest is None
    it.sooner(70)
    assert bounds.soonest == 70


def test_all_are_cleared_at_once() -> None:
    bounds = Bounds()
    one, other = bounds.own("one"), bounds.own("other")
    one.set(1)
    other.set(2)
    bounds.clear()
    assert bounds.soonest is None and not one.is_set and bounds.due(9) is None


def test_the_soonest_is_known_after_each_change() -> None:
    bounds = Bounds()
    one, other = bounds.own("one"), bounds.own("other")
    one.set(1)
    other.set(2)
    one.clear()
    assert bounds.soonest == 2
    one.set(3)
    other.set(4)
    assert bounds.soonest == 3
