"""How long is waited before the next attempt to reach the model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.openai_side.backoff import FIRST_S, GIVE_UP_S, LONGEST_S, Recovery, pause

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


# ---- over several sessions

@given(st.lists(st.tuples(jitters, st.floats(0, 6)), min_size=50, max_size=50))
def test_whatever_attempts_and_sessions_last_the_last_attempt_is_made_when_the_time_is_up(
    attempts: list[tuple[float, float]],
) -> None:
    recovery, now, made = Recovery(), 0.0, []
    recovery.begin(now)
    for jitter, lasted in attempts:
        wait = recovery.next_attempt(now, jitter)
        if wait is None:
            break
        made.append(now + wait)
        now += wait + lasted
        recovery.begin(now)                          # a session that broke before it was of any use changes nothing
    assert made[0] == 0 and wait is None and now >= GIVE_UP_S - 0.05
    assert made[-1] <= GIVE_UP_S and len(made) <= 11
    assert all(after - before >= FIRST_S * 0.75 or after == GIVE_UP_S for before, after in zip(made, made[1:]))


def test_with_attempts_that_fail_at_once_the_last_one_comes_after_fifteen_seconds() -> None:
    for jitter in (0.0, 0.5, 1.0):
        recovery, now = Recovery(), 0.0
        recovery.begin(now)
        while (wait := recovery.next_attempt(now, jitter)) is not None:
            now += wait
        assert now == pytest.approx(GIVE_UP_S) and 7 <= recovery.attempts <= 11


def test_once_a_caller_was_served_the_next_loss_is_made_good_at_once() -> None:
    recovery = Recovery()
    recovery.begin(0)
    for _ in range(3):
        recovery.next_attempt(1, 0)
    recovery.served()
    recovery.begin(100)
    assert recovery.next_attempt(100, 0) == 0 and recovery.left_s(101) == GIVE_UP_S - 1


def test_a_wait_that_the_server_names_is_kept_to_unless_there_is_no_time_for_it() -> None:
    recovery = Recovery()
    recovery.begin(0)
    assert recovery.next_attempt(0, 0) == 0
    assert recovery.next_attempt(0, 0, wait_s=6) == 6
    assert recovery.next_attempt(6, 0, wait_s=0.01) == pytest.approx(0.4)
    assert recovery.next_attempt(7, 0, wait_s=9) is None
