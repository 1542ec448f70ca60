"""`python -m bridge doctor` in a terminal, beside the real server."""

import asyncio
import io
import json
from pathlib import Path

import jsonschema
import pytest

from bridge.__main__ import main
from bridge.doctor.finding import SCHEMA
from bridge.program import command
from bridge.settings import NAMES
from bridge.sim.realtime import RealtimeServer
from bridge.sim.twilio_rest import TwilioRest
from tests.stage.program import run, serving

ACCOUNT, TOKEN = "AC" + "1" * 32, "a-token-of-an-account"


async def test_beside_the_server_it_says_what_a_newcomer_has_to_do(tmp_path: Path) -> None:
    async with RealtimeServer() as model, TwilioRest(ACCOUNT, TOKEN) as twilio:
        twilio.numbers.add("+15550100199", voice_url="https://demo.twilio.com/welcome/voice/")
        environ = {
            "OPENAI_API_KEY": model.key, "OPENAI_REALTIME_URL": model.url, "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_API_URL": twilio.url, "HOST": "127.0.0.1"}
        async with serving(tmp_path, **environ) as server:
            environ |= {"PORT": str(server.port), "PUBLIC_URL": server.origin}
            code, out, error = await run(tmp_path, "doctor", "--json", **environ)
            report = json.loads(out)
            jsonschema.validate(report, SCHEMA)
            found = {each["name"]: each["state"] for each in report["findings"]}
            assert (code, report["exit_code"], error) == (2, 2, "")
            assert found == {
                "settings": "ok", "port": "ok", "database": "ok", "clock": "ok", "dns": "failure", "tls": "skipped",
                "incoming_call": "skipped", "media_stream": "skipped", "reach": "skipped", "account": "ok",
                "number": "failure", "alerts": "ok", "key": "ok", "model": "ok", "session": "ok",
                "credit": "not proven", "webhook": "skipped"}
            assert {each.name for each in tmp_path.iterdir()} <= {"bridge.db", "bridge.db-wal", "bridge.db-shm"}
        assert TOKEN not in out + server.said


def ask(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str, **environ: str) -> int:
    """Without a terminal: as `main` is asked, in this process."""
    monkeypatch.chdir(folder)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    return main(["doctor", *arguments])


def test_what_the_server_would_not_start_with_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    code = ask(monkeypatch, tmp_path, OPENAI_API_KEY="sk-1234567", TWILIO_AUTH_TOKEN=TOKEN, PORT="x")
    out, error = capsys.readouterr()
    assert (code, error) == (2, "") and out.startswith("failure    settings      PORT must be a whole number")
    assert "→ Set it right in the environment, or in .env." in out and "skipped    port" in out


def test_who_has_set_nothing_yet_is_told_of_init(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    assert ask(monkeypatch, tmp_path, "--json") == 2
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [each["command"] for each in found if each["state"] == "failure"] == [command("init")] * 2


async def test_a_call_that_was_agreed_to_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    async with RealtimeServer() as model, TwilioRest(ACCOUNT, TOKEN) as twilio:
        twilio.numbers.add("+15550100199")
        await asyncio.to_thread(
            ask, monkeypatch, tmp_path, "--call", "+15557654321", "--yes", "--json", OPENAI_API_KEY=model.key,
            OPENAI_REALTIME_URL=model.url, TWILIO_AUTH_TOKEN=TOKEN, TWILIO_ACCOUNT_SID=ACCOUNT,
            TWILIO_API_URL=twilio.url, PORT="0")
        [call] = [each for each in json.loads(capsys.readouterr().out)["findings"] if each["name"] == "call"]
        assert call["state"] == "ok" and len(twilio.calls.made) == 1


def test_nobody_is_called_who_was_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    code = ask(monkeypatch, tmp_path, "--call", "+15557654321", OPENAI_API_KEY="sk-1234567", TWILIO_AUTH_TOKEN=TOKEN)
    out, error = capsys.readouterr()
    assert (code, out) == (2, "") and "Nobody was called" in error and "--yes" in error
    with pytest.raises(SystemExit):
        ask(monkeypatch, tmp_path, "--call", "5557654321")
    assert "must be a phone number with +" in capsys.readouterr().err
