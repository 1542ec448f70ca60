"""`python -m bridge` in a process of its own, as a user starts and stops it."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.sim.process import BRIDGE, ROOT, Server, running

__all__ = ["KEY", "PATIENCE_S", "ROOT", "TOKEN", "environment", "run", "serving"]

KEY, TOKEN = "sk-very-secret", "token-very-secret"
#: A bound for waits that take a second. No test depends on it.
PATIENCE_S = 30.0


def environment(**environ: str) -> dict[str, str]:
    """An environment with these settings and no others."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")} | environ


async def run(where: Path, *arguments: str, **environ: str) -> tuple[int | None, str, str]:
    """Runs a program that ends by itself. Returns its exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        *BRIDGE, *arguments, cwd=where, env={"PYTHONPATH": str(ROOT)} | environment(**environ),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode(), error.decode()


@asynccontextmanager
async def serving(
    where: Path, first: str = ":", arguments: Sequence[str] = (), **environ: str,
) -> AsyncIterator[Server]:
    """A server on a free port; killed if the test does not stop it. `first`: what the shell does before."""
    environ = {"HOST": "127.0.0.1", "PORT": "0", "OPENAI_API_KEY": KEY, "ALLOW_UNSIGNED": "1"} | environ
    command = ("/bin/sh", "-c", f'{first}; exec "$@"', "sh", *BRIDGE, *arguments)
    async with running(where, environment(**environ), command, within_s=PATIENCE_S) as server:
        yield server
