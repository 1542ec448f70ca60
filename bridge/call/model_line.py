"""A call's line to the model, over as many sessions as it takes.

1. A session that cannot be had is tried again, with growing pauses, for GIVE_UP_S in all; a refusal that trying again
   does not change ends the call at once.
2. A session that is lost, whoever closed it and however, is followed by another one.
3. So is one whose time is nearly up, before it is: the new one is ready first, and takes over while nobody speaks.
4. What is sent while there is no session is dropped. The next one is told what was said so far, by the dialogue.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

import aiohttp
from aiohttp import WSCloseCode, WSMsgType

from bridge.call.leg import BURST, CallOver, Leg
from bridge.openai_side import backoff
from bridge.openai_side.breaker import Breaker
from bridge.openai_side.connection import ModelSession, ModelUnreachable, open_session
from bridge.settings import Settings

log = logging.getLogger(__name__)

#: How long a session may take nothing of what it is sent, seconds.
STALL_S = 5.0
#: How long the last attempt may take at least, seconds.
LEAST_S = 0.2
#: How long a session lasts that does not say so: https://developers.openai.com/api/docs/guides/realtime-conversations
SESSION_S = 3600.0
#: How long before its end a session is renewed, at most a quarter of its time; how soon again when that fails, seconds.
RENEW_BEFORE_S, RENEW_AGAIN_S = 300.0, 10.0
#: How often a moment is looked for in which nobody speaks, seconds.
LOOK_S = 0.05


class Conversation(Protocol):
    """The call, as its line to the model sees it."""

    @property
    def call_sid(self) -> str: ...

    def session_setup(self) -> tuple[bytes, bool]:
        """The session.update that a session begins with, and whether it makes it listen to the caller."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a task of the call's."""

    @property
    def quiet(self) -> bool:
        """Whether nobody speaks and nothing is awaited."""

    async def model_ready(self, listens: bool) -> None: ...
    async def model_lost(self) -> None: ...
    async def model_renewed(self) -> None: ...
    async def model_regained(self, seconds: float) -> None: ...
    async def from_model(self, message: bytes) -> None: ...


async def _nowhere(*messages: bytes) -> None:
    """There is no session."""


class ModelLine:
    """`open` begins; `send` and `close` are for whoever holds the call."""

    def __init__(
        self, call: Conversation, http: aiohttp.ClientSession, settings: Settings, breaker: Breaker,
    ) -> None:
        self._call, self._http, self._settings, self._breaker = call, http, settings, breaker
        self._time = asyncio.get_running_loop().time
        self._leg: Leg | None = None                 # None: there is no session at the moment
        self._left: list[Leg] = []                   # sessions that others follow, until they are closed
        self._renewal: asyncio.TimerHandle | None = None     # a task that sleeps for an hour would cost each call 2 kB

    async def open(self) -> None:
        """The first session. Raises CallOver when there is none to be had."""
        await self._take_up()

    def sending(self) -> Callable[..., Awaitable[None]]:
        """Sends to the session in force now, also when another one has taken its place by then."""
        return self._leg.send if self._leg else _nowhere

    def lose(self, reason: str) -> None:
        """The session is of no use: another one takes its place."""
        leg, self._leg = self._leg, None
        if leg:
            self._left.append(leg)
            self._call.spawn(self._replace(leg, reason))

    def check(self) -> None:
        """Called every second: a session that takes nothing is given up."""
        if self._leg and self._leg.stalled_s() > STALL_S:
            self.lose("it takes nothing any more")

    async def close(self) -> None:
        """Closes what is open."""
        if self._renewal:
            self._renewal.cancel()
        if self._leg:
            self._left.append(self._leg)
        self._leg = None
        await asyncio.gather(*(leg.close(WSCloseCode.OK) for leg in self._left))

    async def _close(self, leg: Leg) -> None:
        """Not taken for closed before it is: where the call ends meanwhile, `close` does it."""
        await leg.close(WSCloseCode.OK)
        self._left.remove(leg)

    # ---- one session after the other

    async def _take_up(self) -> None:
        """A session, whatever it takes, and its beginning."""
        setup, listens = self._call.session_setup()
        session = await self._connect(setup)
        self._attach(session)
        await self._call.model_ready(listens)

    def _attach(self, session: ModelSession) -> None:
        self._leg = leg = Leg(session.socket, "")
        self._call.spawn(self._read(leg, session))
        left = session.expires_at - time.time() if session.expires_at else SESSION_S
        if self._renewal:
            self._renewal.cancel()
        self._renewal = asyncio.get_running_loop().call_later(
            left - min(RENEW_BEFORE_S, left / 4), lambda: self._call.spawn(self._renew(leg)))

    async def _connect(self, setup: bytes) -> ModelSession:
        """Raises CallOver when trying is of no use, or has been for too long."""
        over, attempt = self._time() + backoff.GIVE_UP_S, 0
        while True:
            attempt += 1
            try:
                session = await open_session(
                    self._http, self._settings, setup, within=max(over - self._time(), LEAST_S))
            except ModelUnreachable as problem:
                self._breaker.failed(self._time())
                pause = backoff.pause(attempt, random.random())
                facts = {"call": self._call.call_sid, "problem": str(problem)}
                if problem.final or self._time() + pause >= over:
                    log.error("call %(call)s: no session at the model: %(problem)s", facts)
                    raise CallOver("model unreachable") from None
                log.warning("call %(call)s: no session at the model yet: %(problem)s", facts)
            else:
                self._breaker.succeeded()
                return session
            await asyncio.sleep(pause)

    async def _read(self, leg: Leg, session: ModelSession) -> None:
        """Passes on what a session says, for as long as it is the one in force."""
        socket, came = session.socket, 0
        async for message in socket:
            if leg is not self._leg:
                return
            if message.type is WSMsgType.TEXT:
                await self._call.from_model(message.data)
            came += 1
            if not came % BURST:
                await asyncio.sleep(0)
        if leg is self._leg:
            self.lose(f"it was closed with code {socket.close_code}")

    async def _replace(self, lost: Leg, reason: str) -> None:
        began = self._time()
        log.warning("call %(call)s: the model's session is lost, %(reason)s; another one is opened",
                    {"call": self._call.call_sid, "reason": reason})
        self._call.spawn(self._close(lost))
        await self._call.model_lost()
        await self._take_up()
        await self._call.model_regained(self._time() - began)

    # ---- before its time is up

    async def _renew(self, leg: Leg) -> None:
        """Opens the next session, and lets it take over at a quiet moment."""
        while leg is self._leg:
            setup, _ = self._call.session_setup()
            try:
                successor = await open_session(self._http, self._settings, setup)
            except ModelUnreachable as problem:
                log.warning("call %(call)s: the model's session could not be renewed: %(problem)s",
                            {"call": self._call.call_sid, "problem": str(problem)})
                await asyncio.sleep(RENEW_AGAIN_S)
                continue
            if await self._quiet_moment(leg, successor):
                self._left.append(leg)
                self._attach(successor)
                await self._call.model_renewed()
                await self._close(leg)
            else:
                await successor.socket.close()

    async def _quiet_moment(self, leg: Leg, successor: ModelSession) -> bool:
        """Waits for one; False when either session is gone before."""
        try:
            while leg is self._leg and not successor.socket.closed:
                if self._call.quiet:
                    return True
                await asyncio.sleep(LOOK_S)
            return False
        except asyncio.CancelledError:
            await successor.socket.close()
            raise
