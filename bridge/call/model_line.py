"""A call's line to the model, over as many sessions as it takes.

1. A session counts as had once it did something for the caller: an answer of it was heard to its end, or it has lived
   for had_s and carries the conversation. Until then it is an attempt.
2. An attempt that fails or breaks is followed by another one, with growing pauses, for give_up_s in all. Then the call
   ends, and the caller hears the fallback. A final refusal ends the call at once. The breaker is told of every failed
   attempt and of every session that was had.
3. If a session that was had is lost, for whatever reason, another one follows at once.
4. A session is renewed before its time is up. The new one is ready first, and takes over while nobody speaks.
5. Messages sent while there is no session are dropped. The dialogue tells the next session what was said so far.
6. The line knows the model's protocol. The call gets parsed events, never messages.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import aiohttp
from aiohttp import WSCloseCode

from bridge.call.over import CallOver
from bridge.call.timing import Timing
from bridge.openai_side import pulse, realtime
from bridge.openai_side.backoff import Recovery
from bridge.openai_side.breaker import Breaker
from bridge.openai_side.connection import Account, ModelSession, ModelUnreachable, open_session
from bridge.openai_side.pulse import Pulse
from bridge.records.endings import Ending
from bridge.wire.websocket import Websocket

log = logging.getLogger(__name__)

#: How long the last attempt may take at least (s).
LEAST_S = 1.0
#: How long a session lasts at most, and if the server does not say (s).
#: https://developers.openai.com/api/docs/guides/realtime-conversations
SESSION_S = 3600.0
#: How long before its end a session is renewed, at most a quarter of its time, seconds.
RENEW_BEFORE_S = 300.0
#: How often the line checks whether nobody speaks, before it changes sessions (s).
LOOK_S = 0.05


class Conversation(Protocol):
    """The call, as its line to the model sees it."""

    @property
    def call_sid(self) -> str: ...

    def session_setup(self) -> tuple[bytes, bool]:
        """The session.update for a new session, and whether it makes the session listen to the caller."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a task of the call's."""

    @property
    def quiet(self) -> bool:
        """Whether nobody speaks and nothing is awaited."""

    @property
    def carried(self) -> bool:
        """Whether the session does its work: its words are heard, or nobody waits for any."""

    @property
    def answered(self) -> bool:
        """Whether an answer of the session is complete and the caller is still hearing it."""

    def model_ready(self, listens: bool) -> None: ...
    def model_lost(self) -> None: ...
    def model_renewed(self) -> None: ...
    def model_regained(self, seconds: float) -> None: ...

    def from_model(self, event: realtime.Event, now: float) -> None:
        """`now`: seconds by the loop's clock. It does not raise."""


def _nowhere(*messages: bytes) -> None:
    """Drops messages while there is no session."""


def _unheard(message: bytes | bytearray, now: float) -> None:
    """What a session says that waits for its turn."""


