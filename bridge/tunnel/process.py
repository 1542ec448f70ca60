"""A tunnel's program while it runs: until it tells its address, until it ends, until it is ended.

It runs in a session of its own, so that Ctrl-C at the terminal leaves it to the calls under way; a shell stands between
us and it, and ends it when our end of a pipe closes: also when this process is killed.
"""

import asyncio
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from bridge import settings
from bridge.tunnel.programs import Program, Said

#: How long a program may take to tell its address, then to be up, and to end, seconds.
ADDRESS_S, UP_S, END_S = 30.0, 15.0, 2.0
#: Starts "$@", and ends it when nobody holds the other end of the pipe on file 0 any more.
_GUARD = '"$@" </dev/null 2>&1 & exec >/dev/null 2>&1; read -r line; kill $!; wait $!'
#: As much of a line as is read, bytes; and of the last one as is told where a program says no better why it ended.
LINE, LAST = 64 * 1024, 300


def _environment() -> dict[str, str]:
    """Ours without our settings: another program needs none of our keys."""
    return {name: value for name, value in os.environ.items() if name not in settings.NAMES}


class NoTunnel(Exception):
    """There is no tunnel: one line with the reason. `final`: trying again is of no use."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class TunnelProcess:
    """A program that was started; `ended` is set when it is over."""

    def __init__(
        self, program: Program, shell: subprocess.Popen[bytes], output: asyncio.StreamReader,
        transport: asyncio.BaseTransport,
    ) -> None:
        self.name = program.name
        self._program, self._shell, self._output, self._transport = program, shell, output, transport
        self._address, self._up, self._last = "", False, ""
        self._problems: deque[Said] = deque(maxlen=20)
        self._news, self.ended = asyncio.Event(), asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, program: Program, file: str, address: str) -> "TunnelProcess":
        """Forwards to `address`, such as http://127.0.0.1:5050. Raises NoTunnel."""
        try:
            # Not asyncio's: of uvloop's pipes a child inherits all ends, and then none is ever closed.
            shell = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "sh", file, *program.arguments(address)], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, env=_environment())
        except OSError as error:
            raise NoTunnel(f"{program.name} cannot be started: {error.strerror}", final=True) from None
        output = asyncio.StreamReader(limit=LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), shell.stdout)
        return cls(program, shell, output, transport)

    async def address(self) -> str:
        """The tunnel's address, once it is told and the tunnel is up. Raises NoTunnel."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ADDRESS_S):
                await self._until(lambda: bool(self._address))
        if not self._address:
            raise self._no_tunnel("has ended" if self.ended.is_set() else f"told no address in {ADDRESS_S:g} s")
        with suppress(TimeoutError):                 # a program that does not say so is tried all the same
            async with asyncio.timeout(UP_S):
                await self._until(lambda: self._up)
        if self.ended.is_set():
            raise self._no_tunnel("has ended")
        return self._address

    def why(self) -> str:
        """What it said last of what went wrong, or ""."""
        return self._problems[-1].problem if self._problems else ""

    def _no_tunnel(self, what: str) -> NoTunnel:
        final = next((each for each in self._problems if each.final), None)
        said = final.problem if final else self.why() or self._last
        return NoTunnel(f"{self.name} {what}" + (f": {said}" if said else ""), final=final is not None)

    async def _until(self, true: Callable[[], bool]) -> None:
        while not true() and not self.ended.is_set():
            self._news.clear()
            await self._news.wait()

    async def _read(self) -> None:
        """Until nobody can write any more: the shell does not hold that end."""
        try:
            while True:
                try:
                    line = await self._output.readline()
                except ValueError:                   # longer than LINE, and left out
                    continue
                if not line:
                    break
                text = line.decode(errors="replace").rstrip()
                self._last = " ".join(text.split())[:LAST] or self._last
                self._take(self._program.read(text))
        finally:
            self.ended.set()
            self._news.set()

    def _take(self, said: Said) -> None:
        self._address = said.address or self._address
        self._up = self._up or said.up
        if said.problem:
            self._problems.append(said)
        self._news.set()

    async def stop(self) -> None:
        """Ends the program, within END_S and a little."""
        assert self._shell.stdin
        self._shell.stdin.close()
        try:
            await asyncio.to_thread(self._shell.wait, END_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._shell.pid, signal.SIGKILL)       # the shell, and the program in its group
            await asyncio.to_thread(self._shell.wait)
        self._reading.cancel()
        await asyncio.wait({self._reading})
        self._transport.close()
