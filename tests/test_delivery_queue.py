"""The queue of deliveries on both databases: leases, fairness, and who may write what became of an attempt."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from bridge.delivery.retries import GIVE_UP_S
from bridge.meetings.meeting import Meeting
from bridge.records.database import Database, open_database, parse_url
from bridge.records.deliveries import Delivery, DeliveryQueue, Depth
from bridge.records.meetings import Meetings
from bridge.records.news import NewDelivery
from tests.store import NOW, RECEIVERS, make_meeting, news

LEASE = 30.0
ONE, TWO = RECEIVERS


@pytest.fixture
def queue(database: Database) -> DeliveryQueue:
    return DeliveryQueue(database)


async def promise(database: Database, meetings: int = 1, at: float = NOW, urls: tuple[str, ...] = (ONE,)) -> str:
    """So many meetings, with one delivery for each address; the last one's id."""
    store = Meetings(database, lambda: at)
    taken = len(await store.all())
    for number in range(meetings):
        meeting, new = await store.book(
            make_meeting(30 * (taken + number)), lambda meeting: news(meeting, urls))
        assert new
    return meeting.id


async def one(queue: DeliveryQueue, now: float = NOW) -> Delivery:
    [delivery] = await queue.claim(now, LEASE, 10)
    return delivery


# ---- claiming

async def test_what_is_claimed_is_leased(database: Database, queue: DeliveryQueue) -> None:
    await promise(database)
    claimed = await one(queue)
    assert (claimed.attempts, claimed.state, claimed.next_at) == (1, "pending", NOW + LEASE)
    assert await queue.get(claimed.id) == claimed
    assert await queue.claim(NOW + LEASE - 0.001, LEASE, 10) == []
    assert await queue.next_due(NOW) == NOW + LEASE
    assert (await one(queue, NOW + LEASE)).attempts == 2, "its claimer has died"


async def test_what_is_not_due_is_not_claimed(database: Database, queue: DeliveryQueue) -> None:
    await promise(database)
    assert await queue.claim(NOW - 0.001, LEASE, 10) == []
    assert await queue.next_due(NOW - 5) == NOW
    assert await queue.next_due(NOW + 5) == NOW + 5


async def test_nothing_is_due_where_nothing_was_promised(queue: DeliveryQueue) -> None:
    assert await queue.claim(NOW, LEASE, 10) == []
    assert await queue.next_due(NOW) is None
    assert await queue.depth() == Depth(0, 0, 0, None)
    assert await queue.get("unknown") is None


async def test_the_longest_due_come_first(database: Database, queue: DeliveryQueue) -> None:
    for at in (NOW + 2, NOW, NOW + 1):
        await promise(database, at=at)
    first, second = [await queue.claim(NOW + 9, LEASE, limit) for limit in (2, 2)]
    assert [each.created_at for each in first + second] == [NOW, NOW + 1, NOW + 2]


async def test_a_receiver_has_its_share_only(database: Database, queue: DeliveryQueue) -> None:
    await promise(database, 12, at=NOW - 60)
    await promise(database, 2, urls=(TWO,))
    assert Counter(each.url for each in await queue.claim(NOW, LEASE, 8, per_url=5)) == {ONE: 5, TWO: 2}
    assert Counter(each.url for each in await queue.claim(NOW, LEASE, 8)) == {ONE: 7}


async def test_what_is_under_way_counts(database: Database, queue: DeliveryQueue) -> None:
    await promise(database, 12, at=NOW - 60)
    await promise(database, 2, urls=(TWO,))
    claimed = await queue.claim(NOW, LEASE, 8, per_url=5, under_way={ONE: 3, TWO: 4, "elsewhere": 9})
    assert Counter(each.url for each in claimed) == {ONE: 2, TWO: 1}


async def test_what_is_claimed_as_it_is_promised_is_nobody_else_s(database: Database, queue: DeliveryQueue) -> None:
    def ours_and_anybody_s(meeting: Meeting) -> list[NewDelivery]:
        ours, anybody_s = news(meeting)
        return [replace(ours, lease_s=LEASE), anybody_s]
    _, [ours, anybody_s] = await Meetings(database, lambda: NOW).book(make_meeting(), ours_and_anybody_s)
    assert [await queue.get(each.id) for each in (ours, anybody_s)] == [ours, anybody_s]
    assert [each.id for each in await queue.claim(NOW + LEASE - 1, LEASE, 9)] == [anybody_s.id]
    assert await queue.delivered(ours.id, NOW, "", ours.attempts)
    assert (ours.attempts, ours.next_at) == (1, NOW + LEASE)


