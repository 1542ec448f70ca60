"""The database itself, both kinds: its address, its tables, and what happens when it fails."""

import asyncio
import gc
import os
import pwd
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, delete, event, insert, inspect, text, update

from bridge.meetings.message import Message
from bridge.records import database as database_module
from bridge.records import engines, schema, sqlite_file
from bridge.records.database import Database, DatabaseUnavailable, StoreFailed, open_database, parse_url
from bridge.records.deliveries import Delivery, DeliveryQueue
from bridge.records.erasure import Erasure
from bridge.records.meetings import Meetings, _columns
from bridge.records.messages import Messages, _insert
from bridge.records.tables import metadata, slots
from tests.stage.postgres import Cluster
from tests.stage.store import NOW, RECEIVERS, TEN, check, make_meeting, news, rows

ROOT = Path(__file__).parents[2]


# ---- its address

@pytest.mark.parametrize(("text", "url"), [
    ("sqlite:///bridge.db", "sqlite+pysqlite:///bridge.db"),
    ("sqlite:////var/lib/bridge.db", "sqlite+pysqlite:////var/lib/bridge.db"),
    ("postgres://ada:s%40cret@db.example:5433/bridge", "postgresql+psycopg://ada:s%40cret@db.example:5433/bridge"),
    ("postgresql://db/bridge?sslmode=require", "postgresql+psycopg://db/bridge?sslmode=require"),
    ("postgres:///bridge?host=/run/postgresql", "postgresql+psycopg:///bridge?host=/run/postgresql"),
    ("postgresql+psycopg://db/bridge", "postgresql+psycopg://db/bridge"),
    ("sqlite+pysqlite:///bridge.db", "sqlite+pysqlite:///bridge.db"),
])
def test_an_address_names_its_driver(text: str, url: str) -> None:
    assert parse_url(text).render_as_string(hide_password=False).replace("%2F", "/") == url
    assert parse_url(parse_url(text).render_as_string(hide_password=False)) == parse_url(text)


@pytest.mark.parametrize(("text", "problem"), [
    ("bridge.db", "must be the URL of a database"),
    ("", "must be the URL of a database"),
    ("postgres://host:port/bridge", "must be the URL of a database"),
    ("mysql://host/bridge", "must begin with sqlite:/// or postgres://"),
    ("postgresql+asyncpg://host/bridge", "must begin with sqlite:/// or postgres://"),
    ("sqlite://", "must name a file behind sqlite:///"),
    ("sqlite:///:memory:", "must name a file behind sqlite:///"),
    ("sqlite:///file:bridge.db", "must name a file behind sqlite:///"),
    ("sqlite://bridge.db", "must name a file behind sqlite:///"),
    ("sqlite:///bridge.db?mode=ro", "must have nothing behind the file's name"),
    ("postgres://host", "must name a database behind the host"),
    ("postgres://host/", "must name a database behind the host"),
    ("postgres://host/bridge?password=secret", "must have its password before the @"),
])
def test_what_is_wrong_with_an_address_is_told(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("?", r"\?")) as error:
        parse_url(text)
    assert "secret" not in str(error.value) and not error.value.__cause__


def test_a_password_does_not_show() -> None:
    assert "s3cret" not in repr(parse_url("postgres://ada:s3cret@db.example/bridge"))


# ---- its tables

async def names(database: Database) -> set[str]:
    def work(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names())
    return await database.read(work)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        (request.getfixturevalue("tmp_path") / "bridge.db").touch(0o600)
        yield request.getfixturevalue("sqlite_url")
        return
    cluster: Cluster = request.getfixturevalue("cluster")
    with cluster.database() as name:
        yield cluster.url(name)


async def test_an_empty_database_gets_its_tables(empty_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))
    async with open_database(parse_url(empty_url)) as database:
        assert await names(database) == {
            "meetings", "slots", "deliveries", "calls", "messages", "stream_tokens", "spending",
            "call_records", "call_turns",
            "alembic_version"}
        assert await database.read(differences) == []


