"""Who has the floor."""

import json

import pytest

from bridge.call.bounds import Bounds
from bridge.call.floor import ANSWER, ANSWER_MS, MUTE_MS, REQUEST_MS, RETRIES, RETRY_MS, Floor, Wish
from bridge.openai_side.realtime import Response

NOTICE = Wish("notice", "One more minute.")


@pytest.fixture
def bounds() -> Bounds:
    return Bounds()


@pytest.fixture
def floor(bounds: Bounds) -> Floor:
    return Floor(bounds, owed=False)


def asks(floor: Floor, wish: Wish = ANSWER, now: float = 0) -> str:
    name: str = json.loads(floor.request(wish, now).message)["event_id"]
    return name


def begins(floor: Floor, response: str, request: str | None = None, now: float = 0, all_seen: bool = True) -> bool:
    metadata = {"request": request} if request else None
    return floor.begins(Response(id=response, metadata=metadata), now, all_seen=all_seen)


def test_a_response_that_was_asked_for_takes_the_floor_until_it_is_done(floor: Floor, bounds: Bounds) -> None:
    assert not floor.taken
    name = asks(floor, NOTICE)
    assert floor.taken and bounds.soonest == REQUEST_MS
    assert not begins(floor, "r", name, 100)
    assert floor.active == "r" and bounds.soonest == 100 + MUTE_MS
    floor.sounded(200, 250)
    assert bounds.soonest == 450 + MUTE_MS
    assert floor.done() == (NOTICE, True)
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
    floor.caller_speaks()
    assert floor.taken
    floor.caller_stopped(100)
    assert floor.taken and not floor.owed
    assert bounds.due(100 + ANSWER_MS) == "answer"
    floor.answer_is_late()
    assert floor.owed and not floor.taken


def test_the_caller_overtakes_a_response_that_has_not_begun_and_is_still_to_be_answered(floor: Floor) -> None:
    name = asks(floor)
    floor.caller_speaks()
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
        assert floor.failed(ANSWER, 0) == "again"
        assert bounds.due(RETRY_MS * number) == "retry"
        assert floor.retry() == ANSWER
    assert floor.failed(ANSWER, 0) == "given up"


def test_sound_makes_up_for_failures(floor: Floor) -> None:
    for _ in range(10):
        assert floor.failed(ANSWER, 0) == "again"
        floor.sounded(0, 0)


def test_a_notice_can_be_spared_and_so_can_what_the_caller_speaks_over(floor: Floor) -> None:
    assert floor.failed(NOTICE, 0) == "spared"
    floor.speaking = True
    assert floor.failed(ANSWER, 0) == "spared"


def test_what_has_taken_the_floor_is_not_retried_over(floor: Floor) -> None:
    floor.failed(ANSWER, 0)
    begins(floor, "r")
    assert floor.retry() is None


def test_a_refused_request_is_known_by_its_name(floor: Floor, bounds: Bounds) -> None:
    name = asks(floor, NOTICE)
    assert floor.refused(None) is None and floor.refused("another") is None
    assert floor.refused(name) == NOTICE
    assert not floor.taken and bounds.soonest is None
    floor.overtaken(NOTICE)
    assert floor.next() == NOTICE


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
    floor.caller_speaks()
    floor.lost(leaving=False)
    floor.forget_session()
    assert floor.next() == ANSWER and floor.next() is None


def test_names_are_given_once(floor: Floor) -> None:
    assert len({floor.name("keys"), floor.name("keys"), asks(floor)}) == 3
