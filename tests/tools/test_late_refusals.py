"""A receiver that says no when the caller has been told already: the next time the caller hears of it."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.delivery.retries import GIVE_UP_S
from tests.stage.booking import (
    CALL, THURSDAY, WANTED, office, refused_and_not_undone, refused_late, run, schedule, settled,
)


async def test_a_late_refusal_frees_the_slot_when_the_caller_asks_again(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await refused_late(world, "schedule_meeting", **WANTED)
        assert (await schedule(world.functions()))["status"] == "refused"
        assert (await schedule(world.functions()))["status"] == "confirmed"


async def test_a_move_that_is_refused_late_stands_until_the_caller_hears_of_it(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        moved = await refused_late(world, "reschedule_meeting", datetime="Friday at 15:00")
        [meeting] = await world.diary.meetings.all()
        assert meeting.start.isoformat() == "2026-11-27T15:00:00+06:00", "it was promised"
        world.bodies.clear()

        again = await schedule(world.functions(), datetime="Friday at 15:00")
        assert (again["status"], again["meeting_id"]) == ("refused", moved["meeting_id"])
        assert "stays on Thursday the 26th of November at ten in the morning" in again["message"]
        [meeting] = await world.diary.meetings.all()
        assert (meeting.start.isoformat(), meeting.status) == (THURSDAY, "booked")
        assert (await schedule(world.functions()))["status"] == "confirmed"
        assert world.bodies == [], "the receiver knows of no other time"


async def test_a_move_that_is_refused_late_is_told_to_those_who_took_it(tmp_path: Path) -> None:
    async with office(tmp_path, receivers=2) as world:
        await schedule(world.functions())
        await settled(world)
        world.takers = {"/receiver-1"}
        await refused_late(world, "reschedule_meeting", datetime="Friday at 15:00")
        world.bodies.clear()
        await run(world.functions(), "reschedule_meeting", datetime="Friday at 15:00")
        await settled(world)
        assert [(body["receiver"], body["type"], body["start"]) for body in world.bodies] == [
            ("/receiver-1", "meeting.rescheduled", THURSDAY)]


async def test_a_refused_move_whose_old_time_is_taken_leaves_no_meeting(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        moved = await refused_late(world, "reschedule_meeting", datetime="Friday at 15:00")
        await schedule(world.functions(), replace(CALL, phone_number="+15559876543"))
        world.bodies.clear()
        again = await schedule(world.functions(), datetime="Friday at 15:00")
        assert again["status"] == "refused" and "stays" not in again["message"]
        await settled(world)
        assert [(body["id"], body["type"]) for body in world.bodies] == [(moved["meeting_id"], "meeting.cancelled")]


async def test_what_was_refused_and_undone_is_not_sent_again(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        recorded = await refused_late(world, "schedule_meeting", **WANTED)
        now = time.time()                            # it is tried by the real clock
        assert await world.diary.queue.revive(recorded["meeting_id"], now) == 1, "while it is promised it may be"
        world.status = 409
        assert (await schedule(world.functions()))["status"] == "refused"
        assert await world.diary.queue.revive(recorded["meeting_id"], now) == 0
        [delivery] = await world.diary.queue.about(recorded["meeting_id"])
        assert delivery.state == "undone"


async def test_a_receiver_that_was_down_for_days_has_not_refused(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        booked = await schedule(world.functions())
        [delivery] = await world.diary.queue.about(booked["meeting_id"])
        await world.diary.queue.revive(booked["meeting_id"], delivery.since, all=True)
        assert await world.diary.queue.dead(
            delivery.id, delivery.since + GIVE_UP_S, "answered with status 503", delivery.attempts)
        assert (await schedule(world.functions()))["status"] == "recorded"
        assert [meeting.status for meeting in await world.diary.meetings.all()] == ["booked"]


async def test_a_refusal_that_cannot_be_undone_now_is_undone_when_the_caller_asks_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(tmp_path) as world:
        await refused_and_not_undone(world)
        assert "WAS REFUSED, but is still in the books: the disk hangs" in caplog.text
        assert (await schedule(world.functions()))["status"] == "refused"
        assert [meeting.status for meeting in await world.diary.meetings.all()] == ["cancelled"]
