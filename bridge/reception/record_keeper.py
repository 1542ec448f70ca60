"""Keeps the records of this process's calls in the database, as the calls go on.

1. No call waits for it. What is new of all calls is written every WRITE_S in one transaction: a crash loses the last
   second at most.
2. A database that does not answer is tried again after growing pauses. Calls that are over wait for it meanwhile, up to
   MOST_WAITING of them. Beyond that the oldest is lost, which is counted and logged. So is a record that the database
   cannot hold: it keeps the others from nothing.
3. A call whose process is gone is ended by whichever process looks first. Nobody looks soon after a failure of the
   database: the others could not write either.
4. Without words (TRANSCRIPTS=0) a record holds figures only: nothing that was said, typed, asked or answered.
5. Where callers are asked whether the call may be recorded (RECORD=ask), the words wait in memory for the yes. Without
   it the record holds figures only. A caller who takes the yes back takes the words back too.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from bridge.call.consent import Consent, Notice
from bridge.call.events import Closed, Consented, Event, Figures, Listener, Opened
from bridge.call.record import Record
from bridge.folding import Folded
from bridge.records.call_record import Call, Turn
from bridge.records.call_records import Before, CallRecords, Portion
from bridge.records.database import CannotBeHeld, StoreFailed
from bridge.records.endings import Ending
from bridge.twilio_side.caller import Caller

log = logging.getLogger(__name__)

#: How often what is new is written, seconds; and the longest pause when the database fails.
WRITE_S, LONGEST_PAUSE_S = 1.0, 30.0
#: How often it is looked for calls whose process is gone, seconds.
LOST_S = 15.0
#: Calls that are over and wait to be written.
MOST_WAITING = 1_000
#: Calls of one transaction, and their turns. It must end in time also when the database was away for hours.
PORTION, PORTION_TURNS = 200, 2_000


@dataclass(eq=False, slots=True)
class _Kept:
    """A call's record, and what the database had of the call before this stream; None: it was not asked yet."""

    record: Record
    words: bool                  # whether they may be kept
    before: Before | None = None
    is_over: bool = False
    taken_back: bool = False     # the words that were kept are to be removed


