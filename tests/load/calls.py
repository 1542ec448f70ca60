"""Lines to one server on which somebody is always on the phone, and the model at the other end."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from bridge.sim.phone import PhoneError, signature
from bridge.sim.phone.twiml import custom_parameters, parsed, stream_url
from bridge.sim.process import HOST
from tests.load.audio import Losses
from tests.load.model import Conversation, Model, Switchboard
from tests.load.phone import ACCOUNT_SID, Phone
from tests.load.server import Measured
from tests.load.stage import Stage

#: The time between two calls' beginnings, in seconds. 23 is prime to 20 and 250 ms, so calls spread evenly over both.
CALL_EVERY_S = 0.023
#: The time from the last call's first audio to the measurement, in seconds.
WARM_UP_S = 2.0
#: How long a rehearsal's call lasts, before the idle server is measured, in seconds.
REHEARSAL_S = 0.5
#: How long a caller waits for the greeting, the pause before another try, and how long it is tried, in seconds.
ANSWER_S = 15.0
AGAIN_S = 1.0
REDIAL_S = 60.0
#: How long the model's connections may outlive their call, and audio may be on its way, in seconds.
CLOSE_S = 5.0
DRAIN_S = 3.0
#: How long after our own garbage collection its lateness may be heard, in seconds.
_CAUGHT_UP_S = 0.5
_PACKET = 1400
_BUFFER = 16 * 1024


@dataclass(frozen=True)
class Answer:
    """The webhook's answer: the stream's path, its parameters, and all `verbs` of the TwiML."""

    path: str
    parameters: dict[str, str]
    verbs: tuple[str, ...] = ()

    @property
    def connects(self) -> bool:
        return bool(self.path)

    @property
    def afterwards(self) -> tuple[str, ...]:
        """The verbs after the stream, without the end of the call."""
        return tuple(verb for verb in self.verbs if verb not in ("Connect", "Hangup"))


async def ring(http: ClientSession, port: int, caller: str, call_sid: str, token: str = "") -> Answer:
    """Asks the webhook at `port`, as Twilio does when somebody calls. With a `token` it signs.

    Raises aiohttp.ClientError, TimeoutError, and PhoneError if Twilio would not take the answer.
    """
    form = {
        "CallSid": call_sid, "AccountSid": ACCOUNT_SID, "ApiVersion": "2010-04-01", "From": caller, "Caller": caller,
        "To": "+15550009999", "Called": "+15550009999", "CallStatus": "ringing", "Direction": "inbound",
    }
    address = f"http://{HOST}:{port}/incoming-call"
    headers = {signature.HEADER: signature.sign(token, address, form)} if token else {}
    async with http.post(address, data=form, headers=headers) as response:
        response.raise_for_status()
        document = parsed(address, await response.text())
    verbs = tuple(verb.tag for verb in document)
    stream = document.find("./Connect/Stream")
    if stream is None:
        return Answer("", {}, verbs)
    return Answer(urlsplit(stream_url(stream, stream.get("url", ""))).path, custom_parameters(stream), verbs)


class Call(Conversation):
    """One call, with an account (`tally`) of what has happened in it since the account was opened."""

    def __init__(self, stage: Stage, caller: str) -> None:
        super().__init__(stage.new_model(), replace(stage.tally, faults=Losses()))
        self.caller, self.caller_voice, self._stage = caller, stage.new_caller(), stage
        self.sid = stage.call_sid(self.caller_voice.number)
        self.phone: Phone | None = None
        self.afterwards: tuple[str, ...] = ()        # the TwiML verbs that follow the stream

    @property
    def live(self) -> bool:
        return self.phone is not None and self.phone.live

    @property
    def model(self) -> Model | None:
        """The newest connection to the model, or None."""
        return self.models[-1] if self.models else None

    @property
    def ends(self) -> list[Phone | Model]:
        return [*([self.phone] if self.phone else []), *self.models]

    @property
    def speaks(self) -> bool:
        """Whether the assistant is in mid-speech, both in the response and at the caller's ear."""
        return bool(self.model and self.model.can_call and self.phone and self.phone.plays)

    @property
    def outstanding(self) -> int:
        """Pieces of audio that were said to either end and have not come, without skipped ones."""
        return sum(end.ear.outstanding - end.ear.skipped for end in (self.phone, self.model) if end and end.live)

    @property
    def awaits_something(self) -> bool:
        return bool(self.outstanding or self.phone and self.phone.awaits_clear)

    def flows_since(self, moment: float) -> bool:
        """Whether both ends have heard something that the other said after this moment."""
        phone, model = self.phone, self.model
        return bool(phone and model and phone.ear.heard_since(moment) and model.ear.heard_since(moment))

    def close_account(self, total: Losses, *, measuring: bool = False) -> None:
        """Adds the account to `total`, and opens a new one with the next piece of audio that comes.

        `measuring`: the delays from now on count.
        """
        for name, count in vars(self.tally.faults).items():
            setattr(total, name, getattr(total, name) + count)
        total.lost += sum(end.ear.skipped for end in self.ends)
        self.tally = replace(self._stage.tally, faults=Losses(), measuring=measuring)
        for end in self.ends:
            end.account(self.tally)


class Line:
    """A line on which somebody is always on the phone. `steady`: no fault is being made in its call."""

    def __init__(self, number: int) -> None:
        self.caller = f"+1555{number:07d}"
        self.call: Call | None = None
        self.steady = False
        self.since = 0.0                             # when it became steady
        self.connections = 0                         # its connections to the model, at that moment

    def settle(self) -> None:
        self.steady, self.since, self.connections = True, perf_counter(), len(self.call.models) if self.call else 0


