"""A receiver that says no to a correction, or nothing, or says no while something newer is on its way."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge.delivery import outbox, retries
from bridge.sim.demo import serving
from bridge.tools import booking
from bridge.tools.registry import Functions
from tests.stage.booking import WANTED, World, office, refused_late, run, schedule, settled, with_diary


async def test_a_correction_that_is_refused_leaves_the_meeting_as_it_was(tmp_path: Path) -> None:
    async with office(tmp_path, receivers=2) as world:
        booked = await schedule(world.functions())
        world.status, world.takers = 422, {"/receiver-1"}
        refused = await schedule(world.functions(), email="ada@example.org")
        assert refused["status"] == "refused"
        assert "did not accept the change" in refused["message"] and "stays on Thursday" in refused["message"]
        [meeting] = await world.diary.meetings.all()
        assert (meeting.email, meeting.status) == ("ada@example.com", "booked")
        await settled(world)
        assert [(body["type"], body["email"], body["sequence"]) for body in world.bodies
                if body["receiver"] == "/receiver-1"][1:] == [
            ("meeting.updated", "ada@example.org", 1), ("meeting.updated", "ada@example.com", 2)]
        world.status = 204
        assert (await schedule(world.functions()))["meeting_id"] == booked["meeting_id"]


async def test_a_no_that_came_too_late_is_heard_before_anything_is_corrected(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await refused_late(world, "schedule_meeting", **WANTED)
        world.bodies.clear()
        output = await schedule(world.functions(), email="ada@example.org")
        assert output["status"] == "refused" and "did not accept the meeting" in output["message"]
        assert world.bodies == [], "the receiver has no such meeting"
        assert (await schedule(world.functions(), email="ada@example.org"))["status"] == "confirmed"
        assert [(body["type"], body["email"]) for body in world.bodies] == [("meeting.booked", "ada@example.org")]


async def test_a_receiver_hears_of_the_booking_before_its_correction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every attempt at the booking fails for a while: what is newer waits behind it."""
    monkeypatch.setattr(booking, "ANSWER_S", 0.05)
    monkeypatch.setattr(retries, "FIRST_S", (0.2, 0.2, 0.2))
    monkeypatch.setattr(outbox, "POLL_S", 0.05)      # how soon what waits behind other news is looked for
    async with office(tmp_path, receivers=2) as world:
        world.status = 503
        assert (await schedule(world.functions()))["status"] == "recorded"
        corrected = await schedule(world.functions(), email="ada@example.org")
        assert corrected["status"] == "recorded" and "changed in our books" in corrected["message"]
        assert (await run(world.functions(), "cancel_meeting"))["status"] == "recorded"
        assert {body["sequence"] for body in world.bodies} == {0}
        world.status = 204
        await settled(world)
        for receiver in ("/receiver-0", "/receiver-1"):
            told = [body["sequence"] for body in world.bodies if body["receiver"] == receiver]
            assert told == sorted(told) and {*told} == {0, 1, 2}


async def test_a_caller_who_waits_hears_that_the_correction_was_taken_behind_the_booking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with office(tmp_path) as world:
        with monkeypatch.context() as patch:
            patch.setattr(booking, "ANSWER_S", 0.0)
            patch.setattr(retries, "FIRST_S", (0.5, 0.5, 0.5))
            world.status = 503
            await schedule(world.functions())
            world.status = 204
        monkeypatch.setattr(booking, "ANSWER_S", 10.0)
        assert (await schedule(world.functions(), email="ada@example.org"))["status"] == "confirmed"
        assert [body["sequence"] for body in world.bodies[-2:]] == [0, 1]


# ---- a no while something newer is on its way

class Slow:
    """A receiver that keeps what it says no to waiting until it may answer; `noes`: by their `sequence`."""

    def __init__(self, *noes: int) -> None:
        self.noes, self.may_answer = noes, asyncio.Event()
        self.asked: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []
        self.app = web.Application()
        self.app.router.add_post("/", self.take)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        if body["sequence"] in self.noes:
            await self.may_answer.wait()
            return web.Response(status=409)
        self.taken.append(body)
        return web.Response(status=204)

    async def refuse(self, world: World, functions: Functions, first: dict[str, str]) -> list[dict[str, Any]]:
        """What is answered to `first`, and to a description that is added before it is refused."""
        asked = len(self.asked)
        one = asyncio.create_task(schedule(functions, **first))
        while len(self.asked) == asked:
            await asyncio.sleep(0.005)
        sequence = self.asked[-1]["sequence"]
        other = asyncio.create_task(schedule(functions, **first, description="Allergic to penicillin"))
        while (await world.diary.meetings.all())[0].sequence == sequence:
            await asyncio.sleep(0.005)
        self.may_answer.set()
        return list(await asyncio.gather(one, other))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booking, "ANSWER_S", 20.0)


@pytest.mark.parametrize("booked", [False, True])
async def test_a_no_takes_nothing_back_that_was_sent_behind_it_and_nothing_is_called_confirmed(
    tmp_path: Path, patient: None, caplog: pytest.LogCaptureFixture, booked: bool,
) -> None:
    slow = Slow(1 if booked else 0)
    async with office(tmp_path) as world, serving(slow.app) as origin:
        functions = with_diary(world, receivers=[origin])
        if booked:
            assert (await schedule(functions))["status"] == "confirmed"
        outputs = await slow.refuse(world, functions, {"email": "ada@example.org"})
        assert [output["status"] for output in outputs] == ["recorded", "recorded"]
        [meeting] = await world.diary.meetings.all()
        last = slow.taken[-1]
        assert last["description"] == "Allergic to penicillin"
        assert (meeting.status, meeting.sequence, meeting.email, meeting.description) == (
            last["status"], last["sequence"], last["email"], last["description"])
        [loud] = [line.getMessage() for line in caplog.records if line.levelname == "ERROR"]
        assert f"python -m bridge meetings show {meeting.id}" in loud
        assert (await schedule(functions, email="ada@example.net"))["status"] == "confirmed", "it is known by now"


async def test_where_all_of_it_is_refused_the_meeting_is_as_it_was(tmp_path: Path, patient: None) -> None:
    slow = Slow(1, 2)
    async with office(tmp_path) as world, serving(slow.app) as origin:
        functions = with_diary(world, receivers=[origin])
        await schedule(functions)
        outputs = await slow.refuse(world, functions, {"email": "ada@example.org"})
        assert [output["status"] for output in outputs] == ["refused", "refused"]
        [meeting] = await world.diary.meetings.all()
        assert (meeting.email, meeting.description) == (WANTED["email"], WANTED["description"])
        slow.noes = ()
        assert (await schedule(functions, email="ada@example.net"))["status"] == "confirmed", "no old no is heard again"
