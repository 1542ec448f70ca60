"""What is no request that can be read: a stranger's mistake, which is counted and said now and then, and no fault."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge import keys
from bridge.console.answers import HEADERS
from bridge.reception import strangers as door
from tests.stage.exposed import FORGED, HEAD, Exposed, exposed, until_closed

ASKED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"

MALFORMED = {
    "TLS": b"\x16\x03\x01" + bytes(200),
    "no method": b"G@T / HTTP/1.1\r\n\r\n",
    "no version of HTTP": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no address": b"GET http://secret:99999/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": ASKED + b"Host: y\r\n\r\n",
    "a header without a name": ASKED + b": 1\r\n\r\n",
    "a header of control characters": ASKED + b"A: secret\x00\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "a length and chunks": HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk without a length": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a long line": b"GET /secret" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n",
    "a long header": ASKED + b"X: secret" + b"x" * 5_000 + b"\r\n\r\n",
    "many headers": ASKED + b"".join(b"X-%d: y\r\n" % each for each in range(200)) + b"\r\n",
    "behind a good one": ASKED + b"\r\n\x00\x01\r\n\r\n",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Exposed]:
    async with exposed(tmp_path) as world:
        yield world
        await world.until_nothing_is_left()


async def answered(world: Exposed, sent: bytes) -> str:
    """The last answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(sent)
    answer = await until_closed(reader)
    writer.close()
    return answer[answer.rindex(b"HTTP/1."):].decode()


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_it_is_answered_in_a_word_as_everything_else(
    world: Exposed, caplog: pytest.LogCaptureFixture, sent: bytes,
) -> None:
    head, _, body = (await answered(world, sent)).partition("\r\n\r\n")
    status, *headers = head.split("\r\n")
    assert status.split()[1] == "400"
    assert HEADERS.items() <= dict(each.split(": ") for each in headers).items()
    assert body == "This is no request that can be read.\n"
    [line] = caplog.records
    assert line.levelno == logging.WARNING and line.exc_info is None
    assert "secret" not in line.getMessage()


async def test_many_of_them_are_one_line_and_all_are_counted(world: Exposed, caplog: pytest.LogCaptureFixture) -> None:
    for sent in MALFORMED.values():
        await answered(world, sent)
    assert [line.getMessage() for line in caplog.records] == [
        "a request could not be read, and was answered 400: Received HTTPS traffic on an HTTP port "
        "(0 more since the last such line)"]
    assert f"bridge_malformed_requests_total {len(MALFORMED)}.0" in world.app[keys.METRICS].render().decode()


async def test_a_body_that_ceases_to_be_one_is_no_fault_either(
    world: Exposed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for the rest of it for longer than for a slow one."""
    monkeypatch.setattr(door, "FIRST_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(FORGED + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"           # the body is waited for
    writer.write(b"4\r\nFrom\r\nnonsense\r\n")
    assert await until_closed(reader) == b""
    writer.close()
    assert not [line for line in caplog.records if line.levelno >= logging.ERROR or line.exc_info]
