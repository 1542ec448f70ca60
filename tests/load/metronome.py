"""One timer for all that is sent at a steady pace."""

import asyncio
from collections.abc import Callable
from time import perf_counter

from tests.load.tally import Tally

_SLOT_S = 0.001


class Metronome:
    """Calls each of its members once per period (ms), a member in one of as many slots as the period has ms.

    Deadlines are counted from the start, so they do not drift; after a delay the missed ones are made up for.
    """

    def __init__(self, period_ms: int, tally: Tally) -> None:
        self._slots: list[list[Callable[[], None]]] = [[] for _ in range(period_ms)]
        self._slot = 0
        self._due = perf_counter()
        self._tally = tally
        self._timer: asyncio.TimerHandle | None = None

    def join(self, beat: Callable[[], None]) -> None:
        """`beat` is called for the first time one period from now."""
        self._slots[self._slot - 1].append(beat)

    def leave(self, beat: Callable[[], None]) -> None:
        """`beat` is called no more; nothing happens when it never was."""
        self._slots = [[each for each in slot if each != beat] if slot else slot for slot in self._slots]

    def start(self) -> None:
        self._due = perf_counter()
        self._tick()

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _tick(self) -> None:
        while (late := perf_counter() - self._due) >= 0:
            members = self._slots[self._slot]
            self._slot = (self._slot + 1) % len(self._slots)
            for beat in members:
                beat()
            if members and self._tally.measuring:
                self._tally.lateness.append(perf_counter() - self._due)
            self._due += _SLOT_S
        self._timer = asyncio.get_running_loop().call_later(-late, self._tick)
