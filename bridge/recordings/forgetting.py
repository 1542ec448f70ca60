"""RECORDINGS_DAYS: removes older recordings from their places while the server runs."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from bridge.records.database import StoreFailed
from bridge.records.recordings import Recordings
from bridge.recordings import shelf
from bridge.recordings.shelf import ShelfFailed

log = logging.getLogger(__name__)

DAY_S = 24 * 3600.0
#: How often old recordings are looked for (s).
SWEEP_S = 3600.0


async def forget_hourly(
    recordings: Recordings, days: int, options: Mapping[str, str], clock: Callable[[], float] = time.time,
) -> None:
    """The application's task, until it is cancelled. What fails is tried again an hour later."""
    while True:
        try:
            if forgotten := await forget(recordings, clock() - days * DAY_S, options):
                log.info("%(forgotten)d recordings were removed, which are older than %(days)d days",
                         {"forgotten": forgotten, "days": days})
        except (StoreFailed, ShelfFailed) as reason:
            log.error("old recordings could not be removed: %(reason)s", {"reason": str(reason)})
        await asyncio.sleep(SWEEP_S)


async def forget(recordings: Recordings, before: float, options: Mapping[str, str]) -> int:
    """Removes the recordings of calls that were over before this moment; how many. Raises StoreFailed, ShelfFailed."""
    count = 0
    while old := await recordings.old(before):
        for addresses in old.values():
            for address in addresses:
                await shelf.remove(address, options)
                count += 1
        await recordings.removed([*old])
    return count