async def test_what_is_claimed_as_it_is_promised_is_due_again_where_nobody_attempts_it(
    database: Database, queue: DeliveryQueue,
) -> None:
    await Meetings(database, lambda: NOW).book(
        make_meeting(), lambda meeting: [replace(each, lease_s=LEASE) for each in news(meeting, (ONE,))])
    assert (await one(queue, NOW + LEASE)).attempts == 2, "whoever promised it has died"


# ---- one meeting's news, in order

async def two_versions(database: Database, lease_s: float = 0.0) -> tuple[Delivery, Delivery]:
    """The news of a booking and of a correction, for one receiver, promised while the clock stood still."""
    def leased(meeting: Meeting) -> list[NewDelivery]:
        return [replace(each, lease_s=lease_s) for each in news(meeting, (ONE,))]
    meetings = Meetings(database, lambda: NOW)
    meeting, [booked] = await meetings.book(make_meeting(), leased)
    _, [corrected] = await meetings.change(meeting.id, meeting.caller, {"email": "new@b.example"}, leased)
    return booked, corrected


async def test_news_of_a_meeting_waits_for_the_news_before_it(database: Database, queue: DeliveryQueue) -> None:
    booked, corrected = await two_versions(database)
    assert corrected.created_at > booked.created_at
    assert (await one(queue, NOW + 1)).id == booked.id
    assert await queue.claim(NOW + 1, LEASE, 10, only=[corrected.id]) == []
    assert await queue.next_due(NOW + 1) == NOW + 1 + LEASE, "what waits is not due, or it would be asked for for ever"
    assert await queue.delivered(booked.id, NOW + 2, "", 1)
    assert await queue.next_due(NOW + 2) == NOW + 2
    assert (await one(queue, NOW + 2)).id == corrected.id


async def test_news_of_a_meeting_follows_a_dead_letter(database: Database, queue: DeliveryQueue) -> None:
    booked, corrected = await two_versions(database)
    await one(queue)
    assert await queue.dead(booked.id, NOW, "answered with status 410", 1)
    assert (await one(queue)).id == corrected.id


async def test_what_waits_for_other_news_is_not_attempted_by_who_promises_it(
    database: Database, queue: DeliveryQueue,
) -> None:
    booked, corrected = await two_versions(database, LEASE)
    assert (booked.attempts, corrected.attempts) == (1, 0)
    assert await queue.about(booked.about_id) == [booked, corrected]


async def test_another_receiver_and_another_meeting_do_not_wait(database: Database, queue: DeliveryQueue) -> None:
    meetings = Meetings(database, lambda: NOW)
    meeting, _ = await meetings.book(make_meeting(), lambda meeting: news(meeting, (ONE,)))
    await meetings.change(meeting.id, meeting.caller, {"email": "new@b.example"}, news)
    await promise(database)
    claimed = await queue.claim(NOW, LEASE, 10)
    assert [(each.url, each.about_id == meeting.id) for each in claimed] == [(ONE, True), (ONE, False), (TWO, True)]


async def test_a_receiver_can_be_left_out(database: Database, queue: DeliveryQueue) -> None:
    await promise(database, 2, at=NOW - 60)
    await promise(database, urls=(TWO,))
    assert [each.url for each in await queue.claim(NOW, LEASE, 8, per_url=1, under_way={ONE: 1})] == [TWO]
    assert await queue.next_due(NOW, but=[ONE]) == NOW + LEASE
    assert await queue.next_due(NOW, but=[ONE, TWO]) is None
    assert await queue.next_due(NOW) == NOW


async def test_one_may_claim_none_but_one_s_own(database: Database, queue: DeliveryQueue) -> None:
    await promise(database, 3)
    mine, _ = await queue.about(await promise(database, urls=RECEIVERS))
    assert [each.id for each in await queue.claim(NOW, LEASE, 10, only=[mine.id, "unknown"])] == [mine.id]
    assert await queue.claim(NOW, LEASE, 10, only=[mine.id]) == []
    assert await queue.claim(NOW, LEASE, 10, only=[]) == []
    assert len(await queue.claim(NOW, LEASE, 10)) == 4


async def test_of_many_claimers_each_delivery_has_one(database_url: str) -> None:
    async with open_database(parse_url(database_url)) as here, open_database(parse_url(database_url)) as there:
        await promise(here, 60, urls=RECEIVERS)
        queues, claimed = [DeliveryQueue(here), DeliveryQueue(there)], Counter[str]()

        async def claim_all(queue: DeliveryQueue) -> None:
            while await queue.next_due(NOW) == NOW:
                claimed.update(each.id for each in await queue.claim(NOW, LEASE, 5, per_url=3))
        await asyncio.gather(*(claim_all(queues[number % 2]) for number in range(6)))
        assert len(claimed) == 120 and set(claimed.values()) == {1}


