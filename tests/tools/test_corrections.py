"""What a caller corrects or adds, before a meeting is booked and after: it is taken over, told and sent; and what only
sounds different is the same.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from icalendar import Calendar

from bridge.delivery import retries
from bridge.meetings.hours import OpeningHours
from bridge.sim.demo import serving
from bridge.tools import booking
from bridge.tools.booking import Diary
from bridge.tools.meetings import meetings
from bridge.tools.registry import Functions, Tools
from tests.stage.booking import (
    CALL, NOW, THURSDAY, WANTED, World, office, refused_late, run, schedule, settled, turn,
)

CORRECTIONS = [
    {"email": "ada@example.org"}, {"name": "Augusta Ada King"}, {"description": "Allergic to penicillin"},
    {"name": "Ada Lovelacé", "description": "Allergic to penicillin"}]
GRACE = {"name": "Grace Hopper", "email": "grace@example.com", "description": "A compiler"}


def news(world: World) -> list[tuple[str, str, int]]:
    return [(body["type"], body["id"], body["sequence"]) for body in world.bodies]


def with_diary(world: World, **changed: Any) -> Functions:
    """The functions of another call, where the diary is another one."""
    diary: Diary = replace(world.diary, **changed)
    return Tools(meetings(diary)).for_call()


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


# ---- the business says no, or nothing

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
        functions = world.functions()
        proposed = await schedule(functions)
        yes = {"confirmation_id": proposed["confirmation_id"]}
        await run(functions, "schedule_meeting", turn(2), **yes)
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
        functions = world.functions()
        proposed = await schedule(functions)
        yes = {"confirmation_id": proposed["confirmation_id"]}
        await run(functions, "schedule_meeting", turn(2), **yes)
        await run(with_diary(world, confirm=False), "cancel_meeting")
        again = await run(functions, "schedule_meeting", turn(4), **yes)
        assert again["status"] == "refused" and "has been cancelled" in again["message"]
        anew = await schedule(functions, turn(5))
        assert anew["confirmation_id"] != proposed["confirmation_id"]


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
