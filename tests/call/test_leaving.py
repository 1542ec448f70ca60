"""How the assistant leaves the caller."""

import pytest

from bridge.call.bounds import BEGIN_MS, Bounds
from bridge.call.leaving import LAST_MS, TAIL_MS, Leaving
from bridge.call.steps import HangUp, Transfer
from bridge.call.timing import Timing
from bridge.records.endings import Ending

TIMING = Timing()

END, PUT_THROUGH = HangUp(Ending.ASSISTANT_ENDED), Transfer("sales")


@pytest.fixture
def bounds() -> Bounds:
    return Bounds()


@pytest.fixture
def leaving(bounds: Bounds) -> Leaving:
    return Leaving(bounds, TIMING)


def done(leaving: Leaving, response: str, *, spoke: bool = True, farewell: bool = False, dropped: bool = False) -> bool:
    return leaving.response_done(response, 0, spoke=spoke, farewell=farewell, dropped=dropped)


def test_the_response_that_wanted_to_leave_is_the_goodbye_if_it_speaks(leaving: Leaving, bounds: Bounds) -> None:
    leaving.model_wants(END, "Say goodbye.", "r", 0, 0)
    assert leaving and leaving.was_wanted_in("r") and leaving.words_for(False) is None
    assert done(leaving, "r")
    leaving.all_heard(1_000)
    assert bounds.due(1_000 + TAIL_MS) == "goodbye"
    assert leaving.part() == END and not leaving and not leaving.connecting


def test_a_goodbye_without_a_word_is_asked_for(leaving: Leaving) -> None:
    leaving.model_wants(END, "Say goodbye.", "r", 0, 0)
    assert not done(leaving, "r", spoke=False)
    assert leaving.words_for(False) == "Say goodbye."
    assert not done(leaving, "asked", farewell=True, dropped=True)
    assert done(leaving, "asked", farewell=True)


def test_what_the_caller_is_owed_comes_first_unless_there_is_no_choice(leaving: Leaving) -> None:
    leaving.server_wants(END, "Say goodbye.", 0, 0, firm=False)
    assert leaving.words_for(True) is None and leaving.words_for(False) == "Say goodbye."
    leaving.server_wants(END, "Time is over.", 0, 0, firm=True)
    assert leaving.words_for(True) == "Time is over."


def test_the_callers_speech_cancels_a_goodbye_and_not_a_firm_one(leaving: Leaving, bounds: Bounds) -> None:
    leaving.server_wants(END, "Say goodbye.", 0, 0, firm=False)
    leaving.caller_speaks()
    assert not leaving and bounds.soonest is None
    leaving.server_wants(END, "Time is over.", 0, 0, firm=True)
    assert done(leaving, "asked", farewell=True)
    leaving.caller_speaks()
    assert leaving and leaving.words_for(False) == "Time is over." and bounds.soonest == LAST_MS


@pytest.mark.parametrize("then, left", [(END, False), (PUT_THROUGH, True)])
def test_a_key_cancels_a_hang_up_and_not_a_transfer(
        leaving: Leaving, then: HangUp | Transfer, left: bool) -> None:
    leaving.model_wants(then, "Say so.", "r", 0, 0)
    leaving.key_pressed()
    assert bool(leaving) is left


def test_a_firm_goodbye_is_replaced_by_nothing(leaving: Leaving) -> None:
    assert leaving.server_wants(END, "Time is over.", 0, 0, firm=True)
    assert not leaving.server_wants(END, "Again.", 0, 0, firm=True)
    leaving.model_wants(PUT_THROUGH, "Say so.", "r", 0, 0)
    assert leaving.words_for(False) == "Time is over."


def test_a_goodbye_has_to_begin_and_to_end(leaving: Leaving, bounds: Bounds) -> None:
    leaving.model_wants(END, "Say goodbye.", "r", 0, 500)
    assert bounds.soonest == BEGIN_MS + 500
    leaving.sounded(1_000, 200, farewell=False)
    assert bounds.soonest == 1_200 + TIMING.overrun_ms


def test_a_firm_goodbye_ends_in_time_however_long_it_plays(leaving: Leaving, bounds: Bounds) -> None:
    leaving.server_wants(END, "Time is over.", 0, 0, firm=True)
    leaving.sounded(1_000, 200, farewell=False)
    assert bounds.soonest == LAST_MS                 # that was no part of it
    leaving.sounded(1_000, 60_000, farewell=True)
    assert bounds.soonest == LAST_MS


def test_a_transfer_takes_a_while(leaving: Leaving) -> None:
    leaving.model_wants(PUT_THROUGH, "Say so.", "r", 0, 0)
    assert leaving.part() == PUT_THROUGH and leaving.connecting
    leaving.transfer_failed()
    assert not leaving.connecting and leaving.part() is None


def test_what_a_lost_session_said_of_a_goodbye_is_asked_for(leaving: Leaving) -> None:
    leaving.model_wants(END, "Say goodbye.", "r", 0, 0)
    leaving.forget_session()
    assert leaving.words_for(False) == "Say goodbye." and not leaving.was_wanted_in("")


def test_a_server_that_stops_has_said_its_goodbye(leaving: Leaving, bounds: Bounds) -> None:
    leaving.server_stops(Ending.SERVER_STOPPING, 0, 1_000)
    assert not leaving.is_next(False) and bounds.soonest == 1_000 + TIMING.overrun_ms
    leaving.all_heard(900)
    assert bounds.due(900 + TAIL_MS) == "goodbye"
    assert leaving.part() == HangUp(Ending.SERVER_STOPPING)
