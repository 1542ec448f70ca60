"""A meeting is moved or cancelled by its own caller, who has agreed to it."""

from dataclasses import replace
from pathlib import Path

from bridge.meetings.hours import OpeningHours
from bridge.tools.meetings import meetings
from bridge.tools.registry import Tools
from tests.stage.booking import CALL, THURSDAY, booked_in_two_steps, office, run, schedule, turn


async def test_a_meeting_is_moved_in_two_steps(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions)
        booked = await run(functions, "schedule_meeting", turn(2), confirmation_id=proposed["confirmation_id"])
        moved = await run(functions, "reschedule_meeting", turn(3), datetime="Friday at 15:00")
        assert "Friday the 27th" in moved["read_back"] and len(world.bodies) == 1
        done = await run(functions, "reschedule_meeting", turn(4), confirmation_id=moved["confirmation_id"])
        assert done["status"] == "confirmed" and done["meeting_id"] == booked["meeting_id"]
        assert [body["type"] for body in world.bodies] == ["meeting.booked", "meeting.rescheduled"]
        assert world.bodies[1]["datetime"] == "2026-11-27T15:00:00+06:00"


async def test_a_move_the_receiver_refuses_leaves_the_meeting_where_it_was(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        world.status = 422
        assert (await run(world.functions(), "reschedule_meeting", datetime="Friday at 15:00"))["status"] == "refused"
        [meeting] = await world.diary.meetings.all()
        assert meeting.start.isoformat() == THURSDAY and meeting.status == "booked"


async def test_a_meeting_that_is_moved_is_checked_for_as_long_as_it_takes(tmp_path: Path) -> None:
    """MEETING_MINUTES was an hour when it was agreed, and is half an hour now."""
    async with office(tmp_path, opening=OpeningHours.parse("Mon-Fri 09:00-17:00"), minutes=60) as world:
        booked = await schedule(world.functions())
        world.tools = Tools(meetings(replace(world.diary, rules=replace(world.diary.rules, minutes=30))))
        late = await run(world.functions(), "reschedule_meeting", datetime="Friday at 16:30")
        assert late["status"] == "refused" and "outside our opening hours" in late["message"]
        assert "takes one hour" in late["message"]

        world.busy = [{"start": "2026-11-27T09:30:00Z", "end": "2026-11-27T10:00:00Z"}]      # 15:30 to 16:00 in Dhaka
        busy = await run(world.functions(), "reschedule_meeting", datetime="Friday at 15:00")
        assert busy["status"] == "refused" and "not free" in busy["message"]
        assert "Free are: Friday the 27th of November at four in the afternoon" in busy["message"]

        moved = await run(world.functions(), "reschedule_meeting", datetime="Friday at 16:00")
        assert (moved["status"], moved["meeting_id"]) == ("confirmed", booked["meeting_id"])
        assert (world.bodies[-1]["start"], world.bodies[-1]["duration_minutes"]) == ("2026-11-27T16:00:00+06:00", 60)


async def test_a_meeting_is_not_moved_onto_another_of_the_caller_s(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=False) as world:
        first = await schedule(world.functions())
        await schedule(world.functions(), datetime="Friday at 15:00")
        world.tools = Tools(meetings(replace(world.diary, confirm=True)))
        move = {"meeting_id": first["meeting_id"], "datetime": "Friday at 15:00"}
        output = await run(world.functions(), "reschedule_meeting", **move)
        assert output["status"] == "refused" and "not free" in output["message"]


async def test_a_meeting_is_cancelled_in_two_steps(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions, _ = await booked_in_two_steps(world)
        asked = await run(functions, "cancel_meeting", turn(3))
        assert "status" not in asked and asked["read_back"] in asked["next"]
        confirmation = {"confirmation_id": asked["confirmation_id"]}
        at_once = await run(functions, "cancel_meeting", turn(3), **confirmation)
        assert at_once["status"] == "refused" and "has not answered yet" in at_once["message"]
        assert [body["type"] for body in world.bodies] == ["meeting.booked"]

        done = await run(functions, "cancel_meeting", turn(4), **confirmation)
        again = await run(functions, "cancel_meeting", turn(5), **confirmation)
        assert done["status"] == again["status"] == "confirmed" and "is cancelled" in again["message"]
        assert [body["type"] for body in world.bodies] == ["meeting.booked", "meeting.cancelled"]


async def test_a_yes_to_a_booking_cancels_nothing(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions, yes = await booked_in_two_steps(world)
        asked = await run(functions, "cancel_meeting", turn(3), **yes)
        assert "status" not in asked and asked["confirmation_id"] != yes["confirmation_id"]


async def test_a_yes_to_cancelling_one_meeting_does_not_cancel_another(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        one, other = await schedule(world.functions()), await schedule(world.functions(), datetime="Friday at 15:00")
        world.tools = Tools(meetings(replace(world.diary, confirm=True)))
        functions = world.functions()
        asked = await run(functions, "cancel_meeting", meeting_id=one["meeting_id"])
        output = await run(functions, "cancel_meeting", turn(2), meeting_id=other["meeting_id"],
                           confirmation_id=asked["confirmation_id"])
        assert output["meeting_id"] == other["meeting_id"] and "status" not in output
        assert {meeting.status for meeting in await world.diary.meetings.all()} == {"booked"}


async def test_a_meeting_that_was_moved_meanwhile_is_asked_about_again(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        functions = Tools(meetings(replace(world.diary, confirm=True))).for_call()
        asked = await run(functions, "cancel_meeting")
        await run(world.functions(), "reschedule_meeting", datetime="Friday at 15:00")
        output = await run(functions, "cancel_meeting", turn(2), confirmation_id=asked["confirmation_id"])
        assert output["status"] == "refused" and "moved to Friday the 27th" in output["message"]
        assert world.bodies[-1]["status"] == "booked"


async def test_a_meeting_is_cancelled_and_its_slot_is_free(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        cancelled = await run(world.functions(), "cancel_meeting")
        assert cancelled["status"] == "confirmed" and "is cancelled" in cancelled["message"]
        assert [body["status"] for body in world.bodies] == ["booked", "cancelled"]
        other = await schedule(world.functions(), replace(CALL, phone_number="+15559876543"))
        assert other["status"] == "confirmed"


async def test_a_caller_with_several_meetings_is_asked_which(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        first = await schedule(world.functions())
        await schedule(world.functions(), datetime="Friday at 15:00")
        which = await run(world.functions(), "cancel_meeting")
        assert which["status"] == "refused" and first["meeting_id"] in which["message"]
        assert (await run(world.functions(), "cancel_meeting", meeting_id=first["meeting_id"]))["status"] == "confirmed"


async def test_a_stranger_cannot_touch_a_meeting(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        booked = await schedule(world.functions())
        stranger = replace(CALL, phone_number="+15559876543")
        for function in ("cancel_meeting", "reschedule_meeting"):
            output = await run(
                world.functions(), function, stranger, meeting_id=booked["meeting_id"], datetime="Friday at 15:00")
            assert output == {"status": "refused", "message": "This caller has no such meeting."}
