"""Bookings on both databases: a minute is promised once, and always together with its news."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from bridge.meetings.meeting import Meeting
from bridge.records.database import Database, StoreFailed, open_database, parse_url
from bridge.records.deliveries import DeliveryQueue
from bridge.records.meetings import Meetings, NotYours, SlotTaken
from bridge.records.news import NewDelivery
from bridge.records.tables import slots
from tests.store import ALICE, BOB, NOW, RECEIVERS, TEN, check, make_meeting, news, no_news, rows


@pytest.fixture
def meetings(database: Database) -> Meetings:
    return Meetings(database, lambda: NOW)


@pytest.fixture
def queue(database: Database) -> DeliveryQueue:
    return DeliveryQueue(database)


# ---- booking

async def test_a_booking_is_stored_with_one_delivery_for_each_receiver(
    meetings: Meetings, queue: DeliveryQueue, database: Database,
) -> None:
    meeting = make_meeting()
    stored, promised = await meetings.book(meeting, news)
    assert stored == await meetings.find(meeting.id) == meeting
    deliveries = await queue.about(meeting.id)
    assert [each.url for each in promised] == [*RECEIVERS] and sorted(promised, key=lambda each: each.id) == deliveries
    assert {each.url for each in deliveries} == set(RECEIVERS)
    for each in deliveries:
        assert (each.type, each.body) == ("meeting.booked", f'{{"id": "{meeting.id}"}}')
        assert (each.state, each.attempts, each.created_at, each.since, each.next_at) == ("pending", 0, NOW, NOW, NOW)
    await check(database)


async def test_its_moment_comes_back_in_its_zone(meetings: Meetings) -> None:
    for zone, start in [
        ("Europe/Berlin", datetime(2030, 10, 27, 2, 30, fold=1)),        # the second time that night
        ("Europe/Berlin", datetime(2030, 10, 27, 2, 30, fold=0)),
        ("Asia/Kathmandu", datetime(2030, 1, 1, 0, 0)),
        ("UTC", datetime(9998, 12, 31, 23, 59)),
        ("UTC", datetime(1969, 12, 31, 23, 59)),
    ]:
        meeting = make_meeting(start=start.replace(tzinfo=ZoneInfo(zone)), zone=ZoneInfo(zone), minutes=45)
        await meetings.book(meeting, news)
        stored = await meetings.find(meeting.id)
        assert stored == meeting
        assert stored and stored.start.isoformat() == meeting.start.isoformat() and stored.end == meeting.end


async def test_a_start_in_another_zone_is_told_in_the_meeting_s_own(meetings: Meetings) -> None:
    stored, _ = await meetings.book(make_meeting(start=TEN.astimezone(ZoneInfo("UTC"))), news)
    assert stored.start.isoformat() == TEN.isoformat()


async def test_the_same_caller_and_start_is_the_same_meeting(meetings: Meetings, database: Database) -> None:
    first, again = make_meeting(), make_meeting(name="Ada, once more")
    await meetings.book(first, news)
    assert await meetings.book(again, news) == (first, [])
    assert await meetings.book(first, news) == (first, [])
    assert len(await rows(database, "deliveries")) == len(RECEIVERS)
    await check(database)


async def test_what_clocks_show_twice_in_the_night_of_a_change_is_not_the_same_start(meetings: Meetings) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    early = make_meeting(start=datetime(2030, 10, 27, 2, 30, tzinfo=berlin), zone=berlin, minutes=90)
    late = make_meeting(start=datetime(2030, 10, 27, 2, 30, tzinfo=berlin, fold=1), zone=berlin, minutes=90)
    stored, _ = await meetings.book(early, news)
    assert early.start == late.start and late.repeated([stored]) is None
    with pytest.raises(SlotTaken):
        await meetings.book(late, news)
    assert make_meeting(caller=BOB).repeated([make_meeting()]) is None


async def test_a_minute_is_promised_once(meetings: Meetings, database: Database) -> None:
    await meetings.book(make_meeting(), news)
    for after, caller in [(-29, ALICE), (-29, BOB), (-1, ALICE), (0, BOB), (1, ALICE), (29, ALICE), (29, BOB)]:
        with pytest.raises(SlotTaken):
            await meetings.book(make_meeting(after, caller=caller), news)
    with pytest.raises(SlotTaken):
        await meetings.book(make_meeting(-60, minutes=120, caller=BOB), news)
    await check(database)
    assert len(await rows(database, "meetings")) == 1


async def test_meetings_may_touch(meetings: Meetings, database: Database) -> None:
    for after in (0, -30, 30):
        assert (await meetings.book(make_meeting(after, caller=BOB), news))[1]
    await check(database)


async def test_the_database_itself_refuses_a_minute_twice(meetings: Meetings, database: Database) -> None:
    meeting, _ = await meetings.book(make_meeting(), news)
    with pytest.raises(StoreFailed, match="(?i)unique") as failure:
        await database.write(lambda connection: connection.execute(
            insert(slots).values(minute=int(TEN.timestamp()) // 60, meeting_id=meeting.id)))
    assert not isinstance(failure.value.__cause__, IntegrityError) and "\n" not in str(failure.value)


async def test_no_news_no_booking(meetings: Meetings, database: Database) -> None:
    def broken(meeting: Meeting) -> list[NewDelivery]:
        raise LookupError("no template")
    with pytest.raises(LookupError):
        await meetings.book(make_meeting(), broken)
    assert not await rows(database, "meetings")
    await check(database)


async def test_an_id_is_used_once(meetings: Meetings, database: Database) -> None:
    meeting, _ = await meetings.book(make_meeting(), news)
    with pytest.raises(StoreFailed):
        await meetings.book(replace(make_meeting(60), id=meeting.id), news)
    await check(database)


async def test_a_meeting_is_made_of_whole_minutes(meetings: Meetings, database: Database) -> None:
    for wrong in (make_meeting(minutes=0), make_meeting(start=TEN + timedelta(seconds=1))):
        with pytest.raises(ValueError, match="whole minute"):
            await meetings.book(wrong, news)
    assert not await rows(database, "meetings")


async def test_text_that_the_database_cannot_hold_is_a_failure_like_any_other(
    meetings: Meetings, database: Database,
) -> None:
    for meeting in (make_meeting(description="lone \udc80 surrogate"), make_meeting(60, description="nul \0 byte")):
        with suppress(StoreFailed):
            await meetings.book(meeting, news)
            assert await meetings.find(meeting.id) == meeting
    await check(database)


# ---- races

async def test_of_a_hundred_callers_one_gets_the_slot(database_url: str) -> None:
    async with open_database(parse_url(database_url)) as one, open_database(parse_url(database_url)) as other:
        stores = [Meetings(one), Meetings(other)]
        results = await asyncio.gather(*(
            stores[number % 2].book(make_meeting(number % 30, caller=f"caller {number}"), news)
            for number in range(100)), return_exceptions=True)
        assert [bool(each[1]) for each in results if isinstance(each, tuple)] == [True]
        assert sum(isinstance(each, SlotTaken) for each in results) == 99, results
        await check(one)


async def test_a_hundred_times_the_same_booking_is_one_meeting(database_url: str) -> None:
    async with open_database(parse_url(database_url)) as one, open_database(parse_url(database_url)) as other:
        stores = [Meetings(one), Meetings(other)]
        results = await asyncio.gather(*(stores[number % 2].book(make_meeting(), news) for number in range(100)))
        assert len({meeting.id for meeting, _ in results}) == 1
        assert sum(bool(told) for _, told in results) == 1
        await check(one)


async def test_two_callers_cannot_swap_nor_block_each_other(database_url: str) -> None:
    """Each wants the other's minutes: without an order among bookings the two transactions would be a deadlock."""
    async with open_database(parse_url(database_url)) as one, open_database(parse_url(database_url)) as other:
        hers, _ = await Meetings(one).book(make_meeting(), news)
        his, _ = await Meetings(one).book(make_meeting(60, caller=BOB), news)
        for _ in range(10):
            results = await asyncio.gather(
                Meetings(one).change(hers.id, ALICE, {"start": his.start}, news),
                Meetings(other).change(his.id, BOB, {"start": hers.start}, news), return_exceptions=True)
            assert [type(each) for each in results] == [SlotTaken, SlotTaken]
        await check(one)


