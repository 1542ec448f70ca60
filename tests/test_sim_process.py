"""A server process as rehearsals, benchmark and tests start it: what is noticed, and that nothing is left."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from bridge.sim.process import NoServer, running

LISTENS = """
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
listening = socket.create_server(("127.0.0.1", 0))
print("not on standard error", flush=True)
print("it listens on 127.0.0.1 port", listening.getsockname()[1], file=sys.stderr, flush=True)
while True:
    signal.pause()
"""
WAITS = "import signal; signal.pause()"


def program(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", text


async def test_it_runs_until_it_is_told_to_stop_and_all_that_it_said_is_known(tmp_path: Path) -> None:
    heard: list[str] = []
    async with running(tmp_path, {}, program(LISTENS), heard=heard.append) as server:
        assert server.runs
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()
        assert server.origin == f"http://127.0.0.1:{server.port}"
        assert await server.stop() == 7
        assert not server.runs
    assert heard == [f"it listens on 127.0.0.1 port {server.port}"]
    assert server.said == heard[0] + "\n"


async def test_what_nobody_reads_is_read_once_it_has_ended(tmp_path: Path) -> None:
    talks = LISTENS.replace("while True:", "for _ in range(400): print('x' * 1000, file=sys.stderr)\nwhile False:")
    async with running(tmp_path, {}, program(talks)) as server:
        server.stop_reading()
        assert await server.ended() == 0
        assert server.said.count("x" * 1000) == 400


async def test_a_port_that_it_was_told_is_looked_at(tmp_path: Path) -> None:
    async with running(tmp_path, {}, program(LISTENS)) as other:
        async with running(tmp_path, {}, program(WAITS), port=other.port) as server:
            assert server.port == other.port


async def test_one_that_ends_before_it_listens_says_why(tmp_path: Path) -> None:
    with pytest.raises(NoServer, match="status 3 before it listened:\nNo key.\n"):
        async with running(tmp_path, {}, program("import sys; print('No key.', file=sys.stderr); sys.exit(3)")):
            pass


async def test_one_that_never_listens_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with pytest.raises(NoServer, match="does not listen after 0 s"):
        async with running(tmp_path, {}, program(WAITS), within_s=0.1):
            pass


async def test_one_that_does_not_stop_is_noticed_and_killed(tmp_path: Path) -> None:
    with pytest.raises(NoServer, match="has not ended"):
        async with running(tmp_path, {}, program(LISTENS.replace("sys.exit(7)", "None"))) as server:
            await server.stop(within_s=0.1)
    assert server.process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(server.process.pid, 0)
