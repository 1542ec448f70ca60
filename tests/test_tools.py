"""The functions the model may call, on a real database and with a real receiver: what is booked, and told."""

import asyncio
import gc
import json
import logging
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web

from bridge.calendars import busy_url as availability
from bridge.calendars.busy_url import Availability
from bridge.delivery.outbox import Outbox
from bridge.delivery.retries import GIVE_UP_S
from bridge.delivery.webhook import Webhook
from bridge.meetings.closed_days import ClosedDays
from bridge.meetings.hours import OpeningHours
from bridge.meetings.schedule import Rules
from bridge.records.database import Database, StoreFailed, open_database, parse_url
from bridge.records.deliveries import DeliveryQueue
from bridge.records.meetings import Meetings
from bridge.sim.demo import serving
from bridge.tools import booking, declarations
from bridge.tools.booking import Diary
from bridge.tools.declarations import Terms
from bridge.tools.hand_over import hand_over
from bridge.tools.meetings import MOST_LISTED, meetings
from bridge.tools.registry import Functions, Tools
from bridge.tools.tool import CallContext, OnBehalfOf
from tests.disk import Disk, disk

DHAKA = ZoneInfo("Asia/Dhaka")
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=DHAKA)         # a Monday
CALL = OnBehalfOf("CA" + "1" * 32, "+15551234567", turn=1)
WANTED = {
    "name": "Ada Lovelace", "email": "ada@example.com", "datetime": "Thursday at ten in the morning",
    "description": "The analytical engine"}
THURSDAY = "2026-11-26T10:00:00+06:00"


@dataclass
class World:
    """An office in Dhaka: what its receiver was sent, and answers."""

    diary: Diary
    database: Path
    opened: Database
    tools: Tools
    bodies: list[dict[str, Any]] = field(default_factory=list)
    status: int = 204
    #: The receivers that take everything, whatever the status.
    takers: set[str] = field(default_factory=set)
    answer: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    #: What AVAILABILITY_URL answers, and what it was asked.
    busy: Any = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    def functions(self) -> Functions:
        return self.tools.for_call()


@asynccontextmanager
async def office(tmp_path: Path, *, confirm: bool = False, receivers: int = 1, **rules: Any) -> AsyncIterator[World]:
    over = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        if world.silent:
            await over.wait()
        body = await request.json()
        world.bodies.append({**body, "receiver": request.path})
        return web.json_response(world.answer, status=204 if request.path in world.takers else world.status)

    async def busy(request: web.Request) -> web.Response:
        world.asked.append(dict(request.query))
        if world.busy is None:
            await over.wait()
        if isinstance(world.busy, int):
            return web.Response(status=world.busy)
        return web.json_response(world.busy)

    outside = web.Application()
    outside.router.add_post("/{receiver}", take)
    outside.router.add_get("/busy", busy)
    database_file = tmp_path / "bridge.db"
    async with (
        serving(outside) as origin, aiohttp.ClientSession() as http,
        open_database(parse_url(f"sqlite:///{database_file}")) as database,
    ):
        queue = DeliveryQueue(database)
        outbox = Outbox(queue, Webhook(http))
        diary = Diary(
            meetings=Meetings(database), queue=queue, outbox=outbox,
            receivers=[f"{origin}/receiver-{number}" for number in range(receivers)],
            rules=Rules(zone=DHAKA, **rules), confirm=confirm, now=lambda: NOW,
            availability=Availability(http, f"{origin}/busy", DHAKA))
        world = World(diary, database_file, database, Tools(meetings(diary)))
        running = asyncio.create_task(outbox.run())
        try:
            yield world
        finally:
            over.set()
            await outbox.stop()
            await running


async def run(functions: Functions, function: str, call: OnBehalfOf = CALL, /, **arguments: str) -> dict[str, Any]:
    return (await functions.run(function, json.dumps(arguments), call)).answer


async def schedule(functions: Functions, call: OnBehalfOf = CALL, /, **changed: str) -> dict[str, Any]:
    return await run(functions, "schedule_meeting", call, **(WANTED | changed))


def turn(number: int) -> OnBehalfOf:
    return replace(CALL, turn=number)


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


# ---- how the caller can be reached

