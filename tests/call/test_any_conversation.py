"""Whatever phone, model and functions do, in any order: nobody is forgotten, and nothing is said twice.

ImaginedCall checks these rules as it goes: never two responses asked for at once, no cut beyond what was sent or at 0,
every item settled once, nothing sent to a session that is gone.
"""

import logging
import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bridge.call.history import MOST_ITEMS
from bridge.call.timing import Timing
from bridge.call.voice import CUTS_REMEMBERED
from tests.stage.imagined_call import ImaginedCall, plan
from tests.stage.imagined_phone import FRAME_MS

TIMING = Timing()

#: What a random call does next, by how likely: time passes often, a session is rarely lost.
WEIGHTS = {"time": 8.0, "lost": 0.15, "renewed": 0.15, "stop": 0.15, "key": 0.5}


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong on purpose is logged, thousands of times."""
    caplog.set_level(logging.CRITICAL)


class AnyConversation(RuleBasedStateMachine):
    call: ImaginedCall

    @initialize(dice=st.randoms(use_true_random=False), echoes=st.booleans())
    def begins(self, dice: random.Random, echoes: bool) -> None:
        self.call = ImaginedCall(plan(dice), dice, echoes)

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        if moves := self.call.moves:                 # a call that is over has none
            moves[data.draw(st.sampled_from(sorted(moves)))]()

    @invariant()
    def nobody_waits_in_silence(self) -> None:
        assert self.call.longest_wait_ms <= TIMING.hush_ms + FRAME_MS, self.call.log[-30:]

    @invariant()
    def memory_is_bounded(self) -> None:
        dialogue = self.call.dialogue
        assert len(dialogue.history._items) <= MOST_ITEMS
        assert len(dialogue._voice._dropped) <= CUTS_REMEMBERED + 1
        assert len(dialogue._voice._settled) <= CUTS_REMEMBERED + 1
        assert len(dialogue._floor._wishes) <= 3

    @invariant()
    def what_waits_has_a_bound(self) -> None:
        if self.call.caller_waits and self.call.phone.silent:
            assert self.call.dialogue.deadline is not None


AnyConversation.TestCase.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck))
TestAnyConversation = AnyConversation.TestCase


@pytest.mark.parametrize("seed", range(200))
def test_a_long_random_call_keeps_every_rule(seed: int) -> None:
    dice = random.Random(seed)
    call = ImaginedCall(plan(dice), dice, echoes=dice.random() < 0.8)
    for _ in range(150):
        moves = call.moves
        if not moves:
            break
        [move] = dice.choices([*moves], [WEIGHTS.get(name, 3.0) for name in moves])
        moves[move]()
        assert call.longest_wait_ms <= TIMING.hush_ms + FRAME_MS, call.log[-30:]
