"""Frames that no phone sends, over a real socket to the real server: calls go on, or are closed with the right code."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

import pytest
import pytest_asyncio

from tests.load.audio import Losses
from tests.load.calls import Call, Exchange
from tests.load.garbage import CLOSES, KINDS, frames
from tests.load.phone import Phone
from tests.load.server import LOGGED, Measured, free_port, serving
from tests.load.wire import frame

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

#: The server is started once for all of them.
together = pytest.mark.asyncio(loop_scope="module")
#: A bound for waits that take a second. No test depends on it.
PATIENCE_S = 30.0
#: How many frames are written at once, and how many bytes may wait for the server.
BATCH, WAITING = 100, 256 * 1024


@dataclass
class World:
    server: Measured
    exchange: Exchange

    async def call(self) -> tuple[Call, Phone]:
        """A new call, already answered."""
        line = await self.exchange.open_line()
        assert line.call and line.call.phone
        return line.call, line.call.phone


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[World]:
    """The server in a process of its own, without a limit to the messages of a second."""
    model_port = free_port()
    settings = {**LOGGED, "MAX_MESSAGES_PER_S": "0"}
    async with serving("bridge", model_port, None, settings) as server, Exchange(server, model_port) as exchange:
        yield World(server, exchange)


@together
async def test_10000_frames_that_no_phone_sends_harm_no_call(world: World) -> None:
    beside, _ = await world.call()
    flooded, phone = await world.call()
    thrown: Counter[str] = Counter()
    garbage = islice(frames(5), 10_000)
    while batch := [*islice(garbage, BATCH)]:
        thrown.update(name for name, _ in batch)
        phone.transport.write(b"".join(frame(first, payload, masked=True) for _, (first, payload) in batch))
        while phone.live and phone.transport.get_write_buffer_size() > WAITING:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
    assert thrown.keys() == KINDS.keys()
    # When both ends hear what the other says from now on, everything that was sent before has been read.
    moment = perf_counter()
    async with asyncio.timeout(PATIENCE_S):
        while phone.live and not flooded.flows_since(moment):
            await asyncio.sleep(0.02)
    assert phone.live and beside.live
    noticed = Losses()
    beside.close_account(noticed)
    assert noticed == Losses()
    assert world.server.journal().unhandled == []


@together
@pytest.mark.parametrize("name", CLOSES)
async def test_what_no_stream_can_go_on_after_closes_it_with_the_code_for_it(world: World, name: str) -> None:
    _, phone = await world.call()
    phone.transport.write(b"".join(frame(first, payload, masked=True) for first, payload in CLOSES[name].frames))
    await asyncio.wait_for(phone.closed, PATIENCE_S)
    assert phone.close_code == CLOSES[name].code
    assert world.server.journal().unhandled == []


# ---- what is thrown

def test_the_same_seed_throws_the_same_garbage_and_another_seed_other() -> None:
    first, again, other = ([*islice(frames(seed), 500)] for seed in (1, 1, 2))
    assert first == again and first != other


def test_every_kind_is_thrown_and_fits_into_a_message() -> None:
    thrown = [*islice(frames(1), 3000)]
    assert {name for name, _ in thrown} == KINDS.keys()
    assert max(len(payload) for _, (_, payload) in thrown) <= 64 * 1024
    assert len({frame for _, frame in thrown}) > 2000


def test_no_garbage_is_a_message_that_ends_a_call_or_presses_a_key() -> None:
    for name, (first_byte, payload) in islice(frames(3), 5000):
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError):
            continue
        if not isinstance(message, dict) or first_byte != 0x81:
            continue
        assert message.get("event") != "stop", name
        key = message["dtmf"].get("digit") if isinstance(message.get("dtmf"), dict) else None
        assert not (isinstance(key, str) and len(key) == 1 and key in "0123456789*#ABCD"), name


def test_what_must_close_a_stream_has_a_code_for_it() -> None:
    assert {fatal.code for fatal in CLOSES.values()} == {1000, 1002, 1009}
