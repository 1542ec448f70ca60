"""The faults that are made in calls on purpose: when, how, and what became of each.

bridge.sim.faults has their names, and the endings that are promised for each.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal, NamedTuple

from bridge.sim.faults import FALLBACK, FAULTS
from tests.load.audio import Losses
from tests.load.calls import Call, Exchange, Line
from tests.load.model import Model
from tests.load.phone import Hush, Phone
from tests.load.table import spread

#: How a fault can end for the caller.
#: - went on: the call went on, or the caller called again and was answered, and both ends are heard.
#: - fallback: the server closed the stream in order, after words of its own or with TwiML that has some: an apology, a
#:   human, or a message.
#: - abrupt: the stream was closed and the caller heard no reason.
#: - silence: none of these within the time that the fault has.
Ending = Literal["went on", "fallback", "abrupt", "silence"]
ENDINGS: tuple[Ending, ...] = ("went on", "fallback", "abrupt", "silence")

#: The longest that a caller may hear nothing while the model is away, in seconds.
SILENCE_S = 3.0
#: The time for a reconnect, in seconds. The server gives up after 15 s, and then has something to say.
_RECONNECT_S = 30.0
#: The time for a dead path, in seconds. A missing pong shows it: 20 s until the ping, 10 s for the answer.
_DEAF_S = 30.0 + _RECONNECT_S
#: How long a call must go on before it counts as well again, in seconds.
SETTLE_S = 1.0
GAP_S = 3.0
#: How long upgrades are refused, in seconds. Sometimes it is longer than the server tries.
OUTAGE_S = (1.0, 20.0)
#: How long after an outage the server may still think that there is one, in seconds.
AFTERMATH_S = 30.0
_LOOK_S = 0.02
#: How the server closes a stream in order.
_IN_ORDER = (1000, 1001)


# ---- what is planned

class Planned(NamedTuple):
    """A fault that is due `at_s` seconds after the start."""

    at_s: float
    name: str


def plan(seed: int, names: Sequence[str], calls: int, share: float, minutes: float) -> list[Planned]:
    """Random faults at random moments: in `share` of the calls each minute, at least one in all."""
    dice = random.Random(seed)
    count = max(1, round(calls * share * minutes))
    moments = sorted((number + dice.random()) * 60 * minutes / count for number in range(count))
    return [Planned(moment, dice.choice(names)) for moment in moments]


# ---- what became of it

@dataclass(frozen=True)
class Outcome:
    """How one fault ended. `silence_s`: the longest that the caller heard nothing. `call_sid`: the call."""

    name: str
    call_sid: str
    ending: Ending
    seconds: float
    silence_s: float
    hush: Hush | None = None

    @property
    def silenced(self) -> bool:
        return DO[self.name].hushes and self.silence_s > SILENCE_S

    @property
    def documented(self) -> bool:
        promised = FAULTS[self.name].endings
        return not self.silenced and (
            self.ending in promised or self.ending == "fallback" and {*FALLBACK} <= {*promised})


def by_name(outcomes: Iterable[Outcome], reasons: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What became of each kind of fault. `reasons`: why calls ended, in the server's words, by their CallSid."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.name, []).append(outcome)
    return {name: {
        "count": len(each), **{ending: sum(one.ending == ending for one in each) for ending in ENDINGS},
        "too_long_silent": sum(one.silenced for one in each),
        "reasons": dict(Counter(reasons[one.call_sid] for one in each if one.call_sid in reasons)),
        "until": spread(one.seconds for one in each), "quiet": spread(one.silence_s for one in each),
    } for name, each in sorted(found.items())}


def hushes(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """The silence after all BREAKS: until a sound, and until the assistant's next words."""
    heard = [one.hush for one in outcomes if one.hush and one.name in BREAKS]
    return {
        "to_sound": spread(hush.sound_s for hush in heard if hush.sound_s is not None),
        "to_words": spread(hush.words_s for hush in heard if hush.words_s is not None),
        "break_to_words": spread(hush.back_s for hush in heard if hush.back_s is not None)}


# ---- the faults

