"""One clock for many who want to look around now and then, in place of a sleeping task for each."""

import asyncio
from collections.abc import Callable

#: The time between two looks is divided in so many turns, so that not all look around at once.
TURNS = 5


class Ticker:
    """Calls everybody once in `every_s` seconds. Whoever is called must not raise, and must not wait."""

    def __init__(self, every_s: float) -> None:
        self._pause_s = every_s / TURNS
        self._turns: list[dict[Callable[[], None], None]] = [{} for _ in range(TURNS)]
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None       # None: there is nobody to be called

    def add(self, look: Callable[[], None]) -> None:
        min(self._turns, key=len)[look] = None
        if self._timer is None:
            self._wait()

    def remove(self, look: Callable[[], None]) -> None:
        """Also when it was never there."""
        for each in self._turns:
            each.pop(look, None)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if any(self._turns):
            self._wait()                             # first, or one who raises would stop the clock
        self._turn = (self._turn + 1) % TURNS
        for look in [*self._turns[self._turn]]:
            look()
