"""One phone call: two sockets and the tasks between them.

`Dialogue` decides what each side hears; here it is carried out. Nothing else owns the sockets.

How a call ends:
- caller hung up, phone lost: the phone's socket closed, in order or not. The model's is closed.
- assistant ended: `end_call`, after its goodbye was heard. Twilio is told by REST, or the stream is just closed.
- model unreachable, model lost, model refused, model failed, wrong audio format, internal error: the caller hears
  an apology, then the call ends. With REST credentials Twilio speaks it as the next verb (twilio_side/twiml.py);
  without, the shipped clip is played into the stream before it is closed.
- no start: a stream that does not say in START_S which call it is. Nothing has been paid for.
- phone stalled, model stalled: a socket took nothing for STALL_S.
- server stopping: both sides are closed with 1001.
Whichever side ends, the other is closed within a second, and nothing of the call stays behind. A function that
still runs, a booking, is the application's and goes on.
"""

import asyncio
import base64
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import aiohttp
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.web import WebSocketResponse

from bridge.background import Background
from bridge.call.dialogue import Dialogue, HangUp, Plan, RunFunction, Step, ToCaller, ToModel
from bridge.call.leg import CallOver, Leg
from bridge.meetings.booking import OnBehalfOf
from bridge.meetings.tools import Tools
from bridge.openai_side import prompt, realtime
from bridge.openai_side.connection import ModelUnreachable, open_session
from bridge.settings import Settings
from bridge.twilio_side import media_streams
from bridge.twilio_side.caller import Caller
from bridge.twilio_side.rest import complete_call

log = logging.getLogger(__name__)

START_S = 5.0
STALL_S = 5.0
#: How much longer than its audio the apology may take to be heard, seconds.
APOLOGY_OVERRUN_S = 3.0

#: Endings that the caller would otherwise hear as sudden silence.
FAULTS = frozenset({
    "model unreachable", "model lost", "model refused", "model failed", "model stalled", "wrong audio format",
    "internal error",
})


