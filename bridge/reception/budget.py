"""MAX_DAY_USD: the most that the model may cost in a day, counted by all processes that share the database.

1. A call tells at once what it has spent. Every RENEW_S this process adds that to the day's sum in the database, and
   reads the sum. No call and no webhook waits for it. A crash loses what the process has spent since the last time.
2. A day begins at midnight in TIMEZONE. Spending before midnight belongs to the day before.
3. While the database does not answer, each process goes by the last sum that it read and its own spending since.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, tzinfo

from bridge.call.events import Event, Spent
from bridge.records.database import StoreFailed
from bridge.records.spending import Spending

log = logging.getLogger(__name__)

#: How often the sum in the database is brought up to date and read (s).
RENEW_S = 4.0


class Budget:
    """The day's money. `most_usd` 0: no limit, and nothing is counted. `clock` gives seconds since 1970."""

    def __init__(
        self, spending: Spending, most_usd: float, zone: tzinfo, clock: Callable[[], float] = time.time,
    ) -> None:
        self._spending, self._most, self._zone, self._clock = spending, most_usd, zone, clock
        self._told = ("", 0.0)                       # a day, and its sum as last read from the database
        self._untold: defaultdict[str, float] = defaultdict(float)     # spending not yet in the database, by day
        self._failing, self._announced = False, ""

    def hear(self, event: Event) -> None:
        """A listener of calls (events.Audience)."""
        if isinstance(event, Spent):
            self.spent(event.usd)

    def spent(self, usd: float) -> None:
        """A call of this process has cost `usd` more."""
        if self._most:
            self._untold[self._today()] += usd

    @property
    def today_usd(self) -> float:
        """The cost of this day so far, as far as this process knows."""
        today, (day, usd) = self._today(), self._told
        return self._untold[today] + (usd if day == today else 0.0)

    @property
    def used_up(self) -> bool:
        """Whether no call may cost anything any more, until midnight."""
        return bool(self._most) and self.today_usd >= self._most

    async def refresh(self) -> None:
        """Adds this process's spending to the database, and reads the sum. A failure is logged and raises nothing."""
        today = self._today()
        try:
            for day in sorted({*self._untold, today}):
                usd = self._untold[day]
                total = await self._spending.add(day, usd)
                self._untold[day] -= usd             # a call may have added to it meanwhile
                if day == today:
                    self._told = day, total
                elif not self._untold[day]:
                    del self._untold[day]
        except StoreFailed as reason:
            if not self._failing:
                log.error("today's spending could not be written down, so this process goes by its own figures: "
                          "%(reason)s", {"reason": str(reason)})
            self._failing = True
        else:
            self._failing = False
        self._announce(today)

    def _announce(self, today: str) -> None:
        """Logs that the money of a day is used up, once."""
        if self.used_up and self._announced != today:
            self._announced = today
            log.warning("MAX_DAY_USD=%(most)g is used up: callers get the fallback until midnight in %(zone)s",
                        {"most": self._most, "zone": str(self._zone)})

    async def run(self, when_used_up: Callable[[], None]) -> None:
        """The application's task: keeps the sum, until it is cancelled.

        While the money is used up it calls `when_used_up` each time, which ends the calls that still spend.
        """
        while True:
            await asyncio.sleep(RENEW_S)
            await self.refresh()
            if self.used_up:
                when_used_up()

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock(), self._zone).date().isoformat()
