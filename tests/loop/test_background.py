"""Work that outlives its call: it is waited for, it fails alone, and what is late is named."""

import asyncio
import logging

import pytest

from bridge.loop.background import Background


async def test_what_still_runs_is_waited_for() -> None:
    background, go_on, done = Background(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go_on.wait()
        done.set()
    background.start(work())
    finishing = asyncio.create_task(background.finish(10))
    await asyncio.sleep(0)
    assert not finishing.done()
    go_on.set()
    await finishing
    assert done.is_set()


async def test_with_nothing_to_do_nothing_is_waited_for() -> None:
    await asyncio.wait_for(Background().finish(3600), 10)


async def test_work_that_fails_is_told_and_harms_no_other(caplog: pytest.LogCaptureFixture) -> None:
    background, done = Background(), asyncio.Event()

    async def fail() -> None:
        raise ValueError("no calendar")

    async def work() -> None:
        done.set()
    background.start(fail())
    background.start(work())
    await background.finish(10)
    assert done.is_set()
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "ValueError: no calendar" in caplog.text


async def test_work_that_is_late_is_cancelled_and_named(caplog: pytest.LogCaptureFixture) -> None:
    background, cancelled = Background(), asyncio.Event()

    async def endless_work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
    background.start(endless_work())
    await asyncio.sleep(0)
    await background.finish(0)
    assert cancelled.is_set()
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "endless_work" in record.getMessage()
