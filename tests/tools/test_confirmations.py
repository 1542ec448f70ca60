"""What the caller adds or says otherwise with the yes, which moment was agreed, and that a yes counts once."""

from datetime import timedelta
from pathlib import Path

import pytest

from bridge.meetings.hours import OpeningHours
from tests.stage.booking import (
    CORRECTIONS, NOW, THURSDAY, booked_in_two_steps, news, office, run, schedule, turn, with_diary,
)


# ---- the call that confirms

@pytest.mark.parametrize("correction", CORRECTIONS + [{"email": "Ada@Example.org", "name": "Ada King"}])
async def test_what_is_added_when_the_caller_agrees_is_booked_and_told_back(
    tmp_path: Path, correction: dict[str, str],
) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions)
        booked = await schedule(functions, turn(2), confirmation_id=proposed["confirmation_id"], **correction)
        assert booked["status"] == "confirmed"
        [body] = world.bodies
        assert body["type"] == "meeting.booked"
        for key, value in correction.items():
            value = value.replace("Example", "example")          # a domain has no case
            assert body[key] == value and value in booked["message"]


async def test_what_is_added_once_it_is_booked_is_a_correction(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions, yes = await booked_in_two_steps(world)
        added = await run(functions, "schedule_meeting", turn(3), description="Allergic to penicillin", **yes)
        assert added["status"] == "confirmed" and "penicillin" in added["message"]
        again = await run(functions, "schedule_meeting", turn(4), **yes)
        assert again["status"] == "confirmed" and again["meeting_id"] == added["meeting_id"]
        assert [body["description"] for body in world.bodies] == ["The analytical engine", "Allergic to penicillin"]


async def test_another_moment_is_proposed_anew_with_the_same_details(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        first = await schedule(functions)
        second = await run(functions, "schedule_meeting", turn(2), confirmation_id=first["confirmation_id"],
                           datetime="Thursday at eleven in the morning", description="Allergic to penicillin")
        assert second["confirmation_id"] != first["confirmation_id"] and "at eleven" in second["read_back"]
        assert world.bodies == []
        booked = await run(functions, "schedule_meeting", turn(3), confirmation_id=second["confirmation_id"])
        assert booked["status"] == "confirmed"
        [body] = world.bodies
        assert (body["start"], body["name"], body["description"]) == (
            "2026-11-26T11:00:00+06:00", "Ada Lovelace", "Allergic to penicillin")


async def test_another_time_zone_is_another_moment(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        first = await schedule(functions)
        second = await run(functions, "schedule_meeting", turn(2), confirmation_id=first["confirmation_id"],
                           time_zone="Europe/London")
        assert "at four in the afternoon, Dhaka time, that is ten in the morning, London time" in second["read_back"]


async def test_an_address_that_cannot_be_right_is_asked_for_and_books_nothing(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions)
        output = await run(functions, "schedule_meeting", turn(2), confirmation_id=proposed["confirmation_id"],
                           email="ada at example")
        assert output["status"] == "refused" and "e-mail" in output["message"] and world.bodies == []


@pytest.mark.parametrize("first, then, kept", [
    ("ada lovelace", "Ada Lovelace", "Ada Lovelace"), ("ADA LOVELACE", "Ada Lovelace", "Ada Lovelace"),
    ("Ada Lovelace", "ada lovelace", "Ada Lovelace"), ("Ada Lovelace", "ADA LOVELACE", "Ada Lovelace")])
async def test_a_name_that_gets_its_capitals_with_the_yes_has_them(
    tmp_path: Path, first: str, then: str, kept: str,
) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions, name=first)
        booked = await schedule(functions, turn(2), name=then, confirmation_id=proposed["confirmation_id"])
        assert booked["status"] == "confirmed" and "new" not in booked["message"], "a caller does not hear capitals"
        assert [body["name"] for body in world.bodies] == [kept]


# ---- the moment that was agreed

@pytest.mark.parametrize("words", [
    "Thursday the 26th of November at ten in the morning, Dhaka time", "2026-11-26T10:00:00+06:00",
    "2026-11-26T10:00:00", "2026-11-26T10:00", "2026-11-26 10:00", "2026-11-26T04:00:00Z",
    "THURSDAY AT TEN IN THE MORNING",
    "Thursday the 26th of November, 10:00 am", "this Thursday, 10 a.m.", "Thursday at ten", "in three days at 10:00"])
async def test_the_agreed_moment_may_be_said_in_other_words(tmp_path: Path, words: str) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions)
        booked = await schedule(functions, turn(2), confirmation_id=proposed["confirmation_id"], datetime=words,
                                name="ada lovelace", email="ADA@EXAMPLE.COM")
        assert booked["status"] == "confirmed" and "what is new" not in booked["message"]
        assert [(body["start"], body["name"], body["email"]) for body in world.bodies] == [
            (THURSDAY, "Ada Lovelace", "ada@example.com")]


@pytest.mark.parametrize("words", [
    "Thursday at ten in the evening", "Friday at ten in the morning", "2026-11-26T10:30", "2026-11-26T10:00:00Z",
    "Thursday in two weeks at 10 am"])
async def test_another_moment_is_never_taken_for_the_agreed_one(tmp_path: Path, words: str) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions)
        other = await schedule(functions, turn(2), confirmation_id=proposed["confirmation_id"], datetime=words)
        assert other["confirmation_id"] != proposed["confirmation_id"] and other["read_back"] != proposed["read_back"]
        assert world.bodies == []


