"""The time of a simulated call: a monotonic clock that can run faster than real time.

With `speed=20` a second of a call takes 50 ms, so a test of a long call is short. Every figure here is in ms of call
time.
"""

import asyncio
import time


class Clock:
    """Counts the ms since it was made, `speed` times as many as really passed. Raises ValueError for a speed of 0."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"A clock's speed must be above 0, not {speed}.")
        self.speed = speed
        self._started = time.monotonic()

    def ms(self) -> float:
        """Call time now, in ms."""
        return (time.monotonic() - self._started) * 1000 * self.speed

    async def until(self, ms: float) -> None:
        """Wait for the call time `ms`. Other tasks get a turn even if it has passed already."""
        # A loop may wake up too early, by the resolution of its clock. The rest is then waited for too.
        await asyncio.sleep(self._seconds_to(ms))
        while (remaining := self._seconds_to(ms)) > 0:
            await asyncio.sleep(remaining)

    async def sleep(self, ms: float) -> None:
        """Wait for `ms` of call time."""
        await self.until(self.ms() + ms)

    def _seconds_to(self, ms: float) -> float:
        return max(0.0, (ms - self.ms()) / 1000 / self.speed)
