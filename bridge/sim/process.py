"""A server in a process of its own, as a user starts it: its start, its run and its end."""

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
BRIDGE = (sys.executable, "-m", "bridge")

_LOOK_S = 0.02


class NoServer(Exception):
    """The server did not start, or did not end in time. The message has what it wrote before it listened."""


class Server:
    """A running server: its process, address and standard error. Made by `running`."""

    def __init__(self, process: asyncio.subprocess.Process, heard: Callable[[str], None]) -> None:
        self.process, self.port = process, 0
        self._heard = heard
        self._lines: list[str] = []
        self._rest = b""                             # of a line that is not whole
        self._reading = asyncio.create_task(self._read())

    @property
    def origin(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def said(self) -> str:
        """Everything that it has written to standard error so far."""
        return "".join(f"{line}\n" for line in self._lines) + self._rest.decode(errors="replace")

    @property
    def runs(self) -> bool:
        return self.process.returncode is None

    async def _read(self) -> None:
        assert self.process.stderr
        while data := await self.process.stderr.read(65536):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._lines.append(line.decode(errors="replace"))
                self._heard(self._lines[-1])

    def stop_reading(self) -> None:
        """Stops reading its standard error until it is to end, so that the pipe fills."""
        self._reading.cancel()

    async def _read_all(self) -> None:
        if self._reading.cancelling():
            await asyncio.wait([self._reading])
            self._reading = asyncio.create_task(self._read())
        await self._reading

    async def until_it_listens(self, port: int, within_s: float) -> None:
        """Waits until it listens on `port`. With 0 it chooses a port, and says which. Raises NoServer."""
        try:
            async with asyncio.timeout(within_s):
                while not (await self._accepts(port) if port else self._told_port()):
                    if not self.runs:
                        await self._read_all()
                        raise NoServer(f"it ended with status {self.process.returncode} before it listened:\n"
                                       f"{self.said}")
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise NoServer(f"it does not listen after {within_s:.0f} s:\n{self.said}") from None

    def _told_port(self) -> bool:
        found = re.search(r"listens on \S+ port (\d+)", self.said)
        self.port = int(found[1]) if found else 0
        return bool(found)

    async def _accepts(self, port: int) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except ConnectionRefusedError:
            return False
        writer.close()
        self.port = port
        return True

    async def stop(self, by: signal.Signals = signal.SIGTERM, within_s: float = 30) -> int:
        """Sends a signal, waits for the end and returns the exit code. Raises NoServer."""
        with suppress(ProcessLookupError):
            self.process.send_signal(by)
        return await self.ended(within_s)

    async def ended(self, within_s: float = 30) -> int:
        """Waits for the end, reads the rest of its output and returns the exit code. Raises NoServer."""
        try:
            async with asyncio.timeout(within_s):
                await self._read_all()               # first, because an unread pipe stays open and we would wait
                code = await self.process.wait()
        except TimeoutError:
            raise NoServer(f"it has not ended after {within_s:.0f} s") from None
        return code

    async def kill(self) -> None:
        if self.runs:
            with suppress(ProcessLookupError):
                self.process.kill()
        await self._read_all()
        await self.process.wait()


@asynccontextmanager
async def running(
    folder: Path | str, environ: Mapping[str, str], command: Sequence[str] = BRIDGE, *, port: int = 0,
    within_s: float = 30, heard: Callable[[str], None] = lambda line: None,
) -> AsyncIterator[Server]:
    """Starts `command` in `folder` with this environment and no other, and yields it once it listens.

    `port` is as in `until_it_listens`. `heard` is called with each line of its standard error. Call `stop` for an end
    in order. A server that still runs at the end of the block is killed. Raises NoServer.
    """
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={"PYTHONPATH": str(ROOT), **environ},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
    server = Server(process, heard)
    try:
        await server.until_it_listens(port, within_s)
        yield server
    finally:
        await server.kill()
