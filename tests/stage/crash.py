"""Servers that a test may kill at any moment, and what they told the model before that.

`python -m tests.stage.crash` imports everything once and then forks. Each server is a process of its own, and starts in
milliseconds. The two sides speak JSON, line by line. The test writes `start`, `signal` and `await` to standard input.
The program and its servers write `open`, `told` and `ended` to standard output. When the input ends, all of them end.
A server can also be told to die at a moment that chance finds too rarely.
"""

import asyncio
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from aiohttp import web

from bridge import keys
from bridge.app import create_app
from bridge.delivery.outbox import Outbox
from bridge.loop.event_loop import event_loop
from bridge.records.deliveries import DeliveryQueue
from bridge.records.engines import create_engine
from bridge.settings import Settings, load
from bridge.tools.tool import OnBehalfOf

#: A bound for waits that take a second. No test depends on it.
PATIENCE_S = 60.0
#: The most of an output that is told, in characters, so that a line reaches the pipe as a whole or not at all.
MESSAGE = 120
#: The moments at which a server kills itself: a meeting is committed and its receiver not asked yet, or the receiver
#: has said yes and that is not written down yet.
COMMITTED, TAKEN = "committed", "taken"


@dataclass(frozen=True)
class Ask:
    """A caller asks for a meeting after `after` seconds. Each ask is a call of its own."""

    caller: str
    start: str
    call_sid: str
    after: float = 0.0
    email: str = "ada@example.com"


@dataclass(frozen=True)
class Told:
    """The output that the model got for an ask."""

    ask: Ask
    status: str
    meeting_id: str
    message: str


# ---- the test's side

@dataclass
class Servers:
    """Starts servers and ends them. `told` is all that they have told, in order. `on_told` hears it at once."""

    process: asyncio.subprocess.Process
    on_told: Callable[[Told], None]
    told: list[Told] = field(default_factory=list)
    _news: dict[tuple[int, str], Any] = field(default_factory=dict)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)
    _numbers: Any = field(default_factory=count)

    async def start(self, asks: Sequence[Ask], dies: str = "") -> int:
        """Starts a server with an open database. It listens to its callers from `go` on. Returns its number.

        `dies`: COMMITTED or TAKEN, the moment at which it kills itself.
        """
        number: int = next(self._numbers)
        self._command(start=number, asks=[asdict(ask) for ask in asks], dies=dies)
        await self._until(number, "open")
        return number

    def go(self, number: int) -> None:
        self._command(signal=number, by=signal.SIGUSR1)

    async def answered(self, number: int) -> None:
        """Waits until all its callers have been answered."""
        await self._until(number, "answered")

    async def end(self, number: int, by: signal.Signals | None = None) -> int:
        """Waits for its end, by this signal or by itself, and reads all that it told. Returns its exit code."""
        if by:
            self._command(signal=number, by=by)
        self._command(**{"await": number})
        code: int = await self._until(number, "ended")
        return code

    def _command(self, **command: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def _until(self, number: int, news: str) -> Any:
        async with asyncio.timeout(PATIENCE_S), self._came:
            await self._came.wait_for(lambda: (number, news) in self._news)
        return self._news[number, news]

    async def read(self) -> None:
        assert self.process.stdout
        async for line in self.process.stdout:
            said = json.loads(line)
            number = said.pop("server")
            if "ask" in said:
                told = Told(Ask(**said.pop("ask")), **said)
                self.told.append(told)
                self.on_told(told)
                continue
            async with self._came:
                self._news |= {(number, news): value for news, value in said.items()}
                self._came.notify_all()


@asynccontextmanager
async def servers(
    constants: Mapping[str, Any], on_told: Callable[[Told], None] = lambda told: None, /, **settings: str,
) -> AsyncIterator[Servers]:
    """Servers with these settings and these constants of modules. None is left behind."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "tests.stage.crash", json.dumps([dict(constants), settings]),
        cwd=Path(__file__).parents[2], start_new_session=True, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")})
    built = Servers(process, on_told)
    reading = asyncio.create_task(built.read())
    try:
        yield built
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), PATIENCE_S)
        finally:
            with suppress(ProcessLookupError):       # it may have ended already
                os.killpg(process.pid, signal.SIGKILL)
            await reading


# ---- the process that forks

def main() -> None:
    constants, environ = json.loads(sys.argv[1])
    for name, value in constants.items():
        module_name, _, constant = name.rpartition(".")
        module = importlib.import_module(module_name)
        assert hasattr(module, constant), name
        setattr(module, constant, value)
    settings = load(environ)
    with suppress(ImportError):
        import uvloop  # noqa: F401
    create_engine(settings.DATABASE_URL)             # imports the database's driver, and opens nothing
    forked: dict[int, int] = {}
    try:
        for line in sys.stdin.buffer:
            match json.loads(line):
                case {"start": number, "asks": asks, "dies": dies}:
                    forked[number] = os.fork() or be_a_server(number, settings, [Ask(**ask) for ask in asks], dies)
                case {"signal": number, "by": by}:
                    os.kill(forked[number], by)
                case {"await": number}:
                    _, status = os.waitpid(forked[number], 0)
                    del forked[number]
                    say(number, ended=os.waitstatus_to_exitcode(status))
    finally:
        for pid in forked.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def say(number: int, **news: Any) -> None:
    """Tells the test in one write, which is done or not done when the process is killed."""
    os.write(sys.stdout.fileno(), json.dumps({"server": number, **news}).encode() + b"\n")


# ---- a server

def be_a_server(number: int, settings: Settings, asks: Sequence[Ask], dies: str) -> NoReturn:
    code = 1
    if dies:
        die_when(dies)
    try:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            runner.run(serve(number, settings, asks))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def die_when(moment: str) -> None:
    """Makes the server end where its next step would begin."""
    owner, name = {COMMITTED: (Outbox, "promised"), TAKEN: (DeliveryQueue, "delivered")}[moment]
    step = getattr(owner, name)

    def end(self: object, subject: object, *more: object) -> Any:
        if subject:                                  # a repeated request brings no news, so nothing is promised
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, subject, *more)

    setattr(owner, name, end)


async def serve(number: int, settings: Settings, asks: Sequence[Ask]) -> None:
    """Runs the whole application, without its telephone, until SIGTERM."""
    go, stop = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, go.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = create_app(settings)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        say(number, open=True)
        await go.wait()
        async with asyncio.TaskGroup() as calls:
            for ask in asks:
                calls.create_task(call(number, app, ask))
        say(number, answered=True)
        await stop.wait()
    finally:
        await runner.cleanup()


async def call(number: int, app: web.Application, ask: Ask) -> None:
    await asyncio.sleep(ask.after)
    arguments = {"name": "Ada", "email": ask.email, "datetime": ask.start, "description": "A tooth"}
    output = (await app[keys.TOOLS].for_call().run(
        "schedule_meeting", json.dumps(arguments), OnBehalfOf(ask.call_sid, ask.caller, turn=1))).answer
    say(number, ask=asdict(ask), status=output.get("status", "error"), meeting_id=output.get("meeting_id", ""),
        message=str(output.get("message", output))[:MESSAGE])


if __name__ == "__main__":
    main()
