"""How many calls there may be, counted by processes that share a database; both kinds."""

import asyncio

import pytest
from sqlalchemy import update

from bridge.records import tables
from bridge.records.calls import DAY_S, HOUR_S, LEASE_S, PENDING_S, Calls, Limits
from bridge.records.database import Database, open_database, parse_url
from bridge.records.endings import Ending
from tests.store import ALICE, BOB, NOW, rows


@pytest.fixture
def calls(database: Database) -> Calls:
    return Calls(database, "one")


@pytest.fixture
def elsewhere(database: Database) -> Calls:
    """The same calls, as another process sees them."""
    return Calls(database, "two")


async def admitted(calls: Calls, count: int, limits: Limits, now: float = NOW, caller: str = "") -> list[str | None]:
    """What each of so many new calls is told, one after the other."""
    return [await calls.admit(f"CA{caller}{number}", caller, limits, now) for number in range(count)]


# ---- how many there may be

async def test_no_more_calls_than_allowed_are_admitted(calls: Calls) -> None:
    assert await admitted(calls, 3, Limits(calls=2)) == [None, None, "MAX_CALLS"]


async def test_a_caller_shares_its_limits_with_nobody(calls: Calls) -> None:
    limits = Limits(per_caller=2)
    assert await admitted(calls, 3, limits, caller=ALICE) == [None, None, "MAX_CALLS_PER_CALLER"]
    assert await admitted(calls, 1, limits, caller=BOB) == [None]


async def test_the_limits_of_one_caller_are_not_those_of_callers_without_a_number(calls: Calls) -> None:
    assert await admitted(calls, 5, Limits(calls=4, per_caller=1, per_hour=1)) == [None] * 4 + ["MAX_CALLS"]


async def test_callers_without_a_number_never_hold_every_line(calls: Calls) -> None:
    limits = Limits(calls=3, hidden=2)
    assert await admitted(calls, 3, limits) == [None, None, "MAX_CALLS_HIDDEN"]
    assert await admitted(calls, 2, limits, caller=ALICE) == [None, "MAX_CALLS"]
    await calls.closed("CA0", Ending.CALLER_HUNG_UP, NOW)
    assert await admitted(calls, 1, limits) == [None], "the line of one who has left"


async def test_how_often_somebody_may_call_in_an_hour_counts_calls_that_are_over(calls: Calls) -> None:
    limits = Limits(per_caller=1, per_hour=2)
    for number in range(2):
        assert await calls.admit(f"CA{number}", ALICE, limits, NOW + number) is None
        await calls.closed(f"CA{number}", Ending.CALLER_HUNG_UP, NOW + number)
    assert await calls.admit("CA2", ALICE, limits, NOW + HOUR_S - 1) == "CALLS_PER_HOUR_PER_CALLER"
    assert await calls.admit("CA2", ALICE, limits, NOW + HOUR_S) is None, "the first is an hour old"


async def test_a_refused_call_counts_for_nothing(calls: Calls, database: Database) -> None:
    assert await admitted(calls, 3, Limits(per_hour=1), caller=ALICE) == [None] + ["CALLS_PER_HOUR_PER_CALLER"] * 2
    assert len(await rows(database, "calls")) == 1


async def test_without_limits_everybody_is_admitted(calls: Calls) -> None:
    assert await admitted(calls, 5, Limits(), caller=ALICE) == [None] * 5


async def test_a_webhook_that_comes_again_is_the_same_admission(calls: Calls, elsewhere: Calls) -> None:
    limits = Limits(calls=1, per_caller=1, per_hour=1)
    assert await calls.admit("CA1", ALICE, limits, NOW) is None
    assert await elsewhere.admit("CA1", ALICE, limits, NOW + 1) is None
    await calls.opened("CA1", ALICE, NOW + 2)
    assert await elsewhere.admit("CA1", ALICE, limits, NOW + 3) is None
    await calls.closed("CA1", Ending.ASSISTANT_ENDED, NOW + 4)
    assert await calls.ending("CA1") == "assistant ended", "its stream was still this process's"
    assert await calls.admit("CA2", BOB, limits, NOW + 4) is None, "it counted once"


