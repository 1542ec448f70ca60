"""One side of a call: what is sent arrives in order, whoever sends it and however slowly it is taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from bridge.call.leg import MOST_WAITING, CallOver, Leg
from bridge.sim.demo import serving


@asynccontextmanager
async def connected(*, is_phone: bool = True) -> AsyncIterator[tuple[Leg, aiohttp.ClientWebSocketResponse]]:
    """A leg, and the peer at its other end."""
    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        legs.put_nowait(Leg(socket, is_phone=is_phone))
        await over.wait()
        return socket

    legs: asyncio.Queue[Leg] = asyncio.Queue()
    over = asyncio.Event()
    app = web.Application()
    app.router.add_get("/", serve)
    async with serving(app) as origin, aiohttp.ClientSession() as http, http.ws_connect(
        origin, max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_close=0.1),
    ) as peer:
        yield await legs.get(), peer
        over.set()


async def test_messages_of_several_tasks_arrive_in_the_order_they_were_sent() -> None:
    async with connected() as (leg, peer):
        large = [bytes([65 + number]) * (100_000 if number else 16_000_000) for number in range(8)]
        sending = [asyncio.ensure_future(leg.send(message)) for message in large]
        arrived = [(await peer.receive(timeout=20)).data.encode() for _ in large]
        await asyncio.gather(*sending)
        assert arrived == large


async def test_messages_sent_together_stay_together() -> None:
    async with connected() as (leg, peer):
        batch = [bytes([65 + number]) * (40_000 if number else 16_000_000) for number in range(20)]
        sending = asyncio.ensure_future(leg.send(*batch))
        await asyncio.sleep(0)
        assert not sending.done()
        await leg.send(b"live")
        arrived = [(await peer.receive(timeout=20)).data.encode() for _ in range(21)]
        await sending
        assert arrived == [*batch, b"live"]


async def test_a_task_does_not_wait_behind_another_that_does() -> None:
    async with connected() as (leg, peer):
        first = asyncio.ensure_future(leg.send(b"x" * 20_000_000))
        await asyncio.sleep(0)
        assert not first.done()
        await leg.send(b"second")
        assert not first.done()
        assert [(await peer.receive(timeout=20)).type for _ in range(2)] == [WSMsgType.TEXT] * 2
        await first


async def test_a_peer_that_left_ends_the_call() -> None:
    async with connected() as (leg, peer):
        await peer.close()
        with pytest.raises(CallOver, match="phone lost"):
            while True:
                await leg.send(b"x" * 100_000)


async def test_a_leg_that_keeps_up_is_never_stalled() -> None:
    async with connected() as (leg, _):
        await leg.send(b"x")
        assert leg.stalled_s() == 0


async def fill(leg: Leg) -> asyncio.Future[None]:
    """The leg's socket takes nothing any more, and a megabyte waits for it."""
    first = asyncio.ensure_future(leg.send(b"x" * 20_000_000))
    await asyncio.sleep(0)
    await leg.send(b"x" * MOST_WAITING)
    return first


async def test_a_phone_that_takes_nothing_ends_its_call_before_much_waits_for_it() -> None:
    async with connected() as (leg, _):
        first = await fill(leg)
        with pytest.raises(CallOver, match="phone stalled"):
            await leg.send(b"one more")
        assert leg.stuck
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_model_that_takes_nothing_costs_no_memory_and_does_not_end_the_call() -> None:
    async with connected(is_phone=False) as (leg, _):
        first = await fill(leg)
        await leg.send(b"one more")
        assert leg.stuck and leg._waiting == []
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_a_model_that_left_is_noticed_by_who_reads_it() -> None:
    async with connected(is_phone=False) as (leg, peer):
        await peer.close()
        for _ in range(50):
            await leg.send(b"x" * 100_000)
