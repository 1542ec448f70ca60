"""What a calendar answers, read without a socket; and that it is told once in a while what is wrong with it."""

import json
import logging
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from bridge.calendars import busy_url as availability
from bridge.calendars.busy import NO_OFFSET, Interval, Unreadable, overlaps, read, told, without
from bridge.calendars.busy_url import Availability, NotAsked
from bridge.sim.demo import serving

BERLIN = ZoneInfo("Europe/Berlin")
TEN_TO_ELEVEN = {"start": "2026-12-03T10:00:00Z", "end": "2026-12-03T11:00:00Z"}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def interval(entry: Any) -> tuple[Interval, dict[str, int]]:
    busy = read(json.dumps([entry]).encode(), BERLIN)
    [only] = busy.intervals
    return only, dict(busy.odd)


@pytest.mark.parametrize(("entry", "start", "end"), [
    (TEN_TO_ELEVEN, "2026-12-03T10:00", "2026-12-03T11:00"),
    ({"start": "2026-12-03T10:00:00+01:00", "end": "2026-12-03 11:00:00.5+01:00", "title": "x"},
     "2026-12-03T09:00", "2026-12-03T10:00:00.5"),
    ({"start": "2026-12-03"}, "2026-12-02T23:00", "2026-12-03T23:00"),
    ({"start": "2026-12-03", "end": None}, "2026-12-02T23:00", "2026-12-03T23:00"),
    ({"start": "2026-12-03", "end": "2026-12-03"}, "2026-12-02T23:00", "2026-12-03T23:00"),
    ({"start": "2026-12-03", "end": "2026-12-05"}, "2026-12-02T23:00", "2026-12-04T23:00"),
    ({"start": "2026-12-03T10:00:00Z", "end": "2026-12-05"}, "2026-12-03T10:00", "2026-12-04T23:00"),
    # 25 hours: the clocks go back.
    ({"start": "2026-10-25"}, "2026-10-24T22:00", "2026-10-25T23:00")])
def test_what_has_one_meaning_is_taken_by_it(entry: Any, start: str, end: str) -> None:
    assert interval(entry) == ((utc(start), utc(end)), {})


def test_a_time_without_an_offset_is_local_and_told() -> None:
    busy, odd = interval({"start": "2026-12-03T10:00:00", "end": "2026-12-03T11:00:00Z"})
    assert busy == (utc("2026-12-03T09:00"), utc("2026-12-03T11:00"))
    assert odd == {NO_OFFSET: 1}


@pytest.mark.parametrize(("odd", "reason"), [
    ({"start": "2026-12-03T10:00:00Z"}, "without an end"), ({"end": "2026-12-03T10:00:00Z"}, "without a start"),
    ({"start": "2026-12-03T10:00:00Z", "end": "2026-12-03T10:00:00Z"}, "not after its start"),
    ({"start": "2026-12-03", "end": "2026-12-01"}, "not after its start"),
    ({"start": "soon", "end": "2026-12-03"}, "start that is not ISO 8601"),
    ({"start": "2026-12-03", "end": 1764756000}, "end that is no text"),
    ({"start": "9999-12-31"}, "beyond the calendar"),
    ({"start": "0001-01-01T00:00+14:00", "end": "2026-12-03"}, "beyond the calendar"),
    ({}, "without a start"), ([], "no object"), ("2026-12-03", "no object"), (None, "no object")])
def test_what_has_no_meaning_is_left_out_and_hides_no_other(odd: Any, reason: str) -> None:
    busy = read(json.dumps([odd, TEN_TO_ELEVEN, odd]).encode(), BERLIN)
    assert busy.intervals == [(utc("2026-12-03T10:00"), utc("2026-12-03T11:00"))]
    assert reason in told(busy.odd) and told(busy.odd).startswith("2 ")


@pytest.mark.parametrize("answer", [
    b"", b"busy", b"{}", b"null", b"\xff", b"[" * 50_000, b'[{"from": "2026-12-03"}]', b"[null]"])
