"""A caller who talks over the assistant: silence at once, and a model that knows exactly what was heard."""

import asyncio
from functools import partial

from bridge.sim.phone import PhoneCall
from bridge.sim.realtime import Call, Faults, Turn
from bridge.sim.realtime.items import Item
from tests.stage.office import Office, line, speech
from tests.stage.office import office as any_office

#: What is heard is measured to a frame or two, so time passes little faster than the clock: a millisecond for which a
#: busy machine keeps this process waiting is 3 ms of the call.
office = partial(any_office, clock_speed=3)
#: A frame of the phone and one of its neighbours, ms.
TWO_FRAMES_MS = 40


async def interrupt(world: Office, call: PhoneCall, *, seed: int = 0) -> tuple[float, float]:
    """The caller speaks up; what had been heard (ms in all) at the clear, and how long the clear took to arrive."""
    async def heard() -> float:
        await call.until_quiet()
        return call.heard_ms                         # later the next answer may have begun
    _, heard_ms = await asyncio.gather(call.say(speech(400, seed)), heard())
    cleared = [event.at_ms for event in call.log if event.kind == "clear"][-1]
    started = [at for at, kind, _ in world.session.log if kind == "speech_started"][-1]
    return heard_ms, cleared - started


async def interrupt_after(world: Office, ms: float) -> tuple[float, float]:
    """A caller who has asked, and has heard so much of the answer, speaks up."""
    call = await world.greeted()
    await call.say(speech(600))
    await call.until_heard(call.heard_ms + ms)
    return await interrupt(world, call)


def said(world: Office) -> list[Item]:
    """What the assistant has said, the greeting first."""
    return [item for item in world.session.items.values() if item.role == "assistant"]


def assert_remembered(world: Office, heard_ms: float, slack_ms: float) -> None:
    """The model remembers what the caller heard: never more, and less by two frames and the way at the most."""
    remembered = sum(item.remembered_ms for item in said(world) if not item.deleted)
    assert heard_ms - TWO_FRAMES_MS - slack_ms <= remembered <= heard_ms + TWO_FRAMES_MS


async def test_the_model_remembers_what_was_heard() -> None:
    async with office(Turn((line(4000),)), Turn((line(300),))) as world:
        heard, slack = await interrupt_after(world, 1500)
        await world.session.until_received("conversation.item.truncate")
        await world.session.until_sent("conversation.item.truncated")
        assert_remembered(world, heard, slack)


async def test_audio_that_plays_long_after_the_response_was_done() -> None:
    async with office(Turn((line(6000),)), Turn((line(300),)), delta_speed=0) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await world.session.until(lambda: world.session.log[-1][1] == "response_done" and not world.session.active)
        await call.until_heard(call.heard_ms + 900)
        heard, slack = await interrupt(world, call)
        await world.session.until_sent("conversation.item.truncated")
        assert_remembered(world, heard, slack)
        assert call.queued_ms == 0


async def test_two_items_waiting_one_is_cut_and_one_is_gone() -> None:
    async with office(Turn((line(1500, seed=1), line(1500, seed=2))), Turn((line(300),)), delta_speed=0) as world:
        heard, slack = await interrupt_after(world, 700)
        await world.session.until_received("conversation.item.delete")
        await world.session.until_sent("conversation.item.deleted")
        first, second = said(world)[1:3]
        assert first.truncated_ms is not None and 0 < first.truncated_ms < 1500
        assert second.deleted and second.truncated_ms is None
        assert_remembered(world, heard, slack)


async def test_the_second_of_two_items_is_cut_and_the_first_stays_whole() -> None:
    async with office(Turn((line(600, seed=1), line(2500, seed=2))), Turn((line(300),)), delta_speed=0) as world:
        heard, slack = await interrupt_after(world, 1200)
        await world.session.until_sent("conversation.item.truncated")
        first, second = said(world)[1:3]
        assert first.truncated_ms is None and second.truncated_ms is not None
        assert_remembered(world, heard, slack)


async def test_speech_in_the_first_tenth_of_a_second() -> None:
    async with office(Turn((line(3000),)), Turn((line(300),))) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        heard, slack = await interrupt(world, call)
        await world.session.until(lambda: any(
            event["type"] in ("conversation.item.truncate", "conversation.item.delete")
            for event in world.session.received))
        assert all(event["audio_end_ms"] > 0 for event in world.session.received
                   if event["type"] == "conversation.item.truncate")
        assert_remembered(world, heard, slack)


async def test_two_interruptions_in_a_row() -> None:
    async with office(Turn((line(4000, seed=1),)), Turn((line(4000, seed=2),)), Turn((line(300),))) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_heard(call.heard_ms + 800)
        _, first_slack = await interrupt(world, call)
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_heard(call.heard_ms + 500)
        heard, slack = await interrupt(world, call, seed=1)
        await world.session.until_sent("conversation.item.truncated", count=2)
        assert_remembered(world, heard, first_slack + slack + TWO_FRAMES_MS)          # each cut may lack two frames


async def test_late_audio_of_the_cut_response_is_not_heard() -> None:
    async with office(
        Turn((line(6000, seed=1),)), Turn((line(300, seed=2),)), faults=Faults(late_deltas=4), delta_speed=1.2,
    ) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_heard(call.heard_ms + 800)
        await interrupt(world, call)
        cleared = len(call.played)
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.played[cleared:] == line(300, seed=2).audio


async def test_marks_that_come_back_late_do_not_count_as_heard() -> None:
    async with office(Turn((line(5000),)), Turn((line(300),))) as world:
        call = await world.greeted()
        world.phone.late_marks_ms = 300
        await call.say(speech(600))
        await call.until_heard(call.heard_ms + 1500)
        heard, slack = await interrupt(world, call)
        await world.session.until_sent("conversation.item.truncated")
        assert_remembered(world, heard, slack + 300 + 100)           # a busy machine makes them later still


async def test_a_reply_that_was_heard_to_its_end_stays_whole() -> None:
    async with office(Turn((line(500),)), Turn((line(300),))) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        await world.session.until(lambda: not world.session.active)
        await call.say(speech(600, seed=1))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert not [event for event in call.log if event.kind == "clear"]
        assert not [item for item in world.session.items.values() if item.truncated_ms or item.deleted]


async def test_a_goodbye_can_be_interrupted_and_the_call_goes_on() -> None:
    async with office(Turn((line(4000), Call("end_call", {"reason": "done"}))), Turn((line(500, seed=7),))) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_heard(call.heard_ms + 800)
        await interrupt(world, call)
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.played.endswith(line(500, seed=7).audio)
        assert not call.over
