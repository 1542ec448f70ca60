"""A strict client of the simulated Realtime server: over a real socket, judged by OpenAI's own types."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import aiohttp
import pydantic
from openai.types.realtime import RealtimeServerEvent, RealtimeSessionCreateRequest

from bridge.sim.clock import Clock
from bridge.sim.realtime import Line, RealtimeServer, RealtimeSession, Turn
from tests.stage.vendor import extras

Event = dict[str, Any]
PCMU = {"type": "audio/pcmu"}
VAD = {"type": "server_vad", "silence_duration_ms": 300}
PHONE: Event = {
    "type": "realtime", "instructions": "Be brief.", "tools": [{
        "type": "function", "name": "lookup", "description": "Look up", "parameters": {"type": "object"}}],
    "audio": {"input": {"format": PCMU, "turn_detection": VAD, "transcription": {"model": "gpt-transcribe"}},
              "output": {"format": PCMU, "voice": "cedar"}}}
SILENCE = b"\xff" * 8
#: A tone that is loud enough for any threshold: the highest and the lowest sample in turn.
TONE = b"\x80\x00" * 4
#: Fields that the wire has and the session's types lack.
WIRE_ONLY = {"id", "object", "expires_at"}


def speech(ms: int, silence_ms: int = 500) -> bytes:
    return TONE * ms + SILENCE * silence_ms


def line(text: str = "Good morning, how can I help you today?", ms: int = 1000) -> Line:
    return Line(text, TONE * ms)


class Client:
    """A strict client: every event must be one of OpenAI's types, without another field."""

    types = pydantic.TypeAdapter(RealtimeServerEvent)
    models = {get_args(model.model_fields["type"].annotation)[0]: model
              for model in get_args(get_args(RealtimeServerEvent)[0])}

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: RealtimeSession) -> None:
        self.socket, self.session = socket, session
        self.events: list[Event] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind, **fields})

    async def append(self, audio: bytes) -> None:
        for at in range(0, len(audio), 1600):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(audio[at:at + 1600]).decode())

    async def next(self) -> Event:
        event: Event = await self.socket.receive_json(timeout=20)
        validate(event)
        self.events.append(event)
        return event

    async def until(self, kind: str, **wanted: Any) -> Event:
        """Waits for the next event of a kind. Every event before it stays in `events`."""
        while True:
            event = await self.next()
            if event["type"] == kind and wanted.items() <= event.items():
                return event

    async def refused(self, kind: str, **fields: Any) -> Event:
        """Sends an event and returns the error that answers it and names it."""
        await self.send(kind, event_id="mine", **fields)
        error: Event = (await self.until("error"))["error"]
        assert error["event_id"] in ("mine", None) and error["type"] == "invalid_request_error"
        return error

    async def ready(self, update: Event = PHONE) -> "Client":
        assert (await self.next())["type"] == "session.created"
        await self.send("session.update", session=update)
        assert (await self.next())["type"] == "session.updated"
        self.events.clear()
        return self

    def kinds(self) -> list[str]:
        """The kinds of events so far. Deltas in a row count once."""
        kinds = [event["type"] for event in self.events]
        return [kind for at, kind in enumerate(kinds) if not (kind.endswith(".delta") and kind in kinds[at - 1:at])]


def validate(event: Event) -> None:
    """Compares an event with the published type: no field is missing, wrong or unknown."""
    Client.types.validate_python(event)
    known = Client.models[event["type"]]
    parsed = known.model_validate(event)
    extra = list(extras(parsed))
    if event["type"].startswith("session."):
        assert isinstance(parsed.session, RealtimeSessionCreateRequest)
        extra = [name for name in extra if name not in WIRE_ONLY]
    assert not extra, (event["type"], extra)


@asynccontextmanager
async def connected(
    *turns: Turn, update: Event | None = PHONE, model: str = "gpt-realtime-2.1", **options: Any,
) -> AsyncIterator[Client]:
    async with RealtimeServer(turns, clock=Clock(speed=50), **options) as server:
        async with aiohttp.ClientSession() as http, open_socket(http, server, model) as socket:
            client = Client(socket, await server.until_session())
            yield await client.ready(update) if update else client


def open_socket(http: aiohttp.ClientSession, server: RealtimeServer, model: str = "gpt-realtime-2.1") -> Any:
    return http.ws_connect(f"{server.url}?model={model}", headers={"Authorization": f"Bearer {server.key}"})
