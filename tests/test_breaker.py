"""When the model counts as out of reach, who tries whether it is back, and when."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import keys
from bridge.app import create_app
from bridge.openai_side import breaker as breaker_module
from bridge.openai_side import probing
from bridge.openai_side.breaker import FAILURES, FIRST_S, LONGEST_S, Breaker
from bridge.openai_side.connection import Account
from bridge.sim.demo import serving
from bridge.sim.realtime import Faults, Line, RealtimeServer, Turn
from tests.helpers import make_settings
from tests.vendor import check_client_event


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(now)
    return breaker


# ---- the judgement

def test_three_failures_in_a_row_open_it() -> None:
    breaker = Breaker()
    seen = []
    for _ in range(3):
        seen.append(breaker.open)
        breaker.failed(0)
    assert (seen, breaker.open) == ([False] * 3, True)


def test_a_success_in_between_begins_the_row_anew() -> None:
    breaker = Breaker()
    for outcome in (breaker.failed, breaker.failed, lambda now: breaker.succeeded(), breaker.failed, breaker.failed):
        outcome(0)
    assert not breaker.open


def test_a_success_closes_it() -> None:
    breaker = opened()
    breaker.succeeded()
    assert (breaker.open, breaker.probe_at) == (False, None)


def test_after_it_closed_it_takes_three_failures_again() -> None:
    breaker = opened()
    breaker.succeeded()
    breaker.failed(1)
    breaker.failed(1)
    assert not breaker.open
    breaker.failed(1)
    assert breaker.probe_at == 1 + FIRST_S


def test_the_trials_grow_rare() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(6):
        assert breaker.probe_at is not None
        pauses.append(breaker.probe_at - now)
        now = breaker.probe_at
        breaker.failed(now)
    assert pauses == [5, 10, 20, 40, 60, 60]


def test_what_fails_before_the_trial_does_not_put_it_off() -> None:
    breaker = opened(now=100)
    breaker.failed(100 + FIRST_S - 0.1)
    assert breaker.probe_at == 100 + FIRST_S


def test_one_refusal_that_every_call_would_meet_opens_it_and_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    breaker = Breaker()
    for now in range(3):
        breaker.refused(now, "insufficient_quota: see the billing page")
    assert breaker.open
    [record] = caplog.records
    assert record.levelname == "ERROR" and "billing page" in record.getMessage()


def test_what_is_still_heard_after_a_refusal_does_not_close_it_but_a_trial_does() -> None:
    breaker = Breaker()
    breaker.refused(0, "no credit")
    breaker.succeeded()
    assert breaker.open
    breaker.tried()
    assert not breaker.open


def test_a_trial_is_not_a_caller_until_one_was_served_each_opening_is_longer() -> None:
    breaker, now, pauses = Breaker(), 0.0, []
    for _ in range(6):
        for _ in range(FAILURES):
            breaker.failed(now)
        assert breaker.probe_at is not None
        pauses.append(breaker.probe_at - now)
        now = breaker.probe_at
        breaker.tried()
    assert pauses == [5, 10, 20, 40, 60, 60]
    breaker.succeeded()
    for _ in range(FAILURES):
        breaker.failed(now)
    assert breaker.probe_at == now + FIRST_S


def test_it_says_once_that_it_opens_and_once_that_it_closes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    breaker = opened()
    for now in range(0, 100, 10):
        breaker.failed(now)
    breaker.succeeded()
    breaker.succeeded()
    said = [record.getMessage() for record in caplog.records]
    assert ["out of reach" in said[0], "reached again" in said[-1], len(said)] == [True, True, 2]


@given(st.lists(st.tuples(
    st.sampled_from(["failed", "refused", "succeeded", "tried"]), st.floats(0, 100)), max_size=60))
def test_whatever_happens_it_is_open_after_failures_alone_and_a_trial_is_never_far(
    events: list[tuple[str, float]],
) -> None:
    breaker, now, row, refused = Breaker(), 0.0, 0, False
    for outcome, passed in events:
        now += passed
        if outcome == "failed":
            breaker.failed(now)
            row += 1
        elif outcome == "refused":
            breaker.refused(now, "no credit")
            row, refused = row + 1, True
        elif outcome == "tried":
            breaker.tried()
            row, refused = 0, False
        else:
            breaker.succeeded()
            row = row if refused else 0
        assert breaker.open is (row >= FAILURES or refused)
        assert breaker.probe_at is None or breaker.probe_at <= now + LONGEST_S
        assert breaker.open is (breaker.probe_at is not None)


# ---- who tries

@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(probing, "LOOK_S", 0.005)
    monkeypatch.setattr(breaker_module, "FIRST_S", 0.01)
    monkeypatch.setattr(breaker_module, "LONGEST_S", 0.02)
    yield


@pytest.mark.usefixtures("quick")
async def test_the_application_finds_out_by_itself_that_the_model_is_back() -> None:
    async with RealtimeServer([Turn((Line("Yes.", b"x" * 4000),))], faults=Faults(refuse_status=503)) as model:
        app = create_app(make_settings(OPENAI_REALTIME_URL=model.url))
        async with serving(app), asyncio.timeout(10):
            breaker = app[keys.BREAKER]
            for _ in range(FAILURES):
                breaker.failed(asyncio.get_running_loop().time())
            await model.until(lambda: model.refused >= 3)
            assert breaker.open
            model.faults = Faults()
            while breaker.open:
                await asyncio.sleep(0.005)
            session = await model.until_session()
            await session.until(lambda: session.closed)
            assert [event["type"] for event in session.received] == ["session.update", "response.create"]
            for event in session.received:
                check_client_event(event)
            assert session.errors == []


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("faults", [
    Faults(fail_responses=99, failure=("insufficient_quota", "No credit.")), Faults(drop_after="response.create"),
    Faults(limit_responses=99), Faults(mute_responses=99), Faults(drop_after="session.updated")])
async def test_a_model_that_opens_sessions_but_says_nothing_is_not_back(
    faults: Faults, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probing, "ANSWER_S", 0.05)
    async with RealtimeServer([Turn((Line("Yes.", b"x" * 4000),))], faults=faults, think_ms=0) as model, \
            aiohttp.ClientSession() as http, asyncio.timeout(10):
        breaker = opened(now=-1000)
        task = asyncio.ensure_future(
            probing.probe_while_open(breaker, http, Account(model.url, "gpt-realtime-2.1", "sk-simulated"), "marin"))
        await model.until_session(3)
        assert breaker.open
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.usefixtures("quick")
async def test_a_trial_that_goes_wrong_in_an_unknown_way_is_not_the_last(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes = iter([None])
    setup = probing._setup

    def faulty_once(voice: str) -> bytes:
        for _ in outcomes:
            raise ZeroDivisionError
        return setup(voice)
    monkeypatch.setattr(probing, "_setup", faulty_once)
    async with RealtimeServer([Turn((Line("Yes.", b"x" * 4000),))]) as model, aiohttp.ClientSession() as http, \
            asyncio.timeout(10):
        breaker = opened(now=-1000)
        task = asyncio.ensure_future(
            probing.probe_while_open(breaker, http, Account(model.url, "gpt-realtime-2.1", "sk-simulated"), "marin"))
        while breaker.open:
            await asyncio.sleep(0.005)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.usefixtures("quick")
async def test_while_calls_can_connect_nothing_is_tried() -> None:
    async with RealtimeServer() as model, aiohttp.ClientSession() as http, asyncio.timeout(10):
        breaker, looks = Breaker(), asyncio.Semaphore(0)

        class Seen(Breaker):
            """One that tells when it is looked at."""

            @property
            def probe_at(self) -> float | None:
                looks.release()
                return breaker.probe_at

        task = asyncio.ensure_future(
            probing.probe_while_open(Seen(), http, Account(model.url, "gpt-realtime-2.1", "sk-simulated"), "marin"))
        breaker.failed(0)
        for _ in range(3):
            await looks.acquire()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert model.connections == 0
