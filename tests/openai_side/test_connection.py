"""Getting a session from the model: what is a refusal and what may pass, and how soon a lost connection is noticed."""

import asyncio
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from bridge.openai_side import realtime
from bridge.openai_side.connection import Account, ModelSession, ModelUnreachable, open_session
from bridge.sim.demo import serving
from bridge.sim.realtime import Faults, RealtimeServer
from tests.stage.wires import CLASSES, WAYS

SETUP = realtime.session_setup(instructions="", voice="marin", tools=[], turn_detection=None)
Talk = Callable[[web.WebSocketResponse], Awaitable[Any]]
PCMU = {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}}}


pytestmark = pytest.mark.usefixtures("each_way")


@pytest.fixture(params=WAYS)
def each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The way in which our websockets are read and written."""
    way: str = request.param
    monkeypatch.setitem(globals(), "WEBSOCKETS", CLASSES[way])
    return way


WEBSOCKETS = CLASSES["direct"]


def client() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(ws_response_class=WEBSOCKETS)


def account(url: str, key: str = "sk-simulated") -> Account:
    return Account(url, "gpt-realtime-2.1", key)


async def refusal(url: str, *, within: float | None = None, key: str = "sk-simulated") -> ModelUnreachable:
    """Why no session can be had at this address."""
    async with client() as http:
        with pytest.raises(ModelUnreachable) as caught:
            await open_session(http, account(url, key), SETUP, within)
    assert "\n" not in str(caught.value)
    return caught.value


@asynccontextmanager
async def a_model(talk: Talk, *, autoping: bool = True) -> AsyncIterator[str]:
    """The address of a server that upgrades and then does as it is told."""
    async def upgrade(request: web.Request) -> web.StreamResponse:
        peer = web.WebSocketResponse(autoping=autoping)
        await peer.prepare(request)
        await talk(peer)
        return peer

    app = web.Application()
    app.router.add_get("/v1/realtime", upgrade)
    async with serving(app) as origin:
        yield origin.replace("http", "ws") + "/v1/realtime"


def says(*events: dict[str, Any], then_close: int = 1011) -> Talk:
    async def talk(peer: web.WebSocketResponse) -> None:
        for event in events:
            await peer.send_json({"event_id": "event_1", **event})
        await peer.close(code=then_close)
    return talk


def error(code: str | None, kind: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "code": code, "message": "So\nit is.", "param": None}}


CREATED: dict[str, Any] = {
    "type": "session.created", "session": {"type": "realtime", "audio": {}, "expires_at": 1795608000}}


# ---- what is final

@pytest.mark.parametrize(("status", "final", "advice"), [
    (400, True, "OPENAI_REALTIME_URL and OPENAI_MODEL"), (401, True, "OPENAI_API_KEY"), (403, True, "permissions"),
    (404, True, "OPENAI_MODEL"), (429, True, "limit or credit"), (200, True, "OPENAI_REALTIME_URL"),
    (500, False, "trouble"), (502, False, "trouble"), (503, False, "trouble"),
])
async def test_a_status_is_a_refusal_unless_the_server_is_in_trouble(status: int, final: bool, advice: str) -> None:
    async with RealtimeServer(faults=Faults(refuse_status=status)) as model:
        error = await refusal(model.url)
    assert (error.final, f"status {status}" in str(error), advice in str(error)) == (final, True, True)


async def test_a_wrong_key_is_final() -> None:
    async with RealtimeServer(key="sk-another") as model:
        error = await refusal(model.url, key="sk-mine-and-mine-alone")
    assert error.final
    assert "OPENAI_API_KEY" in str(error)
    assert "sk-mine" not in str(error)


@pytest.mark.parametrize(("code", "kind", "final", "advice"), [
    ("invalid_api_key", "invalid_request_error", True, "check OPENAI_API_KEY"),
    ("insufficient_quota", "insufficient_quota", True, "billing page"),
    (None, "insufficient_quota", True, "billing page"),
    ("credit_balance_exhausted", "invalid_request_error", True, "billing page"),
    ("billing_hard_limit_reached", "invalid_request_error", True, "billing page"),
    ("account_deactivated", "invalid_request_error", True, "closed"),
    ("model_not_found", "invalid_request_error", True, "check OPENAI_MODEL"),
    ("invalid_model", "invalid_request_error", True, "check OPENAI_MODEL"),
    ("beta_api_shape_disabled", "invalid_request_error", True, "beta"),
    ("unknown_parameter", "invalid_request_error", True, "settings of the model"),
    ("invalid_value", "invalid_request_error", True, "settings of the model"),
    (None, "invalid_request_error", True, "settings of the model"),
    ("rate_limit_exceeded", "invalid_request_error", False, "limits page"),
    ("session_expired", "invalid_request_error", False, "new session"),
    (None, "server_error", False, "status page"),
    ("server_error", "server_error", False, "status page"),
    ("weather", "weather_error", False, "may pass"),
])
async def test_an_error_is_a_refusal_when_it_is_about_what_we_asked_for(
    code: str | None, kind: str, final: bool, advice: str,
) -> None:
    async with a_model(says(CREATED, error(code, kind))) as url:
        failure = await refusal(url)
    assert (failure.final, advice in str(failure), "So it is." in str(failure)) == (final, True, True)


@pytest.mark.parametrize(("code", "final"), [
    (4000, True), (3000, True), (1008, True),
    (1000, False), (1001, False), (1011, False), (1012, False), (1013, False),
])
async def test_a_close_is_a_refusal_when_its_code_says_so(code: int, final: bool) -> None:
    async with a_model(says(CREATED, then_close=code)) as url:
        failure = await refusal(url)
    assert (failure.final, f"code {code}" in str(failure)) == (final, True)


async def test_another_audio_format_is_final() -> None:
    async with RealtimeServer(faults=Faults(wrong_format=True)) as model:
        failure = await refusal(model.url)
    assert failure.final
    assert "audio/pcmu" in str(failure)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: nobody makes a certificate")
async def test_a_certificate_that_proves_nothing_is_final(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=60)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=tls)
    async with server:
        failure = await refusal(f"wss://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime")
    assert failure.final
    assert "certificate" in str(failure)


async def test_nobody_there_may_pass() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        failure = await refusal(f"ws://127.0.0.1:{unused.getsockname()[1]}/v1/realtime")
    assert not failure.final
    assert "OPENAI_REALTIME_URL" in str(failure)


@pytest.mark.parametrize("faults", [Faults(hang_handshake=True), Faults(never_created=True)])
async def test_silence_may_pass_and_is_not_waited_for_longer_than_one_wants(faults: Faults) -> None:
    async with RealtimeServer(faults=faults) as model:
        failure = await refusal(model.url, within=0.05)
    assert not failure.final
    assert "no session within" in str(failure)


async def test_a_connection_that_breaks_before_it_is_upgraded_may_pass() -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reset(writer)
    server = await asyncio.start_server(slam, "127.0.0.1", 0)
    async with server:
        failure = await refusal(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime")
    assert not failure.final


# ---- a session that is ready

@pytest.mark.parametrize(("created", "updated", "expected"), [
    (1795608000, 1795608000, 1795608000), (1795608000, None, 1795608000), (None, 1795608000, 1795608000),
    (None, None, None), (0, 0, None),
])
async def test_a_session_says_when_it_ends(created: int | None, updated: int | None, expected: int | None) -> None:
    async def talk(peer: web.WebSocketResponse) -> None:
        await peer.send_json({"type": "session.created", "session": {"audio": {}, "expires_at": created}})
        assert (await peer.receive()).data == SETUP.decode()
        await peer.send_json({"type": "session.updated", "session": {"audio": PCMU, "expires_at": updated}})
        await peer.receive()
    async with a_model(talk) as url, client() as http:
        session = await open_session(http, account(url), SETUP)
        assert session.expires_at == expected
        await session.wire.close(1000)


async def test_what_comes_before_it_and_cannot_be_read_does_not_matter(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(peer: web.WebSocketResponse) -> None:
        await peer.send_bytes(b"x")
        await peer.send_str("{")
        await peer.send_json({"type": "weather"})
        await says(CREATED, {"type": "session.updated", "session": {"audio": PCMU}})(peer)
    async with a_model(talk) as url, client() as http:
        session = await open_session(http, account(url), SETUP)
        assert session.expires_at == CREATED["session"]["expires_at"]
        await session.wire.close(1000)
    assert len(caplog.records) == 1


# ---- how a connection that is lost ends

def reset(writer: asyncio.StreamWriter) -> None:
    """Breaks the connection with a TCP reset."""
    connection: socket.socket = writer.get_extra_info("socket")
    with duplicate(connection) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def duplicate(connection: Any) -> Iterator[socket.socket]:
    """uvloop's stand-in for a socket takes no options; a duplicate of what it stands for does."""
    with socket.fromfd(connection.fileno(), connection.family, connection.type) as same:
        yield same


