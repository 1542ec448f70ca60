"""The caller's own meetings that are to come, as the model can list them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bridge.tools import booking
from bridge.tools.meetings import MOST_LISTED, meetings
from bridge.tools.registry import Tools
from tests.stage.booking import CALL, HIDDEN, NOW, WANTED, listed, office, refused_late, run, schedule


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
