"""RETENTION_DAYS: forgets older, settled meetings and messages while the server runs. Those with dead letters stay."""

import asyncio
import logging
import time
from collections.abc import Callable

from bridge.records.database import StoreFailed
from bridge.records.erasure import Erasure

log = logging.getLogger(__name__)

DAY_S = 24 * 3600.0
#: How often old rows are looked for (s).
SWEEP_S = 3600.0


async def sweep_hourly(erasure: Erasure, days: int, clock: Callable[[], float] = time.time) -> None:
    """The application's task, until it is cancelled. If the database fails, it tries again an hour later."""
    told = 0
    while True:
        try:
            before = clock() - days * DAY_S
            if swept := await erasure.sweep(before):
                log.info("%(swept)d meetings and messages were forgotten: RETENTION_DAYS=%(days)d",
                         {"swept": swept, "days": days})
            held = await erasure.held(before)
            if held > told:                          # one line when there are more, not every hour
                log.warning(
                    "%(held)d meetings and messages older than RETENTION_DAYS=%(days)d are kept, because your webhook "
                    "was never told of them: `python -m bridge meetings` shows their dead letters. Send them again "
                    "with `resend`, or remove a caller with `erase`", {"held": held, "days": days})
            told = held
        except StoreFailed as reason:
            log.error("old meetings and messages could not be forgotten: %(reason)s", {"reason": str(reason)})
        await asyncio.sleep(SWEEP_S)
