"""The process that is measured: the bridge or the relay, alone on its core, what it holds, and its log.

`python -m tests.load.server` is the bridge. At SIGUSR1 it also writes what it holds to a file, CENSUS in the
folder where it was started. The file appears when it is complete.
"""

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from bridge.sim.process import HOST, NoServer, Server, running

#: The servers that can be measured, and the bridge that can also be asked what it holds.
MODULES = {"bridge": "bridge", "relay": "tests.load.relay", "watched": "tests.load.server"}
#: The server's log as `read` reads it.
LOGGED = {"LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}
CENSUS = "census.json"

_START_S, _STOP_S = 20.0, 15.0
#: How long the server may take to let go of everything, and to say what it holds, in seconds.
LET_GO_S, _ANSWER_S = 20.0, 10.0
_KIB_PER_PAGE = os.sysconf("SC_PAGE_SIZE") // 1024


# ---- the cores

def share_cores() -> int | None:
    """Takes one core for the load and returns another for the server. None: there is only one."""
    own, *others = sorted(os.sched_getaffinity(0))
    if not others:
        print("warning: load and server share the only core")
        return None
    os.sched_setaffinity(0, {own})
    # A wait for our own core would count as the server's delay. The processes that we start do not inherit this.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    return others[-1]


def stand_back() -> None:
    """Lets this process run only when nothing else wants the core, so that it does not delay the measured one."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


# ---- the process

class Measured:
    """A running server, and what Linux knows about it."""

    def __init__(self, process: Server, place: Path) -> None:
        self.pid, self.port, self.place = process.process.pid, process.port, place
        self._process = process

    @property
    def said(self) -> str:
        """Everything that it has written to standard error so far."""
        return self._process.said

    def journal(self) -> "Journal":
        """The journal of a server that is LOGGED."""
        return read(self.said.splitlines())

    def move_to(self, core: int | None) -> None:
        """Moves all its threads to this core. Threads that it starts later follow them."""
        if core is not None:
            for thread in os.listdir(f"/proc/{self.pid}/task"):
                os.sched_setaffinity(int(thread), {core})

    def cpu_s(self) -> float:
        """The CPU time of all its threads, to the ns. utime + stime of /proc/PID/stat count in steps of 10 ms.

        The clock's id is made of the process id as clock_getcpuclockid(3) does.
        """
        return time.clock_gettime(~self.pid << 3 | 2)

    def waited_s(self) -> float:
        """How long its main thread was ready to run while something else had the core, in seconds."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9

    def clocks(self) -> tuple[float, float, float, float]:
        """In seconds: the time now, the server's CPU time, how long it waited for its core, our own CPU time."""
        return perf_counter(), self.cpu_s(), self.waited_s(), time.process_time()

    def open_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_kib(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _KIB_PER_PAGE


@asynccontextmanager
async def serving(
    kind: str, model_port: int, core: int | None, settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Measured]:
    """Starts a server of MODULES with more `settings`, ready for calls. Stops it at the end. Raises NoServer."""
    port = free_port()
    environ = {**environment(port, model_port), **(settings or {})}
    # The bridge reads a .env where it is started, so it starts in an empty folder.
    with tempfile.TemporaryDirectory() as place:
        async with running(
            place, environ, (sys.executable, "-m", MODULES[kind]), port=port, within_s=_START_S,
        ) as process:
            server = Measured(process, Path(place))
            try:
                server.move_to(core)
                yield server
            except OSError as lost:
                if process.runs:
                    raise
                raise NoServer(f"it ended in mid-run with status {process.process.returncode}:\n"
                               f"{process.said}") from lost
            finally:
                await process.stop(within_s=_STOP_S)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def environment(port: int, model_port: int) -> dict[str, str]:
    """The server's environment, with no key, token or address of a person's own shell."""
    return {
        "PATH": os.environ.get("PATH", ""), "HOST": HOST, "PORT": str(port), "OPENAI_API_KEY": "sk-load",
        "OPENAI_REALTIME_URL": f"ws://{HOST}:{model_port}/v1/realtime", "ALLOW_UNSIGNED": "1",
        "GREETINGS_RESPONSE": "Hello! How can I help you?", "PROTECT_GREETING": "0",
        "MAX_CALLS": "10000", "MAX_CALLS_PER_CALLER": "0", "CALLS_PER_HOUR_PER_CALLER": "0", "DRAIN_S": "0",
        "LOG_LEVEL": "WARNING",
    }


# ---- what it holds

#: The states in /proc/net/tcp that matter here. All others count as "other".
_STATES = {"01": "established", "08": "close wait", "0A": "listening"}
#: A database keeps connections for later. Their number depends on the busiest moment and is no leak.
_DATABASE = (".db", ".db-wal", ".db-shm", ".db-journal")


@dataclass(frozen=True)
class Census:
    """What a server holds. `files`: descriptors that are neither sockets nor the database's."""

    tasks: list[str]
    objects: int
    descriptors: int
    files: int
    sockets: int
    connections: dict[str, int]

    def beyond(self, idle: "Census") -> dict[str, int]:
        """What is held beyond the idle server, by kind."""
        more = {
            "tasks": len(self.tasks) - len(idle.tasks), "sockets": self.sockets - idle.sockets,
            "files": self.files - idle.files}
        return {f"leaked_{kind}": count for kind, count in more.items() if count > 0}


async def settled(server: Measured, idle: Census) -> Census:
    """Waits until nothing is held beyond the idle server, LET_GO_S at most. Returns the last census."""
    deadline = perf_counter() + LET_GO_S
    while True:
        now = await census(server)
        if not now.beyond(idle) or perf_counter() > deadline:
            return now
        await asyncio.sleep(0.5)


async def census(server: Measured) -> Census:
    """Asks a `watched` server and reads /proc. Raises TimeoutError."""
    answer = server.place / CENSUS
    answer.unlink(missing_ok=True)
    os.kill(server.pid, signal.SIGUSR1)
    async with asyncio.timeout(_ANSWER_S):
        while not answer.exists():
            await asyncio.sleep(0.02)
    asked: dict[str, Any] = json.loads(answer.read_text())
    links = descriptors(server.pid)
    sockets = [link[8:-1] for link in links if link.startswith("socket:[")]
    files = [link for link in links if not link.startswith("socket:[") and not link.endswith(_DATABASE)]
    return Census(
        asked["tasks"], asked["objects"], len(links), len(files), len(sockets), connections({*sockets}, server.pid))


def descriptors(pid: int) -> list[str]:
    """The target of each open file descriptor of the process."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):            # closed in the meantime
            found.append(os.readlink(each))
    return found


def connections(inodes: set[str], pid: int) -> dict[str, int]:
    """How many of these sockets, given by their inodes, are in each state."""
    states: Counter[str] = Counter()
    for table in "tcp", "tcp6":
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[9] in inodes:
                states[_STATES.get(columns[3], "other")] += 1
    return dict(states)


def _count(*_: object) -> None:
    """The server's answer to SIGUSR1."""
    gc.collect()
    tasks = asyncio.all_tasks(asyncio.get_running_loop())
    names = [getattr(task.get_coro(), "__qualname__", "unknown") for task in tasks]
    news = Path(CENSUS + ".new")
    news.write_text(json.dumps({"tasks": sorted(names), "objects": len(gc.get_objects())}))
    news.rename(CENSUS)


def main() -> int:
    # Imported here, because the load itself shares no code with the server.
    from bridge.__main__ import main as serve
    signal.signal(signal.SIGUSR1, _count)
    return serve([])


# ---- what it has said

#: The libraries' loggers. They complain only if the server should have handled something.
_LIBRARIES = ("asyncio", "aiohttp")


@dataclass
class Journal:
    """How calls ended, and exceptions that nobody handled, which must not stand in a log.

    `reasons`: how each call ended, by its CallSid. `closed`: how often the log says that it closed.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    closed: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    unhandled: list[str] = field(default_factory=list)


def read(lines: Iterable[str]) -> Journal:
    """Reads the log of a server that is LOGGED, one JSON object a line.

    Three kinds of lines are exceptions that nobody handled: a line with a traceback, a line of asyncio's own (a task's
    exception that nobody took, a socket that nobody closed), and plain text on standard error.
    """
    journal = Journal()
    for line in lines:
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict):
            _take(journal, entry, line)
        else:
            journal.unhandled.append(line)
    return journal


def _take(journal: Journal, entry: dict[str, Any], line: str) -> None:
    level, logger = str(entry.get("level")), str(entry.get("logger"))
    journal.levels[level] += 1
    if "traceback" in entry or level == "CRITICAL" or (
            logger.startswith(_LIBRARIES) and level in ("WARNING", "ERROR")):
        journal.unhandled.append(line)
    call, reason = entry.get("call"), entry.get("reason")
    if isinstance(call, str) and isinstance(reason, str) and " closed after " in str(entry.get("message")):
        journal.reasons[call] = reason
        journal.closed[call] += 1


if __name__ == "__main__":
    sys.exit(main())
