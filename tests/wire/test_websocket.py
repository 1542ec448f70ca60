"""Websockets of both kinds, and on both event loops: what is said arrives, and how each one ends."""

import asyncio
from contextlib import suppress
from typing import cast

import pytest
from aiohttp import WSMsgType, web

from bridge.wire.websocket import BURST, MOST_WAITING
from tests.stage.wires import WAYS, Ears, accepted, connected, listening, masked, read_frame, upgraded

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
pytestmark = pytest.mark.parametrize("way", WAYS)


def transport_of(writer: asyncio.StreamWriter) -> asyncio.Transport:
    return cast(asyncio.Transport, writer.transport)


async def connection_ends(reader: asyncio.StreamReader) -> None:
    """By its end, or by a reset where we had not read all that was sent."""
    with suppress(ConnectionResetError):
        assert await reader.read() == b""


# ---- reading

async def test_messages_arrive_in_order_however_they_are_cut(way: str) -> None:
    said = [bytes([65 + number]) * size for number, size in enumerate((1, 125, 126, 300, 60_000, 3))]
    stream = b"".join(masked(TEXT, each) for each in said)
    async with accepted(way) as (socket, _, writer):
        ears = Ears(socket)
        for at in range(0, len(stream), 997):
            writer.write(stream[at:at + 997])
            await asyncio.sleep(0)
        assert await ears.until(len(said)) == said


async def test_a_message_in_parts_with_a_ping_between_them_is_one(way: str) -> None:
    async with accepted(way) as (socket, reader, writer):
        ears = Ears(socket)
        writer.write(masked(TEXT, b"he", final=False) + masked(PING, b"there?") + masked(0, b"llo"))
        assert await ears.until(1) == [b"hello"]
        assert await read_frame(reader) == (PONG, b"there?")


async def test_what_comes_with_the_handshake_is_not_lost(way: str) -> None:
    async with listening(way) as world:
        _, writer = await upgraded(world, masked(TEXT, b"x" * 200) + masked(TEXT, b"half")[:5])
        ears = Ears(await world.accepted.get())
        await ears.until(1)
        writer.write(masked(TEXT, b"half")[5:])
        assert await ears.until(2) == [b"x" * 200, b"half"]
        writer.transport.abort()


async def test_what_no_text_is_is_not_handed_on(way: str) -> None:
    async with accepted(way) as (socket, _, writer):
        ears = Ears(socket)
        writer.write(masked(BINARY, b"x" * 200) + masked(PONG, b"") + masked(TEXT, b"text"))
        assert await ears.until(1) == [b"text"]


async def test_a_message_is_received_where_nobody_listens_yet(way: str) -> None:
    async with accepted(way) as (socket, _, writer):
        writer.write(masked(TEXT, b"1") + masked(TEXT, b"2") + masked(TEXT, b"3"))
        assert [await socket.receive(), await socket.receive()] == [b"1", b"2"]
        assert await Ears(socket).until(1) == [b"3"]


async def test_who_waits_in_vain_for_a_message_is_told_of_the_end(way: str) -> None:
    async with accepted(way) as (socket, _, writer):
        waiting = asyncio.ensure_future(socket.receive())
        writer.write(masked(CLOSE, b"\x03\xe9"))
        assert await waiting is None and socket.close_code == 1001


async def test_while_it_is_held_nothing_is_handed_on_and_the_peer_has_to_wait(way: str) -> None:
    async with accepted(way) as (socket, _, writer):
        ears = Ears(socket)
        writer.write(masked(TEXT, b"before"))
        await ears.until(1)
        socket.hold()
        writer.write(masked(TEXT, b"x" * 60_000) * 400)      # more than any socket takes
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await writer.drain()
        assert len(ears.heard) == 1
        ears.listen()
        assert len(await ears.until(401)) == 401


async def test_so_many_messages_are_read_in_one_turn(way: str) -> None:
    async with accepted(way) as (socket, _, writer):
        turn, turns = 0, list[int]()

        async def count() -> None:
            nonlocal turn
            while True:
                turn += 1
                await asyncio.sleep(0)
        counting = asyncio.ensure_future(count())
        socket.listen(lambda message, now: turns.append(turn), lambda code: None)
        writer.write(masked(TEXT, b"x" * 130) * 200)
        while len(turns) < 200:
            await asyncio.sleep(0)
        counting.cancel()
        assert max(turns.count(each) for each in set(turns)) <= BURST


async def test_whatever_comes_is_a_sign_of_life(way: str) -> None:
    async with accepted(way) as (socket, _, writer):
        Ears(socket)
        for sign in (masked(PONG, b""), masked(PING, b""), masked(BINARY, b"x"), masked(TEXT, b"x")):
            socket.heard = False
            writer.write(sign)
            while not socket.heard:
                await asyncio.sleep(0)


# ---- writing

async def test_messages_sent_together_stay_together_and_in_order(way: str) -> None:
    async with accepted(way) as (socket, reader, _):
        batch = [bytes([65 + number]) * (40_000 if number else 600_000) for number in range(8)]
        socket.send(*batch)
        socket.send(b"live")
        assert [(await read_frame(reader)) for _ in range(9)] == [(TEXT, each) for each in [*batch, b"live"]]


async def test_a_ping_goes_out_also_where_nothing_else_does(way: str) -> None:
    async with accepted(way) as (socket, reader, _):
        socket.ping()
        assert await read_frame(reader) == (PING, b"")
        socket.ping()
        socket.send(b"x")
        assert await read_frame(reader) == (PING, b"")
        assert await read_frame(reader) == (TEXT, b"x")


