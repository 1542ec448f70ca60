"""How each kind of fault is done to a call, and how it is found out what became of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import perf_counter

from tests.load.calls import Exchange, Line
from tests.load.faults import Ending, Kind, Outcome
from tests.load.faulty import Call, FaultyModel, FaultyPhone
from tests.load.tally import Faults

#: How long a call must go on before it counts as recovered for good, s.
SETTLE_S = 1.0
GAP_S = 3.0
#: How long upgrades are refused, s: in some cases longer than the server tries.
OUTAGE_S = (1.0, 20.0)
#: How long after an outage the server may still think that there is one, s.
AFTERMATH_S = 30.0
_LOOK_S = 0.02
#: How the server closes a stream in order.
_IN_ORDER = (1000, 1001)


class Injector:
    """`healthy` and `faulted`: what was noticed in calls before and while something was done to them."""

    def __init__(self, exchange: Exchange, seed: int) -> None:
        self.healthy, self.faulted = Faults(), Faults()
        self.outcomes: list[Outcome] = []
        self.unanswered = 0                          # callers who called again, in vain and without an outage
        self._exchange, self._dice = exchange, random.Random(seed)

    async def inject(self, line: Line, kind: Kind) -> Outcome:
        """Do it to this line's call, wait for what becomes of it, and leave the line with a healthy call."""
        call = line.call
        assert call and call.phone and call.model
        line.steady = False
        call.close_account(self.healthy, measuring=not kind.loses)
        began = perf_counter()
        call.phone.listen_for(began)
        ending = await DO[kind.name](self, line, kind)
        outcome = Outcome(kind, call.sid, ending, perf_counter() - began, call.phone.silent_s)
        self.outcomes.append(outcome)
        account = self.faulted if kind.loses or ending != "recovered" else self.healthy
        call.close_account(account, measuring=ending == "recovered")
        if line.call is call and ending != "recovered":
            await self.replace(line)
        line.settle()
        return outcome

    async def revive(self, line: Line) -> None:
        """The line's call has ended by itself."""
        assert line.call
        line.call.close_account(self.healthy, measuring=False)
        await self.replace(line)
        line.settle()

    async def replace(self, line: Line) -> None:
        """The line's call is over, or is ended: its caller calls again."""
        assert line.call
        await self._leave(line.call)
        await self._redial(line)

    async def _redial(self, line: Line) -> None:
        try:
            attempts = await self._exchange.dial(line)
        except TimeoutError:
            self.unanswered += 1
            return
        self.unanswered += 0 if self._outage() else attempts - 1

    def _outage(self) -> bool:
        """Whether the server may think that the model is out of reach."""
        return perf_counter() < self._exchange.switchboard.refusing_until + AFTERMATH_S

    async def _leave(self, call: Call) -> None:
        for end in (call.phone, *call.models):
            if end:
                end.read_again()
        self.healthy.left_open += await self._exchange.hang_up(call)

    # ---- what became of it

    async def _outcome(self, call: Call, since: float, within_s: float) -> Ending:
        """Audio said after `since` is heard both ways; or the call has ended; or neither in time."""
        phone = call.phone
        assert phone
        deadline = since + within_s
        while perf_counter() < deadline:
            if phone.closed.done():
                return self._ended(call, phone, since)
            if call.flows_since(since):
                await asyncio.sleep(SETTLE_S)
                if not phone.closed.done():
                    return "recovered"
            await asyncio.sleep(_LOOK_S)
        return "silent"

    def _ended(self, call: Call, phone: FaultyPhone, since: float) -> Ending:
        heard_why = phone.clip_at > since or bool(call.afterwards)
        return "ended" if phone.close_code in _IN_ORDER and heard_why else "abrupt"

    # ---- the faults

    async def model_reset(self, line: Line, kind: Kind) -> Ending:
        call, model = _both(line)
        model.reset()
        return await self._outcome(call, perf_counter(), kind.within_s)

    async def model_closes(self, line: Line, kind: Kind) -> Ending:
        call, model = _both(line)
        model.close(int(kind.name.rpartition(" ")[2]))
        return await self._outcome(call, perf_counter(), kind.within_s)

    async def model_silent(self, line: Line, kind: Kind) -> Ending:
        call, model = _both(line)
        model.fall_silent()
        return await self._outcome(call, perf_counter(), kind.within_s)

    async def model_deaf(self, line: Line, kind: Kind) -> Ending:
        call, model = _both(line)
        assert call.phone
        model.stop_reading()
        call.phone.hurry()
        ending = await self._outcome(call, perf_counter(), kind.within_s)
        model.read_again()
        return ending

    async def upgrade_refused(self, line: Line, kind: Kind) -> Ending:
        call, model = _both(line)
        board, outage = self._exchange.switchboard, self._dice.uniform(*OUTAGE_S)
        board.refusing_until = max(board.refusing_until, perf_counter() + outage)
        model.reset()
        return await self._outcome(call, perf_counter(), outage + kind.within_s)

    async def response_fails(self, line: Line, kind: Kind) -> Ending:
        call, model = _both(line)
        model.fail_next("failed" if kind.name == "response failed" else "rate limit")
        while model.failing and model.live:
            await asyncio.sleep(_LOOK_S)
        return await self._outcome(call, perf_counter(), kind.within_s)

    async def phone_lost(self, line: Line, kind: Kind) -> Ending:
        call, _ = _both(line)
        assert call.phone
        call.phone.reset()
        await self._redial(line)                     # at once: the old call may not have been missed yet
        self.healthy.left_open += await self._exchange.left_open(call)
        return "recovered"

    async def phone_gap(self, line: Line, kind: Kind) -> Ending:
        call, _ = _both(line)
        assert call.phone
        call.phone.pause(GAP_S)
        await asyncio.sleep(GAP_S)
        return await self._outcome(call, perf_counter(), kind.within_s)

    async def phone_deaf(self, line: Line, kind: Kind) -> Ending:
        call, model = _both(line)
        assert call.phone
        call.phone.stop_reading()
        model.hurry()
        ending = await self._outcome(call, perf_counter(), kind.within_s)
        # Who does not read hears no reason either, and no goodbye.
        return "ended" if ending == "abrupt" else ending

    async def caller_hangs_up(self, line: Line, kind: Kind) -> Ending:
        await self.replace(line)
        return "recovered"

    async def webhook_repeated(self, line: Line, kind: Kind) -> Ending:
        call, _ = _both(line)
        first, second = await asyncio.gather(self._exchange.ring(call), self._exchange.ring(call))
        if not (first.connects and second.connects or self._outage()):
            return "abrupt"
        return await self._outcome(call, perf_counter(), kind.within_s)


def _both(line: Line) -> tuple[Call, FaultyModel]:
    assert line.call and line.call.model
    return line.call, line.call.model


#: By the names of the kinds.
DO: dict[str, Callable[[Injector, Line, Kind], Awaitable[Ending]]] = {
    "model reset": Injector.model_reset,
    **{f"model closes {code}": Injector.model_closes for code in (1001, 1011, 1012, 1013)},
    "model silent": Injector.model_silent, "model stops reading": Injector.model_deaf,
    "upgrade refused": Injector.upgrade_refused,
    "response failed": Injector.response_fails, "rate limit": Injector.response_fails,
    "phone lost": Injector.phone_lost, "phone gap": Injector.phone_gap,
    "phone stops reading": Injector.phone_deaf, "caller hangs up": Injector.caller_hangs_up,
    "webhook repeated": Injector.webhook_repeated,
}
