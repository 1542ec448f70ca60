"""The one statement that admits a call decides as `Limits.refusal` does; both kinds of database."""

import random
from dataclasses import dataclass, field

import pytest

from bridge.records.calls import HOUR_S, LEASE_S, PENDING_S, Calls, Limits
from bridge.records.database import Database
from bridge.records.endings import Ending
from tests.stage.store import ALICE, BOB, NOW

CALLERS = (ALICE, BOB, "")


@dataclass
class _Ledger:
    """What is known of each call: its caller, when it was admitted, and until when it counts."""

    limits: Limits
    calls: dict[str, tuple[str, float, float]] = field(default_factory=dict)

    def admit(self, call_sid: str, caller: str, now: float) -> str | None:
        others = [sid for sid in self.calls if sid != call_sid]
        of_caller = [sid for sid in others if self.calls[sid][0] == caller]
        refusal = None if self._live(call_sid, now) else self.limits.refusal(
            caller, sum(self._live(sid, now) for sid in others), sum(self._live(sid, now) for sid in of_caller),
            sum(self.calls[sid][1] > now - HOUR_S for sid in of_caller))
        if not refusal:
            kept, admitted_at, _ = self.calls.get(call_sid, (caller, now, 0.0))
            self.calls[call_sid] = kept, admitted_at, now + PENDING_S
        return refusal

    def over(self, call_sid: str, now: float) -> None:
        if call_sid in self.calls:
            self.calls[call_sid] = *self.calls[call_sid][:2], now

    def _live(self, call_sid: str, now: float) -> bool:
        return call_sid in self.calls and self.calls[call_sid][2] > now


@pytest.mark.parametrize("limits", [
    Limits(), Limits(calls=3), Limits(per_caller=1), Limits(per_hour=3), Limits(hidden=1),
    Limits(calls=4, per_caller=2, per_hour=6, hidden=2)])
async def test_it_admits_and_refuses_as_the_limits_say(database: Database, limits: Limits) -> None:
    calls, ledger, chance, now = Calls(database, "one"), _Ledger(limits), random.Random(repr(limits)), NOW
    told: set[str | None] = set()
    for step in range(120):
        now += chance.choice([1.0, 5.0, LEASE_S, PENDING_S, HOUR_S / 8])
        call_sid = f"CA{chance.randrange(step + 1)}"
        if chance.random() < 0.2:
            await calls.closed(call_sid, Ending.CALLER_HUNG_UP, now)
            if call_sid not in ledger.calls:         # an ending may be the first that is known of a call
                ledger.calls[call_sid] = "", now, now
            ledger.over(call_sid, now)
            continue
        caller = ledger.calls[call_sid][0] if call_sid in ledger.calls else chance.choice(CALLERS)
        expected = ledger.admit(call_sid, caller, now)
        assert await calls.admit(call_sid, caller, limits, now) == expected, f"step {step}"
        told.add(expected)
    assert None in told and (len(told) > 1 or limits == Limits())


async def test_a_stream_that_is_carried_is_not_taken_for_awaited_when_its_webhook_comes_again(
    database: Database,
) -> None:
    here, elsewhere, limits = Calls(database, "one"), Calls(database, "two"), Limits(calls=1)
    await here.admit("CA1", ALICE, limits, NOW)
    await here.opened("CA1", ALICE, NOW)
    assert await elsewhere.admit("CA1", ALICE, limits, NOW + 1) is None
    await elsewhere.closed("CA1", Ending.CALLER_HUNG_UP, NOW + 2)
    assert await here.ending("CA1") == "", "it is still the process's that carries it"
