"""`python -m bridge backup`: a whole copy of a database that is in use, or none and the reason."""

import argparse
import asyncio
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL

from bridge.__main__ import main
from bridge.commands import backup
from bridge.records import sqlite_file
from bridge.records.database import open_database, parse_url
from bridge.records.meetings import Meetings
from tests.stage.store import check, make_meeting, news


@dataclass
class Owner:
    """Who types the command; `out` and `error` are what it printed."""

    url: URL
    capture: pytest.CaptureFixture[str]
    out: str = ""
    error: str = ""

    def types(self, file: Path) -> int:
        parser = argparse.ArgumentParser()
        backup.add_parser(parser.add_subparsers(dest="command"))
        code = backup.run(parser.parse_args(["backup", str(file)]), self.url)
        self.out, self.error = self.capture.readouterr()
        return code


@pytest.fixture
def owner(sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Owner]:
    before = os.umask(0)
    yield Owner(parse_url(sqlite_url), capsys)
    os.umask(before)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith("bridge.db")}


async def test_the_copy_has_the_newest_meeting_of_a_running_server(owner: Owner, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    async with open_database(owner.url) as database:
        booked = [(await Meetings(database).book(make_meeting(60 * each), news))[0] for each in range(3)]
        with closing(sqlite3.connect(owner.url.database or "", isolation_level=None)) as writing:
            writing.execute("BEGIN IMMEDIATE")       # somebody who is just writing is no reason to wait
            assert await asyncio.to_thread(owner.types, copy) == 0
        assert owner.out == f"{copy} is a copy of {tmp_path}/bridge.db, with 3 meetings\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert files(tmp_path) == {"copy.db"}, "one file is the whole of it"
    async with open_database(parse_url(f"sqlite:///{copy}"), create=False) as database:
        assert await Meetings(database).all(10) == booked
        await check(database)


async def test_no_file_is_written_over(owner: Owner, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "link").symlink_to(precious)
    for name in ("precious", "link", "bridge.db"):
        assert await asyncio.to_thread(owner.types, tmp_path / name) == 1
        assert owner.error == (f"no backup was made: {tmp_path / name} is there already, and is not overwritten. "
                               "Name another file\n")
    assert precious.read_text() == "precious"
    async with open_database(owner.url, create=False):
        pass


async def test_where_nothing_can_be_written_that_is_said(owner: Owner, tmp_path: Path) -> None:
    assert await asyncio.to_thread(owner.types, tmp_path / "none" / "copy.db") == 1
    assert owner.error.endswith("copy.db cannot be written: No such file or directory\n")


def test_without_a_database_there_is_no_backup_and_none_is_made(owner: Owner, tmp_path: Path) -> None:
    (tmp_path / "bridge.db").unlink()
    assert owner.types(tmp_path / "copy.db") == 1
    assert f"{tmp_path}/bridge.db: there is no such file" in owner.error
    assert list(tmp_path.iterdir()) == []


def test_what_is_none_of_ours_is_not_taken_for_it(owner: Owner, tmp_path: Path) -> None:
    (tmp_path / "bridge.db").write_bytes(b"")
    assert owner.types(tmp_path / "copy.db") == 1
    assert "bridge.db: it has none of bridge's tables" in owner.error
    assert files(tmp_path) == set()


async def test_a_damaged_database_makes_no_backup_that_is_one_too(owner: Owner, tmp_path: Path) -> None:
    await damage(owner.url)
    assert await asyncio.to_thread(owner.types, tmp_path / "copy.db") == 1
    assert owner.error.startswith(f"no backup was made: {tmp_path}/bridge.db") and "damaged" in owner.error
    assert owner.error.count("\n") == 1 and "sqlite3 FILE .recover" in owner.error
    assert files(tmp_path) == set()


async def damage(url: URL) -> None:
    """Overwrites the pages of one of its tables."""
    async with open_database(url) as database:
        for each in range(5):
            await Meetings(database).book(make_meeting(60 * each), news)
    path = url.database or ""
    with closing(sqlite3.connect(path)) as connection:
        [size] = connection.execute("PRAGMA page_size").fetchone()
        [root] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'deliveries'").fetchone()
    with open(path, "r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)


async def test_what_breaks_off_leaves_nothing(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(_: object) -> str:
        raise KeyboardInterrupt
    monkeypatch.setattr(sqlite_file, "damage", interrupted)
    with pytest.raises(KeyboardInterrupt):
        owner.types(tmp_path / "copy.db")
    assert files(tmp_path) == set()


def test_of_postgresql_it_says_what_to_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    owner = Owner(parse_url("postgres://ada:s3cret@db.example/bridge"), capsys)
    assert owner.types(tmp_path / "my copy") == 1
    assert f"pg_dump --format=custom --file='{tmp_path}/my copy' \"$DATABASE_URL\"" in owner.error
    assert "heroku pg:backups:capture" in owner.error and "s3cret" not in owner.error


# ---- from another folder

@pytest.mark.parametrize("arguments", [
    ["meetings"], ["meetings", "export", "all.ics"], ["erase", "+15551234567", "--yes"], ["backup", "copy.db"]])
def test_a_command_in_another_folder_finds_nothing_and_says_so(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("DATABASE_URL", "TIMEZONE", "WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    out, error = capsys.readouterr()
    assert (out, caplog.text) == ("", "")
    assert f"{tmp_path}/bridge.db" in error and "Go to the server's folder, or set DATABASE_URL" in error
    assert error.count("\n") == 1 and list(tmp_path.iterdir()) == []
