"""Work that outlives the call that began it. A booking goes on after the caller has hung up."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """The application's own tasks. Start one for work that must not end with a call.

    A task that fails is logged with its traceback, and harms no other.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def finish(self, seconds: float) -> None:
        """Waits for the tasks, `seconds` at most. The ones that still run then are cancelled and named in the log."""
        until = time.monotonic() + seconds
        while self._tasks and (left := until - time.monotonic()) > 0:
            await asyncio.wait(self._tasks, timeout=left)        # what these begin is waited for, too
        late = [*self._tasks]
        for task in late:
            log.error("work was not finished when the server stopped: %s", task.get_coro())
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("work in the background failed", exc_info=error)