class Injector:
    """Makes faults in calls. `faulted`: the losses of calls while a fault was made in them."""

    def __init__(self, exchange: Exchange, seed: int) -> None:
        self.faulted = Losses()
        self.outcomes: list[Outcome] = []
        self._exchange, self._dice = exchange, random.Random(seed)

    async def inject(self, line: Line, name: str) -> Outcome:
        """Makes a fault in this line's call, waits for its ending, and leaves the line with a healthy call."""
        call, phone, model = _ends(line)
        way, well = DO[name], self._exchange.faults
        line.steady = False
        call.close_account(well, measuring=not way.loses)
        began = perf_counter()
        phone.listen_for(began)
        ending = await way.do(self, line, call, phone, model)
        outcome = Outcome(name, call.sid, ending, perf_counter() - began, phone.silent_s, phone.hush)
        self.outcomes.append(outcome)
        account = self.faulted if way.loses or ending != "went on" else well
        call.close_account(account, measuring=ending == "went on")
        if line.call is call and ending != "went on":
            await self.replace(line)
        line.settle()
        return outcome

    async def revive(self, line: Line) -> None:
        """Calls again, because the line's call has ended by itself."""
        assert line.call
        line.call.close_account(self._exchange.faults)
        await self.replace(line)
        line.settle()

    async def replace(self, line: Line) -> None:
        """Ends the line's call, if it is not over, and calls again."""
        assert line.call
        for end in line.call.ends:
            end.read_again()
        await self._exchange.hang_up(line.call)
        await self._redial(line)

    async def _redial(self, line: Line) -> None:
        try:
            in_vain = await self._exchange.dial(line) - 1
        except TimeoutError:
            in_vain = 1
        else:
            in_vain = 0 if self._outage() else in_vain
        self._exchange.faults.unanswered += in_vain

    def _outage(self) -> bool:
        """Whether the server may think that the model is out of reach."""
        return perf_counter() < self._exchange.switchboard.refusing_until + AFTERMATH_S

    async def became(self, call: Call, phone: Phone, within_s: float) -> Ending:
        """Waits until audio from now on is heard both ways, or the call has ended, or the time is over."""
        since = perf_counter()
        while perf_counter() < since + within_s:
            if phone.closed.done():
                heard_why = phone.clip_at > since or bool(call.afterwards)
                return "fallback" if phone.close_code in _IN_ORDER and heard_why else "abrupt"
            if call.flows_since(since):
                await asyncio.sleep(SETTLE_S)
                if not phone.closed.done():
                    return "went on"
            await asyncio.sleep(_LOOK_S)
        return "silence"

    async def model_reset(self, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        model.reset()
        return await self.became(call, phone, _RECONNECT_S)

    async def model_silent(self, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        model.fall_silent()
        return await self.became(call, phone, _DEAF_S)

    async def model_deaf(self, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        model.stop_reading()
        phone.hurry()
        ending = await self.became(call, phone, _DEAF_S)
        model.read_again()
        return ending

    async def model_refuses(self, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        board, outage = self._exchange.switchboard, self._dice.uniform(*OUTAGE_S)
        board.refusing_until = max(board.refusing_until, perf_counter() + outage)
        model.reset()
        return await self.became(call, phone, outage + _RECONNECT_S)

    async def phone_lost(self, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        phone.reset()
        await self._redial(line)                     # at once: the server may not have missed the old call yet
        await self._exchange.let_go(call)
        return "went on"

    async def phone_gap(self, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        phone.pause(GAP_S)
        await asyncio.sleep(GAP_S)
        return await self.became(call, phone, _RECONNECT_S)

    async def phone_deaf(self, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        phone.stop_reading()
        model.hurry()
        ending = await self.became(call, phone, _DEAF_S)
        # A phone that does not read hears no reason and no goodbye.
        return "fallback" if ending == "abrupt" else ending

    async def caller_hangs_up(self, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        await self.replace(line)
        return "went on"

    async def webhook_repeated(self, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        first, second = await asyncio.gather(self._exchange.ring(call), self._exchange.ring(call))
        if not (first.connects and second.connects or self._outage()):
            return "abrupt"
        return await self.became(call, phone, _RECONNECT_S)


Do = Callable[[Injector, Line, Call, Phone, Model], Awaitable[Ending]]


def _closes(code: int) -> Do:
    async def close(injector: Injector, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        model.close(code)
        return await injector.became(call, phone, _RECONNECT_S)
    return close


def _fails(trouble: Literal["failed", "rate limit"]) -> Do:
    async def fail(injector: Injector, line: Line, call: Call, phone: Phone, model: Model) -> Ending:
        model.fail_next(trouble)
        while model.failing and model.live:
            await asyncio.sleep(_LOOK_S)
        return await injector.became(call, phone, _RECONNECT_S)
    return fail


def _ends(line: Line) -> tuple[Call, Phone, Model]:
    call = line.call
    assert call and call.phone and call.model
    return call, call.phone, call.model


class Way(NamedTuple):
    """How a fault is made in a call. `loses`: some audio is lost with it.

    `hushes`: the server can help it, so no silence may be longer than SILENCE_S.
    """

    do: Do
    loses: bool = True
    hushes: bool = False


DO: dict[str, Way] = {
    "model-drop": Way(Injector.model_reset, hushes=True),
    **{f"model-closes-{code}": Way(_closes(code), hushes=True) for code in (1001, 1011, 1012, 1013)},
    "model-silent": Way(Injector.model_silent),
    "model-deaf": Way(Injector.model_deaf),
    "model-slow-reconnect": Way(Injector.model_refuses, hushes=True),
    "response-failed": Way(_fails("failed"), loses=False, hushes=True),
    "rate-limit": Way(_fails("rate limit"), loses=False, hushes=True),
    "phone-drop": Way(Injector.phone_lost),
    "phone-gap": Way(Injector.phone_gap, loses=False),
    "phone-deaf": Way(Injector.phone_deaf),
    "caller-hangs-up": Way(Injector.caller_hangs_up),
    "webhook-repeated": Way(Injector.webhook_repeated, loses=False),
}
#: The faults that break the connection to a model that is back at once.
BREAKS = frozenset(name for name in DO if name.startswith(("model-drop", "model-closes")))
