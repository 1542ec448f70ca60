"""What stands between a ringing telephone and its first word asks the database once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import make_url

from bridge.records.calls import Calls, Limits
from bridge.records.database import Database, StoreFailed, open_database, parse_url
from bridge.records.stream_tokens import StreamTokens
from tests.stage.store import ALICE, NOW, rows


class _Wire:
    """Stands between us and PostgreSQL; `questions` are the messages of ours that it has passed on."""

    def __init__(self, host: str, port: int) -> None:
        self._there, self.questions = (host, port), 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, to_there = await asyncio.open_connection(*self._there)

        async def ours() -> None:
            while data := await reader.read(65536):
                self.questions += 1
                to_there.write(data)
            to_there.close()

        async def theirs() -> None:
            while data := await answers.read(65536):
                writer.write(data)
            writer.close()
        await asyncio.gather(ours(), theirs())


@asynccontextmanager
async def counted(url: str) -> AsyncIterator[tuple[Database, _Wire]]:
    address = make_url(url)
    wire = _Wire(address.host or "", address.port or 0)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    through = address.set(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    async with server, open_database(parse_url(through.render_as_string(hide_password=False))) as database:
        yield database, wire


async def test_an_admission_and_a_token_are_one_way_to_postgresql_and_back_each(postgresql_url: str) -> None:
    async with counted(postgresql_url) as (database, wire):
        calls, tokens = Calls(database, "one"), StreamTokens(database)
        await rows(database, "calls")                # a connection is open now
        before = wire.questions
        assert await calls.admit("CA1", ALICE, Limits(3, 2, 5, 1), NOW) is None
        assert wire.questions == before + 1
        assert await tokens.take("nonce", "an attempt", NOW)
        assert wire.questions == before + 2


async def test_what_was_said_is_data_in_the_statement(database: Database) -> None:
    calls = Calls(database, "one")
    for caller in ("'; DROP TABLE calls; --", "\\'", "%(now)s", ":now", "é🦷"):
        assert await calls.admit(f"CA{caller}", caller, Limits(9, 9, 9, 9), NOW) is None
        assert (await rows(database, "calls"))[-1].caller == caller


async def test_a_letter_that_the_database_cannot_hold_is_a_failure_of_the_store(postgresql_url: str) -> None:
    async with open_database(parse_url(postgresql_url)) as database:
        with pytest.raises(StoreFailed):
            await Calls(database, "one").admit("CA\0", ALICE, Limits(), NOW)
        assert await Calls(database, "one").admit("CA1", ALICE, Limits(), NOW) is None
