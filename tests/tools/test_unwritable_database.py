"""A database that cannot be written: the caller hears that nothing has been booked."""

import asyncio
import gc
import logging
import sqlite3
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.stage.booking import THURSDAY, World, office, schedule
from tests.stage.disk import Disk, disk


@pytest.mark.parametrize("trouble", [pytest.param("locked", marks=pytest.mark.slow), "full", "gone"])
async def test_books_that_cannot_be_written_are_the_truth_the_caller_hears(
    tmp_path: Path, trouble: str, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    async with office(tmp_path) as world:
        with trouble_with(world, trouble):
            output = await schedule(world.functions())
        assert output["status"] == "refused" and "nothing has been booked" in output["message"]
        assert world.bodies == []
    assert any("could not be written down" in record.getMessage() for record in caplog.records)


async def test_a_disk_that_became_read_only_is_the_truth_the_caller_hears(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    with disk(tmp_path) as ours:
        async with office(tmp_path) as world:
            await schedule(world.functions(), datetime="Friday at 15:00")
            world.bodies.clear()
            await become_read_only(ours, world)
            output = await schedule(world.functions())
            assert output["status"] == "refused" and "nothing has been booked" in output["message"]
            assert world.bodies == []
            await world.opened._engine.dispose()
            ours.remount("rw")
            assert (await schedule(world.functions()))["status"] == "confirmed"
            assert [body["datetime"] for body in world.bodies] == [THURSDAY]
    assert "could not be written down: " in caplog.text


async def become_read_only(ours: Disk, world: World) -> None:
    """As soon as nothing on it is open for writing: the outbox may be looking for what is due."""
    async with asyncio.timeout(10):
        while True:
            await world.opened._engine.dispose()
            gc.collect()                             # a connection that was out stays with the pool that is gone
            try:
                return ours.remount("ro")
            except subprocess.CalledProcessError:
                await asyncio.sleep(0.01)


class trouble_with:
    """The database cannot be written, for real."""

    def __init__(self, world: World, trouble: str) -> None:
        self._path, self._trouble = world.database, trouble
        self._connection = sqlite3.connect(world.database, isolation_level=None)

    def __enter__(self) -> None:
        if self._trouble == "locked":
            self._connection.execute("BEGIN EXCLUSIVE")
        elif self._trouble == "gone":
            self._connection.execute("ALTER TABLE slots RENAME TO elsewhere")
        else:
            self._connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON meetings BEGIN SELECT RAISE(ABORT, 'disk is full'); END")

    def __exit__(self, *_: object) -> None:
        with suppress(sqlite3.OperationalError):
            self._connection.execute({"locked": "ROLLBACK", "gone": "ALTER TABLE elsewhere RENAME TO slots",
                                      "full": "DROP TRIGGER full"}[self._trouble])
        self._connection.close()
