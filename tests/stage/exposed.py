"""A server as strangers on the Internet find it, what they know about a call, and what they may send."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

from bridge import keys, server
from bridge.app import create_app
from bridge.call.timing import Timing
from bridge.reception.token import NONCE_BYTES, mint
from bridge.sim.realtime import RealtimeServer
from bridge.twilio_side import twiml
from bridge.twilio_side.caller import Caller
from tests.stage import sqlite
from tests.stage.settings import make_settings

TOKEN, ACCOUNT = "12345", "AC" + "0" * 32
HOST = "bridge.example.com"
WEBHOOK, STREAM = f"https://{HOST}/incoming-call", f"wss://{HOST}/media-stream/15551234567"
FORM = {"From": "+15551234567", "To": "+15557654321", "CallSid": "CA" + "1" * 32, "AccountSid": ACCOUNT,
        "CallStatus": "ringing"}
PARAMETERS = twiml.stream_parameters(twiml.Call("", Caller(FORM["From"]), FORM["To"], FORM["CallSid"]))
HEAD = b"POST /incoming-call HTTP/1.1\r\nHost: bridge.example.com\r\n"
FORGED = HEAD + b"X-Twilio-Signature: forged\r\nContent-Type: application/x-www-form-urlencoded\r\n"
#: A bound for waits that take milliseconds. No test depends on it.
PATIENCE_S = 20.0


@dataclass
class Exposed:
    """`app` behind its own sockets on `port`, with a model. The HTTP client keeps no connection."""

    app: web.Application
    port: int
    model: RealtimeServer
    http: aiohttp.ClientSession

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def post(self, headers: dict[str, str], **changed: str) -> int:
        async with self.http.post(self.url("/incoming-call"), data=FORM | changed, headers=headers) as answer:
            return answer.status

    async def answered(self) -> dict[str, str]:
        """Opens a call as Twilio does. Returns the stream's parameters, with its token."""
        async with self.http.post(self.url("/incoming-call"), data=FORM, headers=signed(WEBHOOK, FORM)) as answer:
            document = ElementTree.fromstring(await answer.text())
        return {each.attrib["name"]: each.attrib["value"] for each in document.iter("Parameter")}

    async def upgrade(self, headers: dict[str, str]) -> aiohttp.ClientWebSocketResponse:
        return await self.http.ws_connect(self.url("/media-stream/15551234567"), headers=headers)

    async def stream(self, parameters: dict[str, str], **changed: str) -> str:
        """Opens a stream with a valid signature and a made-up `start`. Returns what becomes of it."""
        socket = await self.upgrade(signed(STREAM))
        await socket.send_json(start(parameters, **changed))
        message = await asyncio.wait_for(socket.receive(), PATIENCE_S)
        await socket.close()
        return message.type.name.lower()

    async def until_nothing_is_left(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.app[keys.CALLS] or len(self.app[keys.DOOR]):
                await asyncio.sleep(0.005)

    def faults(self, kind: str) -> int:
        figures = self.app[keys.METRICS].render().decode()
        found = [line for line in figures.splitlines() if line.startswith(f'bridge_faults_total{{kind="{kind}"}}')]
        return int(float(found[0].split()[-1])) if found else 0


@asynccontextmanager
async def exposed(folder: Path, timing: Timing = Timing(), **environ: str) -> AsyncIterator[Exposed]:
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(RealtimeServer())
        app = create_app(make_settings(**{
            "DATABASE_URL": sqlite.new_database(folder), "PUBLIC_URL": f"https://{HOST}",
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_API_URL": "http://127.0.0.1:1", "OPENAI_REALTIME_URL": model.url,
            "MAX_CALLS_PER_CALLER": "0", "CALLS_PER_HOUR_PER_CALLER": "0"} | environ), timing)
        listening = socket.create_server(("127.0.0.1", 0))
        await stack.enter_async_context(server.serving(app, listening))
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)))
        yield Exposed(app, listening.getsockname()[1], model, http)


def signed(address: str, form: dict[str, str] | None = None, token: str = TOKEN) -> dict[str, str]:
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(address, form or {})}


def start(parameters: dict[str, str], call: str = FORM["CallSid"], account: str = ACCOUNT) -> dict[str, Any]:
    return {"event": "start", "start": {
        "streamSid": "MZ" + "1" * 32, "callSid": call, "accountSid": account, "customParameters": parameters}}


def made(secret: str = TOKEN, account: str = ACCOUNT, age: float = 0, **changed: str) -> dict[str, str]:
    """Parameters with a token like the server's."""
    bound = PARAMETERS | changed
    token = mint(secret, (FORM["CallSid"], account, bound["caller"], bound["called"], ""), b"\0" * NONCE_BYTES,
                 time.time() - age)
    return PARAMETERS | {"token": token}


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Reads until the server closes the connection, in whatever way."""
    answer = b""
    with suppress(ConnectionResetError):             # the bytes before the reset are an answer all the same
        while came := await asyncio.wait_for(reader.read(4096), PATIENCE_S):
            answer += came
    return answer