def test_what_cannot_be_read_at_all_is_not_taken_for_a_free_calendar(answer: bytes) -> None:
    with pytest.raises(Unreadable):
        read(answer, BERLIN)


def test_a_calendar_without_entries_is_free() -> None:
    assert read(b"[]", BERLIN).intervals == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.dates().map(str) | st.datetimes(timezones=st.none() | st.timezones()).map(datetime.isoformat),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["start", "end", "x"]), inner))


@given(st.lists(_JSON, max_size=5))
def test_whatever_it_holds_it_is_read_or_unreadable(entries: list[Any]) -> None:
    try:
        busy = read(json.dumps(entries).encode(), BERLIN)
    except Unreadable:
        return
    for start, end in busy.intervals:
        assert start < end and start.tzinfo is UTC
    overlaps(without(busy.intervals, (utc("2026-12-03T10:00"), utc("2026-12-03T11:00"))), utc("2026-12-03"),
             utc("2026-12-04"))


def test_of_what_is_busy_only_the_own_meeting_is_taken_away() -> None:
    own = utc("2026-12-03T10:00").astimezone(BERLIN), utc("2026-12-03T10:30").astimezone(BERLIN)

    def left(start: str, end: str) -> list[tuple[str, str]]:
        return [(f"{begin:%H:%M}", f"{over:%H:%M}") for begin, over in without(
            [(utc(f"2026-12-03T{start}"), utc(f"2026-12-03T{end}"))], own)]
    assert left("10:00", "10:30") == left("10:10", "10:20") == []
    assert left("09:30", "11:00") == [("09:30", "10:00"), ("10:30", "11:00")], "a calendar merges what is adjacent"
    assert left("09:30", "10:10") == [("09:30", "10:00")]
    assert left("10:20", "11:00") == [("10:30", "11:00")]
    assert left("08:00", "09:00") == [("08:00", "09:00")] and left("11:00", "12:00") == [("11:00", "12:00")]


@pytest.mark.parametrize(("start", "end", "overlap"), [
    ("09:00", "10:00", False), ("11:00", "12:00", False), ("09:00", "10:01", True), ("10:59", "12:00", True),
    ("10:15", "10:30", True), ("09:00", "12:00", True)])
def test_what_ends_when_another_begins_does_not_overlap(start: str, end: str, overlap: bool) -> None:
    busy = [(utc("2026-12-03T10:00"), utc("2026-12-03T11:00"))]
    assert overlaps(busy, utc(f"2026-12-03T{start}"), utc(f"2026-12-03T{end}")) is overlap


# ---- the log

async def test_what_is_wrong_with_a_calendar_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now, answers = 0.0, [web.Response(status=503)]

    async def busy(request: web.Request) -> web.Response:
        return answers[0] if answers else web.json_response([TEN_TO_ELEVEN, {"start": 1}])
    outside = web.Application()
    outside.router.add_get("/busy", busy)

    async def ask(times: int) -> list[str]:
        caplog.clear()
        for _ in range(times):
            if answers:
                answers[:] = [web.Response(status=503)]
                with pytest.raises(NotAsked, match="status 503"):
                    await calendar.busy(utc("2026-12-03"), utc("2026-12-04"))
            else:
                assert len(await calendar.busy(utc("2026-12-03"), utc("2026-12-04"))) == 1
        return [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
    caplog.set_level(logging.WARNING, "bridge")
    async with serving(outside) as origin, aiohttp.ClientSession() as http:
        calendar = Availability(http, f"{origin}/busy", BERLIN, clock=lambda: now)
        [line] = await ask(5)
        assert line.startswith("ERROR THE CALENDAR at AVAILABILITY_URL could not be asked: it answered with status 503")
        now = availability.NOT_ASKED_S
        [line] = await ask(2)
        assert "(4 more like this" in line
        answers.clear()
        [line] = await ask(5)
        assert line.startswith("WARNING the calendar at AVAILABILITY_URL has odd entries") and line.endswith(
            "1 with a start that is no text, left out")
        now += availability.ODD_S
        assert len(await ask(5)) == 1
