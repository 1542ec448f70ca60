"""A SQLite file that is not where it was, is not ours, or is damaged: noticed before anybody is promised anything."""

import asyncio
import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from bridge.app import create_app
from bridge.delivery import outbox
from bridge.records import engines, sqlite_file
from bridge.records.database import NOTHING_OF_OURS, DatabaseUnavailable, StoreFailed, open_database, parse_url
from bridge.records.meetings import Meetings
from bridge.sim.demo import serving as serving_app
from bridge.sim.realtime import Call, Turn
from tests.commands.test_backup import damage
from tests.console.test_health import PASSWORD, http, readiness
from tests.stage.office import line, office, speech
from tests.stage.postgres import Cluster
from tests.stage.program import KEY, PATIENCE_S, TOKEN, run, serving
from tests.stage.settings import make_settings
from tests.stage.store import make_meeting, no_news
from tests.whole.test_functions import BOOKING, outputs

__all__ = ["http"]                                   # a fixture

GONE = "its file was removed or replaced under the running server"
NAMES = ("bridge.db", "bridge.db-wal", "bridge.db-shm")


# ---- what becomes of a file in use: each is done to a folder, and returns what undoes it

def removed(folder: Path) -> Callable[[], object]:
    for name in NAMES:
        os.link(folder / name, folder / f"{name}.kept")
        (folder / name).unlink()

    def undo() -> None:
        for name in NAMES:
            os.rename(folder / f"{name}.kept", folder / name)
    return undo


def replaced(folder: Path) -> Callable[[], object]:
    os.rename(folder / "bridge.db", folder / "kept")
    shutil.copy(folder / "kept", folder / "bridge.db")
    return lambda: os.rename(folder / "kept", folder / "bridge.db")


def log_removed(folder: Path) -> Callable[[], object]:
    os.rename(folder / "bridge.db-wal", folder / "kept")
    return lambda: os.rename(folder / "kept", folder / "bridge.db-wal")


def folder_renamed(folder: Path) -> Callable[[], object]:
    folder.rename(folder.with_name("elsewhere"))
    return lambda: folder.with_name("elsewhere").rename(folder)


CHANGES = [removed, replaced, log_removed, folder_renamed]


