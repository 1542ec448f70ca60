"""Everything that `doctor` looks at, in good order: the real server behind a proxy with TLS, strict vendors, an owner.

    async with clinic(folder) as well:
        async with well.patient() as patient:    # vendors and receiver of its own
            patient.twilio.status = "suspended"
            report = await patient.examined()

The server and its proxy are shared by many patients, which change nothing of it but the proxy's manners.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import AddressFamily
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractResolver

from bridge import keys
from bridge.app import create_app
from bridge.doctor.examination import Surroundings, examine
from bridge.doctor.finding import Report
from bridge.settings import load, oddities
from bridge.sim.demo import serving
from bridge.sim.realtime import RealtimeServer
from bridge.sim.twilio_rest import Number, TwilioRest
from tests.stage.proxy import Manners, Proxy, certified, listening, proxying

ACCOUNT, TOKEN, SECONDARY = "AC" + "7" * 32, "primary-auth-token", "secondary-auth-token"
HOST, NUMBER = "phone.example.com", "+15550100199"
#: A name that leads into a private network.
INSIDE = "hooks.inside.example.net"
PUBLIC_ADDRESS = "93.184.215.14"


class Names(AbstractResolver):
    """The public name leads to this machine's proxy, whatever `look_up` says of it."""

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET) -> list[Any]:
        address = "10.1.2.3" if host == INSIDE else "127.0.0.1"
        return [{"hostname": host, "host": address, "port": port, "family": AddressFamily.AF_INET, "proto": 0,
                 "flags": 0}]

    async def close(self) -> None:
        pass


async def look_up(host: str) -> list[str]:
    return [PUBLIC_ADDRESS]


@dataclass
class Receiver:
    """The owner's webhook. HEAD is answered by `status`, with `headers`, after `late_s`; POST is kept and taken."""

    status: int = 405
    headers: Mapping[str, str] = field(default_factory=dict)
    late_s: float = 0.0
    taken: list[tuple[Mapping[str, str], dict[str, Any]]] = field(default_factory=list)
    heads: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "HEAD":
            self.heads += 1
            await asyncio.sleep(self.late_s)
            return web.Response(status=self.status, headers=self.headers)
        self.taken.append((request.headers.copy(), await request.json()))
        return web.Response(status=204)


@dataclass
class Patient:
    """One set of settings and vendors, in good order until a test changes that."""

    clinic: "Clinic"
    twilio: TwilioRest
    model: RealtimeServer
    receiver: Receiver
    number: Number
    environ: dict[str, str]
    around: Surroundings

    @property
    def proxy(self) -> Proxy:
        return self.clinic.proxy

    async def examined(self, *, receiver: bool = False) -> Report:
        settings = load(self.environ)
        return await examine(settings, oddities(settings, self.environ), receiver=receiver, around=self.around)


@dataclass
class Clinic:
    """The server and the way to it. `trusted` and `untrusted` are for receivers with TLS."""

    app: web.Application
    port: int
    proxy: Proxy
    trusted: ssl.SSLContext
    untrusted: ssl.SSLContext
    trust: ssl.SSLContext
    folder: Path
    database: str

    @property
    def origin(self) -> str:
        return f"https://{HOST}:{self.proxy.port}"

    @asynccontextmanager
    async def patient(self) -> AsyncIterator[Patient]:
        self.proxy.manners = Manners()
        async with AsyncExitStack() as stack:
            twilio = await stack.enter_async_context(TwilioRest(ACCOUNT, TOKEN, SECONDARY))
            model = await stack.enter_async_context(RealtimeServer())
            receiver, app = Receiver(), web.Application()
            app.router.add_route("*", "/{path:.*}", receiver.answer)
            hook = await stack.enter_async_context(listening(app))
            number = twilio.numbers.add(
                NUMBER, voice_url=f"{self.origin}/incoming-call",
                voice_fallback_url="https://handler.twilio.com/twiml/EH" + "1" * 32)
            environ = {
                "OPENAI_API_KEY": model.key, "OPENAI_REALTIME_URL": model.url, "TWILIO_ACCOUNT_SID": ACCOUNT,
                "TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_API_URL": twilio.url, "PUBLIC_URL": self.origin,
                "HOST": "127.0.0.1", "PORT": str(self.port), "DATABASE_URL": self.database,
                "WEBHOOK_URL": f"http://localhost:{hook}/meetings"}
            yield Patient(self, twilio, model, receiver, number, environ, Surroundings(
                look_up=look_up, resolver=Names(), tls=self.trust, regions={}, afterwards_s=0.02))

    @asynccontextmanager
    async def secure_receiver(self, tls: ssl.SSLContext) -> AsyncIterator[str]:
        """A receiver by TLS; its address."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", Receiver().answer)
        async with listening(app, tls) as port:
            yield f"https://localhost:{port}/meetings"


@asynccontextmanager
async def clinic(folder: Path) -> AsyncIterator[Clinic]:
    (folder / "other").mkdir()
    trusted, trust = certified(folder, HOST, "localhost")
    untrusted, _ = certified(folder / "other", HOST, "localhost")
    database = f"sqlite:///{folder}/bridge.db"
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(RealtimeServer())
        app = create_app(load({
            "OPENAI_API_KEY": model.key, "OPENAI_REALTIME_URL": model.url, "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_ACCOUNT_SID": ACCOUNT, "HOST": "127.0.0.1", "DATABASE_URL": database}))
        origin = await stack.enter_async_context(serving(app))
        proxy = await stack.enter_async_context(proxying(origin, trusted))
        yield Clinic(app, int(origin.rpartition(":")[2]), proxy, trusted, untrusted, trust, folder, database)
        assert model.connections == 0 and not app[keys.CALLS], "a probe is no call"


def with_manners(**changed: Any) -> Manners:
    return replace(Manners(), **changed)
