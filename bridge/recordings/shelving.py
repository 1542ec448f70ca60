"""Brings finished recordings to their place, and notes them in the records of their calls.

A recording is written in a folder of its own (`unfinished`). What is found there and is not being written any more is
noted and put in its place: what this process has finished, and what a killed one has left. So nothing is lost by a
restart. A recording whose call has no record, because the caller was erased, is removed after a while.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from bridge.folding import Folded
from bridge.records.database import StoreFailed
from bridge.records.recordings import Recordings
from bridge.recordings.shelf import Shelf, ShelfFailed
from bridge.recordings.wav import Held, levels_of

log = logging.getLogger(__name__)

#: How often the folder is looked at for what killed processes have left; the pauses when a place or the database fails
#: (s).
LOOK_S, LEAST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 1.0, 300.0
#: How long a recording waits for the record of its call (s). It is asked for again soon for so long, then now and then.
SOON_S, WITHOUT_RECORD_S = 10.0, 3600.0
#: So many recordings may fail in one round. Then the place is taken to be away.
MOST_FAILED = 3


class Shelving:
    """`folder`: where unfinished recordings are. `place`: where finished ones go, as addresses begin, and its `shelf`.

    `count_waiting`: told how many recordings wait, each time it was looked.
    """

    def __init__(
        self, folder: Path, place: str, shelf: Shelf, recordings: Recordings, *,
        count_waiting: Callable[[int], None] = lambda count: None, now: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._place, self._shelf, self._recordings = folder, place, shelf, recordings
        self._count_waiting, self._now = count_waiting, now
        self._levels: dict[str, bytes] = {}
        self._missing: set[str] = set()
        self._came = asyncio.Event()
        self._problems = Folded()

    def finished(self, name: str, levels: bytes | None) -> None:
        """A recording of this process is over. `levels` None: there is no file of it."""
        if levels is None:
            self._missing.add(name)
        else:
            self._levels[name] = levels
        self._came.set()

    async def run(self) -> None:
        """The application's task, until it is cancelled."""
        pause = LEAST_PAUSE_S
        while True:
            self._came.clear()
            try:
                done = await self.bring()
            except Exception:
                log.exception("recordings could not be brought to their place, because of a fault")
                done = False
            if done:
                pause = LEAST_PAUSE_S
                await self._wait(LOOK_S)
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._came.wait(), seconds)
        except TimeoutError:
            pass

    async def bring(self) -> bool:
        """Brings all that can be brought; whether nothing has to be tried again soon."""
        again = failed = 0
        for name in [*self._missing, *sorted(await asyncio.to_thread(_names, self._folder))]:
            try:
                again += not await (self._forget(name) if name in self._missing else self._bring(name))
            except (StoreFailed, ShelfFailed, OSError) as problem:
                self._failed(str(problem))
                failed += 1
            if failed >= MOST_FAILED:
                break
        self._count_waiting(len(await asyncio.to_thread(_names, self._folder)))
        return not (again or failed)

    async def _forget(self, name: str) -> bool:
        await self._recordings.forget(name.partition("-")[0], self._address(name))
        self._missing.discard(name)
        return True

    async def _bring(self, name: str) -> bool:
        """Brings one recording to its place. False: it has to be tried again."""
        path = self._folder / name
        try:
            with Held(path):
                return await self._bring_held(name, path)
        except (BlockingIOError, FileNotFoundError):         # it is being written, or somebody else has brought it
            return True

    async def _bring_held(self, name: str, path: Path) -> bool:
        levels = self._levels.get(name)
        if levels is None:
            levels = await asyncio.to_thread(lambda: b"".join(levels_of(path)))
        if not await self._recordings.note(name.partition("-")[0], self._address(name), levels):
            waited = self._now() - path.stat().st_mtime
            if waited < WITHOUT_RECORD_S:            # it may not be written yet
                return waited > SOON_S
            path.unlink(missing_ok=True)
            self._levels.pop(name, None)
            log.warning("call %(call)s: its recording is removed, because the call has no record any more",
                        {"call": name.partition("-")[0]})
            return True
        await self._shelf.put(name, path)
        self._levels.pop(name, None)
        return True

    def _address(self, name: str) -> str:
        return f"{self._place}/{name}"

    def _failed(self, problem: str) -> None:
        if times := self._problems.worth_a_line(problem):
            log.error("recordings wait in %(folder)s, and are brought to their place later: %(problem)s (%(times)d "
                      "times so far)", {"folder": str(self._folder), "problem": problem, "times": times})


def _names(folder: Path) -> list[str]:
    """The recordings in a folder. Raises OSError."""
    try:
        return [name for name in os.listdir(folder) if name.endswith(".wav")]
    except (FileNotFoundError, NotADirectoryError):
        return []
