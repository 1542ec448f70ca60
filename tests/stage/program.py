"""`python -m bridge` in a process of its own, as a user starts and stops it."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY, TOKEN = "sk-very-secret", "token-very-secret"
#: A bound for what takes a second; no test depends on it.
PATIENCE_S = 30.0


async def launch(where: Path, *arguments: str, first: str = ":", **environ: str) -> asyncio.subprocess.Process:
    """The program in a folder of its own, with these settings and no others; `first`: what the shell does before."""
    measuring = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", f'{first}; exec "$@"', "sh", sys.executable, "-m", "bridge", *arguments,
        cwd=where, env={"PYTHONPATH": str(ROOT)} | measuring | environ,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)


async def run(where: Path, *arguments: str, **environ: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error of a program that ends by itself."""
    process = await launch(where, *arguments, **environ)
    out, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode(), error.decode()


class Program:
    """A server in a process of its own: its address, and everything it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.said, self.origin = process, "", ""

    async def until_it_listens(self) -> None:
        assert self.process.stderr
        while not (found := re.search(r"listens on \S+ port (\d+)", self.said)):
            line = await self.process.stderr.readline()
            assert line, f"ended before it listened: {self.said}"
            self.said += line.decode()
        self.origin = f"http://127.0.0.1:{found[1]}"

    async def stop(self, by: signal.Signals) -> int | None:
        self.process.send_signal(by)
        _, rest = await asyncio.wait_for(self.process.communicate(), PATIENCE_S)
        self.said += rest.decode()
        return self.process.returncode


@asynccontextmanager
async def serving(where: Path, first: str = ":", **environ: str) -> AsyncIterator[Program]:
    """A server on a free port of this machine; killed if the test does not stop it."""
    environ = {"HOST": "127.0.0.1", "PORT": "0", "OPENAI_API_KEY": KEY, "ALLOW_UNSIGNED": "1"} | environ
    server = Program(await launch(where, first=first, **environ))
    try:
        await asyncio.wait_for(server.until_it_listens(), PATIENCE_S)
        yield server
    finally:
        if server.process.returncode is None:
            server.process.kill()
        await server.process.communicate()