async def test_a_database_that_is_up_to_date_keeps_what_it_holds(empty_url: str) -> None:
    meeting = make_meeting()
    for new in (True, False, False):
        async with open_database(parse_url(empty_url)) as database:
            stored, told = await Meetings(database).book(meeting, news)
            assert (stored, bool(told)) == (meeting, new)
            await check(database)


@pytest.mark.parametrize("version", ["1", "2", "3", "4", "5"])
async def test_a_database_of_an_earlier_version_is_brought_up_to_date_and_keeps_what_it_holds(
    empty_url: str, version: str,
) -> None:
    url, meeting = parse_url(empty_url), make_meeting()
    left = Message(id="RE1", caller=meeting.caller, call_sid="CA1", recording_url="https://r.example", seconds=3,
                   recorded=datetime.fromtimestamp(NOW, UTC))
    promised: dict[str, Any] = {
        "url": RECEIVERS[0], "type": "t", "body": "{}", "created_at": 1.5, "since": 1.0, "attempts": 2,
        "state": "pending", "next_at": 2.0, "last_error": "", "answer": ""}
    three_days = 3 * 24 * 3600
    old: dict[str, dict[str, Any]] = {
        "msg_1": {}, "msg_2": {"state": "delivered", "answer": "Noted."},
        "msg_3": {"state": "dead", "next_at": three_days + 0.5, "last_error": "answered with status 409"},
        "msg_4": {"state": "dead", "next_at": three_days + 1.0, "last_error": "answered with status 503"},
        "msg_5": {"state": "undone"},
    }
    about = {"meeting": meeting.id} if version in "12" else {"meeting": meeting.id, "message": left.id}

    def fill(connection: Connection) -> None:
        schema.upgrade(connection, version)
        connection.execute(insert(metadata.tables["meetings"]).values(_columns(meeting)))
        if "message" in about:
            _insert(connection, left)
        for kind, about_id in about.items():
            for id, more in old.items():
                values = promised | more | {"id": f"{kind}/{id}", f"{kind}_id": about_id}
                connection.execute(text(
                    f"INSERT INTO deliveries ({', '.join(values)}) VALUES (:{', :'.join(values)})"), values)
    engine = engines.create_engine(url)
    await engine.run(fill, "transaction")
    await engine.dispose()
    async with open_database(url) as database:
        queue = DeliveryQueue(database)
        assert await Meetings(database).find(meeting.id) == meeting
        assert await Messages(database).find(left.id) == (left if "message" in about else None)
        for kind, about_id in about.items():
            assert await queue.about(about_id) == [
                Delivery(**promised | more | {"id": f"{kind}/{id}", "about_kind": kind, "about_id": about_id,
                                              "refused": id == "msg_3"}) for id, more in old.items()]
        assert await database.read(lambda each: [*compare_metadata(MigrationContext.configure(each), metadata)]) == []
    async with open_database(url) as database:
        assert {each.id for each in await DeliveryQueue(database).claim(3, 1, 9)} == {f"{each}/msg_1" for each in about}
        erased = await Erasure(database).erase(meeting.caller, NOW)
        assert (erased.deliveries, await rows(database, "deliveries")) == (len(about) * len(old), [])


async def test_what_an_upgrade_has_copied_is_not_readable_once_a_caller_is_erased(
    sqlite_url: str, tmp_path: Path,
) -> None:
    """The old table's pages stay in the file, free."""
    (tmp_path / "bridge.db").touch(0o600)
    url, meeting = parse_url(sqlite_url), make_meeting()

    def fill(connection: Connection) -> None:
        schema.upgrade(connection, "5")
        connection.execute(insert(metadata.tables["meetings"]).values(_columns(meeting)))
        for number in range(200):
            connection.execute(text(
                "INSERT INTO deliveries (id, meeting_id, url, type, body, created_at, since, attempts, state, next_at, "
                "last_error, answer) VALUES (:id, :meeting, '', '', :body, 1, 1, 1, 'delivered', 1, '', '')"),
                {"id": f"msg_{number}", "meeting": meeting.id, "body": "Ada Secret " * 50})
    engine = engines.create_engine(url)
    await engine.run(fill, "transaction")
    await engine.dispose()
    async with open_database(url) as database:
        assert (await Erasure(database).erase(meeting.caller, NOW)).deliveries == 200
    assert {path.name: path.read_bytes().count(b"Ada Secret") for path in tmp_path.iterdir()} == {"bridge.db": 0}


