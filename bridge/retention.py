"""RETENTION_DAYS: forgets what is settled and older than that, while the server runs."""

import asyncio
import logging
import time
from collections.abc import Callable

from bridge.records.database import StoreFailed
from bridge.records.erasure import Erasure

log = logging.getLogger(__name__)

DAY_S = 24 * 3600.0
#: How often it is looked for what has become old, seconds.
SWEEP_S = 3600.0


async def sweep_hourly(erasure: Erasure, days: int, clock: Callable[[], float] = time.time) -> None:
    """Until it is cancelled. A database that fails is asked again the next time."""
    while True:
        try:
            if swept := await erasure.sweep(clock() - days * DAY_S):
                log.info("%(swept)d meetings and messages were forgotten: RETENTION_DAYS=%(days)d",
                         {"swept": swept, "days": days})
        except StoreFailed as reason:
            log.error("what is older than RETENTION_DAYS could not be forgotten: %(reason)s", {"reason": str(reason)})
        await asyncio.sleep(SWEEP_S)
