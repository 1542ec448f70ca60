"""The benchmark's strangers: whether they behave as described, and what their account notices."""

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from bridge.sim.phone.signature import sign
from tests.load.strangers import STRANGERS, Crowd, Seen, let_in, together

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc")

CONNECTS, HEADERS, BODY, STREAM = STRANGERS


# ---- the strangers, and the calls beside them

def test_the_calls_are_signed_as_twilio_signs_them() -> None:
    form = {"CallSid": "CA1", "From": "+15550000001", "Caller": "Zoë"}
    ours = sign("token", "http://127.0.0.1:5000/incoming-call", form)
    assert ours == RequestValidator("token").compute_signature("http://127.0.0.1:5000/incoming-call", form)
    assert sign("token", "ws://x/y") == RequestValidator("token").compute_signature("ws://x/y", {})


def test_connections_are_counted_while_they_last() -> None:
    seen = Seen()
    for kind in (CONNECTS, CONNECTS, STREAM):
        seen.connected(kind)
    seen.closed(CONNECTS, 2.5)
    seen.closed(STREAM, 0.25)
    seen.connected(CONNECTS)
    seen.closed(CONNECTS, 1.0)
    assert (seen.now, seen.most, seen.came) == (1, 3, Counter({"only connects": 3, "opens a stream": 1}))
    assert seen.longest_s == {"only connects": 2.5, "opens a stream": 0.25}


def test_whoever_is_not_turned_away_is_noticed() -> None:
    seen = Seen()
    seen.answered(STREAM, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n")
    seen.answered(BODY, b"HTTP/1.1 408 Request Timeout\r\n")
    assert let_in(seen.answers) == 0
    seen.answered(STREAM, b"HTTP/1.1 101 Switching Protocols\r\n")
    seen.answered(BODY, b"HTTP/1.1 200 OK\r\n")
    seen.answered(BODY, b"\x88\x02\x03\xe8")
    assert let_in(seen.answers) == 3


def test_the_crowds_of_all_turns_are_one() -> None:
    first = {"came": {"a": 2}, "answers": {"a": {"403": 2}}, "longest_s": {"a": 3.0}, "unreached": 0, "most": 7,
             "seconds": 6.0}
    second = {"came": {"a": 1, "b": 1}, "answers": {"a": {"403": 1}, "b": {"408": 1}}, "longest_s": {"a": 2.0},
              "unreached": 1, "most": 5, "seconds": 7.0}
    assert together([first, second]) == {
        "came": {"a": 3, "b": 1}, "answers": {"a": {"403": 3}, "b": {"408": 1}}, "longest_s": {"a": 3.0},
        "unreached": 1, "most": 7, "seconds": 13.0}


class Door:
    """A server that closes every connection after its first bytes, or after `patience_s`."""

    def __init__(self) -> None:
        self.patience_s = 0.02
        self.until = b"\n"
        self.addresses: set[str] = set()
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.addresses.add(writer.get_extra_info("peername")[0])
        try:
            async with asyncio.timeout(self.patience_s):
                self.heard.append(await reader.readuntil(self.until))
        except TimeoutError:
            pass
        writer.close()


@pytest.fixture
async def door() -> AsyncIterator[tuple[Door, int]]:
    door = Door()
    server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
    yield door, server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_strangers_come_back_from_many_addresses(door: tuple[Door, int]) -> None:
    server, port = door
    crowd = Crowd(port, 8, 0.01)
    crowd.begin()
    async with asyncio.timeout(5):
        await crowd.all_came.wait()
        while min(crowd.seen.came[kind.name] for kind in STRANGERS) < 6:
            await asyncio.sleep(0.01)
    await crowd.end()
    assert len(server.addresses) == 8
    assert crowd.seen.unreached == 0


async def test_slow_strangers_never_come_to_an_end(door: tuple[Door, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.load.strangers.DRIP_S", 0.001)
    server, port = door
    server.patience_s, server.until = 5.0, b"a" * 20
    crowd = Crowd(port, 4, 0.1)
    crowd.begin()
    async with asyncio.timeout(5):
        while len(server.heard) < 2:
            await asyncio.sleep(0.01)
    await crowd.end()
    headers, body = sorted(server.heard)             # the other two add nothing to their first bytes
    assert headers == HEADERS.first + b"a" * 20 and b"\r\n\r\n" not in headers
    assert body == BODY.first + b"a" * 20


async def test_who_finds_nobody_is_counted_and_tries_again() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        crowd = Crowd(deaf.getsockname()[1], 4, 0.01)
        crowd.begin()
        async with asyncio.timeout(5):
            await crowd.all_came.wait()
            while crowd.seen.unreached < 8:
                await asyncio.sleep(0.01)
        await crowd.end()
    assert not crowd.seen.came


# ---- the whole, for a short time

def run(tmp_path: Path, *options: str) -> Any:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.load", *options, "--json", str(figures)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=240)
    assert figures.exists(), done.stdout + done.stderr
    [found] = json.loads(figures.read_text())["runs"]
    assert not {name: count for name, count in found["faults"].items() if count and name != "slower"}, done.stdout
    return found


@pytest.mark.slow
def test_calls_beside_strangers_lose_nothing_and_the_strangers_get_nothing(tmp_path: Path) -> None:
    found = run(tmp_path, "--strangers", "--calls", "3", "--connections", "700", "--seconds", "5")
    crowd, held = found["crowd"], found["descriptors"]
    assert crowd["came"].keys() == {kind.name for kind in STRANGERS}
    assert sum(crowd["came"].values()) > 700
    assert crowd["answers"]["opens a stream"].keys() == {"403"}
    assert held["calls"] < held["most"] and held["after"] <= held["idle"]
    assert found["memory_kib"]["after"] > 0
    assert found["alone"]["to_model"]["count"] > 200 and found["beside"]["to_model"]["count"] > 200
    assert found["p99_ratio"]["to_phone"][0] > 0
