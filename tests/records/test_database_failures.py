"""A database that fails: who books is told why, and nothing is half written."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, update

from bridge.records.database import Database, StoreFailed, open_database, parse_url
from bridge.records.meetings import Meetings
from bridge.records.tables import metadata, slots
from tests.stage.postgres import Cluster
from tests.stage.store import check, make_meeting, news, rows
from tests.stage.store_works import reason, works


async def test_what_fails_halfway_leaves_nothing(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.execute(metadata.tables["meetings"].insert().values(
            id="1", caller="", call_sid="", name="", email="", description="", phone_number="", start_at=0, end_at=60,
            zone="UTC", read_back="", status="booked", sequence=0))
        raise LookupError
    with pytest.raises(LookupError):
        await database.write(work)
    assert await rows(database, "meetings") == []
    await works(database)


async def test_a_full_disk_is_told_and_nothing_is_half_written(sqlite_url: str) -> None:
    async with open_database(parse_url(sqlite_url)) as database:
        pages = [40]

        def limit(connection: Any, _: object) -> None:
            connection.cursor().execute(f"PRAGMA max_page_count = {pages[0]}")
        engine = database._engine
        event.listen(engine.sync_engine, "connect", limit)
        await engine.dispose()                                       # the connections from here on have the limit
        booked = 0
        with pytest.raises(StoreFailed, match="^database or disk is full$"):
            for booked in range(1000):
                await Meetings(database).book(make_meeting(30 * booked), news)
        assert await reason(database, after=90_000) == "database or disk is full"
        assert len(await Meetings(database).all()) == booked > 0
        await check(database)
        pages[0] = 1_000_000
        await engine.dispose()
        await works(database)


async def test_a_disk_that_became_read_only_is_told(sqlite_url: str) -> None:
    async with open_database(parse_url(sqlite_url)) as database:
        engine = database._engine
        event.listen(engine.sync_engine, "connect", lambda each, _: each.cursor().execute("PRAGMA query_only = ON"))
        await engine.dispose()
        assert await reason(database) == "attempt to write a readonly database"
        assert await Meetings(database).all() == []


async def test_a_read_only_server_is_told(cluster: Cluster, postgresql_url: str) -> None:
    async with open_database(parse_url(postgresql_url)) as database:
        name = parse_url(postgresql_url).database
        cluster.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await database._engine.dispose()
        assert await reason(database) == "cannot execute INSERT in a read-only transaction"


async def test_one_statement_is_committed_and_tells_how_many_rows_it_changed(database: Database) -> None:
    meeting, _ = await Meetings(database).book(make_meeting(), news)
    theirs = update(slots).where(slots.c.meeting_id == meeting.id)
    with pytest.raises(StoreFailed):
        await database.execute(theirs.values(meeting_id="m"))    # there is no such meeting
    await check(database)
    assert await database.execute(theirs.values(minute=slots.c.minute + 1_000_000)) == meeting.minutes
    assert await database.execute(delete(slots)) == meeting.minutes
    assert await database.execute(delete(slots)) == 0 == len(await rows(database, "slots"))


async def test_who_waits_may_leave_at_any_moment(database: Database) -> None:
    """A call that ends cancels what it waits for: nothing is half written, and no connection is lost."""
    for number in range(60):
        booking = asyncio.create_task(Meetings(database).book(make_meeting(30 * number), news))
        await asyncio.sleep(number * 0.0002)
        booking.cancel()
        with suppress(asyncio.CancelledError):
            await booking
    await database.finish()
    await check(database)
    await works(database)


async def test_what_was_begun_is_brought_to_its_end(database_url: str) -> None:
    async with open_database(parse_url(database_url)) as database:
        booking = asyncio.create_task(Meetings(database).book(make_meeting(), news))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        booking.cancel()
    async with open_database(parse_url(database_url)) as database:
        assert len(await Meetings(database).all()) == 1
        await check(database)
