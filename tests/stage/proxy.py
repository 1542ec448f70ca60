"""A small reverse proxy with TLS, as it stands before a server, and what such proxies get wrong."""

import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

#: Headers that are between two neighbours, and not passed on.
_HOP = frozenset({"connection", "upgrade", "keep-alive", "transfer-encoding", "content-length", "host",
                  "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"})


@dataclass(frozen=True)
class Manners:
    """How it passes requests on; as it stands here, rightly."""

    path: Callable[[str], str] = lambda path: path
    #: In the place of the Host that was asked for.
    host: str = ""
    #: Whether it tells that it was asked by https.
    tells_proto: bool = True
    upgrades: bool = True
    #: Everything is answered by this status.
    status: int | None = None


@dataclass
class Proxy:
    """It listens on `port` and passes on to `behind`, an origin; `manners` may be changed between two requests."""

    behind: str
    port: int = 0
    manners: Manners = Manners()

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        manners = self.manners
        if manners.status:
            return web.Response(status=manners.status, headers={"Location": "https://elsewhere.example.com/"})
        target = self.behind + manners.path(request.raw_path)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        headers["Host"] = manners.host or request.host
        if manners.tells_proto:
            headers["X-Forwarded-Proto"] = "https"
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            if manners.upgrades and request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._tunnel(request, http, target, headers)
            async with http.request(
                request.method, target, headers=headers, data=await request.read(), allow_redirects=False,
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
                return web.Response(status=answer.status, headers=kept, body=await answer.read())

    async def _tunnel(
        self, request: web.Request, http: aiohttp.ClientSession, target: str, headers: dict[str, str],
    ) -> web.StreamResponse:
        try:
            server = await http.ws_connect(target, headers=headers)
        except aiohttp.WSServerHandshakeError as refusal:
            return web.Response(status=refusal.status)
        client = web.WebSocketResponse()
        await client.prepare(request)
        async for message in server:
            with suppress(ConnectionError):
                await client.send_str(str(message.data))
        await client.close()
        await server.close()
        return client


def certified(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server with these names, and for a client that trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "90", "-subj", f"/CN={names[0]}", "-addext", "subjectAltName=" + ",".join(
             f"DNS:{name}" for name in names), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


@asynccontextmanager
async def listening(app: web.Application, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of 127.0.0.1 on which an application answers."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def proxying(behind: str, tls: ssl.SSLContext) -> AsyncIterator[Proxy]:
    proxy, app = Proxy(behind), web.Application()
    app.router.add_route("*", "/{path:.*}", proxy.pass_on)
    async with AsyncExitStack() as stack:
        proxy.port = await stack.enter_async_context(listening(app, tls))
        yield proxy
