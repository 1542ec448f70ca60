"""`python -m tests.load --bookings`: the cost of bookings, and their effect on the calls beside them.

They go to a SQLite file, and also to PostgreSQL if its address is given. They come at a rate, or as fast as one process
makes them: each caller books again as soon as the answer is there.

`python -m tests.load.bookings` is the owner, in a process of its own at HOST and PORT. It takes every meeting.
"""

import asyncio
import base64
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, time as midnight, timedelta
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg
from aiohttp import ClientSession, web
from sqlalchemy import make_url

from bridge.sim.owner import Owner
from bridge.sim.process import HOST, NoServer, running
from tests.load.beside import TABLE, Beside
from tests.load.calls import Exchange
from tests.load.model import Model
from tests.load.relay import new_event_loop
from tests.load.server import free_port, serving, stand_back
from tests.load.table import number, spread, times
from tests.stage.postgres import new_database

FUNCTION = "schedule_meeting"
#: The answers after which a caller may be told that a meeting is booked.
PROMISES = ("confirmed", "recorded")


@dataclass
class BookingFaults:
    """Each must be 0."""

    without_output: int = 0    # function calls without an output
    answered_again: int = 0    # outputs that nobody asked for, or that were there already
    refused: int = 0           # outputs with a status that is no promise
    shared: int = 0            # promises of a meeting that was promised to another caller
    undelivered: int = 0       # promised meetings that never reached the receiver
    repeated: int = 0          # news that reached the receiver more than once
    unknown: int = 0           # meetings that reached the receiver and were promised to nobody

    @property
    def total(self) -> int:
        return sum(getattr(self, each.name) for each in fields(self))


class Ledger:
    """All bookings of one run. Each asks for the next minute, from next week on."""

    def __init__(self) -> None:
        self.measuring = False
        self.delays: list[float] = []                # from a function call to its output, in s, while measuring
        self.statuses: Counter[str] = Counter()
        self.refusals: list[str] = []
        self._faults = BookingFaults()
        self._asked_at: dict[str, float] = {}        # when calls without an output were made, by their ids
        self._came = asyncio.Event()                 # another output has come
        self._promised: set[str] = set()
        self._asked = 0
        today = datetime.combine(datetime.now(UTC), midnight(), UTC)
        self._first = today + timedelta(days=7)

    def ask(self) -> tuple[str, str]:
        """The next meeting: an id for the function call, and its arguments as JSON."""
        start = self._first + timedelta(minutes=self._asked)
        self._asked += 1
        call_id = f"call_{self._asked:016}"
        self._asked_at[call_id] = perf_counter()
        return call_id, json.dumps({
            "name": "Ada Lovelace", "email": "ada@example.com", "datetime": start.isoformat(),
            "description": "A first appointment, about a tooth that hurts when it is cold"})

    def answered(self, call_id: str, output: str) -> None:
        asked_at = self._asked_at.pop(call_id, None)
        if asked_at is None:
            self._faults.answered_again += 1
            return
        self._came.set()
        if self.measuring:
            self.delays.append(perf_counter() - asked_at)
        self._take(json.loads(output))

    def _take(self, output: Mapping[str, Any]) -> None:
        status, meeting = output.get("status", "error"), output.get("meeting_id")
        self.statuses[status] += 1
        if status not in PROMISES or not meeting:
            self._faults.refused += 1
            self.refusals.append(str(output.get("message") or output.get("error")))
            return
        self._faults.shared += meeting in self._promised
        self._promised.add(meeting)

    async def until_fewer(self, count: int) -> None:
        """Waits until fewer than `count` function calls wait for their output."""
        while len(self._asked_at) >= count:
            self._came.clear()
            await self._came.wait()

    @property
    def unanswered(self) -> int:
        return len(self._asked_at)

    @property
    def promised(self) -> int:
        return len(self._promised)

    def faults(self, seen: Mapping[str, Sequence[str]]) -> BookingFaults:
        """The faults so far. `seen`: the ids of the receiver's messages, by the meeting's id."""
        faults = self._faults
        return BookingFaults(
            without_output=self.unanswered, answered_again=faults.answered_again, refused=faults.refused,
            shared=faults.shared, undelivered=len(self._promised - seen.keys()),
            repeated=sum(len(messages) - 1 for messages in seen.values()), unknown=len(seen.keys() - self._promised))


