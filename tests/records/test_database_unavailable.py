"""A database that cannot be opened: one line says which and why; and how a SQLite file is set up."""

import os
import pwd
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import text

from bridge.records import sqlite_file
from bridge.records.database import DatabaseUnavailable, open_database, parse_url
from bridge.records.meetings import Meetings
from tests.stage.postgres import Cluster
from tests.stage.store import make_meeting, news


# ---- how SQLite is set up

async def test_sqlite_writes_through_and_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with open_database(parse_url(f"sqlite:///{tmp_path}/bridge.db")) as database:
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


async def test_a_locked_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "WAIT_S", 0.1)
    with closing(sqlite3.connect(tmp_path / "bridge.db")) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert (await complaint(f"sqlite:///{tmp_path}/bridge.db")).endswith("cannot be used: database is locked")


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