async def test_webhooks_that_race_never_admit_too_many(database_url: str) -> None:
    """Two servers, each with a connection of its own to one database."""
    url = parse_url(database_url)
    async with open_database(url) as one, open_database(url) as two:
        servers = [Calls(one, "one"), Calls(two, "two")]
        told = await asyncio.gather(*(
            servers[number % 2].admit(f"CA{number}", f"+1555000{number % 8:04}", Limits(calls=10, per_caller=2), NOW)
            for number in range(60)))
        assert told.count(None) == 10
        of_callers = [row.caller for row in await rows(one, "calls")]
    assert len(of_callers) == 10 and max(map(of_callers.count, of_callers)) <= 2


# ---- how long a call counts

async def test_a_call_whose_stream_never_begins_stops_counting(calls: Calls) -> None:
    limits = Limits(calls=1)
    assert await calls.admit("CA1", ALICE, limits, NOW) is None
    assert await calls.admit("CA2", BOB, limits, NOW + PENDING_S - 1) == "MAX_CALLS"
    assert await calls.admit("CA2", BOB, limits, NOW + PENDING_S) is None


async def test_a_call_counts_for_as_long_as_its_process_says_so(calls: Calls, elsewhere: Calls) -> None:
    limits, now = Limits(calls=1), NOW
    assert await calls.admit("CA1", ALICE, limits, now) is None
    await calls.opened("CA1", ALICE, now)
    for _ in range(10):
        now += LEASE_S - 1
        assert await elsewhere.admit("CA2", BOB, limits, now) == "MAX_CALLS"
        await calls.renew({"CA1": ALICE}, now)
    assert await elsewhere.admit("CA2", BOB, limits, now + LEASE_S) is None, "the process has died"


async def test_a_call_that_is_over_counts_no_more(calls: Calls) -> None:
    limits = Limits(calls=1)
    assert await calls.admit("CA1", ALICE, limits, NOW) is None
    await calls.opened("CA1", ALICE, NOW)
    await calls.closed("CA1", Ending.CALLER_HUNG_UP, NOW + 1)
    assert await calls.admit("CA2", BOB, limits, NOW + 1) is None


async def test_a_renewal_brings_no_call_back_that_is_over(calls: Calls) -> None:
    await calls.opened("CA1", ALICE, NOW)
    await calls.closed("CA1", Ending.CALLER_HUNG_UP, NOW + 1)
    await calls.renew({"CA1": ALICE}, NOW + 2)
    assert await calls.ending("CA1") == "caller hung up"
    assert await calls.admit("CA2", BOB, Limits(calls=1), NOW + 2) is None


async def test_what_was_let_in_without_the_database_counts_once_it_answers(calls: Calls) -> None:
    await calls.renew({"CA1": ALICE, "CA2": ""}, NOW)
    await calls.renew({"CA1": ALICE, "CA2": ""}, NOW + 1)
    assert await calls.admit("CA3", BOB, Limits(calls=2), NOW + 1) == "MAX_CALLS"
    assert await calls.admit("CA3", ALICE, Limits(per_caller=1), NOW + 1) == "MAX_CALLS_PER_CALLER"
    await calls.renew({}, NOW + 2)


async def test_a_call_is_forgotten_after_a_day(calls: Calls, database: Database) -> None:
    await calls.opened("CA1", ALICE, NOW)
    await calls.closed("CA1", Ending.CALLER_HUNG_UP, NOW + 1)
    await calls.admit("CA2", ALICE, Limits(), NOW + DAY_S)
    await calls.sweep(NOW + DAY_S)
    assert [row.call_sid for row in await rows(database, "calls")] == ["CA1", "CA2"]
    await calls.sweep(NOW + DAY_S + 2)
    assert [row.call_sid for row in await rows(database, "calls")] == ["CA2"]


# ---- how it ended

