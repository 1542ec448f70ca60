"""Websocket frames: what comes in any pieces is read as aiohttp and wsproto read it, and refused where they refuse."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp.http import WebSocketReader
from aiohttp._websocket.reader import WebSocketDataQueue
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import RemoteProtocolError

from bridge.wire import frames
from bridge.wire.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Broken, Reader

MOST = 70_000
#: A message or control frame: its opcode and its bytes. A broken stream ends with the code of the close.
Read = tuple[int, bytes] | int


def frame(opcode: int, payload: bytes, *, masked: bool, final: bool = True, reserved: int = 0) -> bytes:
    """Written here once more, so that a mistake cannot agree with itself."""
    size = len(payload)
    head = bytes([final << 7 | reserved << 4 | opcode])
    flag = 0x80 if masked else 0
    if size < 126:
        head += bytes([flag | size])
    elif size < 65_536:
        head += bytes([flag | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = b"\x11\xa2\x03\xff"
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def cut(stream: bytes, places: Sequence[int]) -> Iterator[bytes]:
    """The stream in pieces."""
    before = 0
    for place in sorted({place % (len(stream) + 1) for place in places} | {len(stream)}):
        if place > before:
            yield stream[before:place]
            before = place


def ours(pieces: Iterator[bytes], *, masked: bool) -> list[Read]:
    """As `Wire` reads: the whole of one frame by its short way, everything else piece by piece."""
    reader, read = Reader(masked=masked, most=MOST), list[Read]()
    for piece in pieces:
        if (text := reader.whole(piece)) is not None:
            read.append((TEXT, bytes(text)))
            continue
        reader.feed(piece)
        try:
            while (taken := reader.take()) is not None:
                if taken[0] == CLOSE:
                    frames.close_code(taken[1])
                read.append((taken[0], bytes(taken[1])))
        except Broken as problem:
            return [*read, problem.code]
    return read


def of_aiohttp(pieces: Iterator[bytes]) -> list[Read]:
    """It looks at no mask, and never at text when it is not to decode it."""
    loop = asyncio.new_event_loop()
    queue = WebSocketDataQueue(Mock(_reading_paused=False), 2 ** 30, loop=loop)
    reader = WebSocketReader(queue, MOST, compress=False, decode_text=False)
    try:
        for piece in pieces:
            broken, _ = reader.feed_data(piece)
            if broken:
                break
        read: list[Read] = []
        for message, _ in queue._buffer:
            payload: Any = message.data
            if message.type == CLOSE:
                payload = payload.to_bytes(2, "big") + str(message.extra).encode() if payload else b""
            read.append((int(message.type), bytes(payload)))
        problem: Any = queue.exception()
        return [*read, int(problem.code)] if problem else read
    finally:
        loop.close()


def of_wsproto(pieces: Iterator[bytes], *, masked: bool) -> list[Read]:
    """It reads a message in parts, ends with a close, and knows no limit."""
    connection = Connection(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    read, parts = list[Read](), list[Any]()
    try:
        for piece in pieces:
            connection.receive_data(piece)
            for event in connection.events():
                match event:
                    case TextMessage() | BytesMessage():
                        parts.append(event.data)
                        if event.message_finished:
                            whole: Any = "".join(parts).encode() if isinstance(event, TextMessage) else b"".join(parts)
                            read.append((TEXT if isinstance(event, TextMessage) else BINARY, whole))
                            parts.clear()
                    case Ping():
                        read.append((PING, bytes(event.payload)))
                    case Pong():
                        read.append((PONG, bytes(event.payload)))
                    case CloseConnection():
                        code = int(event.code)
                        if connection.state is ConnectionState.OPEN:     # it is wsproto that refuses
                            return [*read, code]
                        reason = (event.reason or "").encode()
                        read.append((CLOSE, b"" if code == 1005 else code.to_bytes(2, "big") + reason))
                        return read
    except RemoteProtocolError as problem:
        read.append(int(problem.event_hint.code) if isinstance(problem.event_hint, CloseConnection) else 1002)
    return read


# ---- streams in order

texts = st.text(max_size=40).map(str.encode) | st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 65_535, b"x" * 65_536])
control = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def messages(draw: st.DrawFn) -> list[tuple[int, bytes, bool]]:
    """Frames in order: opcode, payload, final. Messages in parts, and control frames between the parts."""
    made: list[tuple[int, bytes, bool]] = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from([TEXT, BINARY, PING, PONG]))
        if kind in (PING, PONG):
            made.append((kind, draw(st.binary(max_size=125)), True))
            continue
        whole = draw(texts)
        at = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
        parts = [whole[begin:end] for begin, end in zip([0, *at], [*at, len(whole)])]
        for number, part in enumerate(parts):
            made.append((CONTINUATION if number else kind, part, number == len(parts) - 1))
            if number < len(parts) - 1 and draw(st.booleans()):
                made.append((*draw(control), True))
    if draw(st.booleans()):
        made.append((CLOSE, draw(st.sampled_from([b"", b"\x03\xe8", b"\x03\xe9bye", b"\x0b\xb8"])), True))
    return made


places = st.lists(st.integers(0, 200_000), max_size=12)


@given(messages(), places, st.booleans())
def test_what_comes_in_any_pieces_is_read_as_others_read_it(
    made: list[tuple[int, bytes, bool]], at: list[int], masked: bool,
) -> None:
    stream = b"".join(frame(opcode, payload, masked=masked, final=final) for opcode, payload, final in made)
    read = ours(cut(stream, at), masked=masked)
    assert read == of_aiohttp(cut(stream, at))
    assert read == of_wsproto(cut(stream, at), masked=masked)


@given(messages(), st.booleans())
def test_where_a_stream_is_cut_changes_nothing(made: list[tuple[int, bytes, bool]], masked: bool) -> None:
    stream = b"".join(frame(opcode, payload, masked=masked, final=final) for opcode, payload, final in made)
    byte_by_byte = iter([stream[at:at + 1] for at in range(len(stream))]) if len(stream) < 2000 else iter([stream])
    assert ours(byte_by_byte, masked=masked) == ours(iter([stream] if stream else []), masked=masked)


ascii_bytes = st.text(st.characters(max_codepoint=127), max_size=130).map(str.encode)
closes = st.tuples(st.integers(0, 5100).map(lambda code: code.to_bytes(2, "big")), ascii_bytes).map(
    lambda parts: b"".join(parts)[:130])


@given(st.lists(st.tuples(
    st.integers(0, 15), st.just(0) | st.integers(0, 7), st.booleans(), ascii_bytes | closes,
    st.sampled_from([True] * 9 + [False])), max_size=6), places, st.booleans())
def test_what_one_who_is_strict_refuses_is_refused_with_the_same_code(
    made: list[tuple[int, int, bool, bytes, bool]], at: list[int], masked: bool,
) -> None:
    """wsproto looks at masks and at text; aiohttp does not."""
    made = [each for each in made if not _is_bad_text(each)]
    stream = b"".join(
        frame(opcode, payload, masked=masked is rightly, final=final, reserved=reserved)
        for opcode, reserved, final, payload, rightly in made)
    read = ours(cut(stream, at), masked=masked)
    closed = next((number for number, each in enumerate(read) if isinstance(each, tuple) and each[0] == CLOSE), None)
    assert (read if closed is None else read[:closed + 1]) == of_wsproto(cut(stream, at), masked=masked)


def _is_bad_text(made: tuple[int, int, bool, bytes, bool]) -> bool:
    opcode, _, _, payload, _ = made
    return opcode in (CONTINUATION, TEXT) and not payload.isascii()


@given(st.binary(max_size=300), places, st.booleans())
def test_whatever_comes_is_read_or_refused(stream: bytes, at: list[int], masked: bool) -> None:
    ours(cut(stream, at), masked=masked)


# ---- what is refused

@pytest.mark.parametrize(("stream", "code"), [
    (frame(TEXT, b"x", masked=False), 1002),
    *((frame(TEXT, b"x" * 200, masked=True, reserved=bit), 1002) for bit in (1, 2, 4)),
    *((frame(opcode, b"x", masked=True), 1002) for opcode in (3, 7, 11, 15)),
    (frame(PING, b"x" * 126, masked=True), 1002),
    (frame(PING, b"x", masked=True, final=False), 1002),
    (frame(CONTINUATION, b"x", masked=True), 1002),
    (frame(TEXT, b"", masked=True, final=False) + frame(TEXT, b"x", masked=True), 1002),
    (frame(TEXT, b"x", masked=True, final=False) + frame(BINARY, b"x" * 200, masked=True), 1002),
    (frame(CLOSE, b"x", masked=True), 1002),
    *((frame(CLOSE, code.to_bytes(2, "big"), masked=True), 1002)
      for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)),
    (frame(CLOSE, b"\x03\xe8\xff", masked=True), 1007),
    (b"\x81\xff" + MOST.to_bytes(8, "big"), 1009),
    (b"\x81\xff" + b"\xff" * 8, 1009),
    (frame(TEXT, b"x" * (MOST - 10), masked=True, final=False) + b"\x80\x8a", 1009),
])
def test_what_no_peer_may_send_is_refused_before_its_bytes_are_awaited(stream: bytes, code: int) -> None:
    assert ours(iter([stream]), masked=True)[-1] == code


def test_a_server_that_masks_is_refused() -> None:
    assert ours(iter([frame(TEXT, b"x" * 200, masked=True)]), masked=False) == [1002]


@pytest.mark.parametrize("masked", [True, False])
def test_one_whole_frame_is_read_as_if_it_had_come_in_pieces(masked: bool) -> None:
    for size in (0, 125, 126, 127, 65_535, 65_536):
        stream = frame(TEXT, bytes(size), masked=masked)
        assert ours(iter([stream]), masked=masked) == ours(cut(stream, [1, 3, 9]), masked=masked)


def test_a_message_of_the_limit_is_refused_by_the_short_way_too() -> None:
    reader = Reader(masked=True, most=1000)
    assert reader.whole(frame(TEXT, b"x" * 1000, masked=True)) is None
    assert reader.whole(frame(TEXT, b"x" * 999, masked=True)) == b"x" * 999


# ---- what we write

@given(st.binary(max_size=300) | st.sampled_from([b"x" * 65_535, b"x" * 65_536]), st.booleans())
def test_what_is_written_is_read_by_others(payload: bytes, masked: bool) -> None:
    stream = frames.encode(BINARY, payload, masked)
    assert of_wsproto(iter([stream]), masked=masked) == of_aiohttp(iter([stream])) == [(BINARY, payload)]


def test_each_frame_has_a_mask_of_its_own() -> None:
    masks = {frames.encode(TEXT, b"", True)[2:6] for _ in range(3000)}
    assert len(masks) > 2990


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=700))
def test_both_ways_of_masking_are_one(mask: bytes, data: bytes) -> None:
    expected = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    for way in (frames.mask_in_place, frames._xor):
        masked = bytearray(data)
        way(mask, masked)
        assert masked == expected