class CallSession:
    """Carries one call, from the upgrade to its last log line."""

    def __init__(
        self, phone: WebSocketResponse, caller: Caller, *,
        settings: Settings, http: aiohttp.ClientSession, tools: Tools, background: Background,
        on_start: Callable[[str, str], None] = lambda call_sid, number: None,
    ) -> None:
        self._phone, self._caller = phone, caller
        self._settings, self._http, self._tools, self._background = settings, http, tools, background
        self._functions = tools.for_call()
        self._on_start = on_start
        self._loop = asyncio.get_running_loop()
        self._dialogue = Dialogue(Plan(
            greeting=prompt.greeting(settings.SYSTEM_MESSAGE, settings.GREETINGS_RESPONSE),
            protect_greeting=settings.PROTECT_GREETING, turn_detection=settings.TURN_DETECTION,
        ))
        self._tasks = asyncio.TaskGroup()
        self._to_caller = Leg(phone, gone="phone lost")
        self._to_model: Leg | None = None
        self._start: media_streams.StartBody | None = None
        self._started: asyncio.Future[None] = self._loop.create_future()       # a third of an Event's memory
        self._apologising: asyncio.Timeout | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._unread: tuple[str, ...] = ()           # sides of which a malformed message was logged

    async def run(self) -> str:
        """Returns when the call is over and both sockets are closed; the reason."""
        opened = self._loop.time()
        reason = await self._converse()
        if self._alarm:
            self._alarm.cancel()
        try:
            if self._to_model:
                await self._to_model.close(WSCloseCode.OK)
        finally:
            await self._leave_caller(reason)
            self._log_close(reason, self._loop.time() - opened)
        return reason

    def end(self, reason: str) -> None:
        """Ends the call from outside, even in the middle of an apology."""
        if self._apologising and not self._apologising.expired():
            self._apologising.reschedule(self._loop.time())
        self._spawn(self._hang_up(reason))

    # ---- the conversation

    async def _converse(self) -> str:
        """Carries frames both ways until somebody leaves; the reason."""
        reason = "internal error"
        try:
            async with self._tasks as tasks:
                tasks.create_task(self._from_model())
                tasks.create_task(self._from_caller())
                tasks.create_task(self._watch())
        except* CallOver as endings:
            reason = str(endings.exceptions[0])
        except* Exception:
            log.exception("call %(call)s failed", {"call": self._call_sid})
        return reason

    async def _from_caller(self) -> None:
        try:
            async with asyncio.timeout(START_S):
                self._start = await self._until_start()
        except TimeoutError:
            raise CallOver("no start") from None
        self._caller = Caller(self._start.custom_parameters.get("caller", self._caller.name))
        if not self._started.done():
            self._started.set_result(None)
        self._log_open()
        self._on_start(self._start.call_sid, self._caller.number)
        await self._carry_out(self._dialogue.started(self._start.stream_sid, self._now()))
        async for message in self._phone:
            event = self._phone_event(message)
            if event is not None:
                await self._carry_out(self._dialogue.from_caller(event, self._now()))
        raise CallOver(self._phone_ending())

    async def _until_start(self) -> media_streams.StartBody:
        async for message in self._phone:
            event = self._phone_event(message)
            if isinstance(event, media_streams.Start):
                if event.start.media_format.encoding != media_streams.ENCODING:
                    raise CallOver("wrong audio format")
                return event.start
        raise CallOver(self._phone_ending())

    async def _from_model(self) -> None:
        try:
            model = (await open_session(self._http, self._settings, self._session_setup())).socket
        except ModelUnreachable as error:
            await self._started
            log.error("call %(call)s: no session at the model: %(error)s",
                      {"call": self._call_sid, "error": str(error)})
            raise CallOver("model unreachable") from None
        self._to_model = Leg(model, gone="model lost")
        await self._carry_out(self._dialogue.model_ready(self._now()))
        async for message in model:
            try:
                event = realtime.parse(message.data) if message.type is WSMsgType.TEXT else None
            except realtime.Malformed as error:
                self._complain("model", error)
                continue
            if event is not None:
                await self._carry_out(self._dialogue.from_model(event, self._now()))
        log.error("call %(call)s: the model closed the connection with code %(code)s",
                  {"call": self._call_sid, "code": model.close_code})
        raise CallOver("model lost")

    async def _watch(self) -> None:
        """A peer that stops reading must not keep the call, or what waits for it, forever."""
        while True:
            await asyncio.sleep(1)
            if self._to_caller.stalled_s() > STALL_S:
                raise CallOver("phone stalled")
            if self._to_model and self._to_model.stalled_s() > STALL_S:
                raise CallOver("model stalled")

    async def _carry_out(self, steps: list[Step]) -> None:
        """What each side gets goes out in order and in one piece; the caller's first, for a `clear` is urgent."""
        to_caller = [step.message for step in steps if isinstance(step, ToCaller)]
        to_model = [step.message for step in steps if isinstance(step, ToModel)]
        if to_caller:
            await self._to_caller.send(*to_caller)
        if to_model:
            assert self._to_model                    # the dialogue speaks to it only once it is ready
            await self._to_model.send(*to_model)
        for step in steps:
            if isinstance(step, RunFunction):
                self._background.start(self._run_function(step))
            elif isinstance(step, HangUp):
                raise CallOver(step.reason)
        if self._dialogue.deadline != self._alarm_at:
            self._set_alarm(self._dialogue.deadline)

    def _set_alarm(self, deadline: float | None) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm_at = deadline
        self._alarm = None if deadline is None else self._loop.call_at(
            deadline / 1000, lambda: self._spawn(self._time_passed()))

    async def _time_passed(self) -> None:
        self._alarm_at = None
        await self._carry_out(self._dialogue.time_passed(self._now()))

    async def _run_function(self, step: RunFunction) -> None:
        call = OnBehalfOf(self._call_sid, self._caller.number, step.turn)
        output = await self._functions.run(step.name, step.arguments, call)
        self._spawn(self._function_returned(step.call_id, output))

    async def _function_returned(self, call_id: str, output: dict[str, Any]) -> None:
        await self._carry_out(self._dialogue.function_returned(call_id, output, self._now()))

    async def _hang_up(self, reason: str) -> None:
        raise CallOver(reason)

    # ---- the ending

    async def _leave_caller(self, reason: str) -> None:
        """The caller hears what is to be heard of this ending, and the phone's socket is closed."""
        if reason in FAULTS and self._start and not self._settings.rest_credentials and not self._to_caller.stuck:
            await self._apologise(self._start.stream_sid)
        elif reason == "assistant ended" and self._start and self._settings.rest_credentials:
            await complete_call(self._http, self._settings, self._start.call_sid)
        await self._to_caller.close(WSCloseCode.GOING_AWAY if reason == "server stopping" else WSCloseCode.OK)

    async def _apologise(self, stream_sid: str) -> None:
        """Plays the shipped clip after what is playing, and waits until it was heard."""
        clip, name = apology(), "apology"
        unheard_s = self._dialogue.unheard_ms / 1000 + len(clip) / media_streams.BYTES_PER_MS / 1000
        try:
            async with asyncio.timeout(unheard_s + APOLOGY_OVERRUN_S) as self._apologising:
                payload = base64.b64encode(clip).decode()
                await self._to_caller.send(media_streams.media(stream_sid, payload))
                await self._to_caller.send(media_streams.mark(stream_sid, name))
                async for message in self._phone:
                    event = self._phone_event(message)
                    if isinstance(event, media_streams.Mark) and event.mark.name == name:
                        return
        except (TimeoutError, CallOver):
            log.warning("call %(call)s: the apology was not heard to its end", {"call": self._call_sid})
        finally:
            self._apologising = None

    # ---- details

    def _now(self) -> float:
        return self._loop.time() * 1000

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._tasks.create_task(work)
        except RuntimeError:                         # the call is over, or just ending: there is nobody to tell
            work.close()

    @property
    def _call_sid(self) -> str:
        return self._start.call_sid if self._start else "unknown"

    def _session_setup(self) -> bytes:
        settings = self._settings
        return realtime.session_setup(
            instructions=prompt.instructions(
                settings.SYSTEM_MESSAGE, datetime.now(settings.TIMEZONE), self._caller.number,
                meetings=self._tools.takes_meetings),
            voice=settings.OPENAI_VOICE,
            tools=self._tools.declarations,
            turn_detection=None if settings.PROTECT_GREETING else settings.TURN_DETECTION,
            transcription_model=settings.OPENAI_TRANSCRIPTION_MODEL,
            noise_reduction=settings.NOISE_REDUCTION,
        )

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
                        {"call": self._call_sid, "side": side, "error": str(error)})

    def _phone_ending(self) -> str:
        orderly = self._phone.close_code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY)
        return "caller hung up" if orderly else "phone lost"

    def _log_open(self) -> None:
        log.info("call %(call)s opened, from %(caller)s", {"call": self._call_sid, "caller": str(self._caller)})

    def _log_close(self, reason: str, seconds: float) -> None:
        figures = self._dialogue.figures
        first = figures.first_audio_ms
        log.info(
            "call %(call)s closed after %(seconds).1f s: %(reason)s, %(turns)d turns, "
            "%(interruptions)d interruptions, first audio after %(first_audio_ms)s ms",
            {"call": self._call_sid, "seconds": round(seconds, 3), "reason": reason, "turns": figures.turns,
             "interruptions": figures.interruptions, "first_audio_ms": None if first is None else round(first)})


@cache
def apology() -> bytes:
    """The spoken apology, mu-law; bridge/sim/clips/make.sh made it."""
    return (files("bridge.twilio_side") / "apology.ulaw").read_bytes()