@pytest.mark.parametrize(("ending", "orderly"), [
    (Ending.CALLER_HUNG_UP, True), (Ending.ASSISTANT_ENDED, True), (Ending.SERVER_STOPPING, True),
    (Ending.TRANSFERRED, True), (Ending.MODEL_FAILED, False), (Ending.SERVER_KILLED, False),
    (Ending.PHONE_LOST, False), (Ending.UNKNOWN, False)])
async def test_it_is_known_whether_a_call_ended_in_order(calls: Calls, ending: Ending, orderly: bool) -> None:
    assert await calls.ending("CA1") is None
    await calls.opened("CA1", ALICE, NOW)
    assert await calls.ending("CA1") == "", "it has not, and its process may have died"
    await calls.closed("CA1", ending, NOW + 1)
    assert await calls.ending("CA1") is ending
    assert ending.in_order is orderly


async def test_a_word_of_another_version_is_an_ending_out_of_order(calls: Calls, database: Database) -> None:
    await calls.closed("CA1", Ending.CALLER_HUNG_UP, NOW)
    await database.execute(update(tables.calls).values(reason="taken by a bird"))
    assert await calls.ending("CA1") is Ending.UNKNOWN
    assert not Ending.UNKNOWN.in_order


async def test_an_ending_is_known_of_a_call_that_was_never_written_down(calls: Calls) -> None:
    await calls.closed("CA1", Ending.CALLER_HUNG_UP, NOW)
    assert await calls.ending("CA1") is Ending.CALLER_HUNG_UP


async def test_a_caller_who_comes_back_has_not_ended(calls: Calls, elsewhere: Calls) -> None:
    await calls.opened("CA1", ALICE, NOW)
    await calls.closed("CA1", Ending.TRANSFERRED, NOW + 1)
    await elsewhere.opened("CA1", ALICE, NOW + 60)
    assert await calls.ending("CA1") == ""
    assert await calls.admit("CA2", BOB, Limits(calls=1), NOW + 61) == "MAX_CALLS"


async def test_the_end_of_a_stream_is_no_end_of_a_later_one_elsewhere(calls: Calls, elsewhere: Calls) -> None:
    await calls.opened("CA1", ALICE, NOW)
    await elsewhere.opened("CA1", ALICE, NOW + 1)
    await calls.closed("CA1", Ending.TRANSFERRED, NOW + 2)
    assert await calls.ending("CA1") == ""


async def test_news_that_come_in_the_wrong_order_change_nothing(calls: Calls) -> None:
    await calls.closed("CA1", Ending.CALLER_HUNG_UP, NOW + 1)
    await calls.opened("CA1", ALICE, NOW)
    assert await calls.ending("CA1") == "caller hung up"


# ---- what is remembered

async def test_what_was_said_is_taken_once(calls: Calls, elsewhere: Calls) -> None:
    await calls.opened("CA1", ALICE, NOW)
    assert await calls.take_history("CA1") == ""
    await calls.keep_history("CA1", "Caller: “hello” 🦷")
    await calls.closed("CA1", Ending.TRANSFERRED, NOW + 1)
    await elsewhere.opened("CA1", ALICE, NOW + 60)
    assert await elsewhere.take_history("CA1") == "Caller: “hello” 🦷"
    assert await calls.take_history("CA1") == ""


async def test_what_was_said_is_forgotten_when_the_caller_does_not_come_back(calls: Calls) -> None:
    await calls.opened("CA1", ALICE, NOW)
    await calls.keep_history("CA1", "Caller: hello")
    await calls.closed("CA1", Ending.TRANSFERRED, NOW)
    await calls.sweep(NOW + HOUR_S + 1)
    assert await calls.take_history("CA1") == ""
    assert await calls.ending("CA1") is Ending.TRANSFERRED


async def test_what_was_said_is_forgotten_when_the_call_ends(calls: Calls, database: Database) -> None:
    await calls.opened("CA1", ALICE, NOW)
    await calls.keep_history("CA1", "Caller: hello")
    await calls.closed("CA1", Ending.CALLER_HUNG_UP, NOW + 1)
    assert [row.history for row in await rows(database, "calls")] == [""]
    assert await calls.take_history("CA9") == ""