class RecordKeeper:
    """`now`: seconds since 1970. `count_loss` is called for each lost record, `reported` when a report is written.

    `notice`: how callers learn that calls are recorded. None: they are not. `recordings`: where to, RECORDINGS.
    """

    def __init__(
        self, records: CallRecords, process: str, *, model: str, voice: str, words: bool,
        count_loss: Callable[[], None], reported: Callable[[], None] = lambda: None, notice: Notice | None = None,
        recordings: str = "", now: Callable[[], float] = time.time,
    ) -> None:
        self._records, self._words, self._now, self._notice = records, words, now, notice
        self._count_loss, self._reported = count_loss, reported
        self._head = {"process": process, "model": model, "voice": voice, "recordings": recordings}
        self._calls: dict[_Kept, None] = {}          # in the order in which they came
        self._lost = Folded()

    @property
    def open(self) -> int:
        """How many calls go on, or wait to be written."""
        return len(self._calls)

    def of_a_call(self) -> Listener:
        """A listener for one new call."""
        loop_time = asyncio.get_running_loop().time
        notice = self._notice
        kept = _Kept(
            Record(self._now, lambda: loop_time() * 1000, Consent(notice) if notice else None, **self._head),
            words=self._words and not (notice and notice.how == "asked"))
        self._calls[kept] = None

        def hear(event: Event) -> None:
            kept.record.hear(event)
            match event:
                case Consented(agreed):
                    self._consented(kept, agreed)
                case Closed():
                    self._over(kept)
        return hear

    def _consented(self, kept: _Kept, agreed: bool) -> None:
        kept.taken_back = kept.words and not agreed
        kept.words = self._words and agreed
        kept.record.take_again()

    def without_stream(self, call_sid: str, caller: Caller, called: str, answered_by: str) -> None:
        """A call that the assistant did not answer: it got the fallback, or was rejected."""
        hear = self.of_a_call()
        hear(Opened(call_sid, caller, called))
        [*self._calls][-1].record.answered_by(answered_by)
        hear(Closed(call_sid, Ending.FALLBACK if answered_by == "fallback" else Ending.REJECTED, 0.0, Figures()))

    async def nobody_comes_back(self, call_sid: str) -> None:
        """The call was transferred, and is over now. A database that does not take it is only logged."""
        try:
            await self._records.finish(call_sid, self._now())
            self._reported()
        except StoreFailed as reason:
            log.error("call %(call)s: its end could not be written down, and is reported later: %(reason)s",
                      {"call": call_sid, "reason": str(reason)})

    def _over(self, kept: _Kept) -> None:
        kept.is_over = True
        if kept.record.call is None:                 # it never said which call it was
            self._calls.pop(kept, None)
            return
        waiting = [each for each in self._calls if each.is_over]
        if len(waiting) > MOST_WAITING:
            self._lose(waiting[0], "it does not answer")

    def _lose(self, kept: _Kept, reason: str) -> None:
        self._calls.pop(kept, None)
        self._count_loss()
        if times := self._lost.worth_a_line("lost"):
            log.error("records of calls are lost because the database does not take them: %(times)d so far, the last "
                      "one because %(reason)s", {"times": times, "reason": reason})

    # ---- the application's task

    async def run(self) -> None:
        """Until it is cancelled."""
        pause, looked = WRITE_S, float("-inf")
        while True:
            await asyncio.sleep(pause)
            try:
                await self.write()
                if time.monotonic() - looked >= LOST_S:
                    looked = time.monotonic()
                    await self.look()
                pause = WRITE_S
            except StoreFailed as reason:
                pause, looked = self._failed(pause, str(reason)), time.monotonic()
            except Exception:
                log.exception("records of calls could not be written down, because of a fault")
                pause, looked = LONGEST_PAUSE_S, time.monotonic()

    async def look(self) -> None:
        """Ends the records of calls that nobody carries any more. Raises StoreFailed."""
        here = [kept.record.call.call_sid for kept in self._calls if kept.record.call]
        if ended := await self._records.end_lost(self._now(), but=here):
            log.info("%(ended)d calls were ended in their records, whose process is gone or which nobody came back to",
                     {"ended": ended})
            self._reported()

    def _failed(self, pause: float, reason: str) -> float:
        if pause == WRITE_S:
            log.error("records of calls could not be written down, and wait: %(reason)s", {"reason": reason})
        return min(pause * 2, LONGEST_PAUSE_S)

    async def write(self) -> None:
        """Writes all that is new. Raises StoreFailed: then nothing of what was not written is lost."""
        for calls in _portions([kept for kept in self._calls if kept.record.changed]):
            await self._keep(calls)

    async def _keep(self, calls: list[_Kept]) -> None:
        """Writes them; where that never will do, each by itself, without the one that is to blame."""
        try:
            await self._write(calls)
        except Exception as fault:
            if isinstance(fault, StoreFailed) and not isinstance(fault, CannotBeHeld):
                raise
            if len(calls) > 1:
                for kept in calls:
                    await self._keep([kept])
            else:
                known = isinstance(fault, StoreFailed)
                self._lose(calls[0], str(fault) if known else f"of a fault ({type(fault).__name__})")

    async def _write(self, calls: list[_Kept]) -> None:
        over = {id(kept) for kept in calls if kept.is_over}      # what ends meanwhile is written the next time
        taken = [(kept, kept.record.take()) for kept in calls if kept.record.call]
        forgetting = [kept for kept in calls if kept.taken_back]
        portions = [Portion(self._shown(kept), [self._told(turn, kept.words) for turn in turns], kept.before,
                            forget_words=kept.taken_back) for kept, turns in taken]
        try:
            known = await self._records.write(portions, self._now())
        except BaseException:
            for kept, turns in taken:
                kept.record.give_back(turns)
            raise
        for (kept, _), before in zip(taken, known, strict=True):
            if before is None or id(kept) in over:
                self._calls.pop(kept, None)          # it was erased, or it is over and all of it is written
            kept.before = before
        for kept in forgetting:
            kept.taken_back = False
        if over:
            self._reported()

    def _shown(self, kept: _Kept) -> Call:
        assert kept.record.call
        return msgspec.structs.replace(kept.record.call, tokens=dict(kept.record.call.tokens))

    def _told(self, turn: Turn, words: bool) -> Turn:
        """A copy: it may change while it is written."""
        if words or turn.kind == "event":
            return msgspec.structs.replace(turn)
        data = {name: turn.data[name] for name in ("status", "seconds", "purpose") if name in turn.data}
        return msgspec.structs.replace(turn, text=turn.text if turn.kind == "function" else "", data=data)

    async def finish(self, seconds: float) -> None:
        """The server stops: what is not written yet has so long."""
        with suppress(TimeoutError, StoreFailed):
            async with asyncio.timeout(seconds):
                await self.write()
        if left := sum(kept.record.changed for kept in self._calls):
            log.error("records of calls were not written down when the server stopped: %(left)d", {"left": left})


def _portions(calls: Iterable[_Kept]) -> Iterator[list[_Kept]]:
    portion, turns = list[_Kept](), 0
    for kept in calls:
        if portion and (len(portion) == PORTION or turns + kept.record.new_turns > PORTION_TURNS):
            yield portion
            portion, turns = [], 0
        portion.append(kept)
        turns += kept.record.new_turns
    if portion:
        yield portion
