"""When a connection to the model counts as dead."""

import asyncio
import logging

import pytest

from bridge import keys
from bridge.call.timing import Timing
from bridge.openai_side.pulse import DEAD_TICKS, PING_TICKS, TICK_S, Pulse
from bridge.sim.realtime import Faults, Turn
from tests.stage.office import line, office, speech


def until_ping(beat: Pulse) -> None:
    for _ in range(PING_TICKS):
        last = beat.tick()
    assert last == "ping"


def test_a_line_that_holds_everything_back_for_two_seconds_is_not_dead() -> None:
    beat = Pulse()
    until_ping(beat)
    for _ in range(int(2.0 / TICK_S)):
        assert beat.tick() == "lives"
    beat.heard = True
    assert beat.tick() == "lives"
    until_ping(beat)


def test_a_dead_one_is_noticed_within_three_seconds() -> None:
    beat, ticks = Pulse(), 1
    while beat.tick() != "dead":
        ticks += 1
    assert ticks == PING_TICKS + DEAD_TICKS and (ticks + 1) * TICK_S <= 3.0


def test_one_ping_asks_until_something_comes() -> None:
    beat = Pulse()
    assert [beat.tick() for _ in range(PING_TICKS + DEAD_TICKS)].count("ping") == 1


def test_whatever_comes_is_a_sign_of_life() -> None:
    beat = Pulse()
    for _ in range(100):
        beat.heard = True
        assert {beat.tick() for _ in range(PING_TICKS)} == {"lives"}


def test_while_we_read_nothing_the_other_end_is_not_to_blame() -> None:
    beat = Pulse()
    beat.busy = True
    assert {beat.tick() for _ in range(100)} == {"lives"}


# ---- over real sockets

async def test_a_line_with_spikes_keeps_its_session() -> None:
    async with office(Turn((line(300),)), clock_speed=10, timing=Timing(tick_s=0.05)) as world:
        call = await world.greeted()
        [session] = world.app[keys.CALLS]
        for _ in range(3):
            world.session.hold_up()
            async with asyncio.timeout(10):
                while session._model._pulse._silent < PING_TICKS + DEAD_TICKS - 2:
                    await asyncio.sleep(0.001)
            world.session.let_through()
            async with asyncio.timeout(10):
                while session._model._pulse._silent:
                    await asyncio.sleep(0.001)
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        assert world.model.connections == 1 and call.spoken == []


async def test_a_model_that_sends_but_does_not_answer_pings_keeps_its_session() -> None:
    async with office(clock_speed=10, timing=Timing(tick_s=0.01)) as world:
        await world.greeted()
        world.session.faults = Faults(no_pongs=True)
        for _ in range(5 * (PING_TICKS + DEAD_TICKS)):
            await world.session.send({"type": "rate_limits.updated", "event_id": "e", "rate_limits": []})
            await asyncio.sleep(0.01)
        assert world.model.connections == 1


async def test_a_quiet_model_is_asked_for_a_sign_of_life_and_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with office(clock_speed=10, timing=Timing(tick_s=0.01)) as world:
        await world.greeted()
        async with asyncio.timeout(20):
            while world.session.pings < 3:
                await asyncio.sleep(0.005)
        assert world.model.connections == 1
    assert not caplog.records
