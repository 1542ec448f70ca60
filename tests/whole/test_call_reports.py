"""Each call is reported once, over real sockets: after it, after a transfer, and when nobody could answer it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from bridge import keys
from bridge.delivery import report
from bridge.sim.demo import serving
from bridge.sim.owner import Owner
from bridge.sim.realtime import Call, Turn
from tests.stage.office import Office, Scripted, line, office, speech

PERSON = "+15557770000"


@dataclass
class Reports:
    """The owner's second webhook, which takes reports of calls."""

    world: Office
    owner: Owner

    async def settled(self, count: int = 1) -> list[dict[str, Any]]:
        """All that were taken, once there are so many, and everything was written down."""
        async with asyncio.timeout(10):
            while len(self.owner.taken) < count:
                await self.world.app[keys.RECORDS].write()
                await asyncio.sleep(0.01)
        await self.world.app[keys.RECORDS].write()
        for body in self.owner.taken:
            Draft202012Validator(report.SCHEMA).validate(body)
        return self.owner.taken


@asynccontextmanager
async def reporting(*turns: Scripted, **more: Any) -> AsyncIterator[Reports]:
    owner = Owner()
    async with serving(owner.app()) as origin, office(*turns, CALL_WEBHOOK_URL=f"{origin}/meetings", **more) as world:
        yield Reports(world, owner)


async def test_a_call_is_reported_when_it_is_over() -> None:
    async with reporting(Turn((line(300),))) as reports:
        call = await reports.world.greeted()
        await call.say(speech(600))
        await call.until_speaking()
        await call.until_quiet()
        await call.hang_up()
        await reports.world.closed()
        [body] = await reports.settled()
    assert (body["type"], body["call_sid"], body["ending"], body["phone_number"], body["called"]) == (
        "call.ended", call.sid, "caller hung up", "+15557654321", "+15550001111")
    assert body["in_order"] and body["turns"] == 1
    assert [turn["by"] for turn in body["transcript"]] == ["assistant", "caller", "assistant"]
    assert all(turn["unheard"] == "" for turn in body["transcript"] if turn["by"] == "assistant")


async def test_a_caller_who_was_put_through_is_reported_when_that_is_over_too() -> None:
    transfer = Turn((line(300), Call("transfer_call", {"to": "sales"})))
    async with reporting(transfer, rest=True, TRANSFER_NUMBER=f"sales={PERSON}") as reports:
        reports.world.phone.dial_statuses = ["answered"]
        call = await reports.world.greeted()
        await call.say(speech(600))
        await call.until_logged("Dial")
        await reports.world.closed()
        await reports.world.app[keys.RECORDS].write()
        assert reports.owner.meetings == [], "the caller may still come back"
        call.human_hangs_up()
        await call.until_over()
        [body] = await reports.settled()
    assert body["ending"] == "transferred"
    assert body["transcript"][-1]["text"] == "transferred" and body["transcript"][-1]["data"] == {"to": "sales"}


async def test_a_caller_who_comes_back_from_a_transfer_is_reported_once() -> None:
    transfer = Turn((line(300), Call("transfer_call", {"to": "sales"})))
    async with reporting(transfer, Turn((line(400),)), rest=True, TRANSFER_NUMBER=f"sales={PERSON}") as reports:
        reports.world.phone.dial_statuses = ["no-answer"]
        call = await reports.world.greeted()
        await call.say(speech(600))
        await call.until_logged("Dial")
        session = await reports.world.model.until_session(2)
        await session.until_received("response.create")
        await call.until_speaking(after_ms=reports.world.phone.clock.ms())
        await call.hang_up()
        await reports.world.closed()
        [body] = await reports.settled()
    assert body["ending"] == "caller hung up" and body["call_sid"] == call.sid
    events = [turn["text"] for turn in body["transcript"] if turn["by"] == "server"]
    assert events == ["transferred"]
    assert [turn["at_ms"] for turn in body["transcript"]] == sorted(turn["at_ms"] for turn in body["transcript"])


async def test_a_call_that_got_the_fallback_is_reported() -> None:
    async with reporting() as reports:
        for _ in range(9):
            reports.world.app[keys.BREAKER].failed(asyncio.get_running_loop().time(), "it is away")
        call = await reports.world.phone.dial()
        await call.until_over()
        [body] = await reports.settled()
    assert (body["answered_by"], body["ending"], body["in_order"], body["transcript"]) == (
        "fallback", "fallback", False, [])
