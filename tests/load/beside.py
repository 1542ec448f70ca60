"""What bookings do to the calls beside them: the delays of all audio, by turns without bookings and with them.

Both are measured in the same calls through the same server, a few seconds each in turn: what else the machine does, and
when each call's frames come, is the same for both.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from time import perf_counter

from tests.load import databases
from tests.load.ledger import FUNCTION, Ledger
from tests.load.model import Model
from tests.load.receiver import Away, receiving
from tests.load.benchmark import WARM_UP_S, Play
from tests.load.server import Server, free_port, serving
from tests.load.side import Side

#: How long a turn is measured, about, and how long the last booking is waited for, s.
TURN_S = 1.0
SETTLE_S = 5.0
_CALM_S = 0.3


@dataclass(frozen=True)
class Beside:
    """One run: `alone` without bookings, `booking` with them; `said`: what the server wrote to stderr."""

    calls: int
    rate: float
    alone: Side
    booking: Side
    ledger: Ledger
    faults: dict[str, int]
    said: str


async def measure(database: str, calls: int, seconds: float, rate: float, core: int | None) -> Beside:
    """`calls` calls through a fresh server on this core, `seconds` without and `seconds` with `rate` bookings/s.

    Raises NoServer, TimeoutError where a call was never answered, and OSError.
    """
    model_port = free_port()
    async with (
        receiving(core=None) as receiver,
        serving("bridge", model_port, core, databases.settings(database, receiver.address)) as server,
    ):
        async with Play(server, model_port, plain=False) as play:
            await play.ring(calls)
            show = _Show(play, server, receiver, rate)
            await show.rehearse()
            async with play.stage.measuring():
                turns = max(1, round(seconds / TURN_S))
                for _ in range(turns):
                    await show.turn(seconds / turns, with_bookings=False)
                    await show.turn(seconds / turns, with_bookings=True)
        faults = {**asdict(play.stage.tally.faults), **asdict(show.ledger.faults(await receiver.seen()))}
        return Beside(calls, rate, show.alone, show.booking, show.ledger, faults, server.said())


class _Show:
    """The turns of one run."""

    def __init__(self, play: Play, server: Server, receiver: Away, rate: float) -> None:
        self.alone, self.booking, self.ledger = Side(), Side(), Ledger()
        self._server, self._receiver, self._rate = server, receiver, rate
        self._tally = play.stage.tally
        self._models: Iterator[Model] = cycle(play.models)
        self._among = len(play.models)
        self._random = random.Random(rate)
        play.stage.on_output = self.ledger.answered

    async def rehearse(self) -> None:
        """What is made once, at the first booking, belongs to the idle server."""
        await self._book(WARM_UP_S)
        await self._settle()

    async def turn(self, seconds: float, *, with_bookings: bool) -> None:
        side = self.booking if with_bookings else self.alone
        self.ledger.measuring = True
        with side.turn(self._tally, self._server):
            await (self._book(seconds) if with_bookings else asyncio.sleep(seconds))
        await self._settle()

    async def _book(self, seconds: float) -> None:
        """`rate` function calls a second, at moments that keep no step with the frames, one call after the other."""
        start = perf_counter()
        for number in range(round(self._rate * seconds)):
            due = start + (number + self._random.random()) / self._rate
            # Not by a timer of the event loop's, which would go off together with those of the frames.
            await asyncio.to_thread(time.sleep, max(0.0, due - perf_counter()))
            model = await self._next_model()
            model.call(FUNCTION, *self.ledger.ask())
        await asyncio.sleep(max(0.0, start + seconds - perf_counter()))

    async def _next_model(self) -> Model:
        while True:
            for _ in range(self._among):
                model = next(self._models)
                if model.can_call:
                    return model
            await asyncio.sleep(0.01)

    async def _settle(self) -> None:
        """Until every function has answered and the receiver knows everything, and a moment longer."""
        deadline = perf_counter() + SETTLE_S
        while perf_counter() < deadline and (
                self.ledger.unanswered or await self._receiver.count() < self.ledger.promised):
            await asyncio.sleep(0.02)
        await asyncio.sleep(_CALM_S)
