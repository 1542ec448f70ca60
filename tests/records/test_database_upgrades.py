"""A database's tables: made where there are none, and brought up to date with all that they hold."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, text

from bridge.meetings.message import Message
from bridge.records import engines, schema
from bridge.records.database import Database, DatabaseUnavailable, open_database, parse_url
from bridge.records.deliveries import Delivery, DeliveryQueue
from bridge.records.erasure import Erasure
from bridge.records.meetings import Meetings, _columns
from bridge.records.messages import Messages, _insert
from bridge.records.tables import metadata
from tests.stage.postgres import Cluster
from tests.stage.store import NOW, RECEIVERS, check, make_meeting, news, rows

ROOT = Path(__file__).parents[2]


async def names(database: Database) -> set[str]:
    def work(connection: Connection) -> set[str]:
        return set(inspect(connection).get_table_names())
    return await database.read(work)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database without any table."""
    if request.param == "sqlite":
        file: Path = request.getfixturevalue("tmp_path") / "bridge.db"
        file.touch(0o600)
        yield f"sqlite:///{file}"
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


async def test_what_an_upgrade_has_copied_is_not_readable_once_a_caller_is_erased(tmp_path: Path) -> None:
    """The old table's pages stay in the file, free."""
    (tmp_path / "bridge.db").touch(0o600)
    url, meeting = parse_url(f"sqlite:///{tmp_path}/bridge.db"), make_meeting()

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


async def test_a_database_of_a_newer_version_is_left_alone(empty_url: str) -> None:
    async with open_database(parse_url(empty_url)) as database:
        await database.write(lambda each: each.execute(text("UPDATE alembic_version SET version_num = '999'")))
    with pytest.raises(DatabaseUnavailable, match="it was made by a newer version of bridge$"):
        async with open_database(parse_url(empty_url)):
            pass
