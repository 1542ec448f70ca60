"""`python -m bridge` as a user starts and stops it: its exit code, what it says, and what it keeps to itself."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from bridge import __version__
from bridge.records.database import open_database, parse_url
from tests.stage.program import KEY, PATIENCE_S, ROOT, TOKEN, run, serving


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
        f"bridge/SETTINGS.md lists all settings. `{sys.executable} -m bridge init` asks for those that a call needs.",
    ]


async def test_without_its_packages_it_says_how_to_install_them(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-S", "-m", "bridge", "doctor", cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
        stderr=asyncio.subprocess.PIPE)
    _, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    [line] = error.decode().splitlines()
    assert process.returncode == 1 and line.startswith("bridge needs the package ")
    assert "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt" in line


async def test_ctrl_c_while_it_loads_is_no_traceback(tmp_path: Path) -> None:
    """Loading takes a second. This package is one of those that are loaded."""
    (tmp_path / "icalendar.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    assert await run(tmp_path, "doctor") == (130, "", "")


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


async def test_help_has_a_line_for_each_command(tmp_path: Path) -> None:
    code, out, _ = await run(tmp_path, "--help", COLUMNS="80")
    listed = re.search(r"^  \{?([\w,-]+)\}?$\n(.*?)\n\n", out, re.M | re.S)
    assert code == 0 and listed
    names = [line.split()[0] for line in listed[2].splitlines()]
    assert names == listed[1].split(",") and {"init", "serve", "demo", "meetings"} <= set(names)


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
        made, *introduction = server.said.splitlines()
        assert f"a new database was made: {tmp_path}/bridge.db" in made
        assert len(introduction) == 4 and all(" INFO " in line for line in introduction)


async def test_it_says_what_it_is(tmp_path: Path) -> None:
    environ = {
        "TWILIO_AUTH_TOKEN": TOKEN, "WEBHOOK_URL": "https://hooks.example.com/very-secret", "TIMEZONE": "Europe/Berlin",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TRANSFER_NUMBER": "sales=+15551234567", "FALLBACK": "message",
        "GREETINGS_RESPONSE": "Bridge Dental,  good day! " * 5, "RETENTION_DAYS": "90"}
    async with serving(tmp_path, **environ) as server:
        answers, offers, records, listens = (
            line.partition(" INFO ")[2].strip() for line in server.said.splitlines()[1:])
    assert answers == ("who answers: gpt-realtime-2.1 at api.openai.com, with the voice marin: “Bridge Dental, good "
                       "day! Bridge Dental, good day! Bridge De…”")
    assert offers == ("what callers are offered: meetings of 30 minutes, by the clocks of Europe/Berlin, told to "
                      "hooks.example.com; a transfer to sales; when the assistant cannot speak, a message that is "
                      "recorded")
    assert records == f"records: the file {tmp_path}/bridge.db, kept for 90 days"
    assert listens == (f"bridge {__version__} listens on 127.0.0.1 port {server.port}; Twilio's voice URL is "
                       "https://<your host>/incoming-call")


async def test_each_warning_is_said_once(tmp_path: Path) -> None:
    environ = {"WEBHOOK_URL": "https://n8n.example.com/webhook-test/x", "OPENAI_MODEL": "gpt-realtime", "DYNO": "web.1",
               "ALLOW_UNSIGNED": "anybody-may-call-at-my-expense", "GREETINGS_RESPONS": "Hi"}
    async with serving(tmp_path, **environ) as server:
        warnings = [line.partition(" WARNING ")[2] for line in server.said.splitlines() if " WARNING " in line]
    assert len(warnings) == len(set(warnings)) == 5


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
