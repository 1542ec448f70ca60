"""What the caller is told of a booking: confirmed, recorded or refused, and in whose words."""

import json
from pathlib import Path

import pytest

from bridge.records.meetings import Meetings
from bridge.tools import booking
from tests.stage.booking import CALL, WANTED, office, schedule, settled, turn


async def test_a_receiver_that_takes_its_time_makes_it_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(booking, "ANSWER_S", 0.05)
    async with office(tmp_path) as world:
        world.silent = True
        output = await schedule(world.functions())
        assert output["status"] == "recorded" and "still to be confirmed" in output["message"]
        assert len(await world.diary.meetings.all()) == 1


async def test_a_receiver_that_is_down_makes_it_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booking, "ANSWER_S", 0.3)
    async with office(tmp_path) as world:
        world.status = 503
        assert (await schedule(world.functions()))["status"] == "recorded"


async def test_a_receiver_that_refuses_frees_the_slot(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        world.status, world.answer = 409, {"message_to_caller": "We are on holiday."}
        refused = await schedule(world.functions())
        assert refused["status"] == "refused" and "not booked" in refused["message"]
        assert refused["message_from_the_business"] == "We are on holiday."
        world.status = 204
        assert (await schedule(world.functions()))["status"] == "confirmed"
        assert len({body["id"] for body in world.bodies}) == 2


async def test_the_receiver_s_own_words_reach_the_model(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        world.status, world.answer = 200, {"message_to_caller": "Please bring your passport."}
        assert (await schedule(world.functions()))["message_from_the_business"] == "Please bring your passport."


async def test_with_several_receivers_each_is_told_and_the_first_decides(tmp_path: Path) -> None:
    async with office(tmp_path, receivers=3) as world:
        assert (await schedule(world.functions()))["status"] == "confirmed"
        await settled(world)
        assert {body["receiver"] for body in world.bodies} == {f"/receiver-{number}" for number in range(3)}


async def test_a_fault_of_our_own_is_told_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(tmp_path) as world:
        monkeypatch.setattr(Meetings, "book", lambda *_: 1 / 0)
        assert "error" in await schedule(world.functions())
    assert any(record.exc_info for record in caplog.records)


async def test_what_was_done_is_noted_for_another_session_and_what_was_not_is_not(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await functions.run("schedule_meeting", json.dumps(WANTED), CALL)
        assert proposed.note == "" and proposed.then is None
        agreed = json.dumps({"confirmation_id": proposed.answer["confirmation_id"]})
        booked = await functions.run("schedule_meeting", agreed, turn(2))
        answer = booked.answer
        assert booked.note == f"{answer['message']} (meeting_id {answer['meeting_id']})"
        assert (await functions.run("list_meetings", "{}", turn(2))).note == ""
        assert (await functions.run("schedule_meeting", '{"datetime": "yesterday"}', turn(3))).note == ""

    async with office(tmp_path) as world:
        world.status = 422
        refused = await world.functions().run("schedule_meeting", json.dumps(WANTED | {"datetime": "Friday"}), CALL)
        assert refused.answer["status"] == "refused" and refused.note == ""
