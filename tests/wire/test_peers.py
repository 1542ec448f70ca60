"""Websockets of ours and those of others: aiohttp, websockets, picows, and `ws` of Node, in both roles.

Each peer gives back what it is sent, in messages of all sizes, pings, and closes.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import websockets
from aiohttp import web
from yarl import URL

from bridge.sim.demo import serving
from bridge.wire import handshake
from bridge.wire.direct import Wire
from tests.stage.wires import Ears, Listening, listening

SAID = [chr(65 + number) * size for number, size in enumerate((0, 1, 125, 126, 300, 65_535, 65_536, 200_000))]
PEERS = ["aiohttp", "websockets", "picows", "ws"]


def absent(peer: str) -> str:
    """Why this peer cannot be had here."""
    if peer == "ws" and not (shutil.which("node") and shutil.which("npm")):
        return "node and npm are not installed: Node's ws is not tried"
    if peer == "picows" and sys.platform == "win32":
        return "picows is not for Windows"
    return ""


@pytest.fixture(params=PEERS)
def peer(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if reason := absent(name):
        pytest.skip(reason)
    return name


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ws`."""
    folder = tmp_path_factory.mktemp("node")
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "ws@8"], cwd=folder, capture_output=True,
                          text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"ws could not be installed: {done.stderr[-300:]}")
    return folder


# ---- they are the server

NODE_SERVER = """
const { WebSocketServer } = require("ws");
const server = new WebSocketServer(
  { port: 0, host: "127.0.0.1", maxPayload: 1 << 24 }, () => console.log(server.address().port));
server.on("connection", (peer) => {
  peer.ping("there?");
  peer.on("message", (data) => data.toString() === "close" ? peer.close(4001, "bye") : peer.send(data.toString()));
});
"""

NODE_CLIENT = """
const WebSocket = require("ws");
const said = JSON.parse(process.argv[2]).map((size, number) => String.fromCharCode(65 + number).repeat(size));
const peer = new WebSocket(process.argv[1]);
const heard = [];
peer.on("open", () => { peer.ping("there?"); said.forEach((each) => peer.send(each)); });
peer.on("message", (data) => {
  heard.push(data.toString());
  if (heard.length === said.length) peer.close(4001, "bye");
});
peer.on("close", (code) => console.log(
  JSON.stringify({ code, same: JSON.stringify(heard) === JSON.stringify(said) })));
"""