# ---- changing

async def test_a_change_moves_the_slot_and_tells_of_it(
    meetings: Meetings, queue: DeliveryQueue, database: Database,
) -> None:
    booked, _ = await meetings.book(make_meeting(), news)
    wanted = {"start": TEN + timedelta(hours=1), "read_back": "Tuesday at eleven"}
    changed, _ = await meetings.change(booked.id, ALICE, wanted, news)
    assert changed == replace(booked, **wanted, sequence=1)
    assert await meetings.find(booked.id) == changed
    assert len(await queue.about(booked.id)) == 2 * len(RECEIVERS)
    await check(database)
    assert (await meetings.book(make_meeting(caller=BOB), news))[1], "its old minutes are free"


async def test_changes_at_once_are_all_kept(database_url: str) -> None:
    """One call corrects the address while another one moves the meeting, and a third adds what it is about."""
    async with open_database(parse_url(database_url)) as one, open_database(parse_url(database_url)) as other:
        booked, _ = await Meetings(one).book(make_meeting(), news)
        await asyncio.gather(
            Meetings(one).change(booked.id, ALICE, {"email": "new@b.example"}, news),
            Meetings(other).change(booked.id, ALICE, {"start": TEN + timedelta(hours=1)}, news),
            Meetings(one).change(booked.id, ALICE, {"description": "A crown"}, news))
        assert await Meetings(other).find(booked.id) == replace(
            booked, email="new@b.example", start=TEN + timedelta(hours=1), description="A crown", sequence=3)
        await check(one)


