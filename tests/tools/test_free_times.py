"""When there is time for a meeting: here, and in the owner's calendar, which may not be there to be asked."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.calendars import busy_url as availability
from bridge.meetings.closed_days import ClosedDays
from bridge.meetings.hours import OpeningHours
from tests.stage.booking import CALL, office, run, schedule, turn


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
