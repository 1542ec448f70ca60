"""What a caller corrects once a meeting is booked is written, told and sent, and another person is another meeting."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from icalendar import Calendar

from bridge.meetings.hours import OpeningHours
from tests.stage.booking import CALL, CORRECTIONS, NOW, WANTED, news, office, run, schedule, settled, turn, with_diary

GRACE = {"name": "Grace Hopper", "email": "grace@example.com", "description": "A compiler"}


# ---- after the booking

@pytest.mark.parametrize("correction", CORRECTIONS)
async def test_a_correction_after_the_booking_is_written_and_sent(
    tmp_path: Path, correction: dict[str, str],
) -> None:
    async with office(tmp_path) as world:
        booked = await schedule(world.functions())
        corrected = await schedule(world.functions(), **correction)
        assert corrected["status"] == "confirmed" and corrected["meeting_id"] == booked["meeting_id"]
        assert "is changed" in corrected["message"]
        assert all(value in corrected["message"] for value in correction.values()), "it is told back"
        id = booked["meeting_id"]
        assert news(world) == [("meeting.booked", id, 0), ("meeting.updated", id, 1)]
        was, now = world.bodies
        for key in was.keys() - {"type", "timestamp", "sequence", "ics"}:
            assert now[key] == correction.get(key, was[key])
        assert "SEQUENCE:1\r\n" in now["ics"]
        [meeting] = await world.diary.meetings.all()
        assert all(getattr(meeting, key) == value for key, value in (WANTED | correction).items() if key != "datetime")


async def test_only_what_is_corrected_need_be_said(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        output = await run(world.functions(), "schedule_meeting", datetime=WANTED["datetime"], email="a@example.org")
        assert output["status"] == "confirmed"
        assert (world.bodies[-1]["name"], world.bodies[-1]["email"]) == ("Ada Lovelace", "a@example.org")


@pytest.mark.parametrize("same", [
    {}, {"name": "ada  LOVELACE"}, {"name": "Ada-Lovelace."}, {"email": "ADA@Example.com"},
    {"description": ""}, {"description": "the analytical engine."}])
async def test_the_same_details_in_other_letters_are_a_repeat(tmp_path: Path, same: dict[str, str]) -> None:
    async with office(tmp_path) as world:
        booked = await schedule(world.functions())
        again = await schedule(world.functions(), **same)
        assert again == booked and len(world.bodies) == 1


async def test_every_receiver_is_told_of_a_correction(tmp_path: Path) -> None:
    async with office(tmp_path, receivers=3) as world:
        await schedule(world.functions())
        await schedule(world.functions(), email="ada@example.org")
        await settled(world)
        told = {body["receiver"] for body in world.bodies if body["type"] == "meeting.updated"}
        assert told == {f"/receiver-{number}" for number in range(3)}


async def test_the_corrected_address_is_invited(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        organizer = {"organizer": "office@example.com"}
        await schedule(with_diary(world, **organizer))
        await schedule(with_diary(world, **organizer), email="ada@example.org")
        calendar = Calendar.from_ical(world.bodies[-1]["ics"])
        [event] = calendar.subcomponents
        assert (calendar["METHOD"], event["SEQUENCE"], event["ATTENDEE"]) == ("REQUEST", 1, "mailto:ada@example.org")


async def test_a_correction_of_a_correction_is_the_next_version(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        for email in ("ada@example.com", "ada@example.org", "ada@example.com"):
            await schedule(world.functions(), email=email)
        assert [(body["sequence"], body["email"]) for body in world.bodies] == [
            (0, "ada@example.com"), (1, "ada@example.org"), (2, "ada@example.com")]


async def test_a_correction_is_taken_when_it_is_too_late_to_book(tmp_path: Path) -> None:
    async with office(tmp_path, minimum_notice=timedelta(hours=2)) as world:
        booked = await schedule(world.functions(), datetime="today at 11:30 am")
        later = with_diary(world, now=lambda: NOW + timedelta(hours=1))
        output = await schedule(later, datetime="today at 11:30 am", email="ada@example.org")
        assert (output["status"], output["meeting_id"]) == ("confirmed", booked["meeting_id"])
        assert world.bodies[-1]["email"] == "ada@example.org"
        other = await schedule(later, datetime="today at 11 am")
        assert other["status"] == "refused" and "too soon" in other["message"]


async def test_a_correction_is_taken_when_the_business_is_closed_by_now(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        booked = await schedule(world.functions())
        mornings = replace(world.diary.rules, opening=OpeningHours.parse("Mon-Wed 09:00-12:00"))
        output = await schedule(with_diary(world, rules=mornings), email="ada@example.org")
        assert (output["status"], output["meeting_id"]) == ("confirmed", booked["meeting_id"])
        other = await schedule(with_diary(world, rules=mornings), datetime="Thursday at 11 am")
        assert other["status"] == "refused" and "opening hours" in other["message"]


# ---- another person

async def test_a_second_person_on_the_same_number_needs_another_time(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        functions = world.functions()
        second = await schedule(functions, **GRACE)
        assert second["status"] == "refused"
        assert "in the name of Ada Lovelace" in second["message"]
        assert "half past ten in the morning" in second["message"], "a time of its own"
        assert len(world.bodies) == 1
        own_time = await schedule(
            functions, **GRACE, datetime="Thursday at half past ten in the morning",
            confirmation_id=second["confirmation_id"])
        assert own_time["status"] == "confirmed"
        assert [(body["type"], body["name"], body["description"]) for body in world.bodies] == [
            ("meeting.booked", "Ada Lovelace", "The analytical engine"),
            ("meeting.booked", "Grace Hopper", "A compiler")]
        assert len({body["id"] for body in world.bodies}) == 2


async def test_another_name_for_the_same_meeting_is_taken_when_the_caller_agrees(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        booked = await schedule(world.functions())
        functions = world.functions()
        asked = await schedule(functions, **GRACE)
        yes = {"confirmation_id": asked["confirmation_id"]}
        at_once = await run(functions, "schedule_meeting", **yes)
        assert at_once["status"] == "refused" and "has not answered yet" in at_once["message"]
        assert len(world.bodies) == 1
        for number in (2, 3):                        # the second time it is a repeat
            done = await run(functions, "schedule_meeting", turn(number), **yes)
            assert (done["status"], done["meeting_id"]) == ("confirmed", booked["meeting_id"])
        assert news(world)[1:] == [("meeting.updated", booked["meeting_id"], 1)]
        assert (world.bodies[-1]["name"], world.bodies[-1]["email"]) == ("Grace Hopper", "grace@example.com")


async def test_where_callers_confirm_another_name_is_asked_about(tmp_path: Path) -> None:
    """A mother books for two children: one number, one address."""
    async with office(tmp_path) as world:
        await schedule(world.functions())
        functions = with_diary(world, confirm=True)
        asked = await schedule(functions, name="Byron Lovelace")
        assert asked["status"] == "refused" and "second meeting needs a time of its own" in asked["message"]
        assert len(world.bodies) == 1
        email = await schedule(functions, email="ada@example.org")
        assert email["status"] == "confirmed" and world.bodies[-1]["email"] == "ada@example.org"


async def test_two_calls_of_one_number_that_agree_at_once_do_not_share_a_meeting(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        ada, grace = world.functions(), world.functions()
        other_call = replace(CALL, call_sid="CA" + "2" * 32)
        one, other = await schedule(ada), await schedule(grace, other_call, **GRACE)
        booked, refused = await asyncio.gather(
            run(ada, "schedule_meeting", turn(2), confirmation_id=one["confirmation_id"]),
            run(grace, "schedule_meeting", replace(other_call, turn=2), confirmation_id=other["confirmation_id"]))
        assert sorted([booked["status"], refused["status"]]) == ["confirmed", "refused"]
        [body] = world.bodies
        winner = booked if booked["status"] == "confirmed" else refused
        assert body["id"] == winner["meeting_id"]