HIDDEN = replace(CALL, phone_number="")


async def test_a_caller_without_an_address_books_by_the_number(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        wanted = {name: value for name, value in WANTED.items() if name != "email"}
        proposed = await run(functions, "schedule_meeting", **wanted)
        assert "e-mail" not in proposed["next"] and "the moment" in proposed["next"]
        booked = await run(functions, "schedule_meeting", turn(2), confirmation_id=proposed["confirmation_id"])
        assert booked["status"] == "confirmed"
        [body] = world.bodies
        assert (body["email"], body["phone_number"], body["number_hidden"]) == ("", CALL.phone_number, False)


@pytest.mark.parametrize("email", ["", "none@none.com", "n/a", "test@test.com"])
async def test_what_stands_in_the_place_of_an_address_reaches_nobody(tmp_path: Path, email: str) -> None:
    async with office(tmp_path) as world:
        assert (await schedule(world.functions(), email=email))["status"] == "confirmed"
        hidden = await schedule(world.functions(), HIDDEN, email=email, datetime="Friday at 15:00")
        assert hidden["status"] == "refused" and "one of the two" in hidden["message"]
        world.diary = replace(world.diary, email_required=True)
        required = await schedule(Tools(meetings(world.diary)).for_call(), email=email, datetime="Friday at 15:00")
        assert required["status"] == "refused" and "e-mail address is missing" in required["message"]
        assert [body["email"] for body in world.bodies] == [""]


async def test_one_who_hides_the_number_books_with_a_number_that_is_read_back(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        wanted = {"email": "", "phone_number": "+49 30 901820"}
        proposed = await schedule(functions, HIDDEN, **wanted)
        assert "the phone number" in proposed["next"]
        again = {"confirmation_id": proposed["confirmation_id"]}
        booked = await schedule(functions, replace(HIDDEN, turn=2), **wanted, **again)
        assert booked["status"] == "confirmed"
        [body] = world.bodies
        assert (body["email"], body["phone_number"], body["number_hidden"]) == ("", "+4930901820", True)


async def test_a_number_that_was_only_said_opens_nobody_s_meetings(tmp_path: Path) -> None:
    """Neither are the number's own meetings shown to who says it, nor is the hidden one's shown to the number."""
    async with office(tmp_path) as world:
        booked = await schedule(world.functions())
        said = {"email": "", "phone_number": CALL.phone_number}
        hidden = replace(HIDDEN, call_sid="CA" + "2" * 32)
        functions = world.functions()
        theirs = await schedule(functions, hidden, datetime="Friday at 15:00", **said)
        assert theirs["status"] == "confirmed"
        assert await listed(functions, hidden) == [theirs["meeting_id"]]
        assert await listed(world.functions(), CALL) == [booked["meeting_id"]]
        refused = await run(functions, "cancel_meeting", hidden, meeting_id=booked["meeting_id"])
        assert refused["status"] == "refused"


async def test_a_number_that_was_said_can_be_corrected(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        functions = world.functions()
        booked = await schedule(functions, HIDDEN, email="", phone_number="+4930901820")
        corrected = await schedule(functions, HIDDEN, phone_number="+49 30 901821")
        assert corrected["meeting_id"] == booked["meeting_id"]
        assert "the phone number is +4930901821" in corrected["message"]
        assert [(body["type"], body["phone_number"]) for body in world.bodies] == [
            ("meeting.booked", "+4930901820"), ("meeting.updated", "+4930901821")]


async def test_the_number_of_the_call_is_not_replaced_by_what_is_said(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions(), phone_number="+4930901820")
        assert world.bodies[0]["phone_number"] == CALL.phone_number


# ---- the caller's own meetings

async def listed(functions: Functions, call: OnBehalfOf = CALL) -> list[str]:
    return [each["meeting_id"] for each in (await run(functions, "list_meetings", call))["meetings"]]


async def test_the_caller_s_own_meetings_that_are_to_come_are_listed_in_order(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        later = await schedule(world.functions(), datetime="Friday at 15:00")
        first = await schedule(world.functions())
        gone = await schedule(world.functions(), datetime="Wednesday at ten in the morning")
        await run(world.functions(), "cancel_meeting", meeting_id=gone["meeting_id"])
        await schedule(world.functions(), replace(CALL, phone_number="+15559876543"), datetime="Friday at 16:00")
        output = await run(world.functions(), "list_meetings")
        assert [each["meeting_id"] for each in output["meetings"]] == [first["meeting_id"], later["meeting_id"]]
        [one, _] = output["meetings"]
        assert one["read_back"] == "Thursday the 26th of November at ten in the morning, Dhaka time"
        assert (one["name"], one["status"]) == ("Ada Lovelace", "confirmed")
        assert not {"email", "description"} & one.keys(), "a number can be forged"
        tomorrow = Tools(meetings(replace(world.diary, now=lambda: NOW + timedelta(days=4)))).for_call()
        assert await listed(tomorrow) == [later["meeting_id"]]


async def test_a_caller_without_meetings_is_told_so(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        output = await run(world.functions(), "list_meetings")
        assert output == {"meetings": [], "message": "No meeting of this caller is to come."}
        hidden = await run(world.functions(), "list_meetings", HIDDEN)
        assert "only meetings of this call" in hidden["message"]


async def test_a_list_that_nobody_could_listen_to_is_cut(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        for hour in range(13, 13 + MOST_LISTED + 1):
            await schedule(world.functions(), datetime=f"Thursday at {hour}:00")
        output = await run(world.functions(), "list_meetings")
        assert len(output["meetings"]) == MOST_LISTED and f"{MOST_LISTED} of {MOST_LISTED + 1}" in output["message"]


async def test_a_list_is_true_to_what_the_business_has_said_meanwhile(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await refused_late(world, "schedule_meeting", **WANTED)
        [listed] = (await run(world.functions(), "list_meetings"))["meetings"]
        assert listed["status"] == "refused" and "not booked" in listed["message"]
        assert (await run(world.functions(), "list_meetings"))["meetings"] == []


async def test_a_list_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(tmp_path) as world:
        world.silent = True
        with monkeypatch.context() as patch:
            patch.setattr(booking, "ANSWER_S", 0.0)
            await schedule(world.functions())
        monkeypatch.setattr(booking, "ANSWER_S", 3600.0)
        async with asyncio.timeout(10):
            [listed] = (await run(world.functions(), "list_meetings"))["meetings"]
        assert listed["status"] == "recorded" and "still to be confirmed" in listed["message"]


# ---- what the caller is told

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


async def test_a_late_refusal_frees_the_slot_when_the_caller_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with office(tmp_path) as world:
        with monkeypatch.context() as patch:
            patch.setattr(booking, "ANSWER_S", 0.0)
            world.status = 409
            assert (await schedule(world.functions()))["status"] == "recorded"
        await settled(world)
        assert (await schedule(world.functions()))["status"] == "refused"
        world.status = 204
        assert (await schedule(world.functions()))["status"] == "confirmed"


async def refused_late(world: World, function: str, call: OnBehalfOf = CALL, /, **arguments: str) -> dict[str, Any]:
    """The receiver says no when the caller has been told already that it is recorded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(booking, "ANSWER_S", 0.0)
        world.status = 409
        output = await run(world.functions(), function, call, **arguments)
    assert output["status"] == "recorded"
    await settled(world)
    world.status = 204
    return output


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(tmp_path) as world:
        async def fails(*_: object, **__: object) -> None:
            raise StoreFailed("the disk hangs")
        world.status = 409
        with monkeypatch.context() as patch:
            patch.setattr(Meetings, "cancel", fails)
            assert (await schedule(world.functions()))["status"] == "refused"
        assert "WAS REFUSED, but is still in the books: the disk hangs" in caplog.text
        assert (await schedule(world.functions()))["status"] == "refused"
        assert [meeting.status for meeting in await world.diary.meetings.all()] == ["cancelled"]


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


async def test_the_receiver_s_own_words_reach_the_model(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        world.status, world.answer = 200, {"message_to_caller": "Please bring your passport."}
        assert (await schedule(world.functions()))["message_from_the_business"] == "Please bring your passport."


async def test_with_several_receivers_each_is_told_and_the_first_decides(tmp_path: Path) -> None:
    async with office(tmp_path, receivers=3) as world:
        assert (await schedule(world.functions()))["status"] == "confirmed"
        await settled(world)
        assert {body["receiver"] for body in world.bodies} == {f"/receiver-{number}" for number in range(3)}


async def settled(world: World) -> None:
    async with asyncio.timeout(20):
        while (await world.diary.queue.depth()).pending:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("arguments, reason", [
    ("{broken", "arguments are wrong"),
    ("[]", "arguments are wrong"),
    ("[" * 100_000, "arguments are wrong"),
    (json.dumps(WANTED | {"name": "x" * 1000}), "name is too long"),
    (json.dumps(WANTED | {"email": "ada at example"}), "e-mail"),
    (json.dumps(WANTED | {"datetime": "some day"}), ""),
    (json.dumps(WANTED | {"datetime": "2001-01-01T10:00"}), ""),
    (json.dumps(WANTED | {"time_zone": "Atlantis"}), ""),
    (json.dumps({"name": "Ada"}), "missing"),
])
async def test_what_cannot_be_booked_is_refused_with_a_sentence(tmp_path: Path, arguments: str, reason: str) -> None:
    async with office(tmp_path) as world:
        output = (await world.functions().run("schedule_meeting", arguments, CALL)).answer
        assert output["status"] == "refused" and reason in output["message"] and output["message"].strip()
        assert world.bodies == []


@pytest.mark.parametrize("nothing", [None, "", "  "])
async def test_an_argument_that_is_null_or_empty_is_as_if_left_out(tmp_path: Path, nothing: str | None) -> None:
    left_out = {"description": nothing, "time_zone": nothing, "confirmation_id": nothing, "meeting_id": nothing,
                "earliest_day": nothing}
    async with office(tmp_path) as world:
        for function, given in [
            ("schedule_meeting", WANTED), ("reschedule_meeting", {"datetime": "Friday at 15:00"}),
            ("check_availability", {}), ("cancel_meeting", {}),
        ]:
            output = (await world.functions().run(function, json.dumps({**given, **left_out}), CALL)).answer
            assert output.get("status") == "confirmed" or len(output["free"]) == 3
        assert [body["description"] for body in world.bodies] == [""] * 3
        without = json.dumps({**WANTED, "datetime": nothing})
        required = (await world.functions().run("schedule_meeting", without, CALL)).answer
        assert required["message"] == "The date and time is missing: ask the caller for it."


@pytest.mark.parametrize("argument, what", [
    ("name", "name"), ("datetime", "date and time"), ("email", "e-mail address"), ("description", "description"),
    ("time_zone", "time zone")])
@pytest.mark.parametrize("value", [["a"], {"a": 1}, True, "x" * 3000])
async def test_what_is_wrong_with_an_argument_is_said_of_the_matter(
    tmp_path: Path, argument: str, what: str, value: Any,
) -> None:
    async with office(tmp_path) as world:
        wanted = json.dumps(WANTED | {argument: value})
        output = (await world.functions().run("schedule_meeting", wanted, CALL)).answer
        assert output["status"] == "refused" and output["message"].startswith(f"The {what} ")
        assert not any(word in output["message"] for word in ("$", "`", "JSON", "str", "byte"))


async def test_an_unknown_function_is_an_error_to_speak_about(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        assert "no function 'launch'" in (await run(world.functions(), "launch"))["error"]
    assert "no function" in (await run(Tools(hand_over()).for_call(), "schedule_meeting"))["error"]


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


# ---- moving and cancelling

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
        functions = await booked_in_two_steps(world)
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
        functions = world.functions()
        proposed = await schedule(functions)
        yes = {"confirmation_id": proposed["confirmation_id"]}
        await run(functions, "schedule_meeting", turn(2), **yes)
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


async def booked_in_two_steps(world: World) -> Functions:
    """The functions of a call in which a meeting was booked in the second turn."""
    functions = world.functions()
    proposed = await schedule(functions)
    await run(functions, "schedule_meeting", turn(2), confirmation_id=proposed["confirmation_id"])
    return functions


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


# ---- free times

async def test_free_times_leave_out_what_is_taken_here_and_elsewhere(tmp_path: Path) -> None:
    async with office(tmp_path, opening=OpeningHours.parse("Mon-Fri 09:00-12:00")) as world:
        await schedule(world.functions(), datetime="tomorrow at 09:30")
        world.busy = [{"start": "2026-11-24T04:00:00Z", "end": "2026-11-24T05:00:00Z"}]      # 10:00 to 11:00 in Dhaka
        free = await run(world.functions(), "check_availability", earliest_day="2026-11-24")
        assert [offer["datetime"] for offer in free["free"]] == [
            f"2026-11-24T{clock}:00+06:00" for clock in ("09:00", "11:00", "11:30")]
        assert "note" not in free and world.asked[-1].keys() == {"from", "to"}


@pytest.mark.parametrize("busy", [
    500, 404, {"no": "list"}, [{"from": "2026-11-24T04:00:00Z", "to": "2026-11-24T05:00:00Z"}],
    [{"start": "x" * 100_000, "end": ""}]])
async def test_a_calendar_that_cannot_be_asked_is_said_so(
    tmp_path: Path, busy: Any, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(tmp_path) as world:
        world.busy = busy
        free = await run(world.functions(), "check_availability")
        assert len(free["free"]) == 3 and "could not be asked" in free["note"]
        booked = await schedule(world.functions())
        assert booked["status"] == "confirmed" and "not certain" in booked["note"]
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "could not be asked" in line, "once for both"


async def test_what_could_not_be_asked_is_not_certain_in_either_step(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        world.busy = 503
        proposed = await schedule(functions)
        assert "not certain" in proposed["note"]
        world.busy = []
        booked = await schedule(functions, turn(2), confirmation_id=proposed["confirmation_id"])
        assert booked["status"] == "confirmed" and "not certain" in booked["note"], "nobody has asked since"
        assert "note" not in await schedule(functions, turn(3), datetime="Friday at ten in the morning")
        assert "note" not in await run(functions, "cancel_meeting", turn(4), meeting_id=booked["meeting_id"])


async def test_times_that_are_offered_instead_are_not_certain_without_the_calendar(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        somebody_else = replace(CALL, call_sid="CA" + "2" * 32, phone_number="+15550000002")
        known = await schedule(world.functions(), somebody_else)
        assert "Free are: " in known["message"] and "not certain" not in known["message"]
        world.busy = 503
        unknown = await schedule(world.functions(), somebody_else)
        assert unknown["status"] == "refused" and "Free are: " in unknown["message"]
        assert "likely, not certain" in unknown["message"]


async def test_a_calendar_that_never_answers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "TIMEOUT_S", 0.05)
    async with office(tmp_path) as world:
        world.busy = None                            # it does not answer before the end
        assert "note" in await run(world.functions(), "check_availability")
        assert "not certain" in (await schedule(world.functions()))["note"]


async def test_a_time_that_is_busy_elsewhere_is_not_proposed(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        world.busy = [{"start": "2026-11-26T03:45:00Z", "end": "2026-11-26T04:15:00Z"}]
        output = await schedule(world.functions())
        assert output["status"] == "refused" and "not free" in output["message"]


@pytest.mark.parametrize("odd", [
    {"start": "2026-11-30"}, {"start": "2026-11-30T10:00:00", "end": "2026-11-30T11:00:00"},
    {"start": "2026-11-30T10:00:00Z"}, {"start": 1, "end": 2}, {}, "x", None])
@pytest.mark.parametrize("busy", [
    {"start": "2026-11-26T03:45:00Z", "end": "2026-11-26T04:15:00Z"}, {"start": "2026-11-26"},
    {"start": "2026-11-26", "end": "2026-11-27"}, {"start": "2026-11-26T10:15", "end": "2026-11-26T10:20"}])
async def test_an_odd_entry_hides_no_other_and_a_whole_day_is_busy(tmp_path: Path, busy: Any, odd: Any) -> None:
    async with office(tmp_path) as world:
        world.busy = [odd, busy]
        output = await schedule(world.functions())
        assert output["status"] == "refused" and "not free" in output["message"]
        assert (await schedule(world.functions(), datetime="Friday at ten in the morning"))["status"] == "confirmed"


async def test_a_meeting_that_the_owners_calendar_shows_can_be_moved_over_itself(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        own = {"start": "2026-11-26T10:00:00+06:00", "end": "2026-11-26T10:30:00+06:00"}
        world.busy = [own, {"start": "2026-11-26T11:00:00+06:00", "end": "2026-11-26T12:00:00+06:00"}]
        moved = await run(world.functions(), "reschedule_meeting", datetime="Thursday at 10:15 am")
        assert moved["status"] == "confirmed" and world.bodies[-1]["start"] == "2026-11-26T10:15:00+06:00"
        other = await run(world.functions(), "reschedule_meeting", datetime="Thursday at 10:45 am")
        assert other["status"] == "refused", "there is somebody else behind it"


@pytest.mark.parametrize("day, reason", [
    ("soon", "ISO 8601"), ("2026-02-30", "ISO 8601"), ("9999-12-31", "too far away"), ("2028-01-01", "too far away"),
    ("31 December 9999", "too far away"), ("in 9999 years", "ISO 8601"), ("0001-01-01", ""), ("1 January 2020", "")])
async def test_a_day_that_cannot_be_looked_at_is_refused_with_a_sentence(
    tmp_path: Path, day: str, reason: str,
) -> None:
    async with office(tmp_path) as world:
        output = await run(world.functions(), "check_availability", earliest_day=day)
        assert reason in output["message"] if reason else len(output["free"]) == 3
        assert not reason.startswith("too") or "the 23rd of November 2027" in output["message"], "the last day"


@pytest.mark.parametrize("day", [
    "2026-11-26", "Thursday", "the 26th of November", "in three days", "2026-11-26T15:00", "Thursday afternoon",
    "2026-11-25T23:00:00Z"])
async def test_the_earliest_day_may_be_said_as_the_caller_says_it(tmp_path: Path, day: str) -> None:
    async with office(tmp_path) as world:
        free = await run(world.functions(), "check_availability", earliest_day=day)
        assert free["free"][0]["datetime"] == "2026-11-26T00:00:00+06:00"


@pytest.mark.parametrize("week, monday", [("next week", "2026-11-30"), ("the week after next", "2026-12-07")])
async def test_from_a_week_on_is_from_its_monday_on(tmp_path: Path, week: str, monday: str) -> None:
    async with office(tmp_path) as world:
        free = await run(world.functions(), "check_availability", earliest_day=week)
        assert free["free"][0]["datetime"] == f"{monday}T00:00:00+06:00"


async def test_behind_a_long_holiday_there_are_free_times(tmp_path: Path) -> None:
    closed = ClosedDays.parse("2026-11-23..2026-12-20")
    async with office(tmp_path, opening=OpeningHours.parse("Mon-Fri 09:00-12:00"), closed=closed) as world:
        free = await run(world.functions(), "check_availability")
        assert [offer["datetime"] for offer in free["free"]] == [
            f"2026-12-21T{clock}:00+06:00" for clock in ("09:00", "09:30", "10:00")]
        refused = await schedule(world.functions())
        assert "We are closed on Thursday the 26th of November." in refused["message"]


# ---- books that cannot be written

@pytest.mark.parametrize("trouble", [pytest.param("locked", marks=pytest.mark.slow), "full", "gone"])
async def test_books_that_cannot_be_written_are_the_truth_the_caller_hears(
    tmp_path: Path, trouble: str, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    async with office(tmp_path) as world:
        with trouble_with(world, trouble):
            output = await schedule(world.functions())
        assert output["status"] == "refused" and "nothing has been booked" in output["message"]
        assert world.bodies == []
    assert any("could not be written down" in record.getMessage() for record in caplog.records)


async def test_a_disk_that_became_read_only_is_the_truth_the_caller_hears(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    with disk(tmp_path) as ours:
        async with office(tmp_path) as world:
            await schedule(world.functions(), datetime="Friday at 15:00")
            world.bodies.clear()
            await become_read_only(ours, world)
            output = await schedule(world.functions())
            assert output["status"] == "refused" and "nothing has been booked" in output["message"]
            assert world.bodies == []
            await world.opened._engine.dispose()
            ours.remount("rw")
            assert (await schedule(world.functions()))["status"] == "confirmed"
            assert [body["datetime"] for body in world.bodies] == [THURSDAY]
    assert "could not be written down: " in caplog.text


async def become_read_only(ours: Disk, world: World) -> None:
    """As soon as nothing on it is open for writing: the outbox may be looking for what is due."""
    async with asyncio.timeout(10):
        while True:
            await world.opened._engine.dispose()
            gc.collect()                             # a connection that was out stays with the pool that is gone
            try:
                return ours.remount("ro")
            except subprocess.CalledProcessError:
                await asyncio.sleep(0.01)


class trouble_with:
    """The database cannot be written, for real."""

    def __init__(self, world: World, trouble: str) -> None:
        self._path, self._trouble = world.database, trouble
        self._connection = sqlite3.connect(world.database, isolation_level=None)

    def __enter__(self) -> None:
        if self._trouble == "locked":
            self._connection.execute("BEGIN EXCLUSIVE")
        elif self._trouble == "gone":
            self._connection.execute("ALTER TABLE slots RENAME TO elsewhere")
        else:
            self._connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON meetings BEGIN SELECT RAISE(ABORT, 'disk is full'); END")

    def __exit__(self, *_: object) -> None:
        with suppress(sqlite3.OperationalError):
            self._connection.execute({"locked": "ROLLBACK", "gone": "ALTER TABLE elsewhere RENAME TO slots",
                                      "full": "DROP TRIGGER full"}[self._trouble])
        self._connection.close()


# ---- what is declared

def declared(**terms: bool) -> dict[str, dict[str, Any]]:
    functions = (declarations.schedule_meeting, declarations.reschedule_meeting, declarations.cancel_meeting,
                 declarations.list_meetings, declarations.check_availability)
    return {each.__name__: each(Terms(**terms)).named(each.__name__) for each in functions}


def arguments_of(function: dict[str, Any]) -> set[str]:
    return {*function["parameters"]["properties"]}


async def test_each_function_for_meetings_is_declared(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        functions = world.functions().declarations(CallContext(NOW))
    assert [each["name"] for each in functions] == [*declared()] == [
        "schedule_meeting", "reschedule_meeting", "cancel_meeting", "list_meetings", "check_availability"]


def test_where_one_step_is_enough_nothing_speaks_of_two() -> None:
    two, one = json.dumps([*declared().values()]), json.dumps([*declared(confirm=False).values()])
    assert "confirmation_id" in two and "two steps" in two
    for words in ("two steps", "first call", "again", "read back", "has agreed"):
        assert words not in one, words


def test_an_address_is_required_where_the_owner_says_so() -> None:
    optional, required = declared()["schedule_meeting"], declared(email_required=True)["schedule_meeting"]
    assert optional["parameters"]["required"] == ["name", "datetime"]
    assert required["parameters"]["required"] == ["name", "email", "datetime"]
    assert "email" in arguments_of(optional)


def test_a_phone_number_is_an_argument_only_where_it_is_not_known() -> None:
    assert "phone_number" not in arguments_of(declared()["schedule_meeting"])
    hidden = declared(number_hidden=True)["schedule_meeting"]
    assert "phone_number" in arguments_of(hidden) and "phone_number" not in hidden["parameters"]["required"]


# ---- a transfer

def transfer(*names: str) -> dict[str, Any]:
    return next(each for each in offered(names) if each["name"] == "transfer_call")


def offered(targets: Collection[str]) -> list[dict[str, Any]]:
    return Tools(hand_over(targets)).for_call().declarations(CallContext(NOW))


def test_a_transfer_is_declared_where_there_is_somebody_to_put_callers_through_to() -> None:
    assert [each["name"] for each in offered([])] == ["end_call"]
    assert [each["name"] for each in offered({"human": "+15551234567"})] == ["transfer_call", "end_call"]


def test_whom_to_transfer_to_is_asked_only_where_there_is_a_choice() -> None:
    alone, several = transfer("human")["parameters"], transfer("sales", "front desk")["parameters"]
    assert ({*alone["properties"]}, alone["required"]) == ({"reason"}, ["reason"])
    assert several["properties"]["to"]["enum"] == ["sales", "front desk"]
    assert several["required"] == ["to", "reason"]
