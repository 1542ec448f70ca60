"""What the server's process holds: file descriptors and connections by /proc, tasks by asking it (watched.py)."""

import asyncio
import json
import os
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.load.server import Server
from tests.load.watched import CENSUS

_ANSWER_S = 10.0
#: The states in /proc/net/tcp that matter here; all others count as "other".
_STATES = {"01": "established", "08": "close wait", "0A": "listening"}
#: A database keeps connections for later: how many depends on the busiest moment, and is no leak.
_DATABASE = (".db", ".db-wal", ".db-shm", ".db-journal")


@dataclass(frozen=True)
class Census:
    """`files`: descriptors that are neither a socket nor the database's."""

    tasks: list[str]
    objects: int
    descriptors: int
    files: int
    sockets: int
    connections: dict[str, int]

    def beyond(self, idle: "Census") -> dict[str, int]:
        """What is held now and was not in the idle server, by kind."""
        more = {
            "tasks": len(self.tasks) - len(idle.tasks), "sockets": self.sockets - idle.sockets,
            "files": self.files - idle.files}
        return {kind: count for kind, count in more.items() if count > 0}


async def settled(server: Server, idle: Census, within_s: float) -> Census:
    """The census as soon as nothing is held beyond the idle one, else the last one taken in that time."""
    deadline = perf_counter() + within_s
    while True:
        now = await take(server)
        if not now.beyond(idle) or perf_counter() > deadline:
            return now
        await asyncio.sleep(0.5)


async def take(server: Server) -> Census:
    """Ask the server and look into /proc. Raises TimeoutError."""
    asked = await _ask(server)
    links = descriptors(server.pid)
    sockets = [link[8:-1] for link in links if link.startswith("socket:[")]
    files = [link for link in links if not link.startswith("socket:[") and not link.endswith(_DATABASE)]
    return Census(
        asked["tasks"], asked["objects"], len(links), len(files), len(sockets), connections({*sockets}, server.pid))


async def _ask(server: Server) -> dict[str, Any]:
    answer = server.place / CENSUS
    answer.unlink(missing_ok=True)
    os.kill(server.pid, signal.SIGUSR1)
    async with asyncio.timeout(_ANSWER_S):
        while not answer.exists():
            await asyncio.sleep(0.02)
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def descriptors(pid: int) -> list[str]:
    """What each open file descriptor of the process stands for."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(each))
        except FileNotFoundError:                    # closed in the meantime
            pass
    return found


def connections(inodes: set[str], pid: int) -> dict[str, int]:
    """How many of these sockets, by their inodes, are in which state."""
    states: Counter[str] = Counter()
    for table in "tcp", "tcp6":
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[9] in inodes:
                states[_STATES.get(columns[3], "other")] += 1
    return dict(states)
