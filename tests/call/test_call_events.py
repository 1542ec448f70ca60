"""What whoever listens is told of a whole call, over real sockets."""

import pytest

from bridge import keys
from bridge.call.events import (
    Answered, AssistantSaid, CallerSaid, Closed, Connected, Event, FirstAudio, FunctionCalled, FunctionReturned, Opened,
    Spent, Transferred,
)
from bridge.records.endings import Ending
from bridge.sim.realtime import Call, Turn
from bridge.twilio_side.caller import Caller
from tests.stage.office import line, office, speech

PERSON = "+15557770000"


async def test_a_call_is_told_from_its_beginning_to_its_end() -> None:
    told: list[Event] = []
    async with office(Turn((Call("cancel_meeting", {}),)), Turn((line(300),))) as world:
        world.app[keys.AUDIENCE].add(told.append)
        call = await world.greeted()
        await call.say(speech(600))
        await world.session.until_received("conversation.item.create")
        await call.until_speaking()
        await call.until_quiet()
        await call.hang_up()
        await world.closed()
    opened, closed = told[1], told[-1]
    assert told[0] == Connected()
    assert opened == Opened(call.sid, Caller("+15557654321"), "+15550001111", call.stream_sid)
    assert isinstance(closed, Closed) and closed.call_sid == call.sid and closed.seconds > 0
    assert closed.ending is Ending.CALLER_HUNG_UP and closed.figures.turns == 1
    for once in (FirstAudio, FunctionCalled, FunctionReturned):
        assert len([each for each in told if isinstance(each, once)]) == 1
    for some in (Answered, Spent):
        assert [each for each in told if isinstance(each, some)]
    said = [each.words for each in told if isinstance(each, AssistantSaid)]
    assert said == ["600 ms of speech.", "300 ms of speech."]
    assert closed.figures.usd == pytest.approx(sum(each.usd for each in told if isinstance(each, Spent)))


async def test_a_listener_that_always_fails_harms_no_call(caplog: pytest.LogCaptureFixture) -> None:
    def deaf(event: Event) -> None:
        raise RuntimeError("I cannot hear")
    async with office(Turn((line(300),))) as world:
        world.app[keys.AUDIENCE].add(deaf)
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking()
        await call.until_quiet()
        await call.hang_up()
        await world.closed()
    assert call.heard_ms == 900
    assert "deaf failed to take Opened" in caplog.text and "deaf failed to take Closed" in caplog.text


async def test_a_transfer_is_told_by_the_name_of_whom_the_caller_was_put_through_to() -> None:
    told: list[Event] = []
    transfer = Turn((line(300), Call("transfer_call", {"to": "sales"})))
    async with office(transfer, rest=True, TRANSFER_NUMBER=f"sales={PERSON},support=+15557770001") as world:
        world.app[keys.AUDIENCE].add(told.append)
        world.phone.dial_statuses = ["answered"]
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_logged("Dial")
        await world.closed()
        call.human_hangs_up()
        await call.until_over()
    assert told[-2] == Transferred("sales")
    assert isinstance(told[-1], Closed) and told[-1].ending is Ending.TRANSFERRED
    assert not [each for each in told if isinstance(each, CallerSaid) and PERSON in each.words]
