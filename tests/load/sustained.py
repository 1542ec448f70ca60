"""Bookings per second of one process, as many as its parts can make: from the function to the receiver's answer.

The application is assembled as the server's is, in this process; the receiver is a process of its own.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter, process_time

from aiohttp import web

from bridge import keys
from bridge.app import create_app
from bridge.settings import load
from bridge.tools.registry import Tools
from bridge.tools.tool import OnBehalfOf
from tests.load import databases
from tests.load.ledger import FUNCTION, BookingFaults, Ledger
from tests.load.receiver import Away, receiving

WARM_UP_S = 1.0
_DRAIN_S = 15.0


@dataclass(frozen=True)
class Sustained:
    """What was measured during `seconds`: bookings that were answered, news that the receiver took, CPU time."""

    seconds: float
    booked: int
    delivered: int
    cpu_s: float
    ledger: Ledger
    faults: BookingFaults


async def measure(database: str, callers: int, seconds: float, core: int | None) -> Sustained:
    """`callers` at once, each books again as soon as it is answered; the receiver runs on this core."""
    async with (
        receiving(core) as receiver,
        _application({**databases.settings(database, receiver.address), "OPENAI_API_KEY": "sk-load"}) as tools,
    ):
        return await _Office(tools, receiver).measure(callers, seconds)


@asynccontextmanager
async def _application(environment: dict[str, str]) -> AsyncIterator[Tools]:
    """The server without a port: its database open, its outbox at work."""
    app = create_app(load({**environment, "TWILIO_AUTH_TOKEN": "load"}))
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        yield app[keys.TOOLS]
    finally:
        await runner.cleanup()


class _Office:
    def __init__(self, tools: Tools, receiver: Away) -> None:
        self._tools, self._receiver = tools, receiver
        self._ledger = Ledger()
        self._calls = 0
        self._closed = False

    async def measure(self, callers: int, seconds: float) -> Sustained:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(callers):
                tasks.create_task(self._book())
            await asyncio.sleep(WARM_UP_S)
            delivered, before = await self._receiver.count(), (perf_counter(), process_time())
            self._ledger.measuring = True
            await asyncio.sleep(seconds)
            self._ledger.measuring = False
            lasted, cpu = (end - start for start, end in zip(before, (perf_counter(), process_time())))
            delivered = await self._receiver.count() - delivered
            self._closed = True
        return Sustained(lasted, len(self._ledger.delays), delivered, cpu, self._ledger, await self._faults())

    async def _book(self) -> None:
        """Call after call, each by another caller."""
        while not self._closed:
            self._calls += 1
            call = OnBehalfOf(f"CA{self._calls:032x}", f"+1555{self._calls:07d}", turn=1)
            call_id, arguments = self._ledger.ask()
            output = await self._tools.for_call().run(FUNCTION, arguments, call)
            self._ledger.answered(call_id, json.dumps(output.answer))

    async def _faults(self) -> BookingFaults:
        """Once everything that was promised has come, or is late."""
        deadline = perf_counter() + _DRAIN_S
        while perf_counter() < deadline and await self._receiver.count() < self._ledger.promised:
            await asyncio.sleep(0.1)
        return self._ledger.faults(await self._receiver.seen())
