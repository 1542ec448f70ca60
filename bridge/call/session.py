"""One phone call: two sockets and the tasks between them.

`Dialogue` decides what each side hears; here it is carried out. Nothing else owns the sockets.

How a call ends:
- caller hung up, phone lost: the phone's socket closed, in order or not. The model's is closed.
- assistant ended, caller silent, line too noisy, time used up, money used up: after a goodbye that was heard.
- transferred: Twilio's REST API has taken the call to a person. It is not ours any more, and must not be completed.
- server stopping: after a recorded goodbye. server killed: at once.
- model unreachable, model refused, model failed, wrong audio format, internal error: the phone's stream is closed, and
  the caller hears the fallback, which is what follows the stream (twilio_side/twiml.py).
- no start: a stream that does not say in START_S which call it is, or says other things first.
- stream refused: its token is not that of a webhook's answer to this call (turnstile.py). No session was opened.
- phone too fast: more than MAX_MESSAGES_PER_S for TOO_FAST_S.
- phone stalled: a socket that took nothing for STALL_S, or that much was waiting for.
An ending in order is known before the phone's stream is closed, so that what follows it is silence: by REST the call is
completed, and without it the server that is asked what follows knows.

A model's session that is lost, or stalled, or has nearly had its time, is followed by another one (model_line.py).
Whichever side ends, the other is closed within a second, and nothing of the call stays behind. A function that
still runs, a booking, is the application's and goes on.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.web import WebSocketResponse

from bridge.call import words
from bridge.call.clips import clips
from bridge.call.dialogue import Dialogue
from bridge.call.history import History
from bridge.call.leg import BURST, CallOver, Leg
from bridge.call.model_line import ModelLine
from bridge.call.steps import (
    HangUp, Measured, Plan, Reconnect, Refusal, RunFunction, Served, Step, ToCaller, ToModel, Transfer,
)
from bridge.console.metrics import Metrics
from bridge.loop.background import Background
from bridge.openai_side import prompt, realtime
from bridge.openai_side.breaker import Breaker
from bridge.openai_side.prices import prices_for
from bridge.reception.admission import Admission
from bridge.reception.budget import Budget
from bridge.reception.token import Refused
from bridge.reception.turnstile import Turnstile
from bridge.records.calls import in_order
from bridge.settings import Settings
from bridge.tools.registry import Tools
from bridge.tools.tool import CallContext, OnBehalfOf, Output
from bridge.twilio_side import media_streams, twiml
from bridge.twilio_side.caller import Caller
from bridge.twilio_side.rest import Outcome, complete_call, update_call

log = logging.getLogger(__name__)

START_S = 5.0
STALL_S = 5.0
#: Twilio sends `connected` before `start`: more than so many messages is not Twilio.
MOST_BEFORE_START = 10
#: For how many seconds in a row a phone may send too many messages.
TOO_FAST_S = 5
#: How long a phone may send nothing at all, seconds: a socket that is dead without saying so.
DEAD_S = 30.0
#: How long a stream may still last when Twilio did not say whether the call was transferred, seconds.
UNKNOWN_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a call needs of the application."""

    settings: Settings
    plan: Plan
    http: aiohttp.ClientSession
    tools: Tools
    opening: Callable[[datetime], str]               # what the model is told of when the business is open
    background: Background
    breaker: Breaker
    metrics: Metrics
    admission: Admission
    budget: Budget
    turnstile: Turnstile


def plan_of(settings: Settings, tools: Tools) -> Plan:
    """How every call is to go."""
    return Plan(
        greeting=prompt.greeting(settings.SYSTEM_MESSAGE, settings.GREETINGS_RESPONSE),
        protect_greeting=settings.PROTECT_GREETING, turn_detection=settings.TURN_DETECTION, clips=clips(),
        silence_prompt_ms=settings.SILENCE_PROMPT_S * 1000, most_turn_ms=settings.MAX_TURN_S * 1000,
        most_ms=settings.MAX_CALL_S * 1000, most_usd=settings.MAX_CALL_USD,
        prices=prices_for(settings.OPENAI_MODEL, settings.OPENAI_PRICES), immediate=tools.for_call().immediate,
        transfer_targets=tuple(settings.TRANSFER_NUMBER), operator_key=settings.OPERATOR_KEY)


