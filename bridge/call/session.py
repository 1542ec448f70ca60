"""One phone call: two websockets, and what passes between them.

`Dialogue` decides what each side hears; here it is carried out. Nothing else owns the phone's websocket. What one side
says is read, decided and sent on in the callback that its socket was read in: no task, no queue, and nobody waits. What
fails there ends the call (`_fail`), which its one lasting task awaits.

How a call can end: records/endings.py.

A model's session that is lost, stalled, or nearly out of time is replaced by another one (model_line.py).
When either side ends, the other is closed within a second, and nothing of the call stays behind. A function that still
runs, such as a booking, belongs to the application and goes on.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from aiohttp import WSCloseCode

from bridge.call import words
from bridge.call.agent import Agent
from bridge.call.dialogue import Dialogue
from bridge.call.entrance import Enter, Entered, NotLetIn
from bridge.call.events import (
    Audience, Closed, Connected, Fault, FunctionReturned, Opened, SessionReplaced, Transferred,
)
from bridge.call.history import History
from bridge.call.model_line import ModelLine
from bridge.call.over import CallOver
from bridge.call.steps import (
    HangUp, Plan, Reconnect, Refusal, RunFunction, Served, Step, Told, ToCaller, ToModel, Transfer,
)
from bridge.loop.background import Background
from bridge.loop.ticker import Ticker
from bridge.openai_side import prompt, realtime
from bridge.openai_side.breaker import Breaker
from bridge.openai_side.connection import Account
from bridge.records.endings import Ending
from bridge.tools.registry import Tools
from bridge.tools.tool import CallContext, OnBehalfOf, Output
from bridge.twilio_side import media_streams, twiml
from bridge.twilio_side.caller import Caller
from bridge.twilio_side.rest import Calls, Outcome
from bridge.wire.websocket import Websocket

log = logging.getLogger(__name__)

#: How often to check whether somebody is stalled, silent or too fast (s).
LOOK_S = 1.0
#: Twilio sends only `connected` before `start`. A phone that sends more messages than this is not Twilio.
MOST_BEFORE_START = 10


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a call needs of the application. One for all calls."""

    plan: Plan
    agent: Agent
    account: Account
    http: aiohttp.ClientSession
    rest: Calls | None                   # None: no call is transferred, and calls end by the TwiML after their stream
    tools: Tools
    opening: Callable[[datetime], str]               # tells the model when the business is open
    background: Background
    ticker: Ticker                       # calls every Timing.tick_s
    breaker: Breaker
    audience: Audience                   # who listens to calls
    #: Keeps, by CallSid, what is to be remembered if the caller comes back.
    remember: Callable[[str, str], Awaitable[None]]
    most_messages_per_s: int             # from a phone. 0: any number


