"""A database that somebody else has locked, and a transaction that takes too long."""

import asyncio
import gc
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import psycopg
import pytest
from sqlalchemy import Connection, insert, text

from bridge.records import database as database_module
from bridge.records import engines, sqlite_file
from bridge.records.database import Database, StoreFailed, open_database, parse_url
from bridge.records.meetings import Meetings
from bridge.records.tables import slots
from tests.stage.store import TEN, make_meeting, news
from tests.stage.store_works import reason, works


async def test_a_database_locked_by_another_program_is_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "WAIT_S", 1)                        # PostgreSQL's, which counts in whole seconds
    monkeypatch.setattr(sqlite_file, "WAIT_S", 0.1)
    async with open_database(parse_url(database_url)) as database, locked(database_url):
        assert await Meetings(database).all() == [], "it can be read"
        assert await reason(database) in ("database is locked", "canceling statement due to lock timeout")
    async with open_database(parse_url(database_url)) as database:
        await works(database)


@asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    """Another program holds the lock that a writer needs."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(parse_url(url).database or "", isolation_level=None)) as file:
            file.execute("BEGIN IMMEDIATE")
            yield
    else:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("LOCK TABLE slots IN SHARE MODE")
            yield
            await connection.rollback()


async def test_a_lock_that_is_held_shortly_is_waited_for(database_url: str) -> None:
    async with open_database(parse_url(database_url)) as database:
        async with locked(database_url):
            working = asyncio.create_task(works(database))
            await asyncio.sleep(0.3)
            assert not working.done()
        await working


async def test_while_a_lock_is_waited_for_everything_else_goes_on(sqlite_url: str) -> None:
    """What is left of a statement that failed is thrown away by the event loop, sooner or later."""
    async with open_database(parse_url(sqlite_url)) as database:
        gc.disable()
        try:
            meeting, _ = await Meetings(database).book(make_meeting(), news)
            taken = [{"minute": int(TEN.timestamp()) // 60, "meeting_id": meeting.id}]
            for rows_of_slots in (taken, taken * 2):                 # one, and many: two ways through the driver
                with pytest.raises(StoreFailed):
                    await database.write(lambda each: each.execute(insert(slots), rows_of_slots))
            async with locked(sqlite_url):
                working = asyncio.create_task(works(database))
                await asyncio.sleep(0.1)
                start = time.monotonic()
                gc.collect()
                assert time.monotonic() - start < sqlite_file.WAIT_S - 1, "it waits for the lock"
            await working
        finally:
            gc.enable()


async def test_what_takes_too_long_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000) SELECT max(i) FROM n",
        "postgresql": "SELECT pg_sleep(1)",
    }

    def work(connection: Connection) -> None:
        connection.execute(text("UPDATE meetings SET sequence = sequence + 1"))
        connection.execute(text(slow[connection.dialect.name]))
    await works(database)
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "TRANSACTION_S", 0.2)
        with pytest.raises(StoreFailed, match=r"^it did not answer within 0\.2 s$"):
            await database.write(work)
    gc.disable()                        # what is left of it need not be collected for the lock to be free
    try:
        await works(database)
    finally:
        gc.enable()
