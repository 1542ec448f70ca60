"""A tunnel that does not come about, or ends for good: tried again with pauses, so often and no more."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge.sim.twilio_rest import Number, RestFaults, TwilioRest
from bridge.tunnel import keeper, leftovers, process, reach
from bridge.tunnel.keeper import Keeper, Lead
from bridge.tunnel.programs import found
from bridge.tunnel.reach import Prober
from bridge.twilio_side.account import Account
from bridge.twilio_side.rest import Credentials
from tests.stage.exposed import ACCOUNT, PATIENCE_S, TOKEN, exposed
from tests.stage.tunnel_program import install, pids

OLD = "https://old.example.com/"


@dataclass
class Served:
    """The server, as what runs beside it knows it; `addresses`: what it was told."""

    address: str
    addresses: list[str] = field(default_factory=list)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def take_address(self, address: str) -> None:
        self.addresses.append(address)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in ((keeper, "LEAST_PAUSE_S", 0.01), (keeper, "LONGEST_PAUSE_S", 0.02),
                                  (keeper, "LOOK_S", 0.05), (keeper, "TRY_S", 0.01), (reach, "LOOK_S", 0.01),
                                  (reach, "REACH_S", 1.0), (process, "UP_S", 1.0)):
        monkeypatch.setattr(module, name, seconds)


@pytest.fixture
async def rest() -> AsyncIterator[TwilioRest]:
    async with TwilioRest(ACCOUNT, TOKEN) as rest:
        yield rest


def keep(folder: Path, rest: TwilioRest, number: Number) -> Keeper:
    """cloudflared's stand-in, and a number that follows."""
    path = install(folder / "bin", "cloudflared")
    account = Account(Credentials(rest.url, ACCOUNT, TOKEN))
    known = next(each for each in account.numbers() if each.sid == number.sid)
    return Keeper(*found("", path), Prober(TOKEN, ACCOUNT), Lead(account, known, folder))


async def test_a_program_that_fails_is_started_three_times(
    tmp_path: Path, rest: TwilioRest, quick: None, caplog: pytest.LogCaptureFixture,
) -> None:
    number = rest.numbers.add("+15551234567", voice_url=OLD)
    kept = await asyncio.to_thread(keep, tmp_path, rest, number)
    (tmp_path / "bin" / "fault").write_text("no-address")
    problem = await asyncio.wait_for(kept.run(Served("http://127.0.0.1:1")), PATIENCE_S)
    assert problem.startswith("there is no tunnel: cloudflared has ended: failed to request quick Tunnel: Post")
    assert len(pids(tmp_path / "bin")) == 3 and number.voice_url == OLD


async def test_a_program_that_ends_in_words_of_its_own_is_quoted(
    tmp_path: Path, rest: TwilioRest, quick: None,
) -> None:
    number = rest.numbers.add("+15551234567", voice_url=OLD)
    kept = await asyncio.to_thread(keep, tmp_path, rest, number)
    (tmp_path / "bin" / "cloudflared").write_text(
        "#!/bin/sh\necho 'flag provided but not defined: -config' >&2\necho\n")
    problem = await asyncio.wait_for(kept.run(Served("http://127.0.0.1:1")), PATIENCE_S)
    assert problem == "there is no tunnel: cloudflared has ended: flag provided but not defined: -config"


async def test_a_tunnel_that_leads_elsewhere_is_not_taken(tmp_path: Path, rest: TwilioRest, quick: None) -> None:
    number = rest.numbers.add("+15551234567", voice_url=OLD)
    kept = await asyncio.to_thread(keep, tmp_path, rest, number)
    problem = await asyncio.wait_for(kept.run(Served(rest.url)), PATIENCE_S)     # somebody answers there
    assert "did not lead here in 1 s: somebody else answered there, with status 401" in problem
    assert number.voice_url == OLD


async def test_an_address_that_is_rewritten_on_the_way_is_told_at_once(
    tmp_path: Path, rest: TwilioRest, quick: None,
) -> None:
    number = rest.numbers.add("+15551234567", voice_url=OLD)
    kept = await asyncio.to_thread(keep, tmp_path, rest, number)
    async with exposed(tmp_path) as server:          # PUBLIC_URL is not the tunnel's address
        problem = await asyncio.wait_for(kept.run(Served(server.url(""))), PATIENCE_S)
    assert "leads here as https://bridge.example.com/incoming-call, and by that Twilio's signature" in problem
    assert len(pids(tmp_path / "bin")) == 1 and number.voice_url == OLD


async def test_a_tunnel_that_brings_nothing_any_more_is_opened_anew_and_given_up_in_the_end(
    tmp_path: Path, rest: TwilioRest, quick: None, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeper, "MOST", 2)
    number = rest.numbers.add("+15551234567", voice_url=OLD)
    kept = await asyncio.to_thread(keep, tmp_path, rest, number)
    async with exposed(tmp_path, PUBLIC_URL="") as server:
        running = asyncio.create_task(kept.run(Served(server.url(""))))
        await until_led(number)
        assert leftovers.read(tmp_path)
        (tmp_path / "bin" / "fault").write_text("mute")
        problem = await asyncio.wait_for(running, PATIENCE_S)
    assert problem.startswith("there is no tunnel: ") and number.voice_url == OLD
    assert len(pids(tmp_path / "bin")) == 2 and not leftovers.read(tmp_path)


async def test_where_twilio_does_not_lead_the_number_back_that_is_said_and_remembered(
    tmp_path: Path, rest: TwilioRest, quick: None, caplog: pytest.LogCaptureFixture,
) -> None:
    number = rest.numbers.add("+15551234567", voice_url=OLD)
    kept = await asyncio.to_thread(keep, tmp_path, rest, number)
    async with exposed(tmp_path, PUBLIC_URL="") as server:
        served = Served(server.url(""))
        running = asyncio.create_task(kept.run(served))
        await until_led(number)
        rest.faults = RestFaults(status=503)
        served.told.set()
        served.over.set()
        assert await asyncio.wait_for(running, PATIENCE_S) == ""
    assert "STILL LEADS TO THE TUNNEL" in caplog.text and "python -m bridge number restore" in caplog.text
    assert [each.before["voice_url"] for each in leftovers.read(tmp_path)] == [OLD]


async def test_a_number_that_could_not_follow_is_led_back_from_the_tunnel_before(
    tmp_path: Path, rest: TwilioRest, quick: None,
) -> None:
    number = rest.numbers.add("+15551234567", voice_url=OLD)
    kept = await asyncio.to_thread(keep, tmp_path, rest, number)
    async with exposed(tmp_path, PUBLIC_URL="") as server:
        running = asyncio.create_task(kept.run(Served(server.url(""))))
        await until_led(number)
        first = number.voice_url
        rest.faults = RestFaults(status=503)
        os.kill(pids(tmp_path / "bin")[-1], signal.SIGKILL)
        problem = await asyncio.wait_for(running, PATIENCE_S)
    assert problem.startswith("the number could not be led to the tunnel: Twilio did not tell of the number: status 503")
    [left] = leftovers.read(tmp_path)
    assert number.voice_url == first == left.voice_urls[0] and left.before["voice_url"] == OLD
    rest.faults = RestFaults()
    account = Account(Credentials(rest.url, ACCOUNT, TOKEN))
    assert await asyncio.to_thread(leftovers.lead_back, account, tmp_path, left) and number.voice_url == OLD


async def until_led(number: Number) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while number.voice_url == OLD:
            await asyncio.sleep(0.01)