async def test_a_hundred_times_the_same_change_is_one_change(database_url: str) -> None:
    async with open_database(parse_url(database_url)) as one, open_database(parse_url(database_url)) as other:
        booked, _ = await Meetings(one).book(make_meeting(), news)
        stores = [Meetings(one), Meetings(other)]
        results = await asyncio.gather(*(
            stores[number % 2].change(booked.id, ALICE, {"email": "new@b.example"}, news) for number in range(100)))
        assert {meeting.sequence for meeting, _ in results} == {1} and sum(bool(told) for _, told in results) == 1
        await check(one)


async def test_a_meeting_may_move_into_its_own_minutes(meetings: Meetings, database: Database) -> None:
    booked, _ = await meetings.book(make_meeting(), news)
    changed, _ = await meetings.change(
        booked.id, ALICE, {"start": TEN + timedelta(minutes=10), "minutes": 45}, news)
    assert (changed.start, changed.minutes) == (TEN + timedelta(minutes=10), 45)
    await check(database)


async def test_a_change_to_the_same_changes_nothing(meetings: Meetings, database: Database) -> None:
    booked, _ = await meetings.book(make_meeting(), news)
    same = {"start": booked.start.astimezone(ZoneInfo("UTC")), "name": booked.name}
    assert await meetings.change(booked.id, ALICE, same, news) == (booked, [])
    await check(database)


async def test_where_the_new_time_is_taken_the_old_one_stays(meetings: Meetings, database: Database) -> None:
    booked, _ = await meetings.book(make_meeting(), news)
    await meetings.book(make_meeting(40, caller=BOB), news)
    await meetings.book(make_meeting(80, minutes=10), news)
    for after in (20, 80):                       # another caller's minutes; the beginning of one's own other meeting
        with pytest.raises(SlotTaken):
            await meetings.change(booked.id, ALICE, {"start": TEN + timedelta(minutes=after)}, news)
        assert await meetings.find(booked.id) == booked
    await check(database)


async def test_nobody_touches_another_s_meeting(meetings: Meetings, database: Database) -> None:
    booked, _ = await meetings.book(make_meeting(), news)
    for id, caller in ((booked.id, BOB), ("unknown", ALICE)):
        with pytest.raises(NotYours):
            await meetings.change(id, caller, {"start": TEN + timedelta(hours=1)}, news)
        with pytest.raises(NotYours):
            await meetings.cancel(id, caller, news)
    assert await meetings.find(booked.id) == booked
    await check(database)


# ---- cancelling

