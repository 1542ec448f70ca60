"""So many lines to one server on which somebody is always on the phone, and the model at the other end.

Sockets are those of a real network, with its packets and small buffers: on the loopback's own, which take megabytes,
who stops reading would not be noticed for minutes.
"""

import asyncio
import socket
from time import perf_counter

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from bridge.sim.phone import PhoneError
from tests.load.faulty import Call, FaultyPhone, Switchboard
from tests.load.server import HOST, Server
from tests.load.stage import Stage
from tests.load.webhook import Answer, caller_number, ring

#: Until a caller hears the greeting, s; until the next try, s; for how long it is tried again, s.
ANSWER_S = 15.0
AGAIN_S = 1.0
REDIAL_S = 60.0
#: How long the model's connections may outlive their call, s.
CLOSE_S = 5.0
DRAIN_S = 3.0
_PACKET = 1400
_BUFFER = 16 * 1024

#: The server's log as journal.py reads it.
SETTINGS = {"LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}


class Line:
    """One of those who are always on the phone. `steady`: nothing is being done to the call under way."""

    def __init__(self, number: int) -> None:
        self.caller = caller_number(number)
        self.call: Call | None = None
        self.steady = False
        self.since = 0.0                             # when it became so
        self.connections = 0                         # to the model, at that moment

    def settle(self) -> None:
        self.steady, self.since, self.connections = True, perf_counter(), len(self.call.models) if self.call else 0


class Exchange:
    """Everything is gone when the block ends."""

    def __init__(self, server: Server, model_port: int) -> None:
        self.stage = Stage(plain=False)
        self.switchboard = Switchboard(self.stage)
        self.lines: list[Line] = []
        self.calls: list[Call] = []                  # all that ever had a stream
        self._server, self._model_port = server, model_port

    async def __aenter__(self) -> "Exchange":
        # Each request on a connection of its own, as Twilio's: none is left open in the server.
        self.http = ClientSession(
            connector=TCPConnector(limit=0, force_close=True), timeout=ClientTimeout(total=ANSWER_S))
        listening = _tight(socket.socket())
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, self._model_port))
        self._listener = await asyncio.get_running_loop().create_server(
            self.switchboard.new_model, sock=listening, backlog=1000)
        self.stage.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stage.stop()
        for call in self.calls:
            if call.phone and not call.phone.closed.done():
                call.phone.transport.abort()
        for model in [*self.switchboard.models]:
            model.transport.abort()
        self._listener.close()
        await self.http.close()

    # ---- calling

    async def open_line(self) -> Line:
        """A new line with an answered call. Raises TimeoutError."""
        line = Line(len(self.lines))
        self.lines.append(line)
        await self.dial(line)
        line.settle()
        return line

    async def dial(self, line: Line) -> int:
        """Call until somebody answers; how often it took. Raises TimeoutError."""
        attempts = 0
        async with asyncio.timeout(REDIAL_S):
            while True:
                attempts += 1
                if await self._call(line):
                    return attempts
                await asyncio.sleep(AGAIN_S)

    async def ring(self, call: Call) -> Answer:
        return await ring(self.http, self._server.port, call.caller, call.sid)

    async def _call(self, line: Line) -> bool:
        """Whether the caller heard the assistant."""
        call = line.call = Call(self.stage, line.caller)
        self.switchboard.calls[line.caller] = call
        try:
            answer = await self.ring(call)
            if not answer.connects:
                return False
            call.afterwards = answer.afterwards
            await self._connect(call, answer)
        except (ClientError, ConnectionError, PhoneError, TimeoutError):
            return False
        assert call.phone
        deadline = perf_counter() + ANSWER_S
        while perf_counter() < deadline and call.live:
            if call.flows_since(0.0):
                return True
            await asyncio.sleep(0.02)
        call.phone.hang_up()
        return False

    async def _connect(self, call: Call, answer: Answer) -> None:
        loop = asyncio.get_running_loop()
        connection = _tight(socket.socket())
        connection.setblocking(False)
        await loop.sock_connect(connection, (HOST, self._server.port))
        _, call.phone = await loop.create_connection(
            lambda: FaultyPhone(self.stage, call, answer.path, answer.parameters), sock=connection)
        self.calls.append(call)
        await call.phone.opened

    # ---- ending

    async def drain(self) -> None:
        """Nothing is said any more: wait for what is on its way in the calls that are well."""
        self.stage.stop()
        deadline = perf_counter() + DRAIN_S
        while perf_counter() < deadline and any(
                line.call.awaits_something for line in self.lines if line.steady and line.call):
            await asyncio.sleep(0.05)

    async def hang_up(self, call: Call) -> int:
        """End this call; how many of its connections to the model are left open."""
        if call.phone:
            call.phone.hang_up()
        return await self.left_open(call)

    async def left_open(self, call: Call) -> int:
        """How many of the connections of a call that is over outlive it by CLOSE_S: none should."""
        ends = [end.closed for end in (call.phone, *call.models) if end and not end.closed.done()]
        if not ends:
            return 0
        _, still_open = await asyncio.wait(ends, timeout=CLOSE_S)
        return len(still_open)


def _tight(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _PACKET)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return connection
