"""`python -m bridge --tunnel` as a user starts it, with programs on PATH that forward for real and a strict Twilio."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import pytest
from twilio.request_validator import RequestValidator

from bridge.program import command
from bridge.sim.process import Server
from bridge.sim.twilio_rest import Number, RestFaults, TwilioRest
from bridge.tunnel import leftovers
from tests.stage.program import KEY, PATIENCE_S, TOKEN, run, serving
from tests.stage.tunnel_program import install, pids
from tests.stage.typist import Typist

ACCOUNT, PHONE = "AC" + "1" * 32, "+15551234567"
OLD = {"voice_url": "https://old.example.com/voice?key=secret", "voice_method": "GET",
       "voice_fallback_url": "https://old.example.com/fallback", "status_callback": "https://crm.example.com/status"}


@dataclass
class World:
    """A user's folder and account; `path` is PATH."""

    folder: Path
    rest: TwilioRest
    number: Number
    path: str
    typist: Typist

    @property
    def environ(self) -> dict[str, str]:
        return {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_API_URL": self.rest.url,
                "PATH": self.path, "PUBLIC_URL": "https://elsewhere.example.com"}

    def serving(self, *arguments: str) -> AbstractAsyncContextManager[Server]:
        return serving(self.folder, arguments=arguments, **self.environ)

    async def run(self, *arguments: str) -> tuple[int | None, str, str]:
        return await run(self.folder, *arguments, **{"OPENAI_API_KEY": KEY, "HOST": "127.0.0.1", "PORT": "0"},
                         **self.environ)

    async def types(self, *arguments: str) -> str:
        """What a command prints that succeeds, without a process of its own."""
        assert await self.typist.types(*arguments) == 0
        return self.typist.out

    @property
    def pids(self) -> list[int]:
        return pids(Path(self.path))

    async def leads_elsewhere(self, before: str) -> str:
        """Where calls go, once it is not that."""
        await until(lambda: self.number.voice_url != before)
        return self.number.voice_url


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.02)


@pytest.fixture
async def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> AsyncIterator[World]:
    async with TwilioRest(ACCOUNT, TOKEN) as rest:
        path = install(tmp_path / "bin", "cloudflared", "ngrok")
        typist = Typist(tmp_path, monkeypatch, capsys)
        world = World(tmp_path, rest, rest.numbers.add(PHONE, **OLD), path, typist)
        typist.sets(**world.environ | {"OPENAI_API_KEY": KEY, "HOST": "127.0.0.1", "PORT": "0"})
        yield world