# ---- the calls beside them

#: How long the last booking is waited for, and the calm after it, in seconds.
SETTLE_S = 5.0
_CALM_S = 0.3


async def run(
    postgresql: str, *, callers: int, calls: list[int], rate: float, seconds: float, core: int | None,
) -> list[dict[str, Any]]:
    """Measures bookings. Returns all figures, printed as they come. `postgresql`: the address of one, or "".

    Raises NoServer, TimeoutError if nobody answers at first, and OSError.
    """
    runs: list[dict[str, Any]] = []
    print(TABLE.header, flush=True)
    for kind, address in (("SQLite", ""), *([("PostgreSQL", postgresql)] if postgresql else [])):
        for count in calls:
            with empty_database(address) as database:
                found, lines = await _run(kind, database, count, callers, rate, seconds, core)
            print("\n".join(lines), flush=True)
            runs.append(found)
    return runs


async def _run(
    kind: str, database: str, calls: int, callers: int, rate: float, seconds: float, core: int | None,
) -> tuple[dict[str, Any], list[str]]:
    model_port = free_port()
    async with (
        owner() as receiver,
        serving("bridge", model_port, core, settings(database, receiver.address)) as server,
    ):
        async with Exchange(server, model_port) as exchange:
            await exchange.open(calls)
            beside, bookings = Beside(exchange, server), Bookings(exchange, receiver, callers, rate)
            # A first booking makes everything that is made once. That belongs to the idle server.
            async with bookings.going_on():
                await asyncio.sleep(bookings.turn_s)
            bookings.start_anew()
            await beside.measure(bookings, seconds)
            await exchange.end()
        ledger, said = bookings.ledger, server.said.splitlines()
        seen = await receiver.seen()
    lasted, booked = beside.beside.seconds, len(ledger.delays)
    more_cpu_s = beside.beside.cpu_s - beside.alone.cpu_s * lasted / beside.alone.seconds
    found = {
        "run": "bookings", "database": kind, "calls": calls, "callers": callers, "rate": rate, **beside.figures(),
        "bookings_per_s": booked / lasted, "news_per_s": bookings.taken / lasted, "answer": spread(ledger.delays),
        "cpu_ms_per_booking": 1000 * more_cpu_s / max(booked, 1), "statuses": dict(ledger.statuses),
        "faults": {**asdict(exchange.faults), **asdict(ledger.faults(seen))},
    }
    return found, [
        *beside.lines(f"bookings on {kind}", found, said),
        f"{found['bookings_per_s']:.1f} bookings a second, each answered within {times(found['answer'])} ms and of "
        f"{number(found['cpu_ms_per_booking'])} ms of CPU time; {found['news_per_s']:.1f} a second reached the owner",
        *(f"refused: {reason}" for reason in dict.fromkeys(ledger.refusals))]


