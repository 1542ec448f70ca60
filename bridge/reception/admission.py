"""Admission: the limits on calls, kept by all processes that share the database.

1. The database decides at the webhook. If it does not answer within ANSWER_S, this process decides by its own calls. No
   caller is turned away because of a database.
2. The begin and the end of a stream are written to the database in the background. The stream does not wait for that.
3. Twilio may ask right after a call's end whether that was in order. An end that is just being written is waited for.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from bridge.call.events import Closed, Event, Opened
from bridge.loop.background import Background
from bridge.records.calls import HOUR_S, PENDING_S, Calls, Limits
from bridge.records.database import StoreFailed
from bridge.records.endings import Ending

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How long a webhook waits for the database (s). The caller hears it ring.
ANSWER_S = 2.0
#: How often the database is told which calls go on, and asked to forget old ones (s).
RENEW_S, SWEEP_S = 4.0, 3600.0
#: A stream begins within so long after its webhook (s), as a rule within a few tenths.
STREAM_S = 3.0
#: Twilio asks what follows a stream within so long after its end (s).
QUESTION_S = 0.8
#: How long an ending is waited for, and how often it is read meanwhile (s).
ENDING_S, LOOK_S = 1.0, 0.05


@dataclass(slots=True)
class _Call:
    """A call as this process knows it. `streams`: how many streams of it this process carries now."""

    caller: str
    admitted_at: float
    lease_until: float
    streams: int = 0
    ending: Ending | None = None     # how its latest stream ended
    ended_at: float = 0.0
    asked: bool = False          # Twilio has asked what follows its stream

    def is_live(self, now: float) -> bool:
        return self.streams > 0 or (not self.ending and self.lease_until > now)


class Admission:
    """Admits calls and follows them to their end. An application has one. `clock` gives seconds since 1970."""

    def __init__(
        self, calls: Calls, limits: Limits, background: Background, clock: Callable[[], float] = time.time,
    ) -> None:
        self._calls, self._limits, self._background, self._clock = calls, limits, background, clock
        self._here: dict[str, _Call] = {}

    # ---- a webhook

    async def admit(self, call_sid: str, caller: str) -> str | None:
        """Decides about a call at its webhook. None: it may come. Otherwise the name of the setting it would exceed.

        `caller` is a number in E.164, or "" for a hidden one.
        """
        now = self._clock()
        try:
            async with asyncio.timeout(ANSWER_S):
                refusal = await self._calls.admit(call_sid, caller, self._limits, now)
        except (TimeoutError, StoreFailed) as error:
            log.error("call %(call)s: the database did not say whether it may come, so this process decides alone: "
                      "%(reason)s", {"call": call_sid, "reason": str(error) or f"no answer in {ANSWER_S:g} s"})
            refusal = self._alone(call_sid, caller, now)
        known = self._here.get(call_sid)
        if refusal is None and not (known and known.is_live(now)):
            self._here[call_sid] = _Call(caller, now, now + PENDING_S)
        return refusal

    def _alone(self, call_sid: str, caller: str, now: float) -> str | None:
        """The decision by this process's own calls."""
        known = self._here.get(call_sid)
        if known and known.is_live(now):
            return None
        others = [each for sid, each in self._here.items() if sid != call_sid]
        of_caller = [each for each in others if each.caller == caller]
        return self._limits.refusal(
            caller, sum(each.is_live(now) for each in others), sum(each.is_live(now) for each in of_caller),
            sum(each.admitted_at > now - HOUR_S for each in of_caller))

    def expects_stream(self) -> bool:
        """Whether the stream of a call that was just admitted has yet to come. A stopping server waits."""
        since = self._clock() - STREAM_S
        return any(not each.streams and not each.ending and each.admitted_at > since for each in self._here.values())

    # ---- a stream

    def hear(self, event: Event) -> None:
        """A listener of calls (events.Audience)."""
        match event:
            case Opened(call_sid, caller):
                self.opened(call_sid, caller.number)
            case Closed(call_sid=str() as call_sid):
                self.closed(call_sid, event.ending)

    def opened(self, call_sid: str, caller: str) -> None:
        """A stream of the call has begun in this process."""
        now = self._clock()
        call = self._here.setdefault(call_sid, _Call(caller, now, now))
        call.streams += 1
        call.ending = None
        self._write(call_sid, self._calls.opened(call_sid, caller, now))

    def closed(self, call_sid: str, ending: Ending) -> None:
        """A stream of the call, told by `opened`, is over."""
        call = self._here[call_sid]
        call.streams -= 1
        if not call.streams:                         # else the caller came back before the old stream was gone
            call.ending, call.ended_at = ending, self._clock()
            self._write(call_sid, self._calls.closed(call_sid, ending, self._clock()))

    def sent_elsewhere(self, call_sid: str) -> None:
        """The call was admitted, and got the fallback at once. It takes no line here."""
        call = self._here.get(call_sid)
        if call and not call.streams:                # else it is a repeated webhook of a call that goes on
            call.ending, call.asked = Ending.FALLBACK, True
            self._write(call_sid, self._calls.closed(call_sid, Ending.FALLBACK, self._clock()))

    def over(self, call_sid: str) -> None:
        """The caller has gone; where no stream came, which would tell of it, the line is free from now on."""
        call = self._here.get(call_sid)
        if call and not call.streams and not call.ending:
            call.ending, call.asked = Ending.CALLER_HUNG_UP, True
            self._write(call_sid, self._calls.closed(call_sid, Ending.CALLER_HUNG_UP, self._clock()))

    def _write(self, call_sid: str, work: Coroutine[Any, Any, None]) -> None:
        async def write() -> None:
            try:
                await work
            except StoreFailed as failure:
                log.error("call %(call)s: its state could not be written down: %(reason)s",
                          {"call": call_sid, "reason": str(failure)})
        self._background.start(write())

    # ---- a transfer

    async def keep_history(self, call_sid: str, text: str) -> None:
        """Keeps the conversation of a call before its transfer. The caller may come back. A failure is only logged."""
        await self._remember(call_sid, self._calls.keep_history(call_sid, text))

    async def take_history(self, call_sid: str) -> str:
        """Takes the kept conversation, once. "": nothing was kept, or the database did not answer."""
        return await self._remember(call_sid, self._calls.take_history(call_sid)) or ""

    async def _remember(self, call_sid: str, work: Coroutine[Any, Any, T]) -> T | None:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await work
        except (TimeoutError, StoreFailed) as error:
            log.error("call %(call)s: the database could not keep or return what was said: %(reason)s",
                      {"call": call_sid, "reason": str(error) or f"no answer in {ANSWER_S:g} s"})
            return None

    # ---- afterwards

    def expects_question(self) -> bool:
        """Whether our side just ended a stream, and Twilio has yet to ask what follows. A stopping server waits."""
        since = self._clock() - QUESTION_S
        return any(
            each.ended_at > since and not each.asked and not (each.ending and each.ending.by_caller)
            for each in self._here.values())

    async def ended_in_order(self, call_sid: str) -> bool | None:
        """Whether the call ended in order: nothing is owed to the caller. None: nothing is known of the call."""
        if call_sid in self._here:
            self._here[call_sid].asked = True
        until = self._clock() + ENDING_S
        while (ending := await self._ending(call_sid)) == "" and self._clock() < until:
            await asyncio.sleep(LOOK_S)
        return None if ending is None else isinstance(ending, Ending) and ending.in_order

    async def _ending(self, call_sid: str) -> Ending | Literal[""] | None:
        here = self._here.get(call_sid)
        if here and here.streams:
            return ""
        stored: Ending | Literal[""] | None = None
        try:
            async with asyncio.timeout(ENDING_S):
                stored = await self._calls.ending(call_sid)
        except (TimeoutError, StoreFailed) as error:
            log.error("call %(call)s: the database did not say how it ended: %(reason)s",
                      {"call": call_sid, "reason": str(error) or f"no answer in {ENDING_S:g} s"})
        return stored or ((here.ending or "") if here else stored)

    # ---- the application's task

    async def run(self) -> None:
        """Keeps the leases of this process's calls, and forgets old calls. Runs until it is cancelled."""
        swept = -SWEEP_S
        while True:
            now = self._clock()
            try:
                if time.monotonic() - swept >= SWEEP_S:
                    await self._calls.sweep(now)
                    swept = time.monotonic()
                await self._calls.renew({sid: call.caller for sid, call in self._here.items() if call.streams}, now)
            except StoreFailed as failure:
                log.error("the calls under way could not be written down: %(reason)s", {"reason": str(failure)})
            except Exception:
                log.exception("the calls under way could not be written down, because of a fault")
            self._forget(now - HOUR_S)
            await asyncio.sleep(RENEW_S)

    def _forget(self, before: float) -> None:
        self._here = {sid: call for sid, call in self._here.items() if call.streams or call.admitted_at > before}
