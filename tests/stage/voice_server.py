"""A small voice application for the simulated phone: real sockets, answers set by the test."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from multidict import MultiDictProxy

TOKEN = "12345"
#: A second of mu-law without silence.
SECOND = bytes(range(128)) * 62 + bytes(64)

Talk = Callable[["Socket"], Awaitable[object]]


class Socket:
    """The server's end of a stream: the messages that it got, and those that it can send."""

    def __init__(self, request: web.Request, heartbeat: float | None) -> None:
        self.request = request
        self.ws = web.WebSocketResponse(heartbeat=heartbeat)
        self.stream_sid = ""
        self.told: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        """Waits for the next message. Raises ConnectionError at the end of the stream."""
        message = await self.ws.receive()
        if message.type is not WSMsgType.TEXT:
            raise ConnectionError(message.type)
        self.told.append(json.loads(message.data))
        return self.told[-1]

    async def next_of(self, *kinds: str) -> dict[str, Any]:
        while (message := await self.next())["event"] not in kinds:
            pass
        return message

    async def start(self) -> None:
        self.stream_sid = (await self.next_of("start"))["streamSid"]

    async def media(self, audio: bytes) -> None:
        await self.send({"event": "media", "streamSid": self.stream_sid,
                         "media": {"payload": base64.b64encode(audio).decode()}})

    async def mark(self, name: str) -> None:
        await self.send({"event": "mark", "streamSid": self.stream_sid, "mark": {"name": name}})

    async def clear(self) -> None:
        await self.send({"event": "clear", "streamSid": self.stream_sid})

    async def send(self, message: object) -> None:
        await self.ws.send_str(json.dumps(message))


class VoiceServer:
    """A voice application whose answers are set by the test. It keeps the requests."""

    def __init__(self) -> None:
        self.after = ""
        self.answers: dict[str, str] = {}
        self.clips: dict[str, web.Response] = {}
        self.gone: set[str] = set()
        self.headers = {"Content-Type": "text/xml"}
        self.status = 200
        self.chunked = False
        self.refusal: int | None = None
        self.heartbeat: float | None = None
        self.asked: list[tuple[web.Request, MultiDictProxy[Any]]] = []
        self.sockets: list[Socket] = []
        self.talk: Talk = listen
        self.http: TestServer

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/stream/{tail:.*}", self.stream)
        app.router.add_route("*", "/{tail:.*}", self.answer)
        return app

    @property
    def voice(self) -> str:
        return str(self.http.make_url("/voice"))

    @property
    def stream_url(self) -> str:
        return f"wss://127.0.0.1:{self.http.port}/stream/+15550001111"

    def connect(self, url: str | None = None, inside: str = "", attributes: str = "") -> str:
        return f'<Connect{attributes}><Stream url="{url or self.stream_url}">{inside}</Stream></Connect>'

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request, await request.post()))
        if request.path in self.gone:
            assert request.transport
            request.transport.abort()
        if request.path in self.clips:
            return self.clips[request.path]
        default = self.connect() + self.after if request.path == "/voice" else ""
        verbs = self.answers.get(request.path, default)
        text = verbs if verbs.startswith(("!", " ")) else document(verbs)
        response = web.Response(text=text.removeprefix("!"), headers=self.headers, status=self.status)
        if self.chunked:
            response.enable_chunked_encoding()
        return response

    async def stream(self, request: web.Request) -> web.StreamResponse:
        socket = Socket(request, self.heartbeat)
        self.sockets.append(socket)
        if self.refusal:
            return web.Response(status=self.refusal)
        await socket.ws.prepare(request)
        try:
            await self.talk(socket)
        except ConnectionError:
            pass
        return socket.ws


def document(verbs: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>'


async def listen(socket: Socket) -> None:
    while True:
        await socket.next()


def greet(*steps: Talk) -> Talk:
    """A talk that takes the stream's start, does the steps, and listens until the stream ends."""
    async def talk(socket: Socket) -> None:
        await socket.start()
        for step in steps:
            await step(socket)
        await listen(socket)
    return talk


async def close_at_once(socket: Socket) -> None:
    await socket.start()
    await socket.ws.close()
