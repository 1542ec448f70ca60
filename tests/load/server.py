"""The process that is measured: the bridge or the relay, alone on its core, and what Linux knows about it."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import bridge

HOST = "127.0.0.1"
MODULES = {"bridge": "bridge", "relay": "tests.load.relay"}

_START_S = 20.0
_STOP_S = 15.0
_KIB_PER_PAGE = os.sysconf("SC_PAGE_SIZE") // 1024


class NoServer(Exception):
    """The server did not start, or did not stop."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A running server, by its process id."""

    def __init__(self, pid: int, port: int, log: Path) -> None:
        self.pid, self.port = pid, port
        self.place = log.parent                      # the folder that it was started in
        self._log = log
        self._all: str | None = None

    def said(self) -> str:
        """What it has written to stderr: so far, or, once it has stopped, all."""
        return self._log.read_text(errors="replace") if self._all is None else self._all

    def stopped(self) -> None:
        """Keep what it said, for its folder goes away."""
        self._all = self.said()

    def cpu_s(self) -> float:
        """CPU time of all its threads: utime + stime of /proc/PID/stat, which counts in 10 ms, to the ns.

        The clock's id is what clock_getcpuclockid(3) makes of a process id.
        """
        return time.clock_gettime(~self.pid << 3 | 2)

    def waited_s(self) -> float:
        """How long its main thread was ready to run while something else had the core."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9

    def open_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_kib(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _KIB_PER_PAGE


@asynccontextmanager
async def serving(
    kind: str, model_port: int, core: int | None, settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Server]:
    """A server of this kind, ready for calls, with more `settings`; stopped at the end. Raises NoServer."""
    port = free_port()
    async with running(MODULES[kind], port, {**environment(port, model_port), **(settings or {})}, core) as server:
        yield server


@asynccontextmanager
async def running(module: str, port: int, environment: Mapping[str, str], core: int | None) -> AsyncIterator[Server]:
    """`python -m module` in an empty folder, listening at `port`; stopped at the end. Raises NoServer."""
    # The bridge reads a .env where it is started, so that is an empty place.
    with tempfile.TemporaryDirectory() as place, (Path(place) / "stderr").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=place, env=environment, stdin=subprocess.DEVNULL, stderr=log)
        server = Server(process.pid, port, Path(log.name))
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            await _accepting(process, server)
            yield server
        except OSError as lost:
            if process.poll() is None:
                raise
            raise NoServer(f"it ended in mid-run with status {process.returncode}:\n{server.said()}") from lost
        finally:
            process.terminate()
            await _ended(process)
            server.stopped()


def own_environment() -> dict[str, str]:
    """What any program of ours needs to run, and nothing else of the environment."""
    return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(Path(bridge.__file__).parents[1])}


def environment(port: int, model_port: int) -> dict[str, str]:
    """What the server needs and nothing of ours: no key, no token, no address of a person's own shell."""
    return {
        **own_environment(),
        "HOST": HOST, "PORT": str(port), "OPENAI_API_KEY": "sk-load", "ALLOW_UNSIGNED": "1",
        "OPENAI_REALTIME_URL": f"ws://{HOST}:{model_port}/v1/realtime",
        "GREETINGS_RESPONSE": "Hello! How can I help you?", "PROTECT_GREETING": "0",
        "MAX_CALLS": "10000", "MAX_CALLS_PER_CALLER": "0", "CALLS_PER_HOUR_PER_CALLER": "0", "DRAIN_S": "0",
        "LOG_LEVEL": "WARNING",
    }


async def _accepting(process: subprocess.Popen[bytes], server: Server) -> None:
    """Wait until somebody listens at the port."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NoServer(f"it ended at once with status {process.returncode}:\n{server.said()}")
        try:
            _, writer = await asyncio.open_connection(HOST, server.port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise NoServer(f"it does not listen after {_START_S:.0f} s:\n{server.said()}")


async def _ended(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _STOP_S
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise NoServer(f"it did not stop within {_STOP_S:.0f} s of SIGTERM and was killed")
        await asyncio.sleep(0.05)
