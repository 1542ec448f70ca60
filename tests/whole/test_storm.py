"""Sessions at the model that open and do nothing for the caller: how many are opened, and what the caller gets."""

import asyncio
import base64
import logging
import time
from functools import partial

import aiohttp
import pytest

from bridge import keys
from bridge.call import floor, model_line
from bridge.call.clips import clips
from bridge.call.timing import Timing
from bridge.sim.phone import PhoneCall
from bridge.sim.realtime import Faults, Turn
from bridge.twilio_side.twiml import APOLOGY
from tests.stage.office import Office, line, speech
from tests.stage.office import office as any_office

pytestmark = pytest.mark.usefixtures("way")

office = partial(any_office, clock_speed=10)
LONG = Turn((line(8000),), "What is there?")
BREAKS = {
    "after session.updated": Faults(drop_after="session.updated"),
    "after response.create": Faults(drop_after="response.create"),
    "after one delta": Faults(drop_after_deltas=1),
    "closed after one delta": Faults(close_after_deltas=(1, 1011)),
}


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def lines(caplog: pytest.LogCaptureFixture, *levels: str) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.levelname in levels and record.name.startswith("bridge.")]


async def ready(world: Office) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"{world.origin}/readyz") as answer:
        return answer.status


@pytest.mark.parametrize("when", ["at the beginning", "in mid-call"])
@pytest.mark.parametrize("how", BREAKS)
async def test_sessions_that_open_and_break_are_few_and_then_comes_the_fallback(
    how: str, when: str, caplog: pytest.LogCaptureFixture,
) -> None:
    faults = BREAKS[how] if when == "at the beginning" else Faults()
    async with office(LONG, faults=faults, delta_speed=1.2, timing=Timing(give_up_s=1.0)) as world:
        call = await (world.phone.dial() if when == "at the beginning" else amid_an_answer(world))
        before = world.model.connections if when == "in mid-call" else 0
        if when == "in mid-call":
            world.model.faults = BREAKS[how]
            world.session.close(1006)
        await call.until_over()
        assert call.spoken == [APOLOGY]
        assert 2 <= world.model.connections - before <= 6    # at once, after 0.2 s, 0.4 s, and at the end of the second
        assert world.app[keys.BREAKER].open and await ready(world) == 503
        next_call = await world.phone.dial()
        await next_call.until_over()
        assert next_call.spoken == [APOLOGY] and next_call.stream_sid == ""
    assert "model unreachable" in caplog.text
    told = [line for line in lines(caplog, "WARNING", "ERROR") if "session" in line]
    assert len(told) <= 4                            # what it is, that it is given up, and what the breaker says of it


async def amid_an_answer(world: Office) -> PhoneCall:
    """The caller has heard the greeting, has asked, and hears the answer."""
    call = await world.greeted()
    await call.say(speech(600))
    await call.until_speaking(after_ms=world.phone.clock.ms())
    return call


async def test_a_session_that_was_of_use_and_breaks_is_followed_by_another_at_once_every_time() -> None:
    async with office(Turn((line(300),), "Are you there?")) as world:
        call = await world.greeted()
        [ours] = world.app[keys.CALLS]
        for place in range(1, 5):
            world.model.sessions[place - 1].close(1006)
            session = await world.model.until_session(place + 1)
            await session.until_sent("session.updated")
            assert ours._model._recovery.attempts == 1       # the first one, before which there is no pause
            await session.until(lambda: session.config["audio"]["input"]["turn_detection"])
            before = call.heard_ms
            await call.say(speech(600))
            await session.until_sent("response.done")
            await call.until_heard(before + 300)
            await call.until_quiet()
        assert call.spoken == [] and not world.app[keys.BREAKER].open


async def test_a_session_in_which_nobody_has_anything_to_say_is_had_after_a_while() -> None:
    async with office(timing=Timing(had_s=0.0)) as world:
        call = await world.greeted()
        [session] = world.app[keys.CALLS]
        world.session.close(1006)
        await (await world.model.until_session(2)).until_received("conversation.item.create")
        async with asyncio.timeout(10):
            while not session._model._had:
                await asyncio.sleep(0.01)
        assert len((await world.model.until_session(2)).received) and call.spoken == []


async def test_a_session_of_which_something_is_awaited_is_not_had_however_long_it_lives() -> None:
    async with office(faults=Faults(stop_reading=True), timing=Timing(had_s=0.0, request_ms=1_200)) as world:
        call = await world.phone.dial()
        await call.until_over(timeout=30)
        assert call.spoken == [APOLOGY] and world.model.connections == floor.RETRIES + 1
        assert world.app[keys.BREAKER].open