class CallSession:
    """Carries one call, from the upgrade to its last log line."""

    def __init__(
        self, phone: WebSocketResponse, caller: Caller, services: Services, origin: str,
        on_start: Callable[[str, str], None],
    ) -> None:
        self._phone, self._caller, self._services = phone, caller, services
        self._origin, self._on_start = origin, on_start
        self._settings = services.settings
        self._functions = services.tools.for_call(services.metrics.tool)
        self._loop = asyncio.get_running_loop()
        self._dialogue = Dialogue(services.plan)
        self._tasks = asyncio.TaskGroup()
        self._to_caller = Leg(phone, "phone")
        self._model = ModelLine(self, services.http, services.settings, services.breaker)
        self._start: media_streams.StartBody | None = None
        self._started: asyncio.Future[None] = self._loop.create_future()       # a third of an Event's memory
        self._transferring = False
        self._last_message = self._loop.time()       # of the phone
        self._messages = self._too_fast_s = 0        # of the phone, since the last look; seconds of too many
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._unread: tuple[str, ...] = ()           # sides of which a malformed message was logged

    async def run(self) -> str:
        """Returns why the call ended, when it is over and both sockets are closed."""
        opened = self._loop.time()
        reason = await self._converse()
        if self._alarm:
            self._alarm.cancel()
        try:
            await self._model.close()
        finally:
            await self._leave_caller(reason)
            self._log_close(reason, self._loop.time() - opened)
        return reason

    def end(self, reason: str) -> None:
        """Ends the call from outside: "server stopping" and "money used up" say goodbye first."""
        match reason:
            case "server stopping":
                self.spawn(self._stop(reason))
            case "money used up":
                self.spawn(self._spend_no_more())
            case _:
                self.spawn(self._hang_up(reason))

    # ---- the conversation

    async def _converse(self) -> str:
        """Carries frames both ways until somebody leaves; the reason."""
        reason = "internal error"
        try:
            async with self._tasks as tasks:
                tasks.create_task(self._from_caller())
                tasks.create_task(self._watch())
        except* CallOver as endings:
            reason = str(endings.exceptions[0])
        except* Exception:
            log.exception("call %(call)s failed", {"call": self.call_sid})
        return "transferred" if self._transferring and reason in ("caller hung up", "phone lost") else reason

    async def _from_caller(self) -> None:
        try:
            async with asyncio.timeout(START_S):
                start = await self._until_start()
        except TimeoutError:
            raise CallOver("no start") from None
        await self._pass_turnstile(start)
        self.spawn(self._open_model())
        await self._begin(start)
        async for message in self._phone:
            self._last_message = self._loop.time()
            self._messages += 1
            event = self._phone_event(message)
            if event is not None:
                await self._carry_out(self._dialogue.from_caller(event, self._now()))
            if not self._messages % BURST:
                await asyncio.sleep(0)
        raise CallOver(self._phone_ending())

    async def _until_start(self) -> media_streams.StartBody:
        messages = 0
        async for message in self._phone:
            event = self._phone_event(message)
            if isinstance(event, media_streams.Start):
                if event.start.media_format.encoding != media_streams.ENCODING:
                    raise CallOver("wrong audio format")
                return event.start
            messages += 1
            if messages > MOST_BEFORE_START:
                raise CallOver("no start")
        raise CallOver(self._phone_ending())

    async def _pass_turnstile(self, start: media_streams.StartBody) -> None:
        """Only a stream that a webhook was answered with goes on, and that once; nothing is opened before."""
        turnstile = self._services.turnstile
        try:
            await turnstile.take(turnstile.check(start), start.call_sid)
        except Refused as refusal:
            log.warning("call %(call)s: its stream is refused: %(reason)s",
                        {"call": start.call_sid, "reason": str(refusal)})
            self._services.metrics.fault(str(refusal))
            raise CallOver("stream refused") from None
        self._caller = Caller(start.custom_parameters.get("caller", self._caller.name))

    async def _begin(self, start: media_streams.StartBody) -> None:
        """The phone has said which call this is."""
        resume = start.custom_parameters.get("resume")
        kept = await self._services.admission.take_history(start.call_sid) if resume else ""
        self._start = start
        if kept:
            self._dialogue = self._dialogue.followed_by(History.load(kept), words.TRANSFER_UNANSWERED)
        if not self._started.done():
            self._started.set_result(None)
        self._log_open()
        self._on_start(start.call_sid, self._caller.number)
        await self._carry_out(self._dialogue.started(start.stream_sid, self._now()))

    async def _watch(self) -> None:
        """A peer that stops reading must not keep the call, or what waits for it, forever; nor one that is silent."""
        while True:
            await asyncio.sleep(1)
            self._check_pace()
            if self._to_caller.stalled_s() > STALL_S:
                raise CallOver("phone stalled")
            if self._loop.time() - self._last_message > DEAD_S:
                raise CallOver("phone lost")
            self._model.check()
            await self._carry_out(self._dialogue.frames_missing(self._now()))

    def _check_pace(self) -> None:
        """Called every second: who sends far more than a phone can say is none."""
        most, self._messages, came = self._settings.MAX_MESSAGES_PER_S, 0, self._messages
        self._too_fast_s = self._too_fast_s + 1 if most and came > most else 0
        if self._too_fast_s >= TOO_FAST_S:
            raise CallOver("phone too fast")

    async def _carry_out(self, steps: list[Step]) -> None:
        """What each side gets goes out in order and in one piece; the caller's first, for a `clear` is urgent."""
        to_caller = [step.message for step in steps if isinstance(step, ToCaller)]
        to_model = [step.message for step in steps if isinstance(step, ToModel)]
        send = self._model.sending()                 # now: while the caller's part goes out another may take its place
        if to_caller:
            await self._to_caller.send(*to_caller)
        if to_model:
            await send(*to_model)
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
            case HangUp(reason):
                if reason in ("model failed", "model refused"):
                    self._model.gave_up("it did not answer")
                raise CallOver(reason)
            case Measured():
                self._measure(step)

    def _measure(self, step: Measured) -> None:
        metrics = self._services.metrics
        match step.what:
            case "first audio":
                metrics.first_audio(step.value)
            case "turn":
                metrics.turn(step.value)
            case "interruption":
                metrics.interruption()
            case "spent":
                metrics.spent(step.value)
                self._services.budget.spent(step.value)
            case "tokens":
                direction, _, kind = step.name.partition(" ")
                metrics.tokens(direction, kind, int(step.value))
            case "fault":
                metrics.fault(step.name)

    def _set_alarm(self, deadline: float | None) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm_at = deadline
        self._alarm = None if deadline is None else self._loop.call_at(
            deadline / 1000, lambda: self.spawn(self._time_passed()))

    async def _time_passed(self) -> None:
        self._alarm_at = None
        await self._carry_out(self._dialogue.time_passed(self._now()))

    async def _run_function(self, step: RunFunction) -> None:
        call = OnBehalfOf(self.call_sid, self._caller.number, step.turn)
        output = await self._functions.run(step.name, step.arguments, call)
        self.spawn(self._function_returned(step.call_id, output))

    async def _function_returned(self, call_id: str, output: Output) -> None:
        await self._carry_out(self._dialogue.function_returned(call_id, output, self._now()))

    async def _transfer(self, target: str) -> None:
        """Twilio is asked to connect the caller with a person; from here on the stream may end because it does."""
        self._transferring = True
        settings, call = self._settings, self._as_twilio_knows_it()
        await self._services.admission.keep_history(self.call_sid, self._dialogue.history.dump())
        outcome = await update_call(
            self._services.http, settings, self.call_sid, twiml.transfer(settings.TRANSFER_NUMBER[target], call))
        if outcome is Outcome.UNKNOWN:
            await asyncio.sleep(UNKNOWN_S)           # done after all, it would have ended this stream by then
        if outcome is not Outcome.DONE:
            self._transferring = False
            self._services.metrics.fault("transfer failed")
            await self._carry_out(self._dialogue.transfer_failed(self._now()))

    def _as_twilio_knows_it(self) -> twiml.Call:
        assert self._start
        called = self._start.custom_parameters.get("called", "")
        return twiml.Call(self._origin, self._caller, called, self.call_sid)

    async def _hang_up(self, reason: str) -> None:
        raise CallOver(reason)

    async def _stop(self, reason: str) -> None:
        await self._carry_out(self._dialogue.stopping(reason, self._now()))

    async def _spend_no_more(self) -> None:
        await self._carry_out(self._dialogue.money_used_up(self._now()))

    # ---- the model: what its line (model_line.py) needs of the call

    async def _open_model(self) -> None:
        try:
            await self._model.open()
        except CallOver:
            await self._started                      # only then is there a caller who hears what follows
            raise

    def session_setup(self) -> tuple[bytes, bool]:
        settings, number = self._settings, self._caller.number
        context = CallContext(datetime.now(settings.TIMEZONE), number_hidden=not number)
        listens = self._dialogue.listens
        return realtime.session_setup(
            instructions=prompt.instructions(
                settings.SYSTEM_MESSAGE, context.now, number, self._services.opening(context.now),
                self._functions.prompt(context)),
            voice=settings.OPENAI_VOICE, tools=self._functions.declarations(context),
            turn_detection=settings.TURN_DETECTION if listens else None,
            transcription_model=settings.OPENAI_TRANSCRIPTION_MODEL,
            noise_reduction=settings.NOISE_REDUCTION,
        ), listens

    @property
    def quiet(self) -> bool:
        return self._dialogue.quiet

    @property
    def carried(self) -> bool:
        return self._dialogue.carried

    async def model_ready(self, listens: bool) -> None:
        await self._carry_out(self._dialogue.model_ready(self._now(), listens=listens))

    async def model_lost(self) -> None:
        self._services.metrics.fault("model lost")
        await self._carry_out(self._dialogue.model_lost(self._now()))

    async def model_renewed(self) -> None:
        await self._carry_out(self._dialogue.model_renewed(self._now()))

    async def model_regained(self, seconds: float) -> None:
        self._dialogue.figures.reconnects += 1
        self._services.metrics.reconnected(seconds)

    async def from_model(self, message: bytes) -> None:
        try:
            event = realtime.parse(message)
        except realtime.Malformed as error:
            self._complain("model", error)
            return
        if event is not None:
            await self._carry_out(self._dialogue.from_model(event, self._now()))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._tasks.create_task(work)
        except RuntimeError:                         # the call is over, or just ending: there is nobody to tell
            work.close()

    # ---- the ending

    async def _leave_caller(self, reason: str) -> None:
        """What follows the stream is settled before the phone's socket is closed: that is when Twilio goes on."""
        open_still = in_order(reason) and reason != "caller hung up" and not self._transferring
        if self._start and open_still and self._settings.rest_credentials:
            await complete_call(self._services.http, self._settings, self._start.call_sid)
        going = reason in ("server stopping", "server killed")
        await self._to_caller.close(WSCloseCode.GOING_AWAY if going else WSCloseCode.OK)

    # ---- details

    def _now(self) -> float:
        return self._loop.time() * 1000

    @property
    def call_sid(self) -> str:
        return self._start.call_sid if self._start else "unknown"

    def _phone_event(self, message: aiohttp.WSMessage) -> media_streams.Event | None:
        try:
            return media_streams.parse(message.data) if message.type is WSMsgType.TEXT else None
        except media_streams.Malformed as error:
            self._complain("phone", error)
            return None

    def _complain(self, side: str, error: ValueError) -> None:
        """A malformed message is skipped; the first of a side is worth a line."""
        if side not in self._unread:
            self._unread += (side,)
            log.warning("call %(call)s: a message of the %(side)s could not be read: %(error)s",
                        {"call": self.call_sid, "side": side, "error": str(error)})

    def _phone_ending(self) -> str:
        orderly = self._phone.close_code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY)
        return "caller hung up" if orderly else "phone lost"

    def _log_open(self) -> None:
        log.info("call %(call)s opened, from %(caller)s", {"call": self.call_sid, "caller": str(self._caller)})

    def _log_close(self, reason: str, seconds: float) -> None:
        figures = self._dialogue.figures
        first = figures.first_audio_ms
        log.info(
            "call %(call)s closed after %(seconds).1f s: %(reason)s, %(turns)d turns, "
            "%(interruptions)d interruptions, %(reconnects)d reconnects, %(usd).4f USD, "
            f"{'no audio' if first is None else 'first audio after %(first_audio_ms)d ms'}",
            {"call": self.call_sid, "seconds": round(seconds, 3), "reason": reason, "turns": figures.turns,
             "interruptions": figures.interruptions, "reconnects": figures.reconnects, "usd": figures.usd,
             "first_audio_ms": None if first is None else round(first)})