# ---- what became of it

async def test_what_was_delivered_is_not_due_again(database: Database, queue: DeliveryQueue) -> None:
    await promise(database)
    claimed = await one(queue)
    assert await queue.retry(claimed.id, NOW + 5, "status 503", claimed.attempts)
    claimed = await one(queue, NOW + 5)
    assert (claimed.attempts, claimed.last_error) == (2, "status 503")
    assert await queue.delivered(claimed.id, NOW + 6, "See you!", claimed.attempts)
    settled = await queue.get(claimed.id)
    assert settled and (settled.state, settled.answer, settled.last_error, settled.next_at) == (
        "delivered", "See you!", "", NOW + 6)
    assert await queue.claim(NOW + 1e6, LEASE, 10) == []
    assert await queue.next_due(NOW) is None


async def test_what_failed_is_due_when_it_was_put_off_to(database: Database, queue: DeliveryQueue) -> None:
    await promise(database)
    claimed = await one(queue)
    assert await queue.retry(claimed.id, NOW + 1, "status 503", 1)
    assert await queue.next_due(NOW) == NOW + 1
    assert await queue.claim(NOW + 0.999, LEASE, 10) == []
    assert (await one(queue, NOW + 1)).attempts == 2


async def test_a_lease_can_be_renewed(database: Database, queue: DeliveryQueue) -> None:
    await promise(database)
    claimed = await one(queue)
    assert await queue.renew(claimed.id, NOW + 2 * LEASE, 1)
    assert await queue.claim(NOW + LEASE, LEASE, 10) == []
    assert (await one(queue, NOW + 2 * LEASE)).attempts == 2


async def test_only_the_newest_attempt_is_written_down(database: Database, queue: DeliveryQueue) -> None:
    await promise(database)
    slow = await one(queue)
    newest = await one(queue, NOW + LEASE)
    assert not await queue.delivered(slow.id, NOW, "", slow.attempts)
    assert not await queue.retry(slow.id, NOW, "slow", slow.attempts)
    assert not await queue.dead(slow.id, NOW, "slow", slow.attempts)
    assert not await queue.renew(slow.id, NOW, slow.attempts)
    assert await queue.get(slow.id) == newest
    assert await queue.delivered(newest.id, NOW, "", newest.attempts)
    assert not await queue.dead(newest.id, NOW, "late", newest.attempts), "it is settled"
    assert not await queue.delivered("unknown", NOW, "", 1)


# ---- dead letters

async def test_a_dead_letter_rests_until_it_is_sent_again(database: Database, queue: DeliveryQueue) -> None:
    meeting_id = await promise(database)
    claimed = await one(queue)
    assert await queue.dead(claimed.id, NOW, "status 410", claimed.attempts, "We have closed.")
    settled = await queue.get(claimed.id)
    assert settled and (settled.state, settled.answer) == ("dead", "We have closed.")
    assert await queue.claim(NOW + 1e6, LEASE, 10) == []
    assert await queue.revive("unknown", NOW) == 0
    later = NOW + 1e6
    assert await queue.revive(meeting_id, later) == 1
    assert await queue.revive(meeting_id, later) == 0, "it is under way"
    again = await one(queue, later)
    assert (again.id, again.body) == (claimed.id, claimed.body)
    assert (again.attempts, again.created_at, again.since, again.last_error) == (2, NOW, later, "status 410")


async def test_whether_a_dead_letter_was_refused_is_what_was_written_down(
    database: Database, queue: DeliveryQueue,
) -> None:
    """However long it has been tried."""
    await promise(database, 2)
    refused, given_up = await queue.claim(NOW, LEASE, 9)
    await queue.dead(refused.id, NOW + 9 * GIVE_UP_S, "answered with status 409", 1, "We are closed.", refused=True)
    await queue.dead(given_up.id, NOW + 1, "answered with status 503", 1)

    async def now() -> list[tuple[str, bool]]:
        found = [await queue.get(each.id) for each in (refused, given_up)]
        return [(each.state, each.refused) for each in found if each]
    assert await now() == [("dead", True), ("dead", False)]
    assert await queue.revive(refused.about_id, NOW + 60) == 1
    assert await now() == [("pending", False), ("dead", False)], "it is asked once more"


async def test_what_was_delivered_can_be_sent_again(database: Database, queue: DeliveryQueue) -> None:
    meeting_id = await promise(database, urls=RECEIVERS)
    await promise(database)
    for each in await queue.claim(NOW, LEASE, 10):
        await queue.delivered(each.id, NOW, "", each.attempts)
    assert await queue.revive(meeting_id, NOW) == 0
    assert await queue.revive(meeting_id, NOW, all=True) == 2
    assert {each.about_id for each in await queue.claim(NOW, LEASE, 10)} == {meeting_id}


