"""A caller is put through to a person, and comes back where nobody answers."""

import logging
from functools import partial

import pytest

from bridge.call.timing import Timing
from bridge.call.words import TRANSFER_FAILED, TRANSFER_UNANSWERED
from bridge.sim.phone import PhoneCall
from bridge.sim.realtime import Call, Turn
from bridge.sim.twilio_rest import RestFaults
from tests.stage.office import Office, amid_an_answer, line, speech, told
from tests.stage.office import office as any_office

office = partial(any_office, clock_speed=10)
LONG = Turn((line(8000),), "What is there?")
PERSON = "+15557770000"
TRANSFER = Turn((line(300), Call("transfer_call", {"to": "sales"})))


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def put_through(world: Office) -> PhoneCall:
    call = await world.greeted()
    await call.say(speech(600))
    await call.until_logged("Dial")
    return call


def sales(**environ: str) -> dict[str, str]:
    return {"TRANSFER_NUMBER": f"sales={PERSON},support=+15557770001", **environ}


async def test_a_caller_is_told_and_then_put_through(caplog: pytest.LogCaptureFixture) -> None:
    async with office(TRANSFER, rest=True, settings=sales()) as world:
        world.phone.dial_statuses = ["answered"]
        call = await put_through(world)
        assert call.dialled == [PERSON] and call.heard_ms == 900
        await world.closed()
        assert [list(form) for _, form in world.rest] == [["Twiml"]]     # and it is never completed
        assert not call.over
        call.human_hangs_up()
        await call.until_over()
        assert call.spoken == []
    assert "transferred" in caplog.text and PERSON not in caplog.text


async def test_a_caller_whom_nobody_answers_comes_back_to_an_assistant_that_remembers() -> None:
    async with office(TRANSFER, rest=True, settings=sales()) as world:
        world.phone.dial_statuses = ["no-answer"]
        await put_through(world)
        second = await world.model.until_session(2)
        await second.until_received("response.create")
        assert told(second)[0] == "600 ms of speech." and told(second)[-1] == TRANSFER_UNANSWERED
        kinds = [event["item"]["type"] for event in second.received if event["type"] == "conversation.item.create"]
        assert "function_call_output" in kinds
        await second.until(lambda: second.config["audio"]["input"]["turn_detection"])


async def test_a_transfer_that_twilio_does_not_make_is_told_to_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    async with office(TRANSFER, LONG, rest=True, settings=sales(), timing=Timing(unknown_s=0.1)) as world:
        call = await world.greeted()
        world.twilio.faults = RestFaults(status=500)
        await call.say(speech(600))
        await world.session.until(lambda: TRANSFER_FAILED in told(world.session))
        world.twilio.faults = RestFaults()
        await call.until_speaking(after_ms=world.phone.clock.ms())
        assert call.dialled == [] and len(world.rest) == 1
        await call.hang_up()
        await world.closed()
    assert ": caller hung up" in caplog.text


async def test_a_transfer_whose_answer_is_lost_is_a_transfer_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async with office(TRANSFER, rest=True, settings=sales()) as world:
        call = await world.greeted()
        world.twilio.faults = RestFaults(breaks=True)
        await call.say(speech(600))
        await call.until_over()
        assert call.dialled == [PERSON] and len(world.rest) == 1
    assert "transferred" in caplog.text


async def test_the_operators_key_puts_the_caller_through_in_mid_sentence() -> None:
    async with office(LONG, Turn((line(300),)), rest=True, delta_speed=1.2, settings=sales(OPERATOR_KEY="0")) as world:
        world.errors_expected = ["response_cancel_not_active"]       # it may just have been complete
        call = await amid_an_answer(world)
        await call.press("0")
        await call.until_logged("Dial")
        assert call.dialled == [PERSON]
        assert call.heard_ms < 8000
