"""`python -m bridge` as a user starts and stops it: its exit code, what it says, and what it keeps to itself."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bridge import __version__
from bridge.records.database import open_database, parse_url
from bridge.sim.process import BRIDGE, ROOT, Server, running

KEY, TOKEN = "sk-very-secret", "token-very-secret"
#: A bound for what takes a second; no test depends on it.
PATIENCE_S = 30.0


def environment(**environ: str) -> dict[str, str]:
    """These settings and no others."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")} | environ


async def run(where: Path, *arguments: str, **environ: str) -> tuple[int | None, str, str]:
    """Exit code, standard output and standard error of a program that ends by itself."""
    process = await asyncio.create_subprocess_exec(
        *BRIDGE, *arguments, cwd=where, env={"PYTHONPATH": str(ROOT)} | environment(**environ),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode(), error.decode()


@asynccontextmanager
async def serving(where: Path, first: str = ":", **environ: str) -> AsyncIterator[Server]:
    """A server on a free port; killed if the test does not stop it. `first`: what the shell does before."""
    environ = {"HOST": "127.0.0.1", "PORT": "0", "OPENAI_API_KEY": KEY, "ALLOW_UNSIGNED": "1"} | environ
    command = ("/bin/sh", "-c", f'{first}; exec "$@"', "sh", *BRIDGE)
    async with running(where, environment(**environ), command, within_s=PATIENCE_S) as server:
        yield server


# ---- starting

async def test_without_a_key_it_says_what_to_do_and_exits_with_2(tmp_path: Path) -> None:
    code, out, error = await run(tmp_path)
    assert code == 2
    assert out == ""
    assert error.splitlines() == [
        "bridge cannot start:",
        "OPENAI_API_KEY is not set, for example OPENAI_API_KEY=sk-...",
        "TWILIO_AUTH_TOKEN is not set: it stands in the Twilio console, and keeps everybody but Twilio out. To try the "
        "server on this machine without it, set ALLOW_UNSIGNED=1 and HOST=127.0.0.1",
        "bridge/SETTINGS.md lists all settings.",
    ]


async def test_everything_that_is_wrong_is_said_in_one_go(tmp_path: Path) -> None:
    code, _, error = await run(tmp_path, PORT="http", TURN_DETECTION="none", TWILIO_ACCOUNT_SID="AC" + "0" * 32)
    assert code == 2
    assert [line.split()[0] for line in error.splitlines()[1:-1]] == [
        "OPENAI_API_KEY", "TURN_DETECTION", "PORT", "TWILIO_AUTH_TOKEN"]
    assert "Traceback" not in error


async def test_a_port_that_is_taken_is_said_and_exits_with_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        code, out, error = await run(tmp_path, OPENAI_API_KEY=KEY, HOST="127.0.0.1", PORT=port, TWILIO_AUTH_TOKEN=TOKEN)
    assert code == 1
    assert out == ""
    [line] = error.splitlines()
    assert line.startswith(f"bridge cannot listen on HOST=127.0.0.1 PORT={port}: Address already in use.")


@pytest.mark.parametrize(("most", "warned"), [(4096, False), (1300, True)])
async def test_as_many_files_may_be_open_as_the_system_allows(tmp_path: Path, most: int, warned: bool) -> None:
    async with serving(tmp_path, first=f"ulimit -Sn 256; ulimit -Hn {most}") as server:
        if sys.platform == "linux":
            limits = Path(f"/proc/{server.process.pid}/limits").read_text()
            assert re.findall(r"Max open files +(\d+) +(\d+)", limits) == [(str(most), str(most))]
        assert await server.stop(signal.SIGTERM) == 0
    found = re.search(r"(\d+) files may be open at once, and (\d+) .* for each of MAX_CALLS=100,", server.said)
    assert bool(found) == warned
    if found:
        assert int(found[1]) == most < int(found[2])


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0..0"])
async def test_a_host_that_is_not_this_machine_is_said_and_exits_with_1(tmp_path: Path, host: str) -> None:
    code, _, error = await run(tmp_path, OPENAI_API_KEY=KEY, HOST=host, PORT="0", TWILIO_AUTH_TOKEN=TOKEN)
    assert code == 1
    [line] = error.splitlines()
    assert line.startswith(f"bridge cannot listen on HOST={host} PORT=0: ")


async def test_an_unknown_command_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    code, _, error = await run(tmp_path, "dance")
    assert code == 2
    assert "serve" in error and "demo" in error and "Traceback" not in error


async def test_it_knows_its_version(tmp_path: Path) -> None:
    assert await run(tmp_path, "--version") == (0, f"{__version__}\n", "")


# ---- serving

async def test_it_answers_on_the_port_it_names(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, aiohttp.ClientSession() as http:
        async with http.get(f"{server.origin}/") as answer:
            assert (await answer.json())["version"] == __version__
        async with http.get(f"{server.origin}/healthz") as answer:
            assert answer.status == 200


async def test_it_reads_the_file_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\nPUBLIC_URL=https://bridge.example.com\n")
    async with serving(tmp_path, OPENAI_API_KEY=KEY) as server:
        assert "Twilio's voice URL is https://bridge.example.com/incoming-call" in server.said


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_in_order_when_it_is_told_to(tmp_path: Path, by: signal.Signals) -> None:
    async with serving(tmp_path, TWILIO_AUTH_TOKEN=TOKEN) as server:
        assert await server.stop(by) == 0
        assert "Traceback" not in server.said


async def test_it_says_loudly_that_it_is_open(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        [warning] = [line for line in server.said.splitlines() if "WARNING" in line]
        assert "THIS SERVER IS OPEN" in warning and "Set TWILIO_AUTH_TOKEN" in warning


async def test_with_a_token_there_is_nothing_to_warn_of(tmp_path: Path) -> None:
    async with serving(tmp_path, TWILIO_AUTH_TOKEN=TOKEN) as server:
        made, listens = server.said.splitlines()
        assert f"a new database was made: {tmp_path}/bridge.db" in made
        assert "listens on 127.0.0.1 port" in listens


@pytest.mark.parametrize(("environ", "warned"), [
    ({}, False), ({"DYNO": "web.1"}, True), ({"K_SERVICE": "bridge"}, True),
    ({"DYNO": "web.1", "DATABASE_URL": "sqlite:///meetings.db"}, True)])
async def test_a_disk_that_does_not_last_is_warned_of(tmp_path: Path, environ: dict[str, str], warned: bool) -> None:
    async with serving(tmp_path, TWILIO_AUTH_TOKEN=TOKEN, **environ) as server:
        assert ("Set DATABASE_URL to a PostgreSQL database" in server.said) == warned
        assert ("WARNING MEETINGS ARE FORGOTTEN" in server.said) == warned


async def test_whoever_reads_only_the_first_lines_of_a_command_sees_no_traceback(tmp_path: Path) -> None:
    async with open_database(parse_url(f"sqlite:///{tmp_path}/bridge.db")):
        pass
    reading, writing = os.pipe()
    os.close(reading)                                # as `| head` does, once it has seen enough
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bridge", "meetings", cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, stdout=writing,
            stderr=asyncio.subprocess.PIPE)
    finally:
        os.close(writing)
    _, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (process.returncode, error) == (1, b"")


async def test_log_lines_for_machines_are_json(tmp_path: Path) -> None:
    async with serving(tmp_path, LOG_FORMAT="json") as server:
        await server.stop(signal.SIGTERM)
        lines = [json.loads(line) for line in server.said.splitlines()]
    assert {"WARNING", "INFO"} <= {line["level"] for line in lines}
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)


async def test_no_secret_is_ever_logged(tmp_path: Path) -> None:
    secrets = {"TWILIO_AUTH_TOKEN": TOKEN, "WEBHOOK_URL": "https://example.com/very-secret"}
    async with serving(tmp_path, LOG_LEVEL="DEBUG", **secrets) as server, aiohttp.ClientSession() as http:
        async with http.post(f"{server.origin}/incoming-call", data={"From": "+15551234567"}) as answer:
            assert answer.status == 403
        await server.stop(signal.SIGTERM)
    assert "very-secret" not in server.said
    assert "5551234567" not in server.said
