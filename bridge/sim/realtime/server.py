"""The simulated Realtime API's server: who may connect, a session for each connection, and which models there are."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Self

from aiohttp import web

from bridge.sim.clock import Clock
from bridge.sim.realtime.connection import Changing
from bridge.sim.realtime.script import Faults
from bridge.sim.realtime.session import Listener, RealtimeSession, Script


#: The models that `GET /v1/models` lists, with the day on which each is shut down.
MODELS: Mapping[str, str | None] = {
    "gpt-realtime-2.1": None, "gpt-realtime-2.1-mini": None, "gpt-realtime-2": None, "gpt-realtime-1.5": None,
    "gpt-realtime": "2027-01-20", "gpt-realtime-mini": "2027-01-20", "gpt-transcribe": None, "whisper-1": "2027-02-26"}


class RealtimeServer(Changing):
    """Listens on a free port of 127.0.0.1 while it is entered.

    `delta_ms`: about how much sound an audio delta has. `speed`: how many times faster than it plays the sound
    comes; 0 for all at once. `think_ms`: from the end of the turn to the first event of the answer.
    `faults` may be set anew between two connections; `refuse` turns the next ones away. `models`: which there are, and
    when each ends; a session with another one is refused. `clock_off_s`: so much later is it by the header Date of what
    `/v1/models` answers than by this machine's clock.
    """

    def __init__(
        self, script: Script = (), *, key: str = "sk-simulated", clock: Clock | None = None, delta_ms: int = 250,
        speed: float = 8.0, think_ms: int = 200, faults: Faults = Faults(),
    ) -> None:
        super().__init__()
        self.script, self.key, self.clock = script, key, clock or Clock()
        self.delta_ms, self.speed, self.think_ms, self.faults = delta_ms, speed, think_ms, faults
        self.models: Mapping[str, str | None] = MODELS
        self.clock_off_s = 0.0
        self.sessions: list[RealtimeSession] = []
        self.refused = 0        # connections turned away before the upgrade
        self._refusing = (0, 0)     # how many more, and the status
        self.listener: Listener | None = None
        self.url = ""
        self._stopping = asyncio.Event()

    @property
    def connections(self) -> int:
        """The number of upgrades accepted."""
        return len(self.sessions)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes([
            web.get("/v1/models", self._list_models),
            web.get("/v1/realtime", self._connect),
            web.get("/openai/v1/realtime", self._connect),      # Azure's address
        ])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}/v1/realtime"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stopping.set()
        for session in self.sessions:
            session.close(1001)
        await self._runner.cleanup()

    async def until_session(self, n: int = 1, timeout: float = 20) -> RealtimeSession:
        """Waits until a client has opened the n-th session, and returns it."""
        await self.until(lambda: len(self.sessions) >= n, timeout)
        return self.sessions[n - 1]

    def refuse(self, connections: int, status: int = 503) -> None:
        """Answer the next upgrades with that status, as many as `connections` says. 0 ends it."""
        self._refusing = connections, status

    async def stopped(self) -> None:
        """Waits until the server stops."""
        await self._stopping.wait()

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        faults = self.faults
        if faults.hang_handshake:
            await self.stopped()
        if refusal := self._refusal(request, faults):
            self.refused += 1
            self.changed()
            return refusal
        azure = request.path.startswith("/openai/")          # where the owner names the models
        if not azure and request.query["model"] not in self.models:
            faults = replace(faults, refuse_session="model_not_found")
        # Pongs and closes are the session's business: one that is silent sends neither.
        socket = web.WebSocketResponse(
            max_msg_size=32 * 2**20, compress=False, timeout=1, autoping=False, autoclose=False)
        await socket.prepare(request)
        session = RealtimeSession(
            self, len(self.sessions) + 1, request.query["model"], request.headers.copy(), faults)
        self.sessions.append(session)
        self.changed()
        await session.run(socket, request)
        return socket

    async def _list_models(self, request: web.Request) -> web.Response:
        """Also for a key that may use none of them, and for an account without credit."""
        if not self._knows_key(request):
            return _problem(401, "invalid_api_key", "Incorrect API key provided.")
        listed = [{"id": name, "object": "model", "created": 1780000000, "owned_by": "system", "shutdown_date": day}
                  for name, day in self.models.items()]
        return web.json_response({"object": "list", "data": listed}, headers={
            "Date": formatdate(time.time() + self.clock_off_s, usegmt=True)})

    def _knows_key(self, request: web.Request) -> bool:
        keys = {request.headers.get("Authorization"), f"Bearer {request.headers.get('api-key')}"}
        return f"Bearer {self.key}" in keys

    def _refusal(self, request: web.Request, faults: Faults) -> web.Response | None:
        """The answer that refuses an upgrade, or None."""
        if status := self._status_of_refusal(faults):
            return _problem(status, "refused", "The server refuses the connection.")
        if not self._knows_key(request):
            return _problem(401, "invalid_api_key", "Incorrect API key provided.")
        if not request.query.get("model"):
            return _problem(400, "missing_model", "You must provide a model parameter.")
        if self._stopping.is_set():
            return _problem(503, "server_shutdown", "The server is shutting down.")
        return None

    def _status_of_refusal(self, faults: Faults) -> int | None:
        left, status = self._refusing
        if not left:
            return faults.refuse_status
        self._refusing = left - 1, status
        return status


def _problem(status: int, code: str, message: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)