async def test_processes_that_start_at_once_agree(empty_url: str) -> None:
    program = """if True:
        import asyncio, sys
        from bridge.records.database import open_database, parse_url
        from bridge.records.meetings import Meetings, SlotTaken
        from tests.stage.store import make_meeting, news

        async def main(number):
            async with open_database(parse_url(sys.argv[1])) as database:
                results = await asyncio.gather(*(Meetings(database).book(make_meeting(
                    caller=f"{number}/{each}", id=f"{number}/{each}"), lambda meeting: []) for each in range(20)),
                    return_exceptions=True)
            assert all(isinstance(each, (tuple, SlotTaken)) for each in results), results
            print(sum(isinstance(each, tuple) for each in results))
        asyncio.run(main(sys.argv[2]))"""
    processes = [await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, empty_url, str(number), cwd=ROOT, stdout=subprocess.PIPE,
    ) for number in range(3)]
    said = [(await process.communicate())[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(int(each) for each in said) == [0, 0, 1], "one of sixty has the slot"


async def test_an_upgrade_waits_for_another_process_s(cluster: Cluster, postgresql_url: str) -> None:
    async def start() -> None:
        async with open_database(parse_url(postgresql_url)):
            pass
    async with await psycopg.AsyncConnection.connect(postgresql_url) as upgrading:
        await upgrading.execute("SELECT pg_advisory_xact_lock(%s)", [schema.UPGRADE_LOCK])
        starting = asyncio.create_task(start())
        await asyncio.sleep(0.3)
        assert not starting.done()
    await starting


async def test_an_upgrade_is_done_wholly_or_not_at_all(empty_url: str) -> None:
    url = parse_url(empty_url)
    engine = engines.create_engine(url)
    await engine.run(                                                                # in the way of the last table
        lambda connection: connection.execute(text("CREATE TABLE deliveries (id INTEGER)")), "transaction")
    await engine.dispose()
    with pytest.raises(DatabaseUnavailable, match='deliveries"? already exists'):
        async with open_database(url):
            pass
    engine = engines.create_engine(url)
    assert await engine.run(lambda each: inspect(each).get_table_names(), "reading") == ["deliveries"]
    await engine.dispose()


async def test_a_database_of_a_newer_version_is_left_alone(database_url: str) -> None:
    async with open_database(parse_url(database_url)) as database:
        await database.write(lambda each: each.execute(text("UPDATE alembic_version SET version_num = '999'")))
    with pytest.raises(DatabaseUnavailable, match="it was made by a newer version of bridge$"):
        async with open_database(parse_url(database_url)):
            pass


# ---- how SQLite is set up

async def test_sqlite_writes_through_and_is_for_its_owner_only(sqlite_url: str, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with open_database(parse_url(sqlite_url)) as database:
            await Meetings(database).book(make_meeting(), news)
            for pragma, value in [("journal_mode", "wal"), ("synchronous", 2), ("busy_timeout", 5000),
                                  ("foreign_keys", 1)]:
                statement = text(f"PRAGMA {pragma}")
                for run in (database.read, database.write):
                    assert await run(lambda each: each.scalar(statement)) == value, pragma
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"bridge.db": 0o600, "bridge.db-wal": 0o600, "bridge.db-shm": 0o600}
    assert [path.name for path in tmp_path.iterdir()] == ["bridge.db"], "closed in good order"


# ---- a database that cannot be opened

@contextmanager
def somebody_else() -> Iterator[None]:
    """Not root, who may write anything."""
    if os.geteuid() == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


async def complaint(url: str) -> str:
    """What is said when it cannot be opened: one line."""
    with pytest.raises(DatabaseUnavailable) as failure:
        async with open_database(parse_url(url)):
            pass
    assert "\n" not in str(failure.value) and len(str(failure.value)) < 300
    assert failure.value.__suppress_context__, "no traceback with a password in it"
    return str(failure.value)


async def test_a_file_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("This is no database, but a text that is long enough to be sure of that. " * 20)
    for name, problem in {
        "none/bridge.db": "No such file or directory", ".": "unable to open database file",
        "text": sqlite_file.DAMAGED % "file is not a database", "text/bridge.db": "Not a directory",
    }.items():
        assert await complaint(f"sqlite:///{tmp_path}/{name}") == (
            f"the database {os.path.abspath(tmp_path / name)} cannot be used: {problem}")


async def test_a_file_that_may_not_be_written_is_told() -> None:
    for folder_mode, file_mode, problem in [
        (0o555, None, "Permission denied"), (0o777, 0o444, "attempt to write a readonly database"),
        (0o777, 0o000, "unable to open database file"),
    ]:
        with TemporaryDirectory() as folder:              # which others may enter, unlike pytest's
            path = Path(folder, "bridge.db")
            if file_mode is not None:
                with closing(sqlite3.connect(path)) as connection:
                    connection.execute("CREATE TABLE anything (id)")
                path.chmod(file_mode)
            os.chmod(folder, folder_mode)
            with somebody_else():
                assert await complaint(f"sqlite:///{path}") == f"the database {path} cannot be used: {problem}"


async def test_a_locked_file_is_told(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "WAIT_S", 0.1)
    with closing(sqlite3.connect(parse_url(sqlite_url).database or "")) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert (await complaint(sqlite_url)).endswith("cannot be used: database is locked")


async def test_a_server_that_cannot_be_reached_is_told(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{cluster.port}"
    for url, problem in {
        "ada:s3cret@127.0.0.1:1/bridge": "Connection refused",
        f"ada:s3cret@{address}/postgres": 'role "ada" does not exist',
        f"bridge:s3cret@{address}/nowhere": 'database "nowhere" does not exist',
        f"bridge:s3cret@{address}/postgres?sslmode=require": "server does not support SSL",
        f"bridge:s3cret@{address}/postgres?colour=red": 'invalid connection option "colour"',
        "bridge:s3cret@nowhere.invalid/bridge": "nowhere.invalid",
    }.items():
        said = await complaint(f"postgres://{url}")
        assert said.startswith("the database postgresql+psycopg://") and problem in said
        assert "s3cret" not in said and ":***@" in said


# ---- a database that fails

async def reason(database: Database, **more: Any) -> str:
    """Why nothing can be booked now."""
    with pytest.raises(StoreFailed) as failure:
        await Meetings(database).book(make_meeting(**more), news)
    assert "\n" not in str(failure.value) and failure.value.__cause__ is None
    return str(failure.value)


async def works(database: Database) -> None:
    before = len(await rows(database, "meetings"))
    await Meetings(database).book(make_meeting(6000 + 30 * before), news)
    assert len(await rows(database, "meetings")) == before + 1
    await check(database)


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


async def test_a_database_locked_by_another_program_is_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "WAIT_S", 1)
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


async def test_one_statement_is_committed_and_tells_how_many_rows_it_changed(database: Database) -> None:
    meeting, _ = await Meetings(database).book(make_meeting(), news)
    theirs = update(slots).where(slots.c.meeting_id == meeting.id)
    with pytest.raises(StoreFailed):
        await database.execute(theirs.values(meeting_id="m"))    # there is no such meeting
    await check(database)
    assert await database.execute(theirs.values(minute=slots.c.minute + 1_000_000)) == meeting.minutes
    assert await database.execute(delete(slots)) == meeting.minutes
    assert await database.execute(delete(slots)) == 0 == len(await rows(database, "slots"))


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


async def test_what_takes_too_long_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = {
        "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000) SELECT max(i) FROM n",
        "postgresql": "SELECT pg_sleep(2)",
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
