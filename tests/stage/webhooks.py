"""Twilio's requests to a server that is served for a test: signed or not, and what it is answered."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from twilio.request_validator import RequestValidator

from bridge import keys

TOKEN, ACCOUNT = "12345", "AC" + "0" * 32
PUBLIC = "https://bridge.example.com"
STREAM = "/media-stream/15551234567"
CALL = {"From": "+15551234567", "To": "+15557654321", "CallSid": "CA" + "1" * 32, "AccountSid": ACCOUNT,
        "CallStatus": "ringing"}
START: dict[str, Any] = {"event": "start", "start": {"streamSid": "MZ" + "1" * 32, "callSid": CALL["CallSid"]}}

Client = TestClient[web.Request, web.Application]
Open = Callable[..., Awaitable[Client]]
#: Marks a test that shares its server with others of its file.
together = pytest.mark.asyncio(loop_scope="module")


def signature(address: str, form: dict[str, str] | None = None, token: str = TOKEN) -> dict[str, str]:
    """The header by which Twilio shows that it asked for this."""
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(address, form or {})}


async def twiml(answer: aiohttp.ClientResponse) -> ElementTree.Element:
    """The document of an answer that Twilio would carry out."""
    assert answer.status == 200
    assert answer.content_type == "text/xml"
    body = await answer.read()
    assert answer.headers["Content-Length"] == str(len(body))
    assert "Transfer-Encoding" not in answer.headers
    assert body.startswith(b"<?xml ")
    document = ElementTree.fromstring(body)
    assert document.tag == "Response"
    return document


async def ring(client: Client, headers: dict[str, str] | None = None, **parameters: str) -> ElementTree.Element:
    """What Twilio is to do with a call that comes in, by POST."""
    return await twiml(await client.post("/incoming-call", data=CALL | parameters, headers=headers))


async def ask(client: Client, path: str, **parameters: str) -> ElementTree.Element:
    """What Twilio is to do next in a call, by POST."""
    return await twiml(await client.post(path, data=CALL | {"CallStatus": "in-progress"} | parameters))


def stream(document: ElementTree.Element) -> tuple[str, dict[str, str]]:
    """The address of a document's only stream, and its parameters."""
    [found] = document.iter("Stream")
    assert document[0].tag == "Connect" and list(document[0]) == [found]
    assert {child.tag for child in found} == {"Parameter"}
    return found.attrib["url"], {child.attrib["name"]: child.attrib["value"] for child in found}


def verbs(document: ElementTree.Element) -> list[str]:
    return [verb.tag for verb in document]


@dataclass
class SilentModel:
    """Takes connections, says nothing, and counts."""

    url: str = ""
    opened: list[str] = field(default_factory=list)  # their queries
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.WebSocketResponse:
        self.opened.append(request.query_string)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.arrived.set()
        async for _ in socket:
            pass
        self.closed.set()
        return socket


def calls_of(client: Client) -> set[Any]:
    """The calls that the server has."""
    assert client.app
    return client.app[keys.CALLS]
