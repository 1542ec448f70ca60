"""RETENTION_DAYS: forgets what is settled and older than that, while the server runs; dead letters keep theirs."""

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
    told = 0
    while True:
        try:
            before = clock() - days * DAY_S
            if swept := await erasure.sweep(before):
                log.info("%(swept)d meetings and messages were forgotten: RETENTION_DAYS=%(days)d",
                         {"swept": swept, "days": days})
            held = await erasure.held(before)
            if held > told:                          # a line when there are more, not one every hour
                log.warning(
                    "%(held)d meetings and messages older than RETENTION_DAYS=%(days)d are kept, because your webhook "
                    "was never told of them: `python -m bridge meetings` shows their dead letters; send them again "
                    "with `resend`, or remove a caller with `erase`", {"held": held, "days": days})
            told = held
        except StoreFailed as reason:
            log.error("what is older than RETENTION_DAYS could not be forgotten: %(reason)s", {"reason": str(reason)})
        await asyncio.sleep(SWEEP_S)
