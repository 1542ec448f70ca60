"""Records are written beside the calls: no call waits for the database, and nothing is lost without a word."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest

from bridge import keys
from bridge.call.consent import Notice
from bridge.call.events import (
    AssistantSaid, AssistantSpeaks, CallerSaid, Closed, Connected, Consented, Figures, FunctionAnswered, FunctionCalled,
    FunctionReturned, KeysPressed, Listener, Opened, Placed, RecordingLost, RecordingStarts, Spent,
)
from bridge.call.tape import Tape
from bridge.reception import record_keeper
from bridge.reception.record_keeper import RecordKeeper
from bridge.records.call_records import Before, CallRecords, Portion
from bridge.records.database import Database, StoreFailed
from bridge.records.endings import Ending
from bridge.records.erasure import Erasure
from bridge.sim.realtime import Turn
from bridge.twilio_side.caller import Caller
from tests.stage.office import line, office, speech
from tests.stage.store import ALICE, NOW, rows

OVER = Closed("CA1", Ending.CALLER_HUNG_UP, 9.0, Figures(turns=1))


def keeper_of(records: CallRecords, *, words: bool = True, lost: Callable[[], None] = lambda: None) -> RecordKeeper:
    return RecordKeeper(records, "one", model="m", voice="v", words=words, count_loss=lost, now=lambda: NOW)


def opens(keeper: RecordKeeper, call_sid: str = "CA1") -> Listener:
    hear = keeper.of_a_call()
    hear(Connected())
    hear(Opened(call_sid, Caller(ALICE)))
    return hear


def says(hear: Listener, item_id: str, words: str) -> None:
    hear(Placed(item_id, "caller", None))
    hear(CallerSaid(words, item_id))


class Silent(CallRecords):
    """A database that fails for as long as it is told to."""

    failing = False

    async def write(self, portions: Sequence[Portion], now: float) -> Sequence[Before | None]:
        if self.failing:
            raise StoreFailed("it is away")
        return await super().write(portions, now)


async def test_a_call_is_written_as_it_goes_and_forgotten_when_it_is_over(database: Database) -> None:
    keeper, records = keeper_of(CallRecords(database)), CallRecords(database)
    hear = opens(keeper)
    says(hear, "c", "Hello?")
    await keeper.write()
    record = await records.read("CA1")
    assert record and [turn.text for turn in record.turns] == ["Hello?"] and not record.call.ending
    hear(AssistantSpeaks("a", "answer"))
    hear(AssistantSaid("Good day.", "a", 500, 500))
    hear(OVER)
    await keeper.write()
    record = await records.read("CA1")
    assert record and [turn.text for turn in record.turns] == ["Hello?", "Good day."]
    assert record.call.ending == "caller hung up"
    assert keeper.open == 0


async def test_what_the_database_did_not_take_is_written_the_next_time(database: Database) -> None:
    records = Silent(database)
    keeper = keeper_of(records)
    hear = opens(keeper)
    says(hear, "c", "Hello?")
    records.failing = True
    with pytest.raises(StoreFailed):
        await keeper.write()
    hear(OVER)
    records.failing = False
    await keeper.write()
    record = await records.read("CA1")
    assert record and [turn.text for turn in record.turns] == ["Hello?"] and record.call.ended_at


async def test_records_that_wait_are_bounded_and_each_lost_one_is_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(record_keeper, "MOST_WAITING", 3)
    lost: list[int] = []
    keeper = keeper_of(CallRecords(database), lost=lambda: lost.append(1))
    for number in range(5):
        opens(keeper, f"CA{number}")(OVER)
    assert keeper.open == 3 and len(lost) == 2
    assert "records of calls are lost because the database does not take them: 1 so far" in caplog.text
    await keeper.write()
    assert {row.call_sid for row in await rows(database, "call_records")} == {"CA2", "CA3", "CA4"}


async def test_a_record_that_cannot_be_written_costs_no_other(
    database: Database, caplog: pytest.LogCaptureFixture,
) -> None:
    lost: list[int] = []
    keeper = keeper_of(CallRecords(database), lost=lambda: lost.append(1))
    for call_sid in ("CA0", "CA1", "CA\ud800", "CA3", "CA4"):      # an id that no database can hold
        opens(keeper, call_sid)
    await keeper.write()
    assert {row.call_sid for row in await rows(database, "call_records")} == {"CA0", "CA1", "CA3", "CA4"}
    assert lost == [1] and keeper.open == 4 and "records of calls are lost" in caplog.text


async def test_however_much_has_waited_is_written_in_pieces_that_end_in_time(database: Database) -> None:
    sizes: list[int] = []

    class Weighed(CallRecords):
        async def write(self, portions: Sequence[Portion], now: float) -> Sequence[Before | None]:
            sizes.append(sum(len(portion.turns) for portion in portions))
            return await super().write(portions, now)
    keeper = keeper_of(Weighed(database))
    for number in range(6):
        hear = opens(keeper, f"CA{number}")
        for item in range(500):
            says(hear, f"c{item}", "Hello?")
    await keeper.write()
    assert sizes == [2_000, 1_000]
    assert len(await rows(database, "call_turns")) == 3_000


@pytest.mark.parametrize("answered_by", ["nobody", "fallback"])
async def test_a_webhook_that_is_repeated_ends_no_record_of_a_call_that_goes_on(
    database: Database, answered_by: str,
) -> None:
    keeper, elsewhere = keeper_of(CallRecords(database)), keeper_of(CallRecords(database))
    hear = opens(keeper)
    says(hear, "c", "Hello?")
    await keeper.write()
    elsewhere.without_stream("CA1", Caller(ALICE), "", answered_by)
    await elsewhere.write()
    record = await CallRecords(database).read("CA1")
    assert record and (record.call.ending, record.call.answered_by) == ("", "assistant") and elsewhere.open == 0
    hear(OVER)
    await keeper.write()
    record = await CallRecords(database).read("CA1")
    assert record and record.call.ending == "caller hung up"


async def test_a_caller_who_is_back_before_the_old_stream_is_gone_has_two_that_do_not_mix(database: Database) -> None:
    keeper = keeper_of(CallRecords(database))
    first = opens(keeper)
    says(first, "c", "A person, please.")
    first(Spent(0.25))
    second = opens(keeper)
    says(second, "c", "Nobody was there.")
    await keeper.write()
    says(first, "d", "Hello?")
    first(Closed("CA1", Ending.TRANSFERRED, 9.0, Figures()))
    says(second, "d", "Are you back?")
    second(OVER)
    await keeper.write()
    record = await CallRecords(database).read("CA1")
    assert record and [turn.text for turn in record.turns] == [
        "A person, please.", "Hello?", "Nobody was there.", "Are you back?"]
    assert (record.call.ending, record.call.usd, record.call.sessions) == ("caller hung up", 0.25, 2)


async def test_what_comes_late_of_an_earlier_stream_does_not_end_the_next_one(database: Database) -> None:
    class Slow(CallRecords):
        async def write(self, portions: Sequence[Portion], now: float) -> Sequence[Before | None]:
            known = await super().write(portions, now)
            if len(portions) == 2:
                first(FunctionReturned("f", "ok", 0.5))      # a function of the first stream ends only now
            return known
    keeper = keeper_of(Slow(database))
    first = opens(keeper)
    first(Spent(0.25))
    first(FunctionCalled("f", "{}", "1"))
    first(Closed("CA1", Ending.TRANSFERRED, 9.0, Figures()))
    second = opens(keeper)
    says(second, "c", "Nobody was there.")
    await keeper.write()
    await keeper.write()
    record = await CallRecords(database).read("CA1")
    assert record and [turn.text for turn in record.turns] == ["f", "Nobody was there."]
    assert (record.call.ending, record.call.usd, record.call.sessions) == ("", 0.25, 2)


async def test_a_caller_who_comes_back_to_the_fallback_was_answered_by_the_assistant(database: Database) -> None:
    keeper = keeper_of(CallRecords(database))
    opens(keeper)(Closed("CA1", Ending.TRANSFERRED, 9.0, Figures()))
    await keeper.write()
    keeper.without_stream("CA1", Caller(ALICE), "", "fallback")
    await keeper.write()
    record = await CallRecords(database).read("CA1")
    assert record and record.call.ending == "fallback"
    assert (record.call.answered_by, record.call.sessions) == ("assistant", 1)


async def test_a_call_that_goes_on_here_is_not_lost(database: Database) -> None:
    now = NOW
    records = CallRecords(database)
    keeper = RecordKeeper(
        records, "one", model="m", voice="v", words=True, count_loss=lambda: None, now=lambda: now)
    opens(keeper)
    await keeper.write()
    now += 3_600                                     # nothing happens, and its lease could not be renewed
    await keeper.look()
    record = await records.read("CA1")
    assert record and not record.call.ending


async def test_without_words_only_figures_are_kept(database: Database) -> None:
    keeper = keeper_of(CallRecords(database), words=False)
    hear = opens(keeper)
    says(hear, "c", "my secret")
    hear(FunctionCalled("schedule_meeting", '{"name": "my secret"}', "1"))
    hear(FunctionAnswered("1", {"status": "confirmed", "message": "my secret"}))
    hear(AssistantSpeaks("a", "answer"))
    hear(AssistantSaid("my secret", "a", 500, 700))
    hear(OVER)
    await keeper.write()
    kept = await rows(database, "call_turns")
    assert len(kept) == 3 and "secret" not in repr(kept)
    assert kept[1].text == "schedule_meeting" and "confirmed" in kept[1].data
    assert (kept[2].heard_ms, kept[2].sent_ms) == (500, 700)


async def test_a_call_that_is_erased_while_it_goes_on_is_written_no_more(database: Database) -> None:
    keeper = keeper_of(CallRecords(database))
    hear = opens(keeper)
    says(hear, "c", "Hello?")
    await keeper.write()
    await Erasure(database).erase(ALICE, NOW)
    says(hear, "d", "Still here.")
    await keeper.write()
    hear(OVER)
    await keeper.write()
    assert await rows(database, "call_records") == [] == await rows(database, "call_turns")
    assert keeper.open == 0


async def test_a_stream_that_never_says_what_it_is_leaves_nothing(database: Database) -> None:
    keeper = keeper_of(CallRecords(database))
    hear = keeper.of_a_call()
    hear(Connected())
    hear(Closed(None, Ending.NO_START, 5.0, Figures()))
    assert keeper.open == 0


# ---- a whole call

async def test_a_whole_call_can_be_read_afterwards() -> None:
    async with office(Turn((line(3_000),))) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking()
        await call.until_heard(call.heard_ms + 1_000)
        await call.hang_up()
        await world.closed()
        await world.app[keys.RECORDS].write()
        record = await CallRecords(world.app[keys.DATABASE]).read(call.sid)
        heard = call.heard_ms
    assert record
    greeting, asked, answer = record.turns
    assert (greeting.by, greeting.data) == ("assistant", {"purpose": "greeting"}) and not greeting.was_cut
    assert asked.by == "caller"
    assert answer.was_cut and greeting.heard_ms and answer.heard_ms is not None
    assert abs(greeting.heard_ms + answer.heard_ms - heard) <= 250
    assert (record.call.caller, record.call.called, record.call.ending) == (
        "+15557654321", "+15550001111", "caller hung up")
    assert answer.answer_ms and record.call.answer_p50_ms == answer.answer_ms


async def test_a_database_that_is_away_delays_no_call(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.ERROR)
    async with office(Turn((line(300),))) as world:
        gone = asyncio.Event()

        async def away(*_: object) -> None:
            await gone.wait()
            raise StoreFailed("it was away")
        monkeypatch.setattr(world.app[keys.RECORDS]._records, "write", away)
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking()
        await call.until_quiet()
        await call.hang_up()
        await world.closed()
        assert call.heard_ms == 900
        gone.set()


# ---- a caller who is asked

def asking(records: CallRecords, *, words: bool = True) -> RecordKeeper:
    return RecordKeeper(records, "one", model="m", voice="v", words=words, count_loss=lambda: None, now=lambda: NOW,
                        notice=Notice("asked", "May I?"), recordings="folder")


async def texts(database: Database) -> list[str]:
    return [row.text for row in await rows(database, "call_turns") if row.kind == "words"]


async def test_words_are_kept_from_a_yes_on_those_before_it_too(database: Database) -> None:
    keeper = asking(CallRecords(database))
    hear = opens(keeper)
    says(hear, "c", "my secret")
    await keeper.write()
    assert await texts(database) == [""]
    hear(Consented(True))
    says(hear, "d", "another one")
    await keeper.write()
    assert await texts(database) == ["my secret", "another one"]


async def test_without_a_yes_no_word_is_kept_to_the_end(database: Database) -> None:
    keeper = asking(CallRecords(database))
    hear = opens(keeper)
    says(hear, "c", "my secret")
    hear(KeysPressed("4711"))
    hear(FunctionCalled("schedule_meeting", '{"name": "my secret"}', "1"))
    hear(Consented(False))
    says(hear, "d", "my secret")
    hear(OVER)
    await keeper.write()
    kept = repr([await rows(database, "call_turns"), await rows(database, "call_records")])
    assert "secret" not in kept and "4711" not in kept and '"agreed":false' in kept


async def test_a_yes_that_is_taken_back_takes_the_words_back(database: Database) -> None:
    keeper = asking(CallRecords(database))
    hear = opens(keeper)
    hear(Consented(True))
    for number in range(100):
        says(hear, f"c{number}", "my secret")
        await keeper.write() if number % 10 == 0 else None
    hear(FunctionCalled("schedule_meeting", '{"name": "my secret"}', "1"))
    await keeper.write()
    hear(Consented(False))
    await keeper.write()
    assert "secret" not in repr(await rows(database, "call_turns"))
    assert len(await texts(database)) == 100, "also those that are not in memory any more"


async def test_where_no_words_are_kept_a_yes_keeps_none(database: Database) -> None:
    keeper = asking(CallRecords(database), words=False)
    hear = opens(keeper)
    hear(Consented(True))
    says(hear, "c", "my secret")
    await keeper.write()
    assert await texts(database) == [""]


async def test_the_record_says_where_the_recording_of_each_stream_is(database: Database) -> None:
    keeper = asking(CallRecords(database))
    for stream, ending in (("MZ00000001", Ending.TRANSFERRED), ("MZ00000002", Ending.CALLER_HUNG_UP)):
        hear = keeper.of_a_call()
        hear(Opened("CA1", Caller(ALICE), "", stream))
        hear(RecordingStarts(Tape()))
        hear(Closed("CA1", ending, 9.0, Figures()))
        await keeper.write()
    [row] = await rows(database, "call_records")
    assert row.recording.split("\n") == ["folder/CA1-00000001.wav", "folder/CA1-00000002.wav"]


@pytest.mark.parametrize(("kept", "recording"), [(True, "folder/CA1-00000001.wav"), (False, "")])
async def test_a_lost_recording_stands_in_the_record(database: Database, kept: bool, recording: str) -> None:
    keeper = asking(CallRecords(database))
    hear = keeper.of_a_call()
    hear(Opened("CA1", Caller(ALICE), "", "MZ00000001"))
    hear(RecordingStarts(Tape()))
    hear(RecordingLost(kept))
    await keeper.write()
    [row] = await rows(database, "call_records")
    assert row.recording == recording
    assert [turn.text for turn in await rows(database, "call_turns")] == ["recording lost"]