class Network:
    """The network between us and the model: it carries bytes until it is cut, in one of several ways."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: list[asyncio.StreamWriter] = []
        self._pumps: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        try:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"
        finally:
            self.freeze()
            for end in self._ends:
                end.transport.abort()
            server.close()
            await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends = [writer, far_writer]
        self._pumps = [asyncio.ensure_future(self._pump(reader, far_writer)),
                       asyncio.ensure_future(self._pump(far_reader, writer))]

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)

    def freeze(self) -> None:
        """Nothing passes any more, and nobody is told."""
        for pump in self._pumps:
            pump.cancel()

    def reset(self) -> None:
        self.freeze()
        reset(self._ends[0])

    def shut(self) -> None:
        """The end of the stream, without a close of the websocket."""
        self.freeze()
        self._ends[0].close()


async def end_of(model: ModelSession) -> int:
    """Reads to the end; the code of the close."""
    over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    model.wire.listen(lambda message, now: None, over.set_result)
    return await over


@pytest.mark.parametrize("cut", [Network.reset, Network.shut])
async def test_whatever_happens_to_the_connection_the_reading_ends(cut: Callable[[Network], None]) -> None:
    async with RealtimeServer() as model, client() as http:
        network = Network(int(model.url.split(":")[2].split("/")[0]))
        async with network.open() as url, asyncio.timeout(5):
            session = await open_session(http, account(url), SETUP)
            cut(network)
            assert await end_of(session) == 1006
            await session.wire.close(1000)


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012, 1013])
async def test_a_close_ends_the_reading_with_its_code(code: int) -> None:
    async with RealtimeServer() as model, client() as http:
        session = await open_session(http, account(model.url), SETUP)
        model.sessions[0].close(code)
        assert await end_of(session) == code
        await session.wire.close(1000)


async def test_a_server_that_pings_while_the_session_is_set_up_is_answered() -> None:
    async def talk(peer: web.WebSocketResponse) -> None:
        await peer.send_json({"type": "session.created", "session": {"audio": {}}})
        await peer.ping(b"there?")
        kinds = [(await peer.receive()).type, (await peer.receive()).type]
        assert sorted(kinds) == sorted([WSMsgType.TEXT, WSMsgType.PONG])
        await peer.send_json({"type": "session.updated", "session": {"audio": PCMU}})
        await peer.receive()

    async with a_model(talk, autoping=False) as url, client() as http:
        session = await open_session(http, account(url), SETUP)
        await session.wire.close(1000)


# ---- a server that says when to come again

@pytest.mark.parametrize(("status", "header", "final", "wait_s"), [
    (429, "6", False, 6), (429, None, True, 0), (429, "soon", True, 0), (503, "2", False, 2), (503, None, False, 0)])
async def test_a_status_may_say_how_long_to_wait(status: int, header: str | None, final: bool, wait_s: float) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": header} if header else {})
    app = web.Application()
    app.router.add_get("/v1/realtime", refuse)
    async with serving(app) as origin:
        failure = await refusal(origin.replace("http", "ws") + "/v1/realtime")
    assert (failure.final, failure.wait_s) == (final, wait_s)


async def test_an_error_may_say_how_long_to_wait() -> None:
    limited = error("rate_limit_exceeded", "requests")
    limited["error"]["message"] = "Please try again in 1.5s."
    async with a_model(says(CREATED, limited)) as url:
        failure = await refusal(url)
    assert (failure.final, failure.wait_s) == (False, 1.5)


@pytest.mark.parametrize(("code", "fatal"), [
    ("insufficient_quota", True), ("invalid_api_key", True), ("invalid_value", False), ("rate_limit_exceeded", False)])
async def test_what_every_call_would_meet_is_told_from_what_this_one_did(code: str, fatal: bool) -> None:
    async with a_model(says(CREATED, error(code, "invalid_request_error"))) as url:
        assert (await refusal(url)).fatal is fatal