async def test_a_cancelled_meeting_frees_its_minutes(meetings: Meetings, database: Database) -> None:
    booked, _ = await meetings.book(make_meeting(), news)
    cancelled, _ = await meetings.cancel(booked.id, ALICE, news)
    assert cancelled == replace(booked, status="cancelled", sequence=1)
    assert await meetings.find(booked.id) == cancelled
    assert await meetings.within(TEN, TEN + timedelta(hours=1)) == []
    await check(database)
    again, new = await meetings.book(make_meeting(), news)
    assert new and again.id != booked.id
    await check(database)


async def test_cancelled_twice_is_cancelled_once(meetings: Meetings, database: Database) -> None:
    booked, _ = await meetings.book(make_meeting(), news)
    first, _ = await meetings.cancel(booked.id, ALICE, news)
    assert await asyncio.gather(*(meetings.cancel(booked.id, ALICE, news) for _ in range(10))) == [(first, [])] * 10
    await check(database)


async def test_a_cancelled_meeting_is_not_booked_again_by_a_change(meetings: Meetings, database: Database) -> None:
    booked, _ = await meetings.book(make_meeting(), news)
    cancelled, _ = await meetings.cancel(booked.id, ALICE, news)
    with pytest.raises(NotYours):
        await meetings.change(booked.id, ALICE, {"email": "new@b.example"}, news)
    assert await meetings.find(booked.id) == cancelled
    await check(database)


# ---- looking

async def test_the_caller_s_meetings_are_those_to_come(meetings: Meetings) -> None:
    late, early, past, gone = [
        (await meetings.book(make_meeting(after), news))[0] for after in (120, 60, 0, 180)]
    await meetings.book(make_meeting(240, caller=BOB), news)
    await meetings.cancel(gone.id, ALICE, news)
    assert await meetings.of_caller(ALICE, TEN) == [early, late]
    assert await meetings.of_caller(ALICE, TEN - timedelta(seconds=1)) == [past, early, late]
    assert await meetings.of_caller("nobody", TEN) == []


async def test_what_is_taken_is_told_within_limits(meetings: Meetings) -> None:
    third, first, second = [(await meetings.book(make_meeting(after), no_news))[0] for after in (120, 0, 60)]
    hour, half, second_s = timedelta(hours=1), timedelta(minutes=30), timedelta(seconds=1)
    assert await meetings.within(TEN, TEN + 2 * hour) == [first, second]
    assert await meetings.within(TEN + half, TEN + hour) == []
    assert await meetings.within(TEN + half - second_s, TEN + hour + second_s) == [first, second]
    assert await meetings.within(TEN - hour, TEN + 9 * hour) == [first, second, third]


async def test_all_meetings_are_listed_page_by_page(meetings: Meetings) -> None:
    booked = [(await meetings.book(make_meeting(60 * number), no_news))[0] for number in range(5)]
    cancelled, _ = await meetings.cancel(booked[2].id, ALICE, no_news)
    again, _ = await meetings.book(make_meeting(120), no_news)       # the same beginning
    everything = [*booked[:2], cancelled, again, *booked[3:]]
    assert await meetings.all() == everything
    pages: list[Meeting] = []
    while page := await meetings.all(limit=2, after=pages[-1] if pages else None):
        assert len(page) == 2
        pages += page
    assert pages == everything


async def test_what_is_not_there_is_not_found(meetings: Meetings) -> None:
    assert await meetings.find("unknown") is None
    assert await meetings.all() == []


# ---- anything may come, in any order

async def test_after_whatever_was_asked_the_books_are_right(meetings: Meetings, database: Database) -> None:
    dice = random.Random(3)
    ids: list[Meeting] = []

    async def something() -> None:
        caller, after = dice.choice([ALICE, BOB]), dice.randrange(0, 120, 5)
        known = dice.choice(ids) if ids else make_meeting()
        try:
            match dice.randrange(3):
                case 0:
                    ids.append((await meetings.book(make_meeting(after, caller=caller), news))[0])
                case 1:
                    await meetings.change(
                        known.id, known.caller, {"start": TEN + timedelta(minutes=after)}, news)
                case 2:
                    await meetings.cancel(known.id, caller, news)
        except (SlotTaken, NotYours):
            pass
    for _ in range(15):
        await asyncio.gather(*(something() for _ in range(8)))
        await check(database)
    assert len(ids) > 5
