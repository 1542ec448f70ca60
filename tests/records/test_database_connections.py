"""PostgreSQL's connections: how little they are used, and what becomes of those that are cut."""

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest
from sqlalchemy import Connection, delete, event, text

from bridge.records import database as database_module
from bridge.records import sqlite_file
from bridge.records.database import Database, open_database, parse_url
from bridge.records.meetings import Meetings
from bridge.records.tables import slots
from tests.stage.postgres import Cluster
from tests.stage.store import check, make_meeting, news
from tests.stage.store_works import reason, works


async def test_connections_that_were_cut_are_opened_again(cluster: Cluster, postgresql_url: str) -> None:
    async with open_database(parse_url(postgresql_url)) as database:
        await asyncio.gather(*(works_a_little(database) for _ in range(10)))
        cut(cluster, postgresql_url)
        await works(database)
        runs = 0

        def cut_off(connection: Connection) -> int:
            nonlocal runs
            runs += 1
            if runs == 1:
                cut(cluster, postgresql_url)
            return int(connection.scalar(text("SELECT 1")) or 0)
        assert await database.write(cut_off) == 1 and runs == 2


async def test_a_booking_whose_answer_was_lost_is_found_again(cluster: Cluster, postgresql_url: str) -> None:
    async with open_database(parse_url(postgresql_url)) as database:
        meeting, commits = make_meeting(), []

        def commit(connection: Any) -> None:
            commits.append(connection)
            if len(commits) == 1:
                connection.exec_driver_sql("COMMIT")
                cut(cluster, postgresql_url)
                connection.exec_driver_sql("SELECT 1")
        event.listen(database._engine.sync_engine, "commit", commit)
        assert await Meetings(database).book(meeting, news) == (meeting, [])
        await check(database)


async def test_what_reads_or_is_one_statement_costs_postgresql_no_more_than_one_answer(
    cluster: Cluster, postgresql_url: str,
) -> None:
    """No BEGIN and no COMMIT: each would be one more way to the server and back."""
    async with open_database(parse_url(postgresql_url)) as database:
        seen = []
        event.listen(database._engine.sync_engine, "before_cursor_execute", lambda *told: seen.append(told[2]))
        await database.read(lambda connection: connection.execute(text("SELECT 1")).all())
        await database.execute(delete(slots))

        def state(connection: Connection) -> Any:
            connection.execute(text("SELECT 1"))
            driver = connection.connection.dbapi_connection
            assert driver is not None
            return driver.info.transaction_status.name
        assert [statement.split()[0] for statement in seen] == ["SELECT", "DELETE"]
        assert await database.read(state) == "IDLE"
        assert await database.write(state) == "INTRANS"


async def test_a_connection_that_was_cut_off_is_nobody_else_s(postgresql_url: str) -> None:
    """One that has just answered shows no sign of it."""
    async with open_database(parse_url(postgresql_url)) as database:
        answered, given_up = threading.Event(), threading.Event()

        def slow(connection: Connection) -> None:
            connection.execute(text("SELECT 1")).all()
            answered.set()
            given_up.wait()
        reading = asyncio.create_task(database._engine.run(slow, "reading"))
        await asyncio.to_thread(answered.wait)
        reading.cancel()
        await asyncio.sleep(0)
        given_up.set()
        with pytest.raises(asyncio.CancelledError):
            await reading
        runs = 0

        def read(connection: Connection) -> None:
            nonlocal runs
            runs += 1
            connection.execute(text("SELECT 1")).all()
        await database.read(read)
        assert runs == 1


async def works_a_little(database: Database) -> None:
    await database.read(lambda connection: connection.execute(text("SELECT pg_sleep(0.05)")))


def cut(cluster: Cluster, url: str) -> None:
    cluster.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'bridge' "
                f"AND datname = '{parse_url(url).database}'")


async def test_a_server_that_hangs_is_given_up(
    cluster: Cluster, postgresql_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_database(parse_url(postgresql_url)) as database:
        with monkeypatch.context() as patched:
            patched.setattr(database_module, "TRANSACTION_S", 0.3)
            [[pid]] = cluster.run("SELECT pid FROM pg_stat_activity WHERE application_name = 'bridge' "
                                  f"AND datname = '{parse_url(postgresql_url).database}'")
            os.kill(pid, signal.SIGSTOP)
            try:
                start = time.monotonic()
                assert await reason(database) == "it did not answer within 0.3 s"
                assert time.monotonic() - start < sqlite_file.WAIT_S - 1, "it waits for the lock"
            finally:
                os.kill(pid, signal.SIGCONT)
        await works(database)
