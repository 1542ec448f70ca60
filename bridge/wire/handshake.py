"""How a websocket begins: aiohttp shakes hands, for us as a server and as a client, and lets go of the connection.

Each of its two classes is taken over at the one moment at which no byte after the handshake has been read as a frame
yet. Bytes that came with the handshake wait in aiohttp until a parser is set, and go to ours:

- `WebSocketResponse._post_start` sets the parser when the handshake is written. Ours stands in its place.
- `ClientSession(ws_response_class=...)` is given the connection before aiohttp sets its parser. That one gets nothing.

Nothing else would do. A frame that is half read is within aiohttp's compiled parser, which shows it to nobody.

These names are not all promised (`_post_start`, `set_parser`, what `connection_lost` lets go of), so check.py tries
them at the start. Where they do not do, both sides are `Relayed`, by public names only. No extension is agreed upon.
"""

from collections.abc import Mapping
from typing import Any, cast

import aiohttp
from aiohttp import ClientWebSocketResponse, ClientWSTimeout, web
from yarl import URL

from bridge.wire.direct import Wire
from bridge.wire.relayed import Relayed
from bridge.wire.websocket import CLOSE_S, Websocket

#: A message of the model's must be shorter, bytes: an answer's longest deltas are far below.
MOST_OF_SERVER = 4 * 1024 * 1024


# ---- as a server

class _Accepted(web.WebSocketResponse[bool]):
    """A handshake whose connection is ours afterwards."""

    def __init__(self, most: int) -> None:
        super().__init__(compress=False)
        self._most = most
        self.wire: Wire | None = None

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        if request.transport is None:
            raise ConnectionResetError("the client has left")
        self.wire = Wire(request.transport, is_client=False, most=self._most)
        request.protocol.set_parser(cast(Any, self.wire))
        request.transport.set_protocol(self.wire)

    async def write_eof(self, data: bytes = b"") -> None:
        """aiohttp is done with the request, and the connection goes on."""


async def accept(request: web.BaseRequest, *, most: int, direct: bool) -> tuple[web.StreamResponse, Websocket]:
    """Shakes hands with a client. Raises HTTPBadRequest for what is no handshake, ConnectionError for who has left.

    The response is to be returned to aiohttp: at once if the websocket is a `Wire`, else when it is closed.
    `most`: a message must be shorter, bytes.
    """
    if direct:
        response = _Accepted(most)
        await response.prepare(request)
        if response.wire is None:
            raise RuntimeError("aiohttp did not hand its connection over")
        try:
            _let_go(request.protocol)
        except BaseException:
            response.wire.abort()
            raise
        return response, response.wire
    relayed = web.WebSocketResponse(
        timeout=CLOSE_S, compress=False, max_msg_size=most, autoping=False, decode_text=False)
    await relayed.prepare(request)
    return relayed, Relayed(relayed)


def _let_go(handler: web.RequestHandler) -> None:
    """The connection is not aiohttp's any more: it forgets it, its request and its tasks, without closing it."""
    handler.transport = None
    handler.connection_lost(None)


# ---- as a client

class TakenOver(ClientWebSocketResponse):
    """A handshake whose connection is ours afterwards; for `ClientSession(ws_response_class=...)`."""

    def __init__(self, reader: Any, writer: Any, protocol: str | None, response: aiohttp.ClientResponse,
                 *others: Any, **more: Any) -> None:
        super().__init__(reader, writer, protocol, response, *others, **more)
        self.response, self.wire = response, cast(Wire | None, None)
        connection = response.connection
        assert connection is not None and connection.protocol is not None and connection.transport is not None
        self.wire = Wire(connection.transport, is_client=True, most=MOST_OF_SERVER)
        connection.protocol.set_parser(cast(Any, self.wire), None)
        connection.transport.set_protocol(self.wire)


def client_class(*, direct: bool) -> type[ClientWebSocketResponse]:
    """What an `aiohttp.ClientSession` takes as its `ws_response_class`."""
    return TakenOver if direct else ClientWebSocketResponse


async def connect(http: aiohttp.ClientSession, url: URL, headers: Mapping[str, str]) -> Websocket:
    """Shakes hands with a server. Raises aiohttp.ClientError and OSError. `http` says by its ws_response_class how."""
    socket = await http.ws_connect(
        url, headers=headers, autoping=False, decode_text=False, max_msg_size=MOST_OF_SERVER,
        timeout=ClientWSTimeout(ws_close=CLOSE_S))
    if not isinstance(socket, TakenOver) or socket.wire is None:
        return Relayed(socket)
    connection = socket.response.connection
    if connection is not None and connection.protocol is not None:
        connection.protocol.transport = None         # aiohttp forgets the connection without closing it
    socket.response.close()
    return socket.wire
