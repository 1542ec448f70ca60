"""What a call may last and cost."""

from bridge.call.bounds import Bounds
from bridge.call.budget import WARNING_MS, WRAP_UP_PART, Budget


def test_without_limits_it_goes_on() -> None:
    bounds = Bounds()
    budget = Budget(bounds, 0, 0)
    budget.begin(0)
    assert bounds.soonest is None
    assert budget.charge(1_000_000) == "goes on" and budget.usd == 1_000_000


def test_a_long_call_is_warned_before_its_end() -> None:
    bounds = Bounds()
    Budget(bounds, 600_000, 0).begin(1_000)
    assert bounds.due(601_000 - WARNING_MS) == "warning"
    assert bounds.due(601_000) == "time"


def test_a_short_call_is_not_warned() -> None:
    bounds = Bounds()
    Budget(bounds, WARNING_MS, 0).begin(0)
    assert bounds.due(WARNING_MS) == "time" and bounds.soonest is None


def test_the_model_is_told_once_to_wrap_up_and_the_call_ends_with_its_money() -> None:
    budget = Budget(Bounds(), 0, 1.0)
    assert budget.charge(WRAP_UP_PART - 0.01) == "goes on" and not budget.wrapped_up
    assert budget.charge(0.01) == "wrap up" and budget.wrapped_up
    assert budget.charge(0.01) == "goes on"
    assert budget.charge(0.5) == "used up"
    assert budget.charge(0.0) == "used up"


def test_all_money_at_once_is_used_up() -> None:
    assert Budget(Bounds(), 0, 1.0).charge(1.0) == "used up"