class CallSession:
    """Carries one call, from the upgrade of its stream to its last log line.

    `phone` is an upgraded websocket. `origin` is the address under which Twilio reaches this server (https://host).
    `enter` decides whether the stream is let in (entrance.py).
    """

    def __init__(
        self, phone: Websocket, services: Services, origin: str, enter: Enter,
    ) -> None:
        self._phone, self._services, self._tell = phone, services, services.audience.of_a_call()
        self._origin, self._enter, self._timing = origin, enter, services.plan.timing
        self._entered = Entered(Caller())
        self._functions = services.tools.for_call(self._observe)
        self._loop = asyncio.get_running_loop()
        self._dialogue = Dialogue(services.plan)
        self._tasks = asyncio.TaskGroup()
        self._model = ModelLine(self, services.http, services.account, services.breaker, self._timing)
        self._start: media_streams.StartBody | None = None
        self._started: asyncio.Future[None] = self._loop.create_future()       # a third of an Event's memory
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._problem: Exception | None = None       # why it is over
        self._connecting_with: str | None = None     # the person with whom Twilio is asked to connect the caller
        self._last_message = self._looked = self._loop.time()        # the phone's last message, the last check (s)
        self._messages = self._too_fast_s = 0        # the phone's messages since the last check, seconds of too many
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._unread = False                         # the log was told of a malformed message of the phone

    async def run(self) -> Ending:
        """Carries the call. Returns how it ended, once both sockets are closed."""
        connected, ending = self._loop.time(), Ending.INTERNAL_ERROR
        self._tell(Connected())
        try:
            ending = await self._converse()
            await self._close(ending)
        finally:
            self._tell_end(ending, self._loop.time() - connected)
        return ending

    def end(self, ending: Ending) -> None:
        """Ends the call from outside. With SERVER_STOPPING or MONEY_USED_UP the caller hears a goodbye first."""
        match ending:
            case Ending.SERVER_STOPPING:
                self.spawn(self._stop(ending))
            case Ending.MONEY_USED_UP:
                self.spawn(self._spend_no_more())
            case _:
                self.spawn(self._hang_up(ending))

    # ---- the conversation

    async def _converse(self) -> Ending:
        """Carries frames both ways until either side leaves."""
        ending = Ending.INTERNAL_ERROR
        try:
            async with self._tasks as tasks:
                tasks.create_task(self._until_over())
                tasks.create_task(self._open())
        except* CallOver as over:
            ending = next(each.ending for each in over.exceptions if isinstance(each, CallOver))
        except* Exception:
            log.exception("call %(call)s failed", {"call": self.call_sid})
        left = ending in (Ending.CALLER_HUNG_UP, Ending.PHONE_LOST)
        return Ending.TRANSFERRED if self._connecting_with is not None and left else ending

    async def _until_over(self) -> None:
        await self._over
        if self._problem:
            raise self._problem

    def _fail(self, problem: Exception) -> None:
        """The call is over, for a reason that was met in a callback. Nothing is heard of either side any more."""
        if not self._over.done():
            self._problem = problem
            self._over.set_result(None)
            self._fall_silent()

    def _fall_silent(self) -> None:
        self._services.ticker.remove(self._look)
        self._set_alarm(None)
        self._phone.on_full = None
        self._phone.hold()
        self._model.hold(True)

    async def _open(self) -> None:
        """From the first message to the first frame."""
        try:
            async with asyncio.timeout(self._timing.start_s):
                start = await self._until_start()
        except TimeoutError:
            raise CallOver(Ending.NO_START) from None
        self._entered = await self._let_in(start)
        self.spawn(self._open_model())
        await self._begin(start)
        self._phone.on_full = self._model.hold
        self._services.ticker.add(self._look)
        self._phone.listen(self._from_phone, self._phone_ended)

    def _from_phone(self, message: bytes | bytearray, now: float) -> None:
        """50 times a second. No frame of audio changes who waits for whom, so nothing else is looked at for it."""
        self._last_message = now
        self._messages += 1
        try:
            event = media_streams.parse(message)
            if type(event) is media_streams.Media:
                for payload in self._dialogue.hear(event.media, now * 1000):
                    self._model.send(realtime.append(payload))
            elif event is not None:
                self._carry_out(self._dialogue.from_caller(event, now * 1000))
        except media_streams.Malformed as error:
            self._unreadable(error)
        except Exception as problem:
            self._fail(problem)

    def _phone_ended(self, code: int) -> None:
        self._fail(CallOver(self._phone_ending()))

    async def _until_start(self) -> media_streams.StartBody:
        for _ in range(MOST_BEFORE_START + 1):
            message = await self._phone.receive()
            if message is None:
                raise CallOver(self._phone_ending())
            try:
                event = media_streams.parse(message)
            except media_streams.Malformed as error:
                self._unreadable(error)
                continue
            if isinstance(event, media_streams.Start):
                if event.start.media_format.encoding != media_streams.ENCODING:
                    raise CallOver(Ending.WRONG_AUDIO_FORMAT)
                return event.start
        raise CallOver(Ending.NO_START)

    async def _let_in(self, start: media_streams.StartBody) -> Entered:
        try:
            return await self._enter(start)
        except NotLetIn as refusal:
            log.warning("call %(call)s: its stream is refused: %(reason)s",
                        {"call": start.call_sid, "reason": str(refusal)})
            self._tell(Fault(str(refusal)))
            raise CallOver(Ending.STREAM_REFUSED) from None

    async def _begin(self, start: media_streams.StartBody) -> None:
        """The stream has named its call, and was let in."""
        kept = await self._entered.recall() if self._entered.recall else ""
        self._start = start
        if kept:
            self._dialogue = self._dialogue.followed_by(History.load(kept), words.TRANSFER_UNANSWERED)
        if not self._started.done():
            self._started.set_result(None)
        self._tell(Opened(start.call_sid, self._entered.caller, self._entered.called, start.stream_sid))
        self._carry_out(self._dialogue.started(start.stream_sid, self._now()))

    def _look(self) -> None:
        """Ends a call whose phone accepts nothing, sends nothing or sends too much. Checks the model's line too."""
        now = self._loop.time()
        try:
            self._model.tick()
            if now - self._looked < LOOK_S:
                return
            self._looked = now
            self._check_pace()
            if self._phone.stuck or self._phone.stalled_s() > self._timing.stall_s:
                raise CallOver(Ending.PHONE_STALLED)
            if now - self._last_message > self._timing.dead_s:
                raise CallOver(Ending.PHONE_LOST)
            self._model.check()
            self._carry_out(self._dialogue.frames_missing(now * 1000))
        except Exception as problem:
            self._fail(problem)

    def _check_pace(self) -> None:
        """Called every second. Whoever sends more than MAX_MESSAGES_PER_S for TOO_FAST_S is no phone."""
        most, self._messages, came = self._services.most_messages_per_s, 0, self._messages
        self._too_fast_s = self._too_fast_s + 1 if most and came > most else 0
        if self._too_fast_s >= self._timing.too_fast_s:
            raise CallOver(Ending.PHONE_TOO_FAST)

    def _carry_out(self, steps: list[Step]) -> None:
        """Sends each side its messages, in order and in one piece. The caller's go first: a `clear` is urgent."""
        if steps:
            to_caller = [step.message for step in steps if isinstance(step, ToCaller)]
            to_model = [step.message for step in steps if isinstance(step, ToModel)]
            if to_caller:
                self._phone.send(*to_caller)
            if to_model:
                self._model.send(*to_model)
            if len(to_caller) + len(to_model) < len(steps):
                for step in steps:
                    self._act(step)
        if self._dialogue.deadline != self._alarm_at:
            self._set_alarm(self._dialogue.deadline)

    def _act(self, step: Step) -> None:
        match step:
            case RunFunction():
                self._services.background.start(self._run_function(step))
            case Transfer(target):
                self.spawn(self._transfer(target))
            case Reconnect(reason):
                self._model.lose(reason)
            case Served():
                self._model.served()
            case Refusal(problem):
                self._model.refused(problem)
            case HangUp(ending):
                if ending.by_model:
                    self._model.gave_up("it did not answer")
                raise CallOver(ending)
            case Told(event):
                self._tell(event)

    def _set_alarm(self, deadline: float | None) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm_at = deadline
        self._alarm = None if deadline is None else self._loop.call_at(deadline / 1000, self._time_passed)

    def _time_passed(self) -> None:
        self._alarm_at = None
        try:
            self._carry_out(self._dialogue.time_passed(self._now()))
        except Exception as problem:
            self._fail(problem)

    async def _run_function(self, step: RunFunction) -> None:
        call = OnBehalfOf(self.call_sid, self._entered.caller.number, step.turn)
        output = await self._functions.run(step.name, step.arguments, call)
        self.spawn(self._function_returned(step.call_id, output))

    def _observe(self, name: str, status: str, seconds: float) -> None:
        """A function has answered."""
        self._tell(FunctionReturned(name, status, seconds))

    async def _function_returned(self, call_id: str, output: Output) -> None:
        self._carry_out(self._dialogue.function_returned(call_id, output, self._now()))

    async def _transfer(self, target: str) -> None:
        """Asks Twilio to connect the caller with a person. From now on the end of the stream may mean that it did."""
        assert self._services.rest                   # without REST there is no transfer target
        self._connecting_with = target
        document = twiml.transfer(self._services.agent.transfer_numbers[target], self._as_twilio_knows_it())
        await self._services.remember(self.call_sid, "" if self._dialogue.private else self._dialogue.history.dump())
        outcome = await self._services.rest.update(self.call_sid, document)
        if outcome is Outcome.UNKNOWN:
            await asyncio.sleep(self._timing.unknown_s)    # done after all, it would have ended this stream by then
        if outcome is not Outcome.DONE:
            self._connecting_with = None
            self._tell(Fault("transfer failed"))
            self._carry_out(self._dialogue.transfer_failed(self._now()))

    def _as_twilio_knows_it(self) -> twiml.Call:
        assert self._start
        return twiml.Call(self._origin, self._entered.caller, self._entered.called, self._start.call_sid)

    async def _hang_up(self, ending: Ending) -> None:
        raise CallOver(ending)

    async def _stop(self, ending: Ending) -> None:
        self._carry_out(self._dialogue.stopping(ending, self._now()))

    async def _spend_no_more(self) -> None:
        self._carry_out(self._dialogue.money_used_up(self._now()))

    # ---- the model: what its line (model_line.py) needs of the call

    async def _open_model(self) -> None:
        try:
            await self._model.open()
        except CallOver:
            await self._started                      # before that there is no caller to hear the fallback
            raise

    def session_setup(self) -> tuple[bytes, bool]:
        agent, number = self._services.agent, self._entered.caller.number
        context = CallContext(datetime.now(agent.zone), number_hidden=not number)
        listens = self._dialogue.listens
        return realtime.session_setup(
            instructions=prompt.instructions(
                agent.system_message, context.now, number, self._services.opening(context.now),
                self._functions.prompt(context)),
            voice=agent.voice, tools=self._functions.declarations(context),
            turn_detection=agent.turn_detection if listens else None,
            transcription_model=agent.transcription_model,
            noise_reduction=agent.noise_reduction,
        ), listens

    @property
    def quiet(self) -> bool:
        return self._dialogue.quiet

    @property
    def carried(self) -> bool:
        return self._dialogue.carried

    @property
    def answered(self) -> bool:
        return self._dialogue.answered

    def model_ready(self, listens: bool) -> None:
        self._carry_out(self._dialogue.model_ready(self._now(), listens=listens))

    def model_lost(self) -> None:
        self._tell(Fault("model lost"))
        self._carry_out(self._dialogue.model_lost(self._now()))

    def model_renewed(self) -> None:
        self._carry_out(self._dialogue.model_renewed(self._now()))

    def model_regained(self, seconds: float) -> None:
        self._dialogue.figures.reconnects += 1
        self._tell(SessionReplaced(seconds))

    def from_model(self, event: realtime.Event, now: float) -> None:
        try:
            self._carry_out(self._dialogue.from_model(event, now * 1000))
        except Exception as problem:
            self._fail(problem)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._tasks.create_task(work)
        except RuntimeError:                         # the call is over, or just ending: the work is not needed
            work.close()

    # ---- the ending

    async def _close(self, ending: Ending) -> None:
        self._fall_silent()
        try:
            await self._model.close()
        finally:
            await self._leave_caller(ending)

    def _tell_end(self, ending: Ending, seconds: float) -> None:
        try:
            for said in self._dialogue.over():
                self._tell(said)
        finally:
            if ending is Ending.TRANSFERRED and self._connecting_with is not None:
                self._tell(Transferred(self._connecting_with))
            call_sid = self._start.call_sid if self._start else None
            self._tell(Closed(call_sid, ending, seconds, self._dialogue.figures))

    async def _leave_caller(self, ending: Ending) -> None:
        """Completes the call by REST, then closes the phone's socket. At that close Twilio goes on to the fallback."""
        open_still = ending.in_order and not ending.by_caller and self._connecting_with is None
        if self._start and open_still and self._services.rest:
            await self._services.rest.complete(self._start.call_sid)
        await self._phone.close(WSCloseCode.GOING_AWAY if ending.by_server else WSCloseCode.OK)

    # ---- details

    def _now(self) -> float:
        return self._loop.time() * 1000

    @property
    def call_sid(self) -> str:
        return self._start.call_sid if self._start else "unknown"

    def _unreadable(self, error: media_streams.Malformed) -> None:
        """Skips a malformed message. Only the first one of a call is logged."""
        if not self._unread:
            self._unread = True
            log.warning("call %(call)s: a message of the phone could not be read: %(error)s",
                        {"call": self.call_sid, "error": str(error)})

    def _phone_ending(self) -> Ending:
        orderly = self._phone.close_code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY)
        return Ending.CALLER_HUNG_UP if orderly else Ending.PHONE_LOST
