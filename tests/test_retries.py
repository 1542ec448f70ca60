"""When a delivery is tried again: decided from values, without a clock or a socket."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.delivery.answer import Answer
from bridge.delivery.retries import GIVE_UP_S, LONGEST_WAIT_S, Dead, Decision, Delivered, RetryAt, decide, pause
from bridge.delivery.statuses import answered

BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
DAY = 24 * 3600


def after(
    status: int | None, attempts: int = 1, *, age: float = 10, jitter: float = 0.5, wait: str | None = None,
    words: str = "",
) -> Decision:
    """The decision about a delivery that was created `age` seconds ago."""
    headers, now = {} if wait is None else {"Retry-After": wait}, BEGUN + age
    answer = Answer() if status is None else answered(status, headers, words, now)
    return decide(answer, attempts, BEGUN, now, jitter)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207, 299])
def test_any_2xx_delivers(status: int) -> None:
    assert after(status) == Delivered()
    assert after(status, 50, age=10 * DAY) == Delivered()


@pytest.mark.parametrize("status", [409, 410, 422])
def test_a_no_is_dead_at_once(status: int) -> None:
    assert after(status) == Dead(refused=True)
    assert after(status, wait="60") == Dead(refused=True)
    assert after(status, 50, age=10 * DAY) == Dead(refused=True)


def test_a_bad_request_is_a_no_only_where_it_has_words_for_the_caller() -> None:
    assert after(400) == RetryAt(BEGUN + 10 + 1)
    assert after(400, words="We are on holiday.") == Dead(refused=True)
    assert after(404, words="We are on holiday.") == RetryAt(BEGUN + 10 + 1)


@pytest.mark.parametrize("status", [
    None, 300, 301, 302, 307, 308, 408, 425, 429, 500, 502, 503, 504, 599, 600, 999,
    401, 402, 403, 404, 405, 406, 407, 411, 412, 413, 414, 415, 417, 418, 421, 423, 424, 426, 428, 431, 451, 499])
def test_what_may_pass_or_can_be_mended_is_tried_again(status: int | None) -> None:
    assert after(status) == RetryAt(BEGUN + 10 + 1)


@pytest.mark.parametrize(("attempts", "seconds"), [
    (1, 1), (2, 5), (3, 25), (4, 125), (5, 625), (6, 3125), (7, 14400), (8, 14400), (100, 14400), (10_000, 14400)])
def test_the_pauses_grow_to_hours(attempts: int, seconds: float) -> None:
    assert pause(attempts, 0.5) == seconds


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_the_first_pauses_are_exact(attempts: int) -> None:
    assert pause(attempts, 0) == pause(attempts, 1)


def test_later_pauses_differ_by_a_quarter_either_way() -> None:
    assert (pause(4, 0), pause(4, 1)) == (125 * 0.75, 125 * 1.25)
    assert (pause(9, 0), pause(9, 1)) == (14400 * 0.75, 14400 * 1.25)


def test_a_failure_before_three_days_is_not_the_last_and_one_after_them_is() -> None:
    assert after(503, 20, age=GIVE_UP_S - 1) == RetryAt(BEGUN + GIVE_UP_S - 1 + 14400)
    assert after(503, 20, age=GIVE_UP_S) == Dead()
    assert after(None, 20, age=GIVE_UP_S + 14000) == Dead()


def test_three_days_are_some_two_dozen_attempts() -> None:
    now, attempts = BEGUN, 1
    while isinstance(decision := decide(Answer(), attempts, BEGUN, now, 0.5), RetryAt):
        now, attempts = decision.at, attempts + 1
    assert 20 <= attempts <= 30
    assert GIVE_UP_S <= now - BEGUN < GIVE_UP_S + 5 * 3600


@pytest.mark.parametrize(("wait", "seconds"), [
    ("60", 60), (" 120 ", 120), ("0", 1), ("1", 1),               # it never shortens a pause
    ("86400", DAY), ("86401", DAY), ("9" * 5000, DAY),
    ("Mon, 23 Nov 2026 12:05:10 GMT", 300), ("Monday, 23-Nov-26 12:05:10 GMT", 300), ("Mon Nov 23 12:05:10 2026", 300),
    ("Mon, 23 Nov 2020 12:05:10 GMT", 1), ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
    ("", 1), ("soon", 1), ("-5", 1), ("1.5", 1), ("1e9", 1), ("٣٠", 1), ("nan", 1), ("Mon, 23 Nov 2026", 1)])
def test_retry_after_puts_off_for_a_day_at_most(wait: str, seconds: float) -> None:
    assert after(503, wait=wait) == RetryAt(BEGUN + 10 + seconds)


def test_retry_after_does_not_shorten_a_long_pause() -> None:
    assert after(429, 6, wait="60") == RetryAt(BEGUN + 10 + 3125)


@given(
    status=st.none() | st.integers(100, 999), attempts=st.integers(0, 10**6), age=st.floats(-60, 30 * DAY),
    jitter=st.floats(0, 1), wait=st.text(max_size=40) | st.integers().map(str))
def test_whatever_comes_it_is_decided_within_bounds(
    status: int | None, attempts: int, age: float, jitter: float, wait: str,
) -> None:
    decision = after(status, attempts, age=age, jitter=jitter, wait=wait)
    if isinstance(decision, RetryAt):
        assert age < GIVE_UP_S
        assert 0.99 < decision.at - (BEGUN + age) < LONGEST_WAIT_S + 1
