"""Websocket frames of RFC 6455: bytes in, messages out, and back.

It knows no socket, no clock and no extension; `Broken` carries the code of the close that a peer is to get.

1. A peer that is a client masks every frame, and a server none (5.1). Reserved bits and opcodes are refused, for no
   extension is ever agreed upon (5.2). All of that is 1002.
2. A message is a text or binary frame, and continuations of it up to the last (5.4). Control frames may come between
   them, are whole, and have 125 bytes at most (5.5).
3. A message of `most` bytes or more is refused from the frame's header, before its bytes are awaited: 1009.
4. A close has no body, or a code that may be sent and a reason in UTF-8 (5.5.1, 7.4).
5. Text is handed on as bytes. Whoever reads it checks its UTF-8, and what nobody reads is not checked.
6. What we send is whole frames, of a client each with a mask of its own that nobody can foresee (5.3).
"""

from collections.abc import Callable, Iterator
from os import urandom
from struct import Struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_KNOWN = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_FINAL, _RESERVED, _OPCODE, _MASKED = 0x80, 0x70, 0x0F, 0x80
_MOST_OF_CONTROL = 125

#: Codes of a close; NO_CODE and LOST are never sent.
NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_CODE, LOST, TOO_BIG = 1000, 1001, 1002, 1005, 1006, 1009
_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})

_SHORT, _MEDIUM, _LONG = Struct("!BB").pack, Struct("!BBH").pack, Struct("!BBQ").pack


class Broken(Exception):
    """The peer does not keep to the protocol, or sends too much; `code` is what to close with."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code


def _xor(mask: bytes, data: bytearray) -> None:
    """Masks `data` in place, as two long integers: 0.8 µs for 350 bytes."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    data[:] = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def _masking() -> Callable[[bytes, bytearray], None]:
    """aiohttp's own, in C, where it is and does what it should; else ours."""
    try:
        from aiohttp._websocket.helpers import websocket_mask
        known, mask = bytearray(b"frames"), b"\x01\x80\x00\xff"
        websocket_mask(mask, known)
    except Exception:                                # a name that aiohttp does not promise
        return _xor
    return websocket_mask if known == b"g\xf2a\x92d\xf3" else _xor


mask_in_place = _masking()


def _keys() -> Iterator[bytes]:
    """Masking keys of the system's own randomness, which is asked for a thousand at a time."""
    while True:
        pool = urandom(4096)
        for at in range(0, len(pool), 4):
            yield pool[at:at + 4]


_next_key = _keys().__next__


def encode(opcode: int, payload: bytes | bytearray, masked: bool) -> bytes:
    """One whole frame; `masked`: we are the client."""
    size, first = len(payload), _FINAL | opcode
    bit = _MASKED if masked else 0
    if size < 126:
        head = _SHORT(first, bit | size)
    elif size < 65536:
        head = _MEDIUM(first, bit | 126, size)
    else:
        head = _LONG(first, bit | 127, size)
    if not masked:
        return head + payload
    key, body = _next_key(), bytearray(payload)
    mask_in_place(key, body)
    return head + key + body


def encode_close(code: int, masked: bool) -> bytes:
    """A close, with no body for NO_CODE."""
    return encode(CLOSE, b"" if code == NO_CODE else code.to_bytes(2, "big"), masked)


def close_code(payload: bytes | bytearray) -> int:
    """What a close says; NO_CODE if nothing. Raises Broken."""
    if not payload:
        return NO_CODE
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or code not in _CODES:
        raise Broken(PROTOCOL_ERROR, "a close with a code that nobody may send")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise Broken(1007, "a close whose reason is no text") from None
    return code


class Reader:
    """Frames of one peer. `masked`: it is a client. `most`: a message must be shorter, bytes."""

    __slots__ = ("_masked", "_most", "_second", "_start", "_buffer", "_need", "_kind", "_parts")

    def __init__(self, *, masked: bool, most: int) -> None:
        self._masked, self._most = masked, most
        self._second, self._start = (_MASKED | 126, 8) if masked else (126, 4)       # of a frame of medium length
        self._buffer = bytearray()
        self._need = 2                               # no look at less than so many bytes tells anything new
        self._kind = 0                               # of the message that is under way: TEXT, BINARY, or none
        self._parts = bytearray()                    # of it, so far

    def __len__(self) -> int:
        """Bytes that are held."""
        return len(self._buffer) + len(self._parts)

    def whole(self, data: bytes) -> bytearray | bytes | None:
        """The text in `data`, if that is one frame of 126 to 65,535 bytes and nothing came before it, as is usual."""
        start = self._start
        size = len(data) - start
        if (size < 126 or data[0] != _FINAL | TEXT or data[1] != self._second or data[2] << 8 | data[3] != size
                or size >= self._most or self._buffer or self._kind):
            return None
        if not self._masked:
            return data[start:]
        text = bytearray(data[start:])
        mask_in_place(data[4:8], text)
        return text

    def feed(self, data: bytes) -> None:
        """Some bytes have come."""
        self._buffer += data

    def take(self) -> tuple[int, bytearray] | None:
        """The next message or control frame, with its opcode; None while more bytes are needed. Raises Broken."""
        while (frame := self._frame()) is not None:
            final, opcode, payload = frame
            if opcode >= CLOSE:
                return opcode, payload
            self._kind = opcode or self._kind
            if final and not self._parts:
                kind, self._kind = self._kind, 0
                return kind, payload
            self._parts += payload
            if final:
                kind, whole = self._kind, self._parts
                self._kind, self._parts = 0, bytearray()
                return kind, whole
        return None

    def _frame(self) -> tuple[bool, int, bytearray] | None:
        buffer = self._buffer
        if len(buffer) < self._need:
            return None
        first, size, start = buffer[0], buffer[1] & 0x7F, 2
        opcode = first & _OPCODE
        self._check(first, opcode, size, bool(buffer[1] & _MASKED))
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                self._need = start
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if opcode < CLOSE and size >= self._most - len(self._parts):
            raise Broken(TOO_BIG, f"a message of {self._most} bytes or more")
        start += 4 if self._masked else 0
        self._need = end = start + size
        if len(buffer) < end:
            return None
        payload = buffer[start:end]
        if self._masked:
            mask_in_place(bytes(buffer[start - 4:start]), payload)
        del buffer[:end]
        self._need = 2
        return first >= _FINAL, opcode, payload

    def _check(self, first: int, opcode: int, size: int, masked: bool) -> None:
        """What two bytes tell. Raises Broken."""
        if first & _RESERVED or opcode not in _KNOWN:
            raise Broken(PROTOCOL_ERROR, "a reserved bit or opcode")
        if masked is not self._masked:
            raise Broken(PROTOCOL_ERROR, "a frame without a mask" if self._masked else "a masked frame of a server")
        if opcode >= CLOSE and (size > _MOST_OF_CONTROL or first < _FINAL):
            raise Broken(PROTOCOL_ERROR, "a control frame that is long or in pieces")
        if opcode == CONTINUATION and not self._kind:
            raise Broken(PROTOCOL_ERROR, "a continuation of nothing")
        if opcode in (TEXT, BINARY) and self._kind:
            raise Broken(PROTOCOL_ERROR, "a message within another one")