class ModelLine:
    """The line of one call. `CallSession` opens it once, sends by `send`, and closes it at the end."""

    def __init__(
        self, call: Conversation, http: aiohttp.ClientSession, account: Account, breaker: Breaker, timing: Timing,
    ) -> None:
        self._call, self._http, self._account, self._breaker, self._timing = call, http, account, breaker, timing
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        #: Sends to the session in force; what is sent while there is none is dropped.
        self.send: Callable[..., None] = _nowhere
        self._wire: Websocket | None = None          # None: there is no session at the moment
        self._next: Websocket | None = None          # ready, and waits for a quiet moment
        self._left: list[Websocket] = []             # replaced sessions, until they are closed
        self._recovery = Recovery(timing.give_up_s)
        self._had = False                            # the session in force has done something for the caller
        self._since = 0.0                            # when the session in force took over (s)
        self._problem = ""                           # why there is no session, as the log was last told
        self._pulse = Pulse()
        self._held = False                           # nothing is read of the session in force
        self._renewal: asyncio.TimerHandle | None = None     # a task that sleeps for an hour would cost each call 2 kB
        self._doubted = False                        # the log was told of a session's impossible end
        self._unread = False                         # the log was told of a malformed message

    async def open(self) -> None:
        """Opens the first session. Raises CallOver if none can be had."""
        self._recovery.begin(self._time())
        await self._take_up()

    def hold(self, held: bool) -> None:
        """Nothing is read of the session while the phone takes nothing: the model waits, and not our memory."""
        self._held = self._pulse.busy = held
        if self._wire and held:
            self._wire.hold()
        elif self._wire:
            self._listen_to(self._wire)

    def lose(self, reason: str) -> None:
        """The session is of no use: another one replaces it."""
        if self._call.answered:                      # the caller hears it to its end all the same
            self.served()
        wire, self._wire, self.send = self._wire, None, _nowhere
        if wire:
            self._stop_timer()
            wire.hold()
            self._left.append(wire)
            self._call.spawn(self._replace(wire, reason, self._had))

    def tick(self) -> None:
        """Gives up a connection that is dead without a sign. Called every Timing.tick_s."""
        if not self._wire:
            return
        if self._wire.heard:
            self._wire.heard, self._pulse.heard = False, True
        match self._pulse.tick():
            case "dead":
                self.lose(f"nothing came from it for {pulse.DEAD_TICKS * self._timing.tick_s:.1f} s, no pong either")
            case "ping" if not self._wire.stalled_s():       # else it has enough to answer
                self._wire.ping()

    def check(self) -> None:
        """Called every second. Gives up a session that accepts nothing, and counts one that does its work as had."""
        if self._wire and (self._wire.stuck or self._wire.stalled_s() > self._timing.stall_s):
            self.lose("it takes nothing any more")
        elif self._wire and not self._had and self._time() - self._since >= self._timing.had_s and self._call.carried:
            self.served()

    def served(self) -> None:
        """The session has done something for the caller."""
        if self._wire and not self._had:
            self._had, self._problem = True, ""
            self._recovery.served()
            self._breaker.succeeded()

    def gave_up(self, problem: str) -> None:
        """The call ends because the model did not answer."""
        self._breaker.failed(self._time(), problem)

    def refused(self, problem: str) -> None:
        """The model has said that it serves no call of ours. `problem` says what to do."""
        log.info("call %(call)s: the model refuses to serve it: %(problem)s",
                 {"call": self._call.call_sid, "problem": problem})
        self._breaker.refused(self._time(), problem)

    async def close(self) -> None:
        """Closes every session that is open. The line is not used after that."""
        self._stop_timer()
        self._left += filter(None, (self._wire, self._next))
        self._wire, self._next, self.send = None, None, _nowhere
        await asyncio.gather(*(wire.close(WSCloseCode.OK) for wire in self._left))

    async def _close(self, wire: Websocket) -> None:
        """Closes a replaced session. It stays in `_left` until then: if the call ends meanwhile, `close` closes it."""
        await wire.close(WSCloseCode.OK)
        self._left.remove(wire)

    def _stop_timer(self) -> None:
        if self._renewal:
            self._renewal.cancel()

    # ---- one session after the other

    async def _take_up(self) -> None:
        """Opens a session, in as many attempts as it takes, and puts it into force."""
        session, listens = await self._connect()
        self._attach(session)
        self._call.model_ready(listens)

    def _attach(self, session: ModelSession) -> None:
        """Puts a session into force."""
        self._stop_timer()
        self._wire = wire = session.wire
        self.send, self._had, self._since = wire.send, False, self._time()
        self._pulse = Pulse()
        self._pulse.busy = self._held
        if not self._held:
            self._listen_to(wire)
        left = self._believed(session.expires_at)
        self._renewal = self._loop.call_later(
            left - min(RENEW_BEFORE_S, left / 4), lambda: self._call.spawn(self._renew(wire)))

    def _believed(self, expires_at: float | None) -> float:
        """How long a session lasts (s), by the end that it names. An impossible end is not believed."""
        left = expires_at - time.time() if expires_at else SESSION_S
        if left >= self._timing.least_session_s:
            return min(left, SESSION_S)
        if not self._doubted:
            self._doubted = True
            log.warning(
                "call %(call)s: the model's session claims to end in %(left).0f s. This is not believed, and the "
                "session counts as lasting %(lasts).0f s: check this machine's clock", {
                    "call": self._call.call_sid, "left": left, "lasts": SESSION_S})
        return SESSION_S

    async def _connect(self) -> tuple[ModelSession, bool]:
        """A session, and whether it listens. Raises CallOver if trying is of no use, or the time is up."""
        wait_s = 0.0
        while (pause := self._recovery.next_attempt(self._time(), random.random(), wait_s)) is not None:
            await asyncio.sleep(pause)
            setup, listens = self._call.session_setup()
            within = max(self._recovery.left_s(self._time()), LEAST_S)
            try:
                return await open_session(self._http, self._account, setup, within), listens
            except ModelUnreachable as problem:
                self._failed(problem)
                wait_s = problem.wait_s
        log.error("call %(call)s: no session at the model, after %(attempts)d attempts in %(seconds).1f s: %(problem)s",
                  {"call": self._call.call_sid, "attempts": self._recovery.attempts, "problem": self._problem,
                   "seconds": self._recovery.lasted_s(self._time())})
        raise CallOver(Ending.MODEL_UNREACHABLE)

    def _failed(self, problem: ModelUnreachable) -> None:
        """An attempt has failed. Raises CallOver if trying again is of no use."""
        if problem.fatal:
            self.refused(str(problem))
            raise CallOver(Ending.MODEL_UNREACHABLE)
        self._breaker.failed(self._time(), str(problem))
        if problem.final:
            log.error("call %(call)s: no session at the model: %(problem)s",
                      {"call": self._call.call_sid, "problem": str(problem)})
            raise CallOver(Ending.MODEL_UNREACHABLE)
        self._note(str(problem), "no session at the model yet")

    def _note(self, problem: str, what: str) -> None:
        """Logs why there is no session, if that is new. The last line tells how many attempts there were."""
        if problem != self._problem:
            log.warning("call %(call)s: %(what)s: %(problem)s",
                        {"call": self._call.call_sid, "what": what, "problem": problem})
        self._problem = problem

    def _listen_to(self, wire: Websocket) -> None:
        wire.listen(self._from_session, partial(self._ended, wire))

    def _from_session(self, message: bytes | bytearray, now: float) -> None:
        """Passes an event on. A malformed message is skipped, and the first one of a call logged."""
        try:
            event = realtime.parse(message)
        except realtime.Malformed as error:
            if not self._unread:
                self._unread = True
                log.warning("call %(call)s: a message of the model could not be read: %(error)s",
                            {"call": self._call.call_sid, "error": str(error)})
            return
        if event is not None:
            self._call.from_model(event, now)

    def _ended(self, wire: Websocket, code: int) -> None:
        if wire is self._next:
            self._next = None
        if wire is self._wire:
            self.lose(f"it was closed with code {code}")

    async def _replace(self, lost: Websocket, reason: str, had: bool) -> None:
        began = self._time()
        self._recovery.begin(began)
        if not had:                                  # it was an attempt, and has failed
            self._breaker.failed(began, f"its sessions break: {reason}")
        self._note(reason, "the model's session is lost, and another one is opened")
        self._call.spawn(self._close(lost))
        self._call.model_lost()
        await self._take_up()
        self._call.model_regained(self._time() - began)

    # ---- before its time is up

    async def _renew(self, wire: Websocket) -> None:
        """Opens the next session, and lets it take over at a quiet moment."""
        pause, told = self._timing.renew_again_s, ""
        while wire is self._wire:
            setup, _ = self._call.session_setup()
            try:
                session = await open_session(self._http, self._account, setup)
            except ModelUnreachable as problem:
                told = self._not_renewed(str(problem), told)
                if problem.fatal:
                    self.refused(str(problem))
                if problem.final:
                    return                           # this session goes on to its end. Another one may be had then
            else:
                if await self._taken_over(wire, session) or wire is not self._wire:
                    return
                told = self._not_renewed("the next one broke while it waited for its turn", told)
            await asyncio.sleep(pause)
            pause *= 2

    async def _taken_over(self, wire: Websocket, session: ModelSession) -> bool:
        """Waits for a quiet moment; False when either session is gone before."""
        self._next = successor = session.wire
        successor.listen(_unheard, partial(self._ended, successor))
        while wire is self._wire and successor is self._next:
            if self._call.quiet:
                self._next = None
                wire.hold()
                self._left.append(wire)
                self._attach(session)
                self._call.model_renewed()
                await self._close(wire)
                return True
            await asyncio.sleep(LOOK_S)
        self._next = None
        self._left.append(successor)
        await self._close(successor)
        return False

    def _not_renewed(self, problem: str, told: str) -> str:
        """A line for what is new; `told` was the last one."""
        if self._wire and problem != told:
            log.warning("call %(call)s: the model's session could not be renewed: %(problem)s",
                        {"call": self._call.call_sid, "problem": problem})
        return problem
