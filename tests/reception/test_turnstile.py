"""One stream for each answered call: among processes that share a database, and when that is silent."""

import logging
import sqlite3
from contextlib import closing

import pytest

from bridge.reception import turnstile as turnstile_module
from bridge.reception.token import LIFE_S, Refused
from bridge.reception.turnstile import Turnstile
from bridge.records import engines
from bridge.records.database import Database, open_database, parse_url
from bridge.records.stream_tokens import KEPT_S, StreamTokens
from bridge.twilio_side.media_streams import StartBody
from tests.stage.store import NOW, rows

CALL, ACCOUNT = "CA" + "1" * 32, "AC" + "0" * 32
PARAMETERS = {"caller": "+15551234567", "called": "+15557654321", "call_sid": CALL}


class Clock:
    """Time that stands still until it is moved."""

    now = NOW

    def __call__(self) -> float:
        return self.now


def turnstile(database: Database, *auth_tokens: str, clock: Clock = Clock()) -> Turnstile:
    return Turnstile(StreamTokens(database), auth_tokens or ("secret",), clock)


def begun(token: str, call: str = CALL, account: str = ACCOUNT, **parameters: str) -> StartBody:
    """What a stream says of itself."""
    return StartBody("MZ" + "1" * 32, call, account, custom_parameters=PARAMETERS | parameters | {"token": token})


async def passes(turnstile: Turnstile, start: StartBody) -> str:
    """Why a stream is refused; "" when it is not."""
    try:
        await turnstile.take(turnstile.check(start), start.call_sid)
    except Refused as refusal:
        return str(refusal)
    return ""


async def test_a_token_is_taken_once_by_all_processes_together(database: Database, database_url: str) -> None:
    async with open_database(parse_url(database_url)) as same:
        here, there = turnstile(database), turnstile(same)
        start = begun(here.mint(CALL, ACCOUNT, PARAMETERS))
        assert await passes(there, start) == "", "the webhook and the stream may meet different processes"
        assert await passes(here, start) == "used token"
        assert await passes(there, start) == "used token"


async def test_each_answer_to_a_repeated_webhook_counts_once(database: Database) -> None:
    gate = turnstile(database)
    one, two = (begun(gate.mint(CALL, ACCOUNT, PARAMETERS)) for _ in range(2))
    assert [await passes(gate, each) for each in (two, one, two, one)] == ["", "", "used token", "used token"]


async def test_a_stream_back_from_a_transfer_has_a_token_of_its_own(database: Database) -> None:
    gate = turnstile(database)
    first, back = gate.mint(CALL, ACCOUNT, PARAMETERS), gate.mint(CALL, ACCOUNT, PARAMETERS | {"resume": "1"})
    assert await passes(gate, begun(first, resume="1")) == "wrong token"
    assert await passes(gate, begun(back)) == "wrong token"
    assert await passes(gate, begun(first)) == ""
    assert await passes(gate, begun(back, resume="1")) == ""


@pytest.mark.parametrize("other", [
    {"call": "CA" + "2" * 32}, {"account": "AC" + "1" * 32}, {"account": ""}, {"caller": "+15550000000"},
    {"called": ""}])
async def test_a_token_is_of_no_use_to_another_call(database: Database, other: dict[str, str]) -> None:
    gate = turnstile(database)
    token = gate.mint(CALL, ACCOUNT, PARAMETERS)
    assert await passes(gate, begun(token, **other)) == "wrong token"
    assert await passes(gate, begun(token)) == "", "trying it has not used it up"


async def test_tokens_of_the_auth_token_before_count_while_it_is_changed(database: Database) -> None:
    before, during, after = turnstile(database, "old"), turnstile(database, "new", "old"), turnstile(database, "new")
    token = before.mint(CALL, ACCOUNT, PARAMETERS)
    assert await passes(after, begun(token)) == "wrong token"
    assert await passes(during, begun(token)) == ""
    assert await passes(after, begun(during.mint(CALL, ACCOUNT, PARAMETERS))) == ""


async def test_what_is_remembered_is_forgotten_when_nobody_could_use_it(database: Database) -> None:
    clock = Clock()
    gate, tokens = turnstile(database, clock=clock), StreamTokens(database)
    for _ in range(5):
        assert await passes(gate, begun(gate.mint(CALL, ACCOUNT, PARAMETERS))) == ""
        clock.now += LIFE_S / 2
    assert len(gate._taken) == 2
    assert len(await rows(database, "stream_tokens")) == 5
    await tokens.sweep(NOW + LIFE_S + KEPT_S + 1)
    assert len(await rows(database, "stream_tokens")) == 4
    await tokens.sweep(clock.now + LIFE_S + KEPT_S + 1)
    assert await rows(database, "stream_tokens") == []


async def test_what_is_refused_is_not_remembered(database: Database) -> None:
    gate = turnstile(database)
    for number in range(100):
        assert await passes(gate, begun(f"made up {number}")) == "wrong token"
    assert not gate._taken and await rows(database, "stream_tokens") == []


async def test_an_attempt_whose_commit_was_lost_may_be_made_again(database: Database) -> None:
    tokens = StreamTokens(database)
    assert await tokens.take("nonce", "this attempt", NOW)
    assert await tokens.take("nonce", "this attempt", NOW)
    assert not await tokens.take("nonce", "another", NOW)


async def test_a_database_that_is_silent_keeps_nobody_out_and_memory_still_counts(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(turnstile_module, "ANSWER_S", 0.02)
    monkeypatch.setattr(engines, "WAIT_S", 0.2)
    async with open_database(parse_url(sqlite_url)) as database:
        with closing(sqlite3.connect(parse_url(sqlite_url).database or "", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            gate = turnstile(database)
            start = begun(gate.mint(CALL, ACCOUNT, PARAMETERS))
            assert await passes(gate, start) == ""
            assert await passes(gate, start) == "used token"
    [error] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert error.startswith(f"call {CALL}: the database did not say whether its stream's token is new, so this process")


async def test_without_an_auth_token_there_are_no_tokens(database: Database) -> None:
    gate = Turnstile(StreamTokens(database), ())
    assert gate.mint(CALL, ACCOUNT, PARAMETERS) == ""
    assert await passes(gate, begun("anything")) == ""
