"""Where webhooks may lead: a name that turns out to be a private address gets no connection, and loses no delivery."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from bridge.addresses import is_public
from bridge.calendars.busy_url import Availability, NotAsked
from bridge.delivery import reach
from bridge.delivery.outbox import Outbox
from bridge.delivery.reach import open_session
from bridge.delivery.webhook import Webhook, post
from bridge.records.database import Database
from bridge.records.deliveries import DeliveryQueue
from bridge.records.meetings import Meetings
from bridge.records.news import NewDelivery
from tests.stage.store import make_meeting
from tests.delivery.test_webhook import DELIVERY


def test_why_a_certificate_is_not_accepted_is_the_end_of_a_sentence() -> None:
    """Whoever tells it sets the full stop. OpenSSL sets one too, sometimes."""
    refused = ssl.SSLCertVerificationError()
    refused.verify_message = "Hostname mismatch, certificate is not valid for 'a.example'."
    key: Any = None
    assert reach.why(aiohttp.ClientConnectorCertificateError(key, refused)) == (
        "its certificate is not accepted: Hostname mismatch, certificate is not valid for 'a.example'")


@pytest.mark.parametrize("address", [
    "93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0",
    "fd00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
    "2002:7f00:1::1", "2001:db8::1", "::127.0.0.1", "no address", "",
])
def test_any_other_address_is_not(address: str) -> None:
    assert not is_public(address)


@dataclass
class Names(AbstractResolver):
    """A name server that says what it is told to, another thing each time."""

    addresses: list[str]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
        self.asked.append(host)
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [{"hostname": host, "host": each, "port": port, "family": socket.AF_INET, "proto": 0,
                 "flags": socket.AI_NUMERICHOST} for each in address.split(",")]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def neighbour() -> AsyncIterator[tuple[int, list[int]]]:
    """A server in the private network: its port, and an entry for each connection."""
    connections: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
        await writer.drain()
        writer.close()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], connections


@pytest.mark.parametrize("host", [
    "rebinding.example", "127.0.0.2", "[::ffff:127.0.0.1]", "0.0.0.0", "10.255.255.1", "[fe80::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_private_address_gets_no_connection(host: str, scheme: str) -> None:
    async with neighbour() as (port, connections), open_session(resolver=Names(["127.0.0.1"])) as http:
        answer = await post(http, replace(DELIVERY, url=f"{scheme}://{host}:{port}/hook"), ())
    assert (answer.meaning, answer.problem) == ("set-up", f"could not be reached ({reach.REFUSAL})")
    assert connections == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001"])
async def test_no_other_spelling_of_an_address_helps(host: str) -> None:
    async with neighbour() as (port, connections), open_session() as http:
        answer = await post(http, replace(DELIVERY, url=f"http://{host}:{port}/hook"), ())
    assert answer.problem.startswith("could not be reached (") and connections == []


@pytest.mark.parametrize(("error", "why", "misconfigured"), [
    (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known", True),
    (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "Temporary failure", False),
    (ConnectionRefusedError(111, "Connection refused"), "Connection refused", False),
    (reach.NotPublic(), reach.REFUSAL, True)])
async def test_what_the_owner_can_mend_of_a_connection_is_told_apart(
    error: OSError, why: str, misconfigured: bool,
) -> None:
    class Failing(Names):
        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[Any]:
            raise error
    async with open_session(private=True, resolver=Failing([])) as http:
        answer = await post(http, replace(DELIVERY, url="https://hooks.example/secret"), ())
    assert answer.problem.startswith(f"could not be reached ({why}") and "secret" not in answer.problem
    assert (answer.meaning == "set-up") is misconfigured


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: nobody makes a certificate")
async def test_a_certificate_that_nobody_vouches_for_is_the_owners_to_mend(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=tls)
    async with server, open_session() as http:
        port = server.sockets[0].getsockname()[1]
        answer = await post(http, replace(DELIVERY, url=f"https://localhost:{port}/secret"), ())
    assert answer.problem.startswith("could not be reached (its certificate is not accepted: self")
    assert answer.meaning == "set-up" and "secret" not in answer.problem


async def test_a_name_with_several_addresses_leads_to_none_that_is_private() -> None:
    async with neighbour() as (port, connections), open_session(resolver=Names(["127.0.0.1,10.0.0.1,::1"])) as http:
        answer = await post(http, replace(DELIVERY, url=f"http://rebinding.example:{port}/hook"), ())
    assert answer.problem == f"could not be reached ({reach.REFUSAL})" and connections == []


async def test_what_is_checked_is_what_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that says one thing first and another one when it is asked again is not asked again."""
    names, checked = Names(["127.0.0.1", "127.0.0.2"]), []

    def harmless(host: str) -> bool:
        checked.append(host)
        return True
    monkeypatch.setattr(reach, "is_public", harmless)
    async with neighbour() as (port, connections), open_session(resolver=names) as http:
        answer = await post(http, replace(DELIVERY, url=f"http://rebinding.example:{port}/hook"), ())
    assert (answer.meaning, connections) == ("taken", [1]), "it listens at the first address only"
    assert names.asked == ["rebinding.example"] and checked == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_this_machine_is_reached_by_its_own_name(host: str) -> None:
    async with neighbour() as (port, connections), open_session() as http:
        answer = await post(http, replace(DELIVERY, url=f"http://{host}:{port}/hook"), ())
    assert (answer.meaning, answer.problem) == ("taken", "") and connections == [1]


async def test_a_name_of_this_machine_leads_nowhere_else() -> None:
    async with open_session(resolver=Names(["10.255.255.1"])) as http:
        answer = await post(http, replace(DELIVERY, url="http://localhost:1/hook"), ())
    assert answer.problem == f"could not be reached ({reach.REFUSAL})"


async def test_the_owner_may_allow_a_private_network() -> None:
    async with neighbour() as (port, connections), open_session(private=True, resolver=Names(["127.0.0.1"])) as http:
        answer = await post(http, replace(DELIVERY, url=f"http://n8n.internal.example:{port}/hook"), ())
    assert (answer.meaning, answer.problem) == ("taken", "") and connections == [1]


async def test_a_calendar_is_held_to_the_same() -> None:
    async with neighbour() as (port, connections), open_session(resolver=Names(["127.0.0.1"])) as http:
        calendar = Availability(http, f"http://rebinding.example:{port}/busy")
        with pytest.raises(NotAsked, match="ALLOW_PRIVATE_WEBHOOKS=1"):
            await calendar.busy(datetime.now(UTC), datetime.now(UTC))
    assert connections == []


async def test_no_cookies_are_kept() -> None:
    async with open_session() as http:
        assert isinstance(http.cookie_jar, aiohttp.DummyCookieJar)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_refused_delivery_waits_like_one_in_an_outage(database: Database) -> None:
    queue = DeliveryQueue(database)
    await Meetings(database).book(
        make_meeting(), lambda meeting: [NewDelivery("msg_1", "https://rebinding.example/", "meeting.booked", "{}")])
    async with open_session(resolver=Names(["169.254.169.254"])) as http:
        outbox = Outbox(queue, Webhook(http))
        running = asyncio.create_task(outbox.run())
        async with asyncio.timeout(10):
            while not (waiting := await queue.get("msg_1")) or not waiting.last_error:
                await asyncio.sleep(0.01)
        await outbox.stop()
        await running
    assert (waiting.state, waiting.last_error) == ("pending", f"could not be reached ({reach.REFUSAL})")
    assert waiting.next_at > waiting.created_at