async def test_a_day_of_the_week_is_its_next_one_and_not_any(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True, opening=OpeningHours.parse("Mon-Fri 09:00-17:00")) as world:
        functions = world.functions()
        proposed = await schedule(functions, datetime="Thursday in two weeks at ten")
        other = await schedule(
            functions, turn(2), confirmation_id=proposed["confirmation_id"], datetime="Thursday at ten")
        assert "the 26th of November" in other["read_back"] and world.bodies == []


async def test_the_agreed_moment_of_a_move_may_be_said_in_other_words(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        functions = with_diary(world, confirm=True)
        moved = await run(functions, "reschedule_meeting", datetime="Friday at 15:00")
        done = await run(functions, "reschedule_meeting", turn(2), datetime=moved["read_back"],
                         confirmation_id=moved["confirmation_id"])
        assert done["status"] == "confirmed" and world.bodies[-1]["start"] == "2026-11-27T15:00:00+06:00"


async def test_an_interval_that_was_agreed_is_not_counted_anew(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        now = [NOW]
        functions = with_diary(world, now=lambda: now[0])
        proposed = await schedule(functions, datetime="in two hours")
        now[0] += timedelta(minutes=2)
        booked = await schedule(
            functions, turn(2), datetime="In two hours.", confirmation_id=proposed["confirmation_id"])
        assert booked["status"] == "confirmed" and world.bodies[0]["start"] == "2026-11-23T11:00:00+06:00"


# ---- a confirmation is used once

async def test_a_yes_that_comes_again_after_a_move_books_no_second_meeting(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        proposed = await schedule(functions)
        yes = {"confirmation_id": proposed["confirmation_id"]}
        booked = await run(functions, "schedule_meeting", turn(2), **yes)
        await run(with_diary(world, confirm=False), "reschedule_meeting", datetime="Friday at 15:00")
        again = await run(functions, "schedule_meeting", turn(4), **yes)
        assert again["meeting_id"] == booked["meeting_id"] and "Friday the 27th" in again["read_back"]
        assert [meeting.id for meeting in await world.diary.meetings.all()] == [booked["meeting_id"]]
        other = await run(functions, "schedule_meeting", turn(4), datetime="Monday at 15:00", **yes)
        assert other["status"] == "refused" and "reschedule_meeting" in other["message"]


async def test_a_yes_that_comes_again_after_cancelling_books_nothing(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions, yes = await booked_in_two_steps(world)
        await run(with_diary(world, confirm=False), "cancel_meeting")
        again = await run(functions, "schedule_meeting", turn(4), **yes)
        assert again["status"] == "refused" and "has been cancelled" in again["message"]
        anew = await schedule(functions, turn(5))
        assert anew["confirmation_id"] != yes["confirmation_id"]


async def test_a_move_keeps_what_was_corrected_before_the_caller_agreed(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        booked = await schedule(world.functions())
        functions = with_diary(world, confirm=True)
        moved = await run(functions, "reschedule_meeting", datetime="Friday at 15:00")
        await schedule(functions, turn(2), email="ada@example.org")
        await run(functions, "reschedule_meeting", turn(3), confirmation_id=moved["confirmation_id"])
        assert news(world)[1:] == [
            ("meeting.updated", booked["meeting_id"], 1), ("meeting.rescheduled", booked["meeting_id"], 2)]
        assert (world.bodies[-1]["email"], world.bodies[-1]["start"]) == (
            "ada@example.org", "2026-11-27T15:00:00+06:00")


async def test_a_move_of_a_meeting_that_was_cancelled_books_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        functions = with_diary(world, confirm=True)
        moved = await run(functions, "reschedule_meeting", datetime="Friday at 15:00")
        await run(world.functions(), "cancel_meeting")
        output = await run(functions, "reschedule_meeting", turn(2), confirmation_id=moved["confirmation_id"])
        assert output["status"] == "refused"
        assert [meeting.status for meeting in await world.diary.meetings.all()] == ["cancelled"]
