"""Who has the floor."""

import json

import pytest

from bridge.call.bounds import Bounds
from bridge.call.floor import ANSWER, LONGEST_WAIT_MS, MOST_ENDLESS, RETRIES, Floor, Wish
from bridge.call.timing import Timing
from bridge.openai_side.errors import ALREADY_ACTIVE
from bridge.openai_side.realtime import ErrorDetails, Response

TIMING = Timing()

NOTICE = Wish("notice", "One more minute.")


@pytest.fixture
def bounds() -> Bounds:
    return Bounds()


@pytest.fixture
def floor(bounds: Bounds) -> Floor:
    return Floor(bounds, TIMING, owed=False)


def asks(floor: Floor, wish: Wish = ANSWER, now: float = 0) -> str:
    name: str = json.loads(floor.request(wish, now).message)["event_id"]
    return name


def begins(floor: Floor, response: str, request: str | None = None, now: float = 0, all_seen: bool = True) -> bool:
    if floor.is_ours(Response(id=response, metadata={"request": request} if request else None)):
        return floor.ours_begins(response, now)
    floor.other_begins(response, now, all_seen=all_seen)
    return False


def test_a_response_that_was_asked_for_takes_the_floor_until_it_is_done(floor: Floor, bounds: Bounds) -> None:
    assert not floor.taken
    name = asks(floor, NOTICE)
    assert floor.taken and bounds.soonest == TIMING.request_ms
    assert not begins(floor, "r", name, 100)
    assert floor.active == "r" and bounds.soonest == 100 + TIMING.mute_ms
    floor.sounded(200, 250)
    assert bounds.soonest == 450 + TIMING.mute_ms
    assert floor.done() == (NOTICE, True, False)
    assert not floor.taken and bounds.soonest is None


def test_one_response_answers_all_that_is_owed_before_any_notice(floor: Floor) -> None:
    floor.notice("One more minute.")
    floor.output_told(0)
    floor.output_told(0)
    assert floor.pending
    assert floor.next() == ANSWER
    assert floor.next() == NOTICE
    assert floor.next() is None and not floor.pending


def test_a_turn_that_the_server_does_not_answer_is_owed(floor: Floor, bounds: Bounds) -> None:
    floor.caller_speaks(0)
    assert floor.taken
    floor.caller_stopped(100)
    assert floor.taken and not floor.owed
    assert bounds.due(100 + TIMING.answer_ms) == "answer"
    floor.answer_is_late()
    assert floor.owed and not floor.taken


def test_the_caller_overtakes_a_response_that_has_not_begun_and_is_still_to_be_answered(floor: Floor) -> None:
    name = asks(floor)
    floor.caller_speaks(0)
    floor.caller_stopped(0)
    assert begins(floor, "r", name)
    floor.done()
    assert floor.taken                               # the server's own answer is to come


def test_a_response_of_the_servers_own_takes_the_place_of_what_is_owed_if_it_knows_as_much(floor: Floor) -> None:
    floor.owed = True
    begins(floor, "r", all_seen=False)
    assert floor.owed
    begins(floor, "s", all_seen=True)
    assert not floor.owed


def test_a_failed_answer_is_asked_for_again_after_growing_pauses(floor: Floor, bounds: Bounds) -> None:
    for number in range(1, RETRIES + 1):
        assert floor.failed(ANSWER, 0, 0) == "again"
        assert bounds.due(TIMING.retry_ms * number) == "retry"
        assert floor.retry() == ANSWER
    assert floor.failed(ANSWER, 0, 0) == "given up"


def test_an_answer_makes_up_for_failures_and_a_sound_without_an_end_does_not(floor: Floor) -> None:
    for _ in range(10):
        assert floor.failed(ANSWER, 0, 0) == "again"
        floor.answered()
    assert not floor.has_failed
    for _ in range(RETRIES):
        assert floor.failed(ANSWER, 0, 0) == "again"
        floor.sounded(0, 0)
    assert floor.failed(ANSWER, 0, 0) == "given up"


def test_a_named_wait_is_kept_and_is_one_failure_however_often_it_is_met(floor: Floor, bounds: Bounds) -> None:
    for now in (0, 1_000, 2_000, 3_000):
        assert floor.failed(ANSWER, 4_000, now) == "again"
        assert bounds.soonest == now + 4_000
    assert floor.failed(ANSWER, LONGEST_WAIT_MS + 1, 10_000) == "given up"


def test_a_notice_can_be_spared_and_so_can_what_the_caller_speaks_over(floor: Floor) -> None:
    assert floor.failed(NOTICE, 0, 0) == "spared"
    floor.speaking = True
    assert floor.failed(ANSWER, 0, 0) == "spared"