# ---- answers that fail

NO_CREDIT = Faults(fail_responses=99, failure=("insufficient_quota", "You exceeded your current quota."))


@pytest.mark.parametrize("when", ["at the beginning", "in mid-call"])
async def test_what_every_call_would_meet_is_asked_for_once_and_said_once(
    when: str, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(LONG, faults=NO_CREDIT if when == "at the beginning" else Faults()) as world:
        if when == "at the beginning":
            call = await world.phone.dial()
        else:
            call = await world.greeted()
            world.session.faults = NO_CREDIT
            await call.say(speech(600))
        await call.until_over()
        assert call.spoken == [APOLOGY] and world.model.connections == 1
        assert len([event for event in world.session.received if event["type"] == "response.create"]) == 1
        later = await world.phone.dial()
        await later.until_over()
        assert later.spoken == [APOLOGY] and later.stream_sid == "" and world.model.connections == 1
        assert await ready(world) == 503
    [error] = lines(caplog, "ERROR")
    assert "insufficient_quota" in error and "billing page" in error and "fallback" in error


async def test_a_limit_that_says_when_it_is_over_is_waited_for_with_recorded_words() -> None:
    async with office(LONG, timing=Timing(hush_ms=50, hush_again_ms=50, retry_ms=0)) as world:
        call = await world.greeted()
        world.session.faults = Faults(
            fail_responses=1, failure=("rate_limit_exceeded", "Rate limit reached. Please try again in 0.6s."))
        heard = call.heard_ms
        await call.say(speech(600))
        await world.session.until_received("response.create", 2)
        assert base64.b64decode(clips()["moment"].payload) in call.played
        await call.until_heard(heard + 2000)
        assert world.model.connections == 1 and call.spoken == []


# ---- an end that cannot be

@pytest.mark.parametrize("left", ["an hour ago", "seconds left", "in three seconds"])
async def test_an_end_that_cannot_be_is_not_believed_and_said_once(
    left: str, caplog: pytest.LogCaptureFixture,
) -> None:
    says = {"an hour ago": int(time.time()) - 3600, "seconds left": 1800, "in three seconds": int(time.time()) + 3}
    async with office(LONG, faults=Faults(says_expires_at=says[left])) as world:
        call = await world.greeted()
        world.session.close(1006)
        await world.model.until_session(2)
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert world.model.connections == 2
        [session] = world.app[keys.CALLS]
        assert session._model._renewal and session._model._renewal.when() > asyncio.get_running_loop().time() + 3000
    assert len([each for each in lines(caplog, "WARNING") if "check this machine's clock" in each]) == 1


async def test_an_end_that_is_too_far_away_is_not_believed_either() -> None:
    async with office(faults=Faults(says_expires_at=4102444800)) as world:
        await world.greeted()
        [session] = world.app[keys.CALLS]
        assert session._model._renewal
        assert session._model._renewal.when() < asyncio.get_running_loop().time() + model_line.SESSION_S


async def test_a_session_that_breaks_while_it_waits_to_take_over_is_not_replaced_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(Turn((line(30_000),))) as world:
        call = await amid_an_answer(world)
        world.model.faults = Faults(drop_after="session.updated")
        [session] = world.app[keys.CALLS]
        model = session._model
        assert model._wire
        session.spawn(model._renew(model._wire))    # its time comes now, in the midst of the answer
        second = await world.model.until_session(2)
        await second.until(lambda: second.closed)
        await call.until_heard(call.heard_ms + 5000)
        assert world.model.connections == 2 and call.spoken == []
    assert caplog.text.count("could not be renewed") == 1


async def test_a_server_that_closes_after_each_answer_is_no_storm_and_costs_no_caller_the_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    turns = [Turn((line(1500, seed=number),)) for number in range(1, 7)]
    async with office(*turns) as world:
        call = await world.greeted()
        for number, _ in enumerate(turns, 1):
            session = await world.model.until_session(number)
            await call.say(speech(600))
            await session.until_sent("response.done", count=2 if number == 1 else 1)
            session.close(1000)                      # while the caller still hears the answer
            await call.until_quiet()
            await world.model.until_session(number + 1)
        assert not call.over and not world.app[keys.BREAKER].open and await ready(world) == 200
        assert world.model.connections == len(turns) + 1
        await call.hang_up()
        assert call.spoken == []
    assert not lines(caplog, "ERROR") and "closed with code 1000" in caplog.text
