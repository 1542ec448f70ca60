"""The records of calls, kept a portion at a time; both kinds of database."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from bridge.meetings.meeting import Meeting
from bridge.records.call_record import Call, CallRecord, Turn
from bridge.records.call_records import SILENT_S, TRANSFERRED_S, CallRecords, Portion, Wanted
from bridge.records.calls import Calls
from bridge.records.database import Database
from bridge.records.deliveries import DeliveryQueue
from bridge.records.endings import Ending
from bridge.records.erasure import Erasure
from bridge.records.meetings import Meetings
from bridge.records.news import NewDelivery
from tests.stage.store import ALICE, BOB, NOW, make_meeting, no_news, rows

RECEIVER = "https://one.example/calls"


def report(record: CallRecord, meetings: Sequence[Meeting]) -> Sequence[NewDelivery]:
    return [NewDelivery(f"msg-{record.call.call_sid}", RECEIVER, "call.ended",
                        f"{len(record.turns)} turns, {len(meetings)} meetings")]


@pytest.fixture
def records(database: Database) -> CallRecords:
    return CallRecords(database, report)


def make_call(call_sid: str = "CA1", **more: Any) -> Call:
    fields: dict[str, Any] = {"call_sid": call_sid, "started_at": NOW, "caller": ALICE, "called": BOB, "process": "one",
                              "tokens": {"input audio": 5}}
    return Call(**fields | more)


def said(n: int, text: str, **more: Any) -> Turn:
    fields: dict[str, Any] = {"n": n, "by": "caller", "kind": "words", "at_ms": n * 1000, "position": float(n)}
    return Turn(**fields | {"text": text} | more)


async def test_a_call_is_kept_a_portion_at_a_time(records: CallRecords) -> None:
    call = make_call()
    assert await records.read("CA1") is None
    before = (await records.write([Portion(call, [said(1, "Hello?")], None)], NOW))[0]
    await records.write([Portion(replace(call, usd=0.5), [
        said(1, "Hello? Anybody?"), said(2, "I can", by="assistant", heard=5, heard_ms=10, sent_ms=20)], before)], NOW)
    record = await records.read("CA1")
    assert record == CallRecord(replace(call, usd=0.5), [
        said(1, "Hello? Anybody?"), said(2, "I can", by="assistant", heard=5, heard_ms=10, sent_ms=20)])
    assert record.turns[1].was_cut


async def test_turns_stand_in_the_order_of_their_positions(records: CallRecords) -> None:
    turns = [said(1, "one"), said(2, "three"), said(3, "two", position=1.5)]
    await records.write([Portion(make_call(), turns, None)], NOW)
    record = await records.read("CA1")
    assert record and [turn.text for turn in record.turns] == ["one", "two", "three"]


async def test_what_people_say_comes_back_as_they_said_it(records: CallRecords) -> None:
    words = "“é🦷” ' \\ \u202e <img src=x onerror=alert(1)> %s :now"
    function = said(2, "f", kind="function", data={"arguments": words, "answer": {"status": "ok", "n": [1, None]}})
    await records.write([Portion(make_call(), [said(1, words), function], None)], NOW)
    record = await records.read("CA1")
    assert record and record.turns == [said(1, words), function]


async def test_a_letter_that_no_database_can_hold_costs_that_letter(records: CallRecords) -> None:
    words = "a\0b\ud800c"
    function = said(2, words, kind="function", data={"arguments": words, "answer": {words: [words, 1]}})
    await records.write([Portion(make_call(called=words), [said(1, words), function], None)], NOW)
    record, held = await records.read("CA1"), "a\ufffdb\ufffdc"
    assert record and record.call.called == held and [turn.text for turn in record.turns] == [held, held]
    assert record.turns[1].data == {"arguments": held, "answer": {held: [held, 1]}}


async def test_a_call_that_comes_back_from_a_transfer_is_one_call(records: CallRecords, database: Database) -> None:
    first = make_call(ended_at=NOW + 60, ending=Ending.TRANSFERRED.value, turns=2, usd=0.1, answer_max_ms=900)
    await records.write([Portion(first, [said(1, "A person, please.")], None)], NOW + 60)
    assert await rows(database, "deliveries") == [], "the caller may come back"
    second = make_call(started_at=NOW + 100, process="two", turns=1, usd=0.2, answer_max_ms=700)
    before = (await records.write([Portion(second, [said(1, "Nobody there.")], None)], NOW + 101))[0]
    over = replace(second, ended_at=NOW + 120, ending=Ending.CALLER_HUNG_UP.value)
    await records.write([Portion(over, [], before)], NOW + 120)
    record = await records.read("CA1")
    assert record and record.call == replace(
        over, started_at=NOW, turns=3, usd=pytest.approx(0.3), answer_max_ms=900, sessions=2,
        tokens={"input audio": 10})
    assert [(turn.text, turn.at_ms) for turn in record.turns] == [
        ("A person, please.", 1_000), ("Nobody there.", 101_000)]
    assert [row.about_id for row in await rows(database, "deliveries")] == ["CA1"]


async def test_the_end_of_a_call_is_reported_once_whatever_is_written_later(
    records: CallRecords, database: Database,
) -> None:
    over = make_call(ended_at=NOW + 9, ending=Ending.CALLER_HUNG_UP.value)
    await Meetings(database).book(make_meeting(), no_news)
    before = (await records.write([Portion(over, [said(1, "Bye.")], None)], NOW + 9))[0]
    await records.write([Portion(over, [said(2, "late", kind="function")], before)], NOW + 10)
    await records.end_lost(NOW + 10 * TRANSFERRED_S)
    [delivery] = await DeliveryQueue(database).about("CA1")
    assert (delivery.type, delivery.body, delivery.about_kind, delivery.url) == (
        "call.ended", "1 turns, 1 meetings", "call", RECEIVER)


async def test_what_was_erased_stays_erased(records: CallRecords, database: Database) -> None:
    before = (await records.write([Portion(make_call(), [said(1, "Hello?")], None)], NOW))[0]
    await Erasure(database).erase(ALICE, NOW)
    assert await records.read("CA1") is None and await rows(database, "call_turns") == []
    assert (await records.write([Portion(make_call(), [said(2, "Still here.")], before)], NOW))[0] is None
    assert await rows(database, "call_records") == [] and await rows(database, "call_turns") == []


# ---- calls whose process is gone

async def test_a_call_whose_process_is_gone_is_ended_and_reported_once(
    records: CallRecords, database: Database,
) -> None:
    calls = Calls(database, "one")
    await calls.opened("CA1", ALICE, NOW)
    await records.write([Portion(make_call(), [said(1, "Hello?")], None)], NOW + 5)
    assert await records.end_lost(NOW + SILENT_S - 1) == 0, "it may only be quiet"
    await calls.renew({"CA1": ALICE}, NOW + SILENT_S)
    assert await records.end_lost(NOW + SILENT_S + 6) == 0, "its process says that it goes on"
    assert await records.end_lost(NOW + 2 * SILENT_S) == 1
    assert await records.end_lost(NOW + 3 * SILENT_S) == 0
    record = await records.read("CA1")
    assert record and (record.call.ending, record.call.ended_at) == ("server lost", NOW + 5)
    assert len(await rows(database, "deliveries")) == 1


async def test_a_call_whose_end_is_known_elsewhere_ended_as_it_did(records: CallRecords, database: Database) -> None:
    calls = Calls(database, "one")
    await calls.opened("CA1", ALICE, NOW)
    await records.write([Portion(make_call(), [], None)], NOW)
    await calls.closed("CA1", Ending.ASSISTANT_ENDED, NOW + 20)
    assert await records.end_lost(NOW + 2 * SILENT_S) == 1
    record = await records.read("CA1")
    assert record and record.call.ending == "assistant ended"


async def test_a_quiet_call_is_not_lost_when_the_database_was_away_for_longer_than_a_lease(
    records: CallRecords, database: Database,
) -> None:
    calls = Calls(database, "one")
    await calls.opened("CA1", ALICE, NOW)
    await records.write([Portion(make_call(), [], None)], NOW)
    await calls.renew({"CA1": ALICE}, NOW + SILENT_S - 20)
    assert await records.end_lost(NOW + SILENT_S + 1) == 0, "nobody could renew its lease"
    assert await records.end_lost(NOW + 3 * SILENT_S, but=["CA1"]) == 0, "who looks carries it"
    assert await rows(database, "deliveries") == []


async def test_a_call_that_was_taken_for_lost_and_went_on_ends_at_last_and_is_reported_once(
    records: CallRecords, database: Database,
) -> None:
    before = (await records.write([Portion(make_call(), [], None)], NOW))[0]
    assert await records.end_lost(NOW + 2 * SILENT_S) == 1
    await records.write([Portion(make_call(), [said(1, "Still here.")], before)], NOW + 3 * SILENT_S)
    assert await records.end_lost(NOW + 5 * SILENT_S) == 1
    record = await records.read("CA1")
    assert record and record.call.ending == "server lost"
    assert len(await rows(database, "deliveries")) == 1


async def test_a_call_that_nobody_knows_any_more_was_lost(records: CallRecords) -> None:
    await records.write([Portion(make_call(), [], None)], NOW)
    assert await records.end_lost(NOW + SILENT_S + 1) == 1


async def test_a_caller_who_does_not_come_back_from_a_transfer_is_reported_at_last(
    records: CallRecords, database: Database,
) -> None:
    transferred = make_call(ended_at=NOW, ending=Ending.TRANSFERRED.value)
    await records.write([Portion(transferred, [], None)], NOW)
    assert await records.end_lost(NOW + TRANSFERRED_S - 1) == 0
    assert await records.end_lost(NOW + TRANSFERRED_S + 1) == 1
    record = await records.read("CA1")
    assert record and record.call.ending == "transferred"
    assert len(await rows(database, "deliveries")) == 1


# ---- which calls

async def test_calls_are_listed_newest_first_a_page_at_a_time(records: CallRecords) -> None:
    for number in range(5):
        await records.write([Portion(make_call(f"CA{number}", started_at=NOW + number // 2), [], None)], NOW)
    first = await records.newest(limit=3)
    assert [call.call_sid for call in first] == ["CA4", "CA3", "CA2"]
    rest = await records.newest(limit=3, before=(first[-1].started_at, first[-1].call_sid))
    assert [call.call_sid for call in rest] == ["CA1", "CA0"]


@pytest.mark.parametrize(("wanted", "found"), [
    (Wanted(caller=BOB), ["CA2"]),
    (Wanted(since=NOW + 1), ["CA3", "CA2"]),
    (Wanted(until=NOW + 2), ["CA2", "CA1"]),
    (Wanted(endings=("caller hung up", "model failed")), ["CA3", "CA1"]),
    (Wanted(agent="dentist"), ["CA2"]),
    (Wanted(words="TOOTHACHE"), ["CA1"]),
    (Wanted(words="100%"), ["CA3"]),
    (Wanted(words="nobody said this"), []),
    (Wanted(caller=ALICE, endings=("model failed",)), ["CA3"]),
])
async def test_calls_are_found_by_what_is_known_of_them(
    records: CallRecords, wanted: Wanted, found: list[str],
) -> None:
    for call, words in (
        (make_call("CA1", ending="caller hung up"), "I have a toothache."),
        (make_call("CA2", started_at=NOW + 1, caller=BOB, agent="dentist"), "1000 things"),
        (make_call("CA3", started_at=NOW + 2, ending="model failed"), "100% sure"),
    ):
        await records.write([Portion(call, [said(1, words)], None)], NOW)
    assert [call.call_sid for call in await records.newest(wanted)] == found