async def call(address: str) -> tuple[int, str]:
    """What Twilio gets who asks there, by its signature."""
    form = {"From": "+15557654321", "To": PHONE, "CallSid": "CA" + "2" * 32, "AccountSid": ACCOUNT,
            "CallStatus": "ringing"}
    headers = {"X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(address, form)}
    async with aiohttp.ClientSession() as http, http.post(address, data=form, headers=headers) as answer:
        return answer.status, await answer.text()


def runs(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_the_number_follows_the_tunnel_and_is_led_back(world: World) -> None:
    before = asdict(world.number)
    async with world.serving("--tunnel", "--number", PHONE) as server:
        first = await world.leads_elsewhere(OLD["voice_url"])
        status, document = await call(first)
        assert status == 200 and f"wss://{first.removeprefix('http://').removesuffix('/incoming-call')}/" in document
        origin = first.removesuffix("/incoming-call")
        assert (world.number.voice_method, world.number.voice_fallback_url, world.number.status_callback) == (
            "POST", first, f"{origin}/call-status")
        os.kill(world.pids[-1], signal.SIGKILL)
        second = await world.leads_elsewhere(first)
        assert (await call(second))[0] == 200
        assert [each.before["voice_url"] for each in leftovers.read(world.folder)] == [OLD["voice_url"]]
        assert await server.stop(signal.SIGTERM) == 0
    assert asdict(world.number) == before
    assert leftovers.read(world.folder) == [] and not (world.folder / leftovers.NAME).exists()
    assert not any(map(runs, world.pids))
    assert server.said.count("the tunnel is open: Twilio's voice URL is http://127.0.0.1:") == 2
    assert "the tunnel is gone: cloudflared has ended" in server.said
    assert "leads to old.example.com again" in server.said
    assert "Request" not in server.said              # what Twilio's client would say
    assert PHONE not in server.said and "secret" not in server.said and "Traceback" not in server.said


async def test_ngrok_and_ctrl_c(world: World) -> None:
    before = asdict(world.number)
    async with world.serving("serve", "--tunnel", "ngrok", "--number", PHONE) as server:
        assert (await call(await world.leads_elsewhere(OLD["voice_url"])))[0] == 200
        assert await server.stop(signal.SIGINT) == 0
    assert asdict(world.number) == before and not any(map(runs, world.pids))


async def test_what_was_killed_is_told_and_led_back(world: World) -> None:
    before = asdict(world.number)
    async with world.serving("--tunnel", "--number", PHONE) as server:
        left = await world.leads_elsewhere(OLD["voice_url"])
        server.process.kill()
        await until(lambda: not any(map(runs, world.pids)))          # the tunnel does not outlive it
    assert world.number.voice_url == left
    out = await world.types("number")
    assert f"{PHONE} leads to a tunnel that was opened in this folder" in out and command("number", "restore") in out
    async with world.serving("--tunnel", "--number", PHONE) as server:
        await world.leads_elsewhere(left)
        assert await server.stop() == 0
    assert "was left leading to a tunnel that was killed: at the end of this run it leads where it led" in server.said
    assert asdict(world.number) == before


async def test_restore_leads_back_what_was_left(world: World) -> None:
    before = asdict(world.number)
    wanted = {"voice_url": "https://gone.trycloudflare.com/incoming-call", "voice_method": "POST"}
    leftovers.remember(world.folder, leftovers.Borrowed(
        world.number.sid, PHONE, (wanted["voice_url"],), {name: before[name] for name in wanted}))
    world.number.voice_url, world.number.voice_method = wanted.values()
    leftovers.remember(world.folder, leftovers.Borrowed("PN" + "9" * 32, "+15550000009", (), {}))
    assert await world.types("number", "restore") == (
        f"{PHONE}: calls go to GET https://old.example.com/voice?key=secret\n"
        "+15550000009 does not lead to the tunnel any more, and stays as it is\n")
    assert asdict(world.number) == before
    assert await world.types("number", "restore") == "no tunnel has left anything to restore in this folder\n"


async def test_who_led_the_number_elsewhere_meanwhile_is_not_undone(world: World) -> None:
    async with world.serving("--tunnel", "--number", PHONE) as server:
        await world.leads_elsewhere(OLD["voice_url"])
        await until(lambda: "leads here" in server.said)
        world.number.voice_url = "https://new.example.com/"
        assert await server.stop() == 0
    assert world.number.voice_url == "https://new.example.com/"
    assert "was led elsewhere meanwhile, and stays so" in server.said and leftovers.read(world.folder) == []


async def test_who_led_the_number_elsewhere_is_not_undone_when_the_tunnel_is_opened_anew(world: World) -> None:
    async with world.serving("--tunnel", "--number", PHONE) as server:
        await world.leads_elsewhere(OLD["voice_url"])
        await until(lambda: "leads here" in server.said)
        world.number.voice_url = "https://new.example.com/"
        os.kill(world.pids[-1], signal.SIGKILL)
        await until(lambda: server.said.count("the tunnel is open") == 2)
        await until(lambda: "was led elsewhere meanwhile" in server.said)
        assert world.number.voice_url == "https://new.example.com/"
        assert await server.stop() == 0
    assert world.number.voice_url == "https://new.example.com/"


async def test_two_tunnels_in_one_folder_leave_no_number_without_a_word(world: World) -> None:
    async with world.serving("--tunnel", "--number", PHONE) as first:
        one = await world.leads_elsewhere(OLD["voice_url"])
        await until(lambda: "leads here" in first.said)
        async with world.serving("--tunnel", "--number", PHONE) as second:
            await world.leads_elsewhere(one)
            await until(lambda: "leads here" in second.said)
            assert await first.stop() == 0
            second.process.kill()
            await until(lambda: not any(map(runs, world.pids)))
    assert f"{PHONE} leads to a tunnel that has ended" in await world.types("number")
    await world.types("number", "restore")
    assert world.number.voice_url == OLD["voice_url"]


async def test_a_terminal_that_is_closed_ends_it_in_order(world: World) -> None:
    before = asdict(world.number)
    async with world.serving("--tunnel", "--number", PHONE) as server:
        await world.leads_elsewhere(OLD["voice_url"])
        server.process.send_signal(signal.SIGHUP)    # a shell says it a second time
        assert await server.stop(signal.SIGHUP) == 0
    assert asdict(world.number) == before and not any(map(runs, world.pids))


async def test_who_cannot_wait_for_twilio_reads_what_is_left_to_do(world: World) -> None:
    async with world.serving("--tunnel", "--number", PHONE) as server:
        await world.leads_elsewhere(OLD["voice_url"])
        await until(lambda: "leads here" in server.said)
        world.rest.faults = RestFaults(never_answers=True)
        server.process.send_signal(signal.SIGINT)
        await until(lambda: len(server.said.splitlines()) > 0 and world.rest.asked[-1].method == "GET")
        assert await server.stop(signal.SIGINT) == 0
    assert "To lead it back: python -m bridge number restore" in server.said
    assert [each.before["voice_url"] for each in leftovers.read(world.folder)] == [OLD["voice_url"]]


async def test_the_program_gets_no_secret_of_ours(world: World) -> None:
    async with world.serving("--tunnel", "--number", PHONE) as server:
        await world.leads_elsewhere(OLD["voice_url"])
        environ = Path(f"/proc/{world.pids[-1]}/environ").read_text()
        arguments = Path(f"/proc/{world.pids[-1]}/cmdline").read_text()
        assert await server.stop() == 0
    assert TOKEN not in environ + arguments and KEY not in environ + arguments and "PATH=" in environ


async def test_a_program_that_can_never_work_ends_it_at_once_with_its_own_words(world: World) -> None:
    (Path(world.path) / "fault").write_text("no-account")
    code, _, error = await world.run("--tunnel", "ngrok", "--number", PHONE)
    assert code == 1 and len(world.pids) == 1 and world.number.voice_url == OLD["voice_url"]
    assert error.splitlines()[-1].startswith(
        "there is no tunnel: ngrok has ended: authentication failed: Usage of ngrok requires a verified account and")


async def test_what_cannot_work_is_said_before_anything_is_started(world: World) -> None:
    world.rest.numbers.trunks.add("TK" + "1" * 32)
    world.rest.numbers.add("+15550000002", trunk_sid="TK" + "1" * 32)
    for arguments, environ, code, said in (
        (("--tunnel",), {"PATH": str(world.folder)}, 1, "there is no cloudflared and no ngrok on PATH. cloudflared"),
        (("--tunnel", "--number", "+15550000009"), {}, 1, f"the account has no +15550000009; it has {PHONE}, "),
        (("--tunnel", "--number", "+15550000002"), {}, 1, "+15550000002 belongs to the trunk TK1111"),
        (("--number", PHONE), {}, 2, f"--number needs --tunnel. To lead a number to this server for good: "
         f"{command('number', 'set', PHONE)}"),
        (("--tunnel", "ngrok", "backup", "x"), {}, 2, "--tunnel is for the server, not for backup"),
        (("--tunnel",), {"TWILIO_AUTH_TOKEN": "", "TWILIO_ACCOUNT_SID": "", "ALLOW_UNSIGNED": "1"}, 2,
         "TWILIO_AUTH_TOKEN must be set with --tunnel"),
    ):
        world.typist.sets(**world.environ | environ)
        assert await world.typist.types(*arguments) == code
        assert said in world.typist.error
    assert world.pids == [] and not (world.folder / "bridge.db").exists()
