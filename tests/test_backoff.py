"""How long is waited before the next attempt to reach the model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.openai_side.backoff import FIRST_S, GIVE_UP_S, LONGEST_S, pause

jitters = st.floats(0, 1)


@pytest.mark.parametrize(("attempt", "seconds"), [
    (1, 0.2), (2, 0.4), (3, 0.8), (4, 1.6), (5, 3.2), (6, 4.0), (7, 4.0), (10_000, 4.0)])
def test_the_pauses_double_up_to_four_seconds(attempt: int, seconds: float) -> None:
    assert pause(attempt, 0) == pytest.approx(seconds)
    assert pause(attempt, 1) == pytest.approx(seconds * 0.75)


@given(attempt=st.integers(), jitter=jitters)
def test_every_pause_is_short_and_none_is_nothing(attempt: int, jitter: float) -> None:
    assert FIRST_S * 0.75 <= pause(attempt, jitter) <= LONGEST_S


@given(attempt=st.integers(1, 5), first=jitters, second=jitters)
def test_whatever_the_jitter_the_next_pause_is_longer_until_the_longest(
    attempt: int, first: float, second: float,
) -> None:
    assert pause(attempt, first) < pause(attempt + 1, second) or attempt == 5


def test_a_caller_gets_several_attempts_before_it_is_given_up() -> None:
    waited, attempts = 0.0, 1
    while waited < GIVE_UP_S:
        waited, attempts = waited + pause(attempts, 0), attempts + 1
    assert attempts == 9
