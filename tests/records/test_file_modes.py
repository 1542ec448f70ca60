"""The files that hold names and numbers are their owner's alone."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.records.database import open_database, parse_url


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    """A umask that lets everybody read what does not say otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("bridge.db*")}


async def test_a_new_database_is_its_owner_s_alone(tmp_path: Path) -> None:
    async with open_database(parse_url(f"sqlite:///{tmp_path}/bridge.db")):
        assert modes(tmp_path) == {"bridge.db": 0o600, "bridge.db-wal": 0o600, "bridge.db-shm": 0o600}


async def test_a_database_that_others_may_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = parse_url(f"sqlite:///{tmp_path}/bridge.db")
    async with open_database(url):
        pass
    assert caplog.text == ""
    (tmp_path / "bridge.db").chmod(0o640)
    async with open_database(url):
        pass
    [warning] = caplog.messages
    assert "bridge.db can be opened by other users" in warning and "640" in warning and "chmod 600" in warning
    assert modes(tmp_path)["bridge.db"] == 0o640, "it may be meant: nothing is changed"
