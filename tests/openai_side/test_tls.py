"""The model's side over TLS: what is verified is verified, with and without the package that makes it faster."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import trustme
from aiohttp import web

from bridge.openai_side.connection import ModelUnreachable, open_session
from tests.openai_side.test_connection import CREATED, PCMU, SETUP, account
from tests.stage.wires import CLASSES, WAYS, Ears

pytestmark = pytest.mark.parametrize("way", WAYS)

#: Many TLS records each, and less than a message may be.
LARGE = 300_000


@asynccontextmanager
async def a_model(certificate: trustme.LeafCert, asked: list[str | None]) -> AsyncIterator[str]:
    """The address of a Realtime server that gives back what it is sent; `asked`: the names by SNI."""
    async def upgrade(request: web.Request) -> web.StreamResponse:
        peer = web.WebSocketResponse()
        await peer.prepare(request)
        await peer.send_json(CREATED)
        await peer.receive()
        await peer.send_json({"type": "session.updated", "session": {"audio": PCMU}})
        async for message in peer:
            if message.data == "break" and request.transport:
                request.transport.abort()
            await peer.send_str(message.data)
        return peer

    def by_name(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        asked.append(name)

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)
    tls.sni_callback = by_name
    app = web.Application()
    app.router.add_get("/v1/realtime", upgrade)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        yield f"wss://localhost:{runner.addresses[0][1]}/v1/realtime"
    finally:
        await runner.cleanup()


def trusting(authority: trustme.CA, way: str) -> aiohttp.ClientSession:
    """A client that verifies as ours does, and trusts this authority as well."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), ws_response_class=CLASSES[way])


async def test_a_server_that_shows_who_it_is_is_asked_for_by_its_name(way: str) -> None:
    authority, asked = trustme.CA(), list[str | None]()
    async with a_model(authority.issue_cert("localhost"), asked) as url, trusting(authority, way) as http:
        session = await open_session(http, account(url), SETUP)
        ears = Ears(session.wire)
        said = [bytes([65 + number]) * size for number, size in enumerate((1, 200, LARGE, 20_000, LARGE, 3))]
        session.wire.send(*said)
        assert await ears.until(len(said)) == said
        await session.wire.close(1000)
    assert asked == ["localhost"]


async def test_a_line_that_breaks_is_noticed(way: str) -> None:
    authority = trustme.CA()
    async with a_model(authority.issue_cert("localhost"), []) as url, trusting(authority, way) as http:
        session = await open_session(http, account(url), SETUP)
        ears = Ears(session.wire)
        session.wire.send(b"break")
        assert await ears.end() == 1006
        await session.wire.close(1000)


@pytest.mark.parametrize("wrong", ["name", "expired", "not yet", "self-signed", "another authority"])
async def test_a_server_that_does_not_show_who_it_is_gets_no_word_of_ours(way: str, wrong: str) -> None:
    authority, asked = trustme.CA(), list[str | None]()
    now, day = datetime.now(UTC), timedelta(days=1)
    match wrong:
        case "name":
            certificate = authority.issue_cert("elsewhere.example")
        case "expired":
            certificate = authority.issue_cert("localhost", not_before=now - 2 * day, not_after=now - day)
        case "not yet":
            certificate = authority.issue_cert("localhost", not_before=now + day, not_after=now + 2 * day)
        case "self-signed":
            other = trustme.CA()
            certificate = trustme.LeafCert(other.private_key_pem.bytes(), other.cert_pem.bytes(), [])
        case _:
            certificate = trustme.CA().issue_cert("localhost")
    async with a_model(certificate, asked) as url:
        async with trusting(authority, way) as http:
            with pytest.raises(ModelUnreachable, match="certificate") as caught:
                await open_session(http, account(url), SETUP)
    assert caught.value.final and asked == ["localhost"]
    await asyncio.sleep(0)