@asynccontextmanager
async def server_of(peer: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    match peer:
        case "aiohttp":
            async def echo(request: web.Request) -> web.WebSocketResponse:
                socket = web.WebSocketResponse(max_msg_size=0)
                await socket.prepare(request)
                await socket.ping(b"there?")
                async for message in socket:
                    await (socket.close(code=4001) if message.data == "close" else socket.send_str(message.data))
                return socket
            app = web.Application()
            app.router.add_get("/", echo)
            async with serving(app) as origin:
                yield origin.replace("http", "ws", 1)
        case "websockets":
            async def serve(connection: websockets.ServerConnection) -> None:
                await connection.ping("there?")
                async for message in connection:
                    await (connection.close(4001) if message == "close" else connection.send(message))
            async with websockets.serve(serve, "127.0.0.1", 0, max_size=None) as server:
                [listens] = server.sockets
                yield f"ws://127.0.0.1:{listens.getsockname()[1]}/"
        case "picows":
            import picows

            class Echo(picows.WSListener):
                def on_ws_connected(self, transport: picows.WSTransport) -> None:
                    transport.send_ping(b"there?")

                def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
                    if frame.msg_type == picows.WSMsgType.TEXT and frame.get_payload_as_bytes() == b"close":
                        transport.send_close(picows.WSCloseCode(4001))
                    elif frame.msg_type == picows.WSMsgType.TEXT:
                        transport.send(picows.WSMsgType.TEXT, frame.get_payload_as_bytes())
                    elif frame.msg_type == picows.WSMsgType.CLOSE:
                        transport.disconnect()
            server_ = await picows.ws_create_server(lambda request: Echo(), "127.0.0.1", 0)
            async with server_:
                yield f"ws://127.0.0.1:{server_.sockets[0].getsockname()[1]}/"
        case _:
            async with node(request, NODE_SERVER) as process:
                assert process.stdout
                yield f"ws://127.0.0.1:{int(await process.stdout.readline())}/"


@asynccontextmanager
async def node(request: pytest.FixtureRequest, program: str, *given: str) -> AsyncIterator[asyncio.subprocess.Process]:
    folder: Path = request.getfixturevalue("node_modules")
    process = await asyncio.create_subprocess_exec(
        "node", "-e", program, *given, cwd=folder, stdout=subprocess.PIPE, env={**os.environ, "NODE_PATH": str(folder)})
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_we_talk_to_their_server(peer: str, request: pytest.FixtureRequest) -> None:
    async with (
        asyncio.timeout(60), server_of(peer, request) as url,
        aiohttp.ClientSession(ws_response_class=handshake.TakenOver) as http,
    ):
        wire = await handshake.connect(http, URL(url), {})
        assert isinstance(wire, Wire)
        ears = Ears(wire)
        wire.send(*(each.encode() for each in SAID))
        wire.ping()
        heard = await ears.until(len(SAID))
        assert [message.decode() for message in heard] == SAID
        wire.send(b"close")
        assert await ears.end() == 4001
        await wire.close(1000)


# ---- they are the client

async def test_their_client_talks_to_us(peer: str, request: pytest.FixtureRequest) -> None:
    async with asyncio.timeout(60), listening("direct", most=2 ** 24) as world:
        talking = asyncio.ensure_future(client_of(peer, world, request))
        wire = await world.accepted.get()
        over: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        wire.listen(lambda message, now: wire.send(bytes(message)), over.set_result)
        wire.ping()
        assert await over == 4001
        assert await talking == (SAID, 4001)


async def client_of(peer: str, world: Listening, request: pytest.FixtureRequest) -> tuple[list[str], int | None]:
    """What was given back, and the code of the close, which it begins."""
    match peer:
        case "aiohttp":
            async with aiohttp.ClientSession() as http, http.ws_connect(world.url, max_msg_size=0) as socket_:
                for each in SAID:
                    await socket_.send_str(each)
                heard = [(await socket_.receive()).data for _ in SAID]
                await socket_.close(code=4001)
                return heard, socket_.close_code
        case "websockets":
            async with websockets.connect(world.url, max_size=None, compression="deflate") as connection:
                await (await connection.ping())
                for each in SAID:
                    await connection.send(each)
                heard = [str(await connection.recv()) for _ in SAID]
                await connection.close(4001)
                return heard, connection.close_code
        case "picows":
            return await _picows_client(world.url)
        case _:
            async with node(request, NODE_CLIENT, world.url, json.dumps([*map(len, SAID)])) as process:
                assert process.stdout
                said = json.loads(await process.stdout.readline())
                return SAID if said["same"] else [], said["code"]


async def _picows_client(url: str) -> tuple[list[str], int | None]:
    import picows
    heard: list[str] = []
    over: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    class Client(picows.WSListener):
        def on_ws_connected(self, transport: picows.WSTransport) -> None:
            for each in SAID:
                transport.send(picows.WSMsgType.TEXT, each.encode())

        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type == picows.WSMsgType.TEXT:
                heard.append(frame.get_payload_as_bytes().decode())
                if len(heard) == len(SAID):
                    transport.send_close(picows.WSCloseCode(4001))
            elif frame.msg_type == picows.WSMsgType.CLOSE:
                if not over.done():
                    over.set_result(int.from_bytes(frame.get_payload_as_bytes()[:2], "big"))
                transport.disconnect()

    transport, _ = await picows.ws_connect(Client, url)
    code = await over
    await transport.wait_disconnected()
    return heard, code