def test_what_has_taken_the_floor_is_not_retried_over(floor: Floor) -> None:
    floor.failed(ANSWER, 0, 0)
    begins(floor, "r")
    assert floor.retry() is None


def test_a_notice_does_not_take_the_place_of_an_answer_that_is_to_be_asked_for_again(floor: Floor) -> None:
    floor.failed(ANSWER, 0, 0)
    floor.notice("One more minute.")
    assert floor.next() is None
    floor.forget_session()
    assert floor.next() == NOTICE


def test_a_refused_request_is_known_by_its_name(floor: Floor, bounds: Bounds) -> None:
    name = asks(floor, NOTICE)
    assert floor.refused(ErrorDetails(event_id="another", code=ALREADY_ACTIVE)) is None
    assert floor.refused(ErrorDetails(event_id=name, code="x")) == NOTICE
    floor.give_way()
    assert not floor.taken and bounds.soonest is None
    assert floor.next() == NOTICE


def test_where_a_server_names_nothing_an_error_is_about_the_request_that_is_out(floor: Floor) -> None:
    assert floor.refused(ErrorDetails(code=ALREADY_ACTIVE)) is None
    name = asks(floor)
    assert floor.refused(ErrorDetails(code="something else")) is None
    assert floor.refused(ErrorDetails(code=ALREADY_ACTIVE)) == ANSWER
    begins(floor, "r", name)
    floor.done()
    asks(floor)
    assert floor.refused(ErrorDetails(code=ALREADY_ACTIVE)) is None      # this one does name what it is about


def test_a_server_that_echoes_nothing_begins_what_was_asked_for(floor: Floor) -> None:
    asks(floor, NOTICE)
    begins(floor, "r")
    assert floor.wish == NOTICE and floor.done().wish == NOTICE and not floor.taken


def test_but_the_callers_turn_is_answered_first(floor: Floor) -> None:
    asks(floor, NOTICE)
    floor.caller_stopped(0)
    begins(floor, "r")
    assert floor.wish == ANSWER and floor.overtaken
    floor.done()
    floor.give_way()
    assert floor.next() == NOTICE


def test_a_turn_without_an_end_is_ended_and_not_for_ever(floor: Floor, bounds: Bounds) -> None:
    floor = Floor(Bounds(), TIMING, owed=False, most_turn_ms=30_000)
    for _ in range(MOST_ENDLESS):
        floor.caller_speaks(0)
        assert floor.end_turn() and not floor.speaking
    assert not floor.end_turn()
    floor.caller_was_understood()
    assert floor.end_turn()


def test_a_turn_has_a_bound_from_its_beginning_to_its_end() -> None:
    bounds = Bounds()
    floor = Floor(bounds, TIMING, owed=False, most_turn_ms=30_000)
    floor.caller_speaks(0)
    floor.caller_speaks(5_000)
    assert bounds.due(30_000) == "turn"
    floor.caller_speaks(40_000)
    floor.caller_stopped(50_000)
    assert bounds.soonest == 50_000 + TIMING.answer_ms


def test_a_response_that_is_complete_but_for_its_end_is_told_from_one_that_is_stuck(floor: Floor) -> None:
    begins(floor, "r")
    floor.sounded(0, 0)
    assert not floor.only_lacks_end
    floor.item_complete()
    assert floor.only_lacks_end
    floor.sounded(0, 0)
    assert not floor.only_lacks_end
    floor.acted(0, 0)
    assert floor.only_lacks_end
    floor.done()
    assert not floor.only_lacks_end and floor.knows("r")


def test_the_servers_own_answer_may_fail(floor: Floor, bounds: Bounds) -> None:
    assert not floor.own_answer_failed()
    floor.caller_stopped(0)
    assert floor.own_answer_failed() and not floor.taken and bounds.soonest is None


@pytest.mark.parametrize("leaving, owed", [(False, True), (True, False)])
def test_what_a_lost_session_was_about_to_say_is_owed_unless_it_was_a_goodbye(
        floor: Floor, leaving: bool, owed: bool) -> None:
    begins(floor, "r")
    floor.lost(leaving=leaving)
    floor.forget_session()
    assert floor.owed is owed and not floor.taken


def test_a_notice_that_a_lost_session_owed_is_kept_unless_the_caller_spoke(floor: Floor) -> None:
    asks(floor, NOTICE)
    floor.lost(leaving=False)
    floor.forget_session()
    assert floor.next() == NOTICE
    asks(floor, NOTICE)
    floor.caller_speaks(0)
    floor.lost(leaving=False)
    floor.forget_session()
    assert floor.next() == ANSWER and floor.next() is None


def test_names_are_given_once(floor: Floor) -> None:
    assert len({floor.name("keys"), floor.name("keys"), asks(floor)}) == 3