class Bookings:
    """`rate` bookings a second. With `callers` it is that many at once, and each output starts the next booking.

    `taken`: how many messages reached the owner during the measurement.
    """

    turn_s = 1.0

    def __init__(self, exchange: Exchange, receiver: "Receiver", callers: int, rate: float) -> None:
        self.ledger, self.taken = Ledger(), 0
        self._receiver, self._callers, self._rate = receiver, callers, rate
        models = [model for call in exchange.calls for model in call.models]
        self._models, self._among = cycle(models), len(models)
        self._random = random.Random(rate)
        exchange.stage.on_output = self.ledger.answered

    def start_anew(self) -> None:
        """Forgets the figures so far, which were a rehearsal's."""
        self.ledger.delays.clear()
        self.taken = 0

    @asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        booking = asyncio.create_task(self._at_once() if self._callers else self._steadily())
        before = await self._receiver.count()
        self.ledger.measuring = True
        yield
        self.ledger.measuring = False
        booking.cancel()
        self.taken += await self._receiver.count() - before
        await asyncio.wait([booking])
        await self._settle()

    async def _steadily(self) -> None:
        """Books in one call after the other, at moments that keep no step with the frames."""
        start = perf_counter()
        for each in range(round(self._rate * self.turn_s)):
            due = start + (each + self._random.random()) / self._rate
            # Not by a timer of the event loop, which would go off together with the timers of the frames.
            await asyncio.to_thread(time.sleep, max(0.0, due - perf_counter()))
            await self._book()

    async def _at_once(self) -> None:
        while True:
            await self.ledger.until_fewer(self._callers)
            await self._book()

    async def _book(self) -> None:
        model = await self._next_model()
        model.call(FUNCTION, *self.ledger.ask())

    async def _next_model(self) -> Model:
        while True:
            for _ in range(self._among):
                model = next(self._models)
                if model.can_call:
                    return model
            await asyncio.sleep(0.01)

    async def _settle(self) -> None:
        """Waits until every function has answered and the owner knows everything, and a moment longer."""
        deadline = perf_counter() + SETTLE_S
        while perf_counter() < deadline and (
                self.ledger.unanswered or await self._receiver.count() < self.ledger.promised):
            await asyncio.sleep(0.02)
        await asyncio.sleep(_CALM_S)


def settings(database: str, receiver: str) -> dict[str, str]:
    """The settings of a server that books at the first call of the function, and signs its deliveries."""
    return {
        "DATABASE_URL": database, "WEBHOOK_URL": receiver, "CONFIRM_MEETINGS": "0", "MEETING_MINUTES": "1",
        "WEBHOOK_SECRET": "whsec_" + base64.b64encode(bytes(24)).decode(), "ORGANIZER_EMAIL": "office@example.com",
    }


@contextmanager
def empty_database(postgresql: str) -> Iterator[str]:
    """The address of an empty database: on the PostgreSQL at this address, or without one a SQLite file.

    Raises NoServer.
    """
    if not postgresql:
        with tempfile.TemporaryDirectory() as place:
            yield f"sqlite:///{Path(place) / 'bridge.db'}"
        return
    url = make_url(postgresql).set(drivername="postgresql")
    try:
        with new_database(url.render_as_string(hide_password=False)) as name:
            yield url.set(database=name).render_as_string(hide_password=False)
    except psycopg.Error as error:
        raise NoServer(f"PostgreSQL: {error}") from None


# ---- the owner's own process

class Receiver:
    """Asks the owner in the other process."""

    def __init__(self, origin: str, http: ClientSession) -> None:
        self.address, self._http = f"{origin}/meetings", http

    async def count(self) -> int:
        """How many messages have come."""
        async with self._http.get("/count") as response:
            count: int = await response.json()
            return count

    async def seen(self) -> dict[str, list[str]]:
        """The ids of the messages about each meeting, by the meeting's id."""
        async with self._http.get("/seen") as response:
            seen: dict[str, list[str]] = await response.json()
            return seen


@asynccontextmanager
async def owner() -> AsyncIterator[Receiver]:
    """Starts an owner on our own core, with low priority. Raises NoServer."""
    port = free_port()
    command, environ = (sys.executable, "-m", "tests.load.bookings"), {"PORT": str(port)}
    with tempfile.TemporaryDirectory() as place:
        async with running(place, environ, command, port=port) as process, ClientSession(process.origin) as http:
            yield Receiver(process.origin, http)


def main() -> None:
    stand_back()
    known = Owner()
    app = known.app()

    async def count(request: web.Request) -> web.Response:
        return web.json_response(len(known.meetings))

    async def seen(request: web.Request) -> web.Response:
        return web.json_response(known.ids)

    app.add_routes([web.get("/count", count), web.get("/seen", seen)])
    web.run_app(app, host=HOST, port=int(os.environ["PORT"]), loop=new_event_loop(), access_log=None, print=None)


if __name__ == "__main__":
    main()
