"""A meeting is booked when the caller has agreed to what was read back, and once, however often it is asked for."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.meetings.hours import OpeningHours
from bridge.records.database import StoreFailed
from bridge.records.deliveries import DeliveryQueue
from tests.stage.booking import CALL, THURSDAY, office, run, schedule, turn


# ---- two steps

async def test_nothing_is_booked_before_the_caller_has_agreed(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions)
        assert proposed["read_back"] == "Thursday the 26th of November at ten in the morning, Dhaka time"
        assert "status" not in proposed
        at_once = await schedule(functions, confirmation_id=proposed["confirmation_id"])
        assert at_once["status"] == "refused" and "has not answered yet" in at_once["message"]
        assert world.bodies == [] and await world.diary.meetings.all() == []

        booked = await schedule(functions, turn(2), confirmation_id=proposed["confirmation_id"])
        assert booked["status"] == "confirmed" and proposed["read_back"] in booked["message"]
        assert [body["datetime"] for body in world.bodies] == [THURSDAY]


async def test_the_confirmation_alone_is_enough(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions)
        booked = await run(functions, "schedule_meeting", turn(2), confirmation_id=proposed["confirmation_id"])
        assert booked["status"] == "confirmed" and world.bodies[0]["name"] == "Ada Lovelace"


async def test_a_confirmation_of_another_call_books_nothing(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        proposed = await schedule(world.functions())
        output = await schedule(world.functions(), turn(2), confirmation_id=proposed["confirmation_id"])
        assert output["status"] == "refused" and world.bodies == []


# ---- one meeting, however often it is asked for

async def test_asking_again_returns_the_same_meeting(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions)
        again = {"confirmation_id": proposed["confirmation_id"]}
        first = await schedule(functions, turn(2), **again)
        repeated = await schedule(functions, turn(3), **again)
        from_the_start = await schedule(world.functions(), turn(1))
        assert first["meeting_id"] == repeated["meeting_id"] == from_the_start["meeting_id"]
        assert len(world.bodies) == 1


async def test_a_slot_is_given_to_one_caller_and_others_hear_what_is_free(tmp_path: Path) -> None:
    async with office(tmp_path, opening=OpeningHours.parse("Mon-Fri 09:00-17:00")) as world:
        await schedule(world.functions())
        other = await schedule(world.functions(), replace(CALL, phone_number="+15559876543"))
        assert other["status"] == "refused"
        assert "half past ten in the morning" in other["message"]
        assert len(world.bodies) == 1


async def test_a_hundred_callers_race_for_one_slot(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        outputs = await asyncio.gather(*(
            schedule(world.functions(), replace(CALL, phone_number=f"+1555000{number:04}")) for number in range(100)))
        assert sorted(output["status"] for output in outputs) == ["confirmed"] + ["refused"] * 99
        assert len(world.bodies) == 1


async def test_callers_who_hide_their_number_own_the_meetings_of_their_call(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        hidden = replace(CALL, phone_number="")
        booked = await schedule(world.functions(), hidden)
        stranger = replace(hidden, call_sid="CA" + "2" * 32)
        refused = await run(world.functions(), "cancel_meeting", stranger, meeting_id=booked["meeting_id"])
        assert refused["status"] == "refused"
        assert (await run(world.functions(), "cancel_meeting", hidden))["status"] == "confirmed"


async def test_a_caller_who_asks_twice_at_once_has_one_meeting(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        outputs = await asyncio.gather(*(schedule(world.functions()) for _ in range(5)))
        assert {output["status"] for output in outputs} == {"confirmed"}
        assert len({output["meeting_id"] for output in outputs}) == 1 and len(world.bodies) == 1


async def test_what_is_written_down_is_never_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(tmp_path) as world:
        async def fails(*_: object) -> None:
            raise StoreFailed("the disk hangs")
        booked = await schedule(world.functions())
        monkeypatch.setattr(DeliveryQueue, "about", fails)
        output = await schedule(world.functions())
        assert (output["status"], output["meeting_id"]) == ("recorded", booked["meeting_id"])
        assert [meeting.id for meeting in await world.diary.meetings.all()] == [output["meeting_id"]]