async def test_what_waits_is_sent_again_too_but_not_what_is_under_way(
    database: Database, queue: DeliveryQueue,
) -> None:
    meeting_id = await promise(database)
    claimed = await one(queue)
    assert await queue.revive(meeting_id, NOW, lease_s=LEASE) == 0, "it is under way"
    assert await queue.retry(claimed.id, NOW + 4 * 3600, "answered with status 404", claimed.attempts)
    assert await queue.revive(meeting_id, NOW + 60, lease_s=LEASE) == 1
    again = await one(queue, NOW + 60)
    assert (again.id, again.attempts, again.since) == (claimed.id, 2, NOW + 60)


async def test_news_that_later_news_has_overtaken_is_not_sent_again(database: Database, queue: DeliveryQueue) -> None:
    store = Meetings(database, lambda: NOW)
    meeting, [booked] = await store.book(make_meeting(), lambda meeting: news(meeting, (ONE,)))
    [booked] = await queue.claim(NOW, LEASE, 9)
    assert await queue.dead(booked.id, NOW + 1, "answered with status 410", booked.attempts)
    later = Meetings(database, lambda: NOW + 60)
    await later.cancel(meeting.id, meeting.caller, lambda meeting: news(meeting, (ONE,)))
    [cancelled] = await queue.claim(NOW + 60, LEASE, 9)
    assert await queue.dead(cancelled.id, NOW + 61, "answered with status 410", cancelled.attempts)
    assert await queue.revive(meeting.id, NOW + 62) == 2, "nothing of it has arrived"
    while claimed := await queue.claim(NOW + 62, LEASE, 1):
        [each] = claimed
        if each.id == cancelled.id:
            await queue.delivered(each.id, NOW + 63, "", each.attempts)
        else:
            await queue.dead(each.id, NOW + 63, "answered with status 410", each.attempts)
    assert await queue.revive(meeting.id, NOW + 64) == 0


async def test_all_that_waits_is_sent_again_but_not_what_was_refused(database: Database, queue: DeliveryQueue) -> None:
    await promise(database, 4)
    waiting, refused, given_up, delivered = await queue.claim(NOW, LEASE, 9)
    await queue.retry(waiting.id, NOW + GIVE_UP_S + 3600, "answered with status 404", 1)
    await queue.dead(refused.id, NOW + 1, "answered with status 409", 1, refused=True)
    await queue.dead(given_up.id, NOW + GIVE_UP_S, "answered with status 404", 1)
    await queue.delivered(delivered.id, NOW, "", 1)
    assert await queue.revive(None, NOW + GIVE_UP_S) == 2
    assert {each.id for each in await queue.claim(NOW + GIVE_UP_S, LEASE, 9)} == {waiting.id, given_up.id}


async def test_what_is_sent_again_goes_to_the_address_of_now(database: Database, queue: DeliveryQueue) -> None:
    meeting_id = await promise(database, urls=(ONE, TWO))
    for each in await queue.claim(NOW, LEASE, 9):
        await queue.retry(each.id, NOW + 3600, "answered with status 404", each.attempts)
    mended = "https://two.example/mended"
    assert await queue.astray((ONE, mended)) == 1 and await queue.astray((ONE, TWO)) == 0
    assert await queue.revive(meeting_id, NOW + 60, receivers=(ONE, mended)) == 2
    assert {each.url for each in await queue.about(meeting_id)} == {ONE, mended}
    assert await queue.revive(meeting_id, NOW + 60, receivers=(mended,)) == 0, "whoever is still named is told already"
    assert {each.url for each in await queue.about(meeting_id)} == {ONE, mended}


async def test_the_depth_counts_by_state(database: Database, queue: DeliveryQueue) -> None:
    await promise(database, 3)
    await promise(database, 2, at=NOW + 10)
    first, second, third = await queue.claim(NOW, LEASE, 3)
    await queue.delivered(first.id, NOW, "", 1)
    await queue.dead(second.id, NOW, "", 1)
    await queue.retry(third.id, NOW + 99, "", 1)
    assert await queue.depth() == Depth(pending=3, delivered=1, dead=1, oldest=NOW)


async def test_the_states_are_counted_for_each_meeting(database: Database, queue: DeliveryQueue) -> None:
    one_id, two_id = [await promise(database, urls=RECEIVERS) for _ in range(2)]
    deliveries = await queue.claim(NOW, LEASE, 10)
    [dead] = [each for each in deliveries if each.about_id == one_id and each.url == RECEIVERS[0]]
    await queue.dead(dead.id, NOW, "", 1)
    assert await queue.states() == {one_id: {"dead": 1, "pending": 1}, two_id: {"pending": 2}}
