"""Websocket connections that cost next to nothing, for both ends of 200 calls on one core.

They carry whole text messages over asyncio's transports: RFC 6455 without fragments or extensions. Frames are masked
with zeros, which costs us nothing. Every server must unmask them all the same. With aiohttp's websockets 200 calls
and as many models would not fit on one core.
"""

import asyncio
import base64
import hashlib
import os
import re
import socket
import struct
from typing import cast

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A      # whole frames: the first byte with its FIN bit


def frame(first_byte: int, payload: bytes, masked: bool) -> bytes:
    """One websocket frame. A client's must be `masked`, here with a key of zeros."""
    size, bit = len(payload), 0x80 if masked else 0
    if size < 126:
        header = bytes((first_byte, bit | size))
    elif size < 1 << 16:
        header = struct.pack(">BBH", first_byte, bit | 126, size)
    else:
        header = struct.pack(">BBQ", first_byte, bit | 127, size)
    return header + bytes(4) + payload if masked else header + payload


def unmask(key: bytes, payload: bytes) -> bytes:
    """XORs data with a repeated 4-byte key, in one operation on two large numbers."""
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


def accept(key: str) -> str:
    """The server's answer to a client's Sec-WebSocket-Key."""
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    return base64.b64encode(digest).decode()


class Wire(asyncio.Protocol):
    """One end of a websocket. A subclass says what happens when it begins, and what a message means."""

    masked = False

    def __init__(self) -> None:
        self.live = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.close_code: int | None = None           # the other end's, or None without a close frame
        self._shaken = False
        self._rest = b""

    def shake(self, head: str) -> None:
        """Answers or checks the other end's half of the handshake, then begins."""
        raise NotImplementedError

    def begin(self) -> None:
        """The websocket is open."""
        self.live = True

    def received(self, message: bytes) -> None:
        """One text message."""
        raise NotImplementedError

    def send(self, message: bytes) -> None:
        self.transport.write(frame(TEXT, message, self.masked))

    def close(self, code: int = 1000) -> None:
        """Begins the closing handshake. `closed` is done when the connection is gone."""
        self.transport.write(frame(CLOSE, code.to_bytes(2, "big"), self.masked))
        self.live = False

    def stop_reading(self) -> None:
        self.transport.pause_reading()

    def read_again(self) -> None:
        if not self.transport.is_closing() and not self.transport.is_reading():
            self.transport.resume_reading()

    def reset(self) -> None:
        """Resets the connection, without a close frame."""
        if self.transport.is_closing():
            return
        connection = self.transport.get_extra_info("socket")
        # uvloop's stand-in for a socket has no options. A duplicate of the real socket has.
        with socket.fromfd(connection.fileno(), connection.family, connection.type) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.live = False
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)     # uvloop's transport is one, but has another type

    def connection_lost(self, error: Exception | None) -> None:
        self.live = False
        self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._shaken:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            self._shaken = True
            self.shake(head.decode())
        self._rest = data[self._read_frames(data):]

    def _read_frames(self, data: bytes) -> int:
        """Acts on every whole frame in `data`. Returns the number of bytes that they took."""
        at, end = 0, len(data)
        while end - at >= 2:
            first_byte, size, start = data[at], data[at + 1], at + 2
            masked, size = size & 0x80, size & 0x7F
            if size >= 126:
                wide = 2 if size == 126 else 8
                size = int.from_bytes(data[start:start + wide], "big")
                start += wide
            if masked:
                start += 4
            if start + size > end:
                break
            payload = data[start:start + size]
            at = start + size
            self._take(first_byte, unmask(data[start - 4:start], payload) if masked else payload)
        return at

    def _take(self, first_byte: int, payload: bytes) -> None:
        if first_byte == TEXT:
            self.received(payload)
        elif first_byte == PING:
            self.transport.write(frame(PONG, payload, self.masked))
        elif first_byte == CLOSE:
            if self.live:
                self.transport.write(frame(CLOSE, payload[:2], self.masked))
            self.close_code = int.from_bytes(payload[:2], "big")
            self.live = False
            self.transport.close()
        elif first_byte != PONG:
            raise ValueError(f"a frame that begins with {first_byte:#x}")


class Dialled(Wire):
    """The client's end. It asks for `path` when it is connected. `opened` is done when the server agrees."""

    masked = True

    def __init__(self, path: str) -> None:
        super().__init__()
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._path = path
        self._key = base64.b64encode(os.urandom(16)).decode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        host, port = transport.get_extra_info("peername")
        self.transport.write((
            f"GET {self._path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self._key}\r\n"
            + self._credentials(f"ws://{host}:{port}{self._path}") + "\r\n").encode())

    def _credentials(self, address: str) -> str:
        """Header lines that say who asks."""
        return ""

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"{self._path}: closed instead of opened"))

    def shake(self, head: str) -> None:
        if " 101 " not in head or accept(self._key) not in head:
            self.opened.set_exception(ConnectionError(f"{self._path}: {head.splitlines()[0]}"))
            self.transport.abort()
            return
        self.opened.set_result(None)
        self.begin()


class Answered(Wire):
    """The server's end. It takes any address."""

    def shake(self, head: str) -> None:
        key = re.search(r"(?im)^sec-websocket-key: *(\S+)", head)
        if key is None:
            self.transport.abort()
            return
        self.transport.write((
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept(key[1])}\r\n\r\n").encode())
        self.begin()