@pytest.mark.parametrize("change", CHANGES)
async def test_nothing_is_promised_by_a_file_that_is_gone(
    tmp_path: Path, change: Callable[[Path], Callable[[], object]], caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    async with open_database(parse_url(f"sqlite:///{folder}/bridge.db")) as database:
        meetings = Meetings(database)
        await meetings.book(make_meeting(), no_news)
        undo = change(folder)
        for after in (60, 120):
            with pytest.raises(StoreFailed, match=GONE):
                await meetings.book(make_meeting(after), no_news)
        with pytest.raises(StoreFailed, match=GONE):
            await meetings.all(10)
        [line] = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert f"{folder}/bridge.db WAS REMOVED OR REPLACED" in line.getMessage()
        undo()
        await meetings.book(make_meeting(180), no_news)


async def test_a_commit_into_a_file_that_goes_meanwhile_does_not_count(tmp_path: Path) -> None:
    async with open_database(parse_url(f"sqlite:///{tmp_path}/bridge.db")) as database:
        def work(connection: object) -> None:
            (tmp_path / "bridge.db").unlink()
        with pytest.raises(StoreFailed, match=GONE):
            await database.write(work)


async def test_no_empty_file_takes_the_place_of_one_that_is_gone(tmp_path: Path) -> None:
    url = parse_url(f"sqlite:///{tmp_path}/bridge.db")
    async with open_database(url) as database:
        removed(tmp_path)
        await asyncio.gather(*(database.read(lambda each: each.scalar(text("SELECT 1"))) for _ in range(9)),
                             return_exceptions=True)
        engine = engines.create_engine(url)
        with pytest.raises(Exception, match="unable to open database file"):
            await engine.run(lambda each: each.scalar(text("SELECT 1")), "reading")
        await engine.dispose()
    assert not (tmp_path / "bridge.db").exists()


async def test_a_server_whose_file_is_gone_is_not_ready_and_says_so_by_itself(
    tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(outbox, "POLL_S", 0.05)
    settings = make_settings(ADMIN_PASSWORD=PASSWORD, DATABASE_URL=f"sqlite:///{tmp_path}/bridge.db")
    async with serving_app(create_app(settings)) as origin:
        assert await readiness(http, origin) == (200, [])
        undo = removed(tmp_path)
        async with asyncio.timeout(PATIENCE_S):
            while "WAS REMOVED OR REPLACED" not in caplog.text:
                await asyncio.sleep(0.01)
        assert await readiness(http, origin) == (503, [f"database: {GONE}"])
        undo()
        assert await readiness(http, origin) == (200, [])


async def test_a_caller_is_not_told_that_a_lost_meeting_is_booked(tmp_path: Path) -> None:
    booking = Turn((Call("schedule_meeting", BOOKING),))
    async with office(booking, Turn((line(500),)), DATABASE_URL=f"sqlite:///{tmp_path}/bridge.db") as world:
        call = await world.greeted()
        removed(tmp_path)
        await call.say(speech(300))
        [output] = await outputs(world)
        assert output["status"] not in ("confirmed", "recorded")
        assert world.meetings == []


# ---- commands

async def test_a_command_makes_no_tables_where_there_are_none(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "bridge.db").touch(0o600)
    with cluster.database() as name:
        for url in (f"sqlite:///{tmp_path}/bridge.db", cluster.url(name)):
            with pytest.raises(DatabaseUnavailable, match=NOTHING_OF_OURS):
                async with open_database(parse_url(url), create=False):
                    pass


# ---- damage

async def test_a_damaged_file_stops_the_start(tmp_path: Path) -> None:
    await damage(parse_url(f"sqlite:///{tmp_path}/bridge.db"))
    code, out, error = await run(tmp_path, OPENAI_API_KEY=KEY, HOST="127.0.0.1", PORT="0", TWILIO_AUTH_TOKEN=TOKEN)
    assert (code, out) == (1, "")
    [said] = error.splitlines()
    assert said.startswith(f"bridge cannot start: the database {tmp_path}/bridge.db cannot be used: it is damaged (")
    assert "put a backup in its place: see Backups in the README" in said


async def test_a_large_file_is_looked_through_while_calls_are_taken(
    tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"sqlite:///{tmp_path}/bridge.db"
    await damage(parse_url(url))
    started, found = threading.Event(), sqlite_file.damage

    def slowly(connection: sqlite3.Connection) -> str:
        started.wait(PATIENCE_S)
        return found(connection)
    monkeypatch.setattr(sqlite_file, "CHECK_S", 0)
    monkeypatch.setattr(sqlite_file, "damage", slowly)
    caplog.set_level(logging.INFO)
    async with serving_app(create_app(make_settings(ADMIN_PASSWORD=PASSWORD, DATABASE_URL=url))) as origin:
        assert await readiness(http, origin) == (200, [])
        started.set()
        async with asyncio.timeout(PATIENCE_S):
            while "cannot be trusted" not in caplog.text:
                await asyncio.sleep(0.01)
        assert await readiness(http, origin) == (503, ["database: its file is damaged"])
    assert "is large: the search for damage goes on while calls are taken" in caplog.text


async def test_a_file_that_is_busy_or_whole_is_not_called_damaged(tmp_path: Path) -> None:
    path = f"{tmp_path}/bridge.db"
    async with open_database(parse_url(f"sqlite:///{path}")) as database:
        await Meetings(database).book(make_meeting(), no_news)
        assert await sqlite_file.Check(path).wait() == ""
    async with serving(tmp_path, TWILIO_AUTH_TOKEN=TOKEN) as server:
        assert "damage" not in server.said
