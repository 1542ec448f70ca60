"""The database as `doctor` sees it: on both kinds, and nothing in it is changed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from bridge.doctor import database
from bridge.records.database import open_database, parse_url


async def test_one_that_is_in_use_is_in_order(database_url: str) -> None:
    url = parse_url(database_url)
    async with open_database(url):
        [found] = database.judged(database.look(url))
    assert found.state == "ok" and "writable and up to date" in found.says


def test_one_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    [found] = database.judged(database.look(parse_url(f"sqlite:///{tmp_path}/bridge.db")))
    assert found.state == "ok" and "at its first start" in found.says and not [*tmp_path.iterdir()]


@pytest.mark.parametrize("version, state, words", [
    ("2", "ok", "brings it up to date"), ("99", "failure", "newer version"), (None, "ok", "empty yet")])
def test_versions(tmp_path: Path, version: str | None, state: str, words: str) -> None:
    file = tmp_path / "bridge.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)" if version else "CREATE TABLE other (x)")
        if version:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (version,))
    file.chmod(0o600)
    before = file.read_bytes()
    [found] = database.judged(database.look(parse_url(f"sqlite:///{file}")))
    assert found.state == state and words in found.says and file.read_bytes() == before


def test_a_read_only_postgresql(postgresql_url: str) -> None:
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET default_transaction_read_only = on")
    [found] = database.judged(database.look(parse_url(postgresql_url)))
    assert (found.state, found.name) == ("failure", "database") and "it is read-only" in found.says


def test_a_postgresql_that_is_not_there() -> None:
    [found] = database.judged(database.look(parse_url("postgres://bridge:s3cret@127.0.0.1:1/bridge")))
    assert found.state == "failure"
    assert "database's server runs" in found.do and "s3cret" not in found.says and "\n" not in found.says
