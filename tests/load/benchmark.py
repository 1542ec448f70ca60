"""One run: so many calls through one server, started, measured and ended."""

import asyncio
from dataclasses import dataclass
from time import perf_counter, process_time

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from tests.load.audio import Voice
from tests.load.model import Model
from tests.load.phone import Phone
from tests.load.server import HOST, Server, free_port, serving
from tests.load.stage import Stage
from tests.load.tally import Tally
from tests.load.webhook import caller_number, ring

#: Between two calls' beginnings, s: prime to both 20 and 250 ms, so that calls spread evenly over both.
CALL_EVERY_S = 0.023
#: From the last call's first audio to the measurement, s.
WARM_UP_S = 2.0
_REHEARSAL_S = 0.5
_ANSWER_S = 15.0
_DRAIN_S = 3.0
_CLOSE_S = 3.0


@dataclass(frozen=True)
class Run:
    """What one run showed; `seconds` is the measured time, `said` what the server wrote to stderr."""

    server: str
    calls: int
    seconds: float
    cpu_s: float
    waited_s: float
    idle_kib: int
    busy_kib: int
    load_cpu_s: float
    tally: Tally
    said: str


async def measure(kind: str, calls: int, seconds: float, core: int | None) -> Run:
    """Run `calls` calls through a fresh server on this core and measure it for `seconds`.

    Raises NoServer, TimeoutError where a call was never answered, and OSError.
    """
    model_port = free_port()
    async with serving(kind, model_port, core) as server:
        # What is made once, at the first call, belongs to the idle server.
        async with Play(server, model_port, kind == "relay") as rehearsal:
            await rehearsal.ring(1)
            await asyncio.sleep(_REHEARSAL_S)
        idle_kib = server.resident_kib()
        async with Play(server, model_port, kind == "relay") as play:
            await play.ring(calls)
            await asyncio.sleep(WARM_UP_S)
            async with play.stage.measuring():
                before = perf_counter(), server.cpu_s(), server.waited_s(), process_time()
                await asyncio.sleep(seconds)
                after = perf_counter(), server.cpu_s(), server.waited_s(), process_time()
            busy_kib = server.resident_kib()
        lasted, cpu, waited, own = (end - start for start, end in zip(before, after))
        return Run(kind, calls, lasted, cpu, waited, idle_kib, busy_kib, own, play.stage.tally, server.said())


class Play:
    """Phones and models for one server, over when the block ends: all audio awaited, all calls ended."""

    def __init__(self, server: Server, model_port: int, plain: bool, token: str = "") -> None:
        self.stage = Stage(plain, token)
        self._server, self._model_port = server, model_port
        self._phones: list[Phone] = []
        self.models: list[Model] = []

    async def __aenter__(self) -> "Play":
        self._http = ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=_ANSWER_S))
        self._listener = await asyncio.get_running_loop().create_server(self._new_model, HOST, self._model_port)
        self.stage.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stage.stop()
        await self._drain()
        self._count()
        for phone in self._phones:
            phone.hang_up()
        await self._close()
        self._listener.close()
        await self._http.close()

    def _new_model(self) -> Model:
        self.models.append(Model(self.stage, self.stage.new_model()))
        return self.models[-1]

    async def ring(self, calls: int) -> None:
        """Begin `calls` calls, one after the other, until every caller hears the greeting."""
        async with asyncio.timeout(_ANSWER_S + calls * CALL_EVERY_S):
            dialling = []
            for _ in range(calls):
                dialling.append(asyncio.create_task(self._dial(self.stage.new_caller())))
                await asyncio.sleep(CALL_EVERY_S)
            await asyncio.gather(*dialling)
            while len(self.stage.tally.set_up) < calls:
                await asyncio.sleep(0.01)

    async def _dial(self, caller: Voice) -> None:
        rang_at = perf_counter()
        path, parameters = f"/media-stream/{caller.number}", dict[str, str]()
        if not self.stage.plain:
            call_sid = self.stage.call_sid(caller.number)
            answer = await ring(
                self._http, self._server.port, caller_number(caller.number), call_sid, self.stage.token)
            if not answer.connects:
                raise ConnectionError(f"no stream in the webhook's answer, but {answer.verbs}")
            path, parameters = answer.path, answer.parameters
        _, phone = await asyncio.get_running_loop().create_connection(
            lambda: Phone(self.stage, caller, path, parameters, rang_at), HOST, self._server.port)
        self._phones.append(phone)
        await phone.opened

    async def _drain(self) -> None:
        """Nothing is said any more: wait for what is on its way."""
        deadline = perf_counter() + _DRAIN_S
        while perf_counter() < deadline and (
                any(end.ear.outstanding for end in self._ends) or any(phone.awaits_clear for phone in self._phones)):
            await asyncio.sleep(0.05)

    @property
    def _ends(self) -> list[Phone | Model]:
        return [*self._phones, *self.models]

    def _count(self) -> None:
        faults = self.stage.tally.faults
        faults.lost += sum(end.ear.outstanding for end in self._ends)
        faults.dropped += sum(not end.live for end in self._ends)
        faults.uncleared += sum(phone.awaits_clear for phone in self._phones)

    async def _close(self) -> None:
        """The phones have hung up: the server should let go of the models as well."""
        if not self._ends:
            return
        _, open_still = await asyncio.wait([end.closed for end in self._ends], timeout=_CLOSE_S)
        self.stage.tally.faults.left_open += len(open_still)
        for end in self._ends:
            end.transport.abort()