async def test_a_client_masks_and_is_answered(way: str) -> None:
    async def serve(peer: web.WebSocketResponse) -> None:
        await peer.send_str("hello")
        message = await peer.receive()
        await peer.send_str(message.data * 2)
        await peer.ping(b"there?")
        answer = await peer.receive()
        assert (answer.type, answer.data) == (WSMsgType.PONG, b"there?")
        await peer.send_str("ponged")
        await peer.receive()

    async with connected(way, serve) as socket:
        assert await socket.receive() == b"hello"
        socket.send(b"x" * 300)
        assert await socket.receive() == b"x" * 600
        assert await socket.receive() == b"ponged"


async def test_a_socket_that_keeps_up_is_never_stalled(way: str) -> None:
    async with accepted(way) as (socket, reader, _):
        socket.send(b"x")
        await read_frame(reader)
        assert socket.stalled_s() == 0 and not socket.stuck


async def test_a_peer_that_takes_nothing_costs_no_more_than_so_much_memory(way: str) -> None:
    async with accepted(way) as (socket, reader, writer):
        told: list[bool] = []
        socket.on_full = told.append
        transport_of(writer).pause_reading()
        while not told:
            socket.send(b"x" * 100_000)
            await asyncio.sleep(0)
        assert told == [True] and not socket.stuck
        await asyncio.sleep(0.01)
        assert socket.stalled_s() > 0
        for _ in range(2 * MOST_WAITING // 100_000):
            socket.send(b"y" * 100_000)
        assert socket.stuck


async def test_a_peer_that_catches_up_is_told_of(way: str) -> None:
    async with accepted(way) as (socket, reader, writer):
        told: list[bool] = []
        socket.on_full = told.append
        transport_of(writer).pause_reading()
        count = 0
        while not told:
            socket.send(b"x" * 100_000)
            count += 1
            await asyncio.sleep(0)
        transport_of(writer).resume_reading()
        for _ in range(count):
            await read_frame(reader)
        async with asyncio.timeout(10):
            while told != [True, False]:
                await asyncio.sleep(0.001)
        assert socket.stalled_s() == 0


# ---- the end

@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
async def test_a_close_is_answered_and_ends_it_with_its_code(way: str, code: int) -> None:
    async with accepted(way) as (socket, reader, writer):
        ears = Ears(socket)
        writer.write(masked(CLOSE, code.to_bytes(2, "big") + b"bye"))
        assert await ears.end() == socket.close_code == code
        opcode, _ = await read_frame(reader)
        assert opcode == CLOSE
        await connection_ends(reader)


async def test_a_close_without_a_code_is_one(way: str) -> None:
    async with accepted(way) as (socket, reader, writer):
        ears = Ears(socket)
        writer.write(masked(CLOSE, b""))
        assert await ears.end() == 1005
        assert (await read_frame(reader))[0] == CLOSE


async def test_a_connection_that_breaks_ends_it_with_1006(way: str) -> None:
    async with accepted(way) as (socket, _, writer):
        ears = Ears(socket)
        writer.transport.abort()
        assert await ears.end() == 1006


async def test_an_end_that_comes_while_it_is_held_is_told_later(way: str) -> None:
    async with accepted(way) as (socket, _, writer):
        writer.write(masked(TEXT, b"x") + masked(CLOSE, b"\x03\xe8"))
        assert await socket.receive() == b"x"
        await asyncio.sleep(0.01)
        ears = Ears(socket)
        assert await ears.end() == 1000 and ears.codes == [1000]


@pytest.mark.parametrize(("said", "code"), [
    (masked(3, b"x"), 1002), (masked(0, b"x"), 1002), (masked(PING, b"x", final=False), 1002),
    (masked(CLOSE, b"\x00\x01"), 1002), (masked(TEXT, b"x" * 64 * 1024), 1009),
    (masked(TEXT, b"x" * 60_000, final=False) + masked(0, b"x" * 60_000), 1009)])
async def test_who_breaks_the_protocol_is_told_so(way: str, said: bytes, code: int) -> None:
    async with accepted(way) as (socket, reader, writer):
        ears = Ears(socket)
        writer.write(masked(TEXT, b"before") + said + masked(TEXT, b"after"))
        assert await ears.end() == code and ears.heard == [b"before"]
        assert await read_frame(reader) == (CLOSE, code.to_bytes(2, "big"))
        await connection_ends(reader)


async def test_our_close_is_sent_after_all_else_and_waits_for_the_answer(way: str) -> None:
    async with accepted(way) as (socket, reader, writer):
        ears = Ears(socket)
        socket.send(b"x" * 60_000)
        closing = asyncio.ensure_future(socket.close(1001))
        assert await read_frame(reader) == (TEXT, b"x" * 60_000)
        assert await read_frame(reader) == (CLOSE, b"\x03\xe9")
        writer.write(masked(TEXT, b"late") + masked(CLOSE, b"\x03\xe9"))
        await closing
        await connection_ends(reader)
        assert ears.heard == [] and ears.codes == []
        socket.send(b"too late")
        await socket.close(1000)


async def test_a_peer_that_answers_no_close_is_cut_off(way: str) -> None:
    async with accepted(way) as (socket, reader, _):
        await socket.close(1000)
        assert await read_frame(reader) == (CLOSE, b"\x03\xe8")
        await connection_ends(reader)


async def test_a_peer_that_takes_nothing_is_cut_off(way: str) -> None:
    async with accepted(way) as (socket, reader, writer):
        transport_of(writer).pause_reading()
        while not socket.stuck:
            socket.send(b"x" * 100_000)
            await asyncio.sleep(0)
        await socket.close(1000)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            transport_of(writer).resume_reading()
            while True:
                await read_frame(reader)