class Exchange:
    """The phones, the model and the network between them and one server. Everything is gone when the block ends.

    `plain` and `token` are the stage's. `rough`: faults are made in calls, and sockets have the packets and the small
    buffers of a real network. The loopback's own take megabytes, so a peer that stops reading would not be noticed for
    minutes.
    """

    def __init__(
        self, server: Measured, model_port: int, *, plain: bool = False, token: str = "", rough: bool = False,
    ) -> None:
        self.stage = Stage(plain, token, clips=rough)
        self.switchboard = Switchboard(self.stage)
        self.lines: list[Line] = []
        self.calls: list[Call] = []                  # all calls that ever had a stream
        self.faults = Losses()                       # the losses of calls without a fault of ours
        self._server, self._model_port, self._rough = server, model_port, rough

    async def __aenter__(self) -> "Exchange":
        # Each request has a connection of its own, so none is left open in the server.
        self.http = ClientSession(
            connector=TCPConnector(limit=0, force_close=True), timeout=ClientTimeout(total=ANSWER_S))
        listening = self._socket()
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

    def _socket(self) -> socket.socket:
        connection = socket.socket()
        if self._rough:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _PACKET)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        return connection

    @asynccontextmanager
    async def measuring(self, *, collecting: bool = False) -> AsyncIterator[None]:
        """Takes the delays of the calls that are well, without garbage collections of ours, which would lengthen them.

        `collecting`: only the objects so far are spared. For a run of hours.
        """
        gc.collect()
        gc.freeze()
        if not collecting:
            gc.disable()
        await asyncio.sleep(_CAUGHT_UP_S)
        self._measure(True)
        try:
            yield
        finally:
            self._measure(False)
            gc.enable()
            gc.unfreeze()

    def _measure(self, measuring: bool) -> None:
        self.stage.tally.measuring = measuring
        for line in self.lines:
            if line.steady and line.call:
                line.call.tally.measuring = measuring

    # ---- calling

    async def open(self, calls: int, warm_up_s: float = WARM_UP_S) -> None:
        """Opens `calls` new lines with answered calls, and lets them go on for a while. Raises TimeoutError."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(calls):
                    tasks.create_task(self.open_line())
                    await asyncio.sleep(CALL_EVERY_S)
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        await asyncio.sleep(warm_up_s)

    async def open_line(self) -> Line:
        """Opens a new line with an answered call. Raises TimeoutError."""
        line = Line(len(self.lines))
        self.lines.append(line)
        self.faults.unanswered += await self.dial(line) - 1
        line.settle()
        return line

    async def dial(self, line: Line) -> int:
        """Calls until somebody answers. Returns the number of tries. Raises TimeoutError."""
        attempts = 0
        try:
            async with asyncio.timeout(REDIAL_S):
                while True:
                    attempts += 1
                    if await self._call(line):
                        return attempts
                    await asyncio.sleep(AGAIN_S)
        except TimeoutError:
            raise TimeoutError(f"{attempts} calls of {line.caller} were not answered within {REDIAL_S:.0f} s") from None

    async def ring(self, call: Call) -> Answer:
        if self.stage.plain:
            return Answer(f"/media-stream/{call.caller}", {})
        return await ring(self.http, self._server.port, call.caller, call.sid, self.stage.token)

    async def _call(self, line: Line) -> bool:
        """Whether the caller heard the assistant."""
        call = line.call = self.switchboard.calls[line.caller] = Call(self.stage, line.caller)
        rang_at = perf_counter()
        try:
            answer = await self.ring(call)
            if not answer.connects:
                return False
            call.afterwards = answer.afterwards
            await self._connect(call, answer, rang_at)
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

    async def _connect(self, call: Call, answer: Answer, rang_at: float) -> None:
        loop = asyncio.get_running_loop()
        connection = self._socket()
        connection.setblocking(False)
        await loop.sock_connect(connection, (HOST, self._server.port))
        _, call.phone = await loop.create_connection(
            lambda: Phone(self.stage, call.caller_voice, call.tally, answer.path, answer.parameters, rang_at),
            sock=connection)
        self.calls.append(call)
        await call.phone.opened

    # ---- ending

    async def end(self) -> None:
        """Ends all speech, checks that the calls that are well went on and lost nothing, and hangs up."""
        self.stage.stop()
        well = [(line, line.call) for line in self.lines if line.steady and line.call]
        deadline = perf_counter() + DRAIN_S
        while perf_counter() < deadline and any(call.awaits_something for _, call in well):
            await asyncio.sleep(0.05)
        for line, call in well:
            self.faults.lost += call.outstanding
            self.faults.uncleared += bool(call.phone and call.phone.awaits_clear)
            self.faults.dropped += not call.live or len(call.models) != line.connections
        await asyncio.gather(*(self.leave(line, self.faults) for line in self.lines))

    async def leave(self, line: Line, account: Losses) -> None:
        """Ends this line. Its call's losses go to this account."""
        line.steady, call, line.call = False, line.call, None
        if call:
            call.close_account(account)
            await self.hang_up(call)

    async def hang_up(self, call: Call) -> None:
        if call.phone:
            call.phone.hang_up()
        await self.let_go(call)

    async def let_go(self, call: Call) -> None:
        """Ends a call, and counts connections that outlive it by CLOSE_S."""
        ends = [end.closed for end in call.ends if not end.closed.done()]
        if ends:
            _, still_open = await asyncio.wait(ends, timeout=CLOSE_S)
            self.faults.left_open += len(still_open)
