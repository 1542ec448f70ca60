"""What a stranger could try, over real sockets: nothing of it reaches the model, and nothing of it stays.

The server stands as `python -m bridge` runs it. Each row of the tables is one attack, and what becomes of it.
"""

import asyncio
import ctypes
import logging
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from bridge import keys, server
from bridge.call import session
from bridge.call.events import Closed, Connected, Event, Fault
from bridge.call.timing import Timing
from bridge.reception import door, strangers
from bridge.reception.token import LIFE_S
from bridge.records.endings import Ending
from bridge.twilio_side import signature
from tests.stage.exposed import (
    FORGED, FORM, HEAD, PARAMETERS, PATIENCE_S, STREAM, WEBHOOK, Exposed, exposed, made, signed, start, until_closed)

pytestmark = pytest.mark.usefixtures("way")

#: Public ones.
TWILIO, STRANGER = "3.80.0.1", "1.2.3.4"
#: Linux's <sched.h>.
CLONE_NEWNET = 0x40000000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Exposed]:
    async with exposed(tmp_path) as world:
        yield world
        await world.until_nothing_is_left()


# ---- what Twilio has not signed

UNSIGNED: dict[str, dict[str, str]] = {
    "unsigned": {},
    "made up": {"X-Twilio-Signature": "L/OH5YylLD5NRKLltdqwSvS0BnU="},
    "signed with another token": signed(WEBHOOK, FORM, "another") | signed(STREAM, token="another"),
    "signed with nothing": signed(WEBHOOK, FORM, "") | signed(STREAM, token=""),
    "under a shared key that is not known": signed(STREAM) | {
        "X-Twilio-Webhooks-Signature-Settings": "key=1,algorithm=HMAC_SHA256"},
}
#: Signed by Twilio, with our token, for another address; the request claims to be what was signed.
ELSEWHERE = {
    "another path": ("https://bridge.example.com/after-stream", "wss://bridge.example.com/media-stream/1"),
    "another host": ("https://other.example/incoming-call", "wss://other.example/media-stream/15551234567"),
    "another port": ("https://bridge.example.com:8443/incoming-call",
                     "wss://bridge.example.com:8443/media-stream/15551234567"),
    "another scheme": ("http://bridge.example.com/incoming-call", "ws://bridge.example.com/media-stream/15551234567"),
    "with a query": (f"{WEBHOOK}?x=1", f"{STREAM}?x=1"),
}


def claiming(address: str) -> dict[str, str]:
    scheme, _, rest = address.partition("://")
    host = rest.partition("/")[0]
    return {"Host": host, "X-Forwarded-Host": host, "X-Forwarded-Proto": scheme}


async def test_what_twilio_has_not_signed_for_here_opens_nothing(world: Exposed) -> None:
    webhooks = UNSIGNED | {name: claiming(url) | signed(url, FORM) for name, (url, _) in ELSEWHERE.items()}
    upgrades = UNSIGNED | {name: claiming(url) | signed(url) for name, (_, url) in ELSEWHERE.items()} | {
        "signed for the webhook": signed(WEBHOOK, FORM)}
    become = {f"webhook, {name}": await world.post(headers) for name, headers in webhooks.items()}
    become["webhook, another caller"] = await world.post(signed(WEBHOOK, FORM), From="+15550000000")
    become["webhook, of another account"] = await world.post(
        signed(WEBHOOK, FORM | {"AccountSid": "AC" + "1" * 32}), AccountSid="AC" + "1" * 32)
    for name, headers in upgrades.items():
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await world.upgrade(headers)
        become[f"upgrade, {name}"] = refusal.value.status
    assert {name: status for name, status in become.items() if status != 403} == {}
    await world.until_nothing_is_left()
    assert world.model.connections == 0
    async with world.http.get(world.url("/incoming-call"), params=FORM) as answer:
        assert answer.status == 403


# ---- what Twilio has signed, shown by somebody else

async def test_a_webhook_that_is_shown_again_opens_nothing(world: Exposed) -> None:
    """Its answer says no more than the first one: where Twilio would connect, and a token for the same call."""
    first, again = await world.answered(), await world.answered()
    assert {name for name in first if first[name] != again[name]} == {"token"}
    assert world.model.connections == 0 and not world.app[keys.CALLS]


STREAMS: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "without a webhook": (PARAMETERS, {}, "no token"),
    "truncated": (PARAMETERS | {"token": made()["token"][:-1]}, {}, "wrong token"),
    "expired": (made(age=LIFE_S + 1), {}, "expired token"),
    "of another secret": (made("another"), {}, "wrong token"),
    "of another account": (made(account="AC" + "1" * 32), {}, "wrong token"),
    "shown by another account": (made(), {"account": "AC" + "1" * 32}, "wrong token"),
    "shown by no account": (made(), {"account": ""}, "wrong token"),
    "shown by another call": (made(), {"call": "CA" + "2" * 32}, "wrong token"),
    "shown by another caller": (made() | {"caller": "+15550000000"}, {}, "wrong token"),
    "shown as a call that comes back": (made() | {"resume": "1"}, {}, "wrong token"),
    "no text": (PARAMETERS | {"token": "\x00"}, {}, "wrong token"),
}


async def test_a_stream_without_its_own_token_is_closed_and_opens_nothing(
    world: Exposed, caplog: pytest.LogCaptureFixture,
) -> None:
    become = {}
    for name, (parameters, changed, why) in STREAMS.items():
        before, caplog_before = world.faults(why), len(caplog.records)
        ended = await world.stream(parameters, **changed)
        lines = [each.getMessage() for each in caplog.records[caplog_before:] if each.levelno >= logging.WARNING]
        become[name] = ended, world.faults(why) - before, [line.partition(": ")[2] for line in lines]
    assert become == {
        name: ("close", 1, [f"its stream is refused: {why}"]) for name, (_, _, why) in STREAMS.items()}
    await world.until_nothing_is_left()
    assert world.model.connections == 0
    assert world.app[keys.TURNSTILE]._taken == {}


async def test_a_stream_that_is_not_let_in_is_connected_and_closed_and_never_opened(world: Exposed) -> None:
    told: list[Event] = []
    world.app[keys.AUDIENCE].add(told.append)
    await world.stream(PARAMETERS)
    await world.until_nothing_is_left()
    connected, fault, closed = told
    assert (connected, fault) == (Connected(), Fault("no token"))
    assert isinstance(closed, Closed) and closed.call_sid is None and closed.ending is Ending.STREAM_REFUSED


async def test_a_token_that_is_shown_again_is_refused_while_its_call_goes_on(world: Exposed) -> None:
    parameters = await world.answered()
    call = await world.upgrade(signed(STREAM))
    await call.send_json(start(parameters))
    await world.model.until_session(timeout=PATIENCE_S)
    assert await world.stream(parameters) == "close"
    assert world.faults("used token") == 1
    async with asyncio.timeout(PATIENCE_S):
        while len(world.app[keys.CALLS]) > 1:
            await asyncio.sleep(0.005)
    assert world.model.connections == 1 and len(world.app[keys.CALLS]) == 1
    await call.close()
    await world.until_nothing_is_left()
    assert await world.stream(parameters) == "close"
    assert world.model.connections == 1


async def test_a_stream_that_does_not_say_which_call_it_is_is_closed(tmp_path: Path) -> None:
    async with exposed(tmp_path, Timing(start_s=0.1)) as world:
        silent = await world.upgrade(signed(STREAM))
        assert (await asyncio.wait_for(silent.receive(), PATIENCE_S)).type is aiohttp.WSMsgType.CLOSE
        await silent.close()
        await world.until_nothing_is_left()
        assert world.model.connections == 0


# ---- what is too much

async def test_what_is_said_before_the_start_is_little_and_read_with_care(world: Exposed) -> None:
    for nonsense in ("[" * 60_000, '{"event":' * 6_000, "{}", '{"event":"media","media":{"payload":"////"}}'):
        talker = await world.upgrade(signed(STREAM))
        for _ in range(session.MOST_BEFORE_START + 1):
            await talker.send_str(nonsense)
        assert (await asyncio.wait_for(talker.receive(), PATIENCE_S)).type is aiohttp.WSMsgType.CLOSE
        await talker.close()
    large = await world.upgrade(signed(STREAM))
    await large.send_str("x" * 65 * 1024)
    assert (await asyncio.wait_for(large.receive(), PATIENCE_S)).data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    await large.close()
    assert world.model.connections == 0


async def test_a_phone_that_says_far_more_than_a_phone_can_is_closed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with exposed(tmp_path, Timing(too_fast_s=1)) as world:
        call = await world.upgrade(signed(STREAM))
        await call.send_json(start(await world.answered()))
        await world.model.until_session(timeout=PATIENCE_S)

        async def talk() -> None:
            while True:
                await call.send_str('{"event":"media","media":{"payload":"////","timestamp":"0","track":"inbound"}}')
                await asyncio.sleep(0.001)
        talking = asyncio.create_task(talk())
        async for _ in call:
            pass
        talking.cancel()
        await asyncio.wait({talking})
        await world.until_nothing_is_left()
    assert any(": phone too fast, " in record.getMessage() for record in caplog.records)


# ---- connections that nobody has shown to be Twilio's

ASKED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

#: What is sent, what then comes drop by drop, and the status of the last answer; 0: closed without a word.
RAW: dict[str, tuple[bytes, bytes, int]] = {
    "nothing": (b"", b"", 0),
    "half a line": (b"POST /inc", b"", 0),
    "slow headers": (HEAD, b"X: y\r\n", 0),
    "slow body": (FORGED + b"Content-Length: 1000\r\n\r\n", b"x", 0),
    "slow chunks": (FORGED + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0),
    "slow body after an answer": (ASKED + FORGED + b"Content-Length: 1000\r\n\r\n", b"x", 408),
    "slow chunks after an answer": (ASKED + FORGED + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 408),
    "a body that is not signed is not waited for": (HEAD + b"Content-Length: 1000\r\n\r\n", b"", 403),
    "a body that says that it is large": (FORGED + b"Content-Length: 1000000000\r\n\r\n", b"", 413),
    "a body that is large": (FORGED + b"Transfer-Encoding: chunked\r\n\r\n11000\r\n" + b"x" * 0x11000, b"", 413),
    "a long line": (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", b"", 400),
    "a long header": (HEAD + b"X: " + b"x" * 5_000 + b"\r\n\r\n", b"", 400),
    "many headers": (HEAD + b"".join(b"X-%d: y\r\n" % each for each in range(200)) + b"\r\n", b"", 400),
    "no HTTP": (b"\x16\x03\x01" + bytes(200), b"", 400),
    "a compressed body": (FORGED + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00", b"", 400),
    "a form of files": (HEAD + b"X-Twilio-Signature: forged\r\nContent-Type: multipart/form-data; boundary=x\r\n"
                        b"Content-Length: 4\r\n\r\n--x-", b"", 400),
}


async def raw(world: Exposed, sent: bytes, drops: bytes) -> int:
    """The status of the last answer, once the server has closed the connection; 0 without one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)

    async def drip() -> None:
        while drops:
            writer.write(drops)
            await asyncio.sleep(0.02)
    writer.write(sent)
    dripping = asyncio.create_task(drip())
    answer = await until_closed(reader)
    dripping.cancel()
    await asyncio.wait({dripping})
    writer.close()
    return int(answer.rpartition(b"HTTP/1.")[2].split()[1]) if answer else 0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, seconds in [(strangers, "FIRST_S", 0.9), (door, "LOOK_S", 0.05), (signature, "BODY_S", 1.3),
                                  (server, "LINGER_S", 0.5)]:
        monkeypatch.setattr(module, name, seconds)


async def test_what_takes_too_long_or_is_too_large_is_turned_away(impatient: None, world: Exposed) -> None:
    answers = await asyncio.gather(*(raw(world, sent, drops) for sent, drops, _ in RAW.values()))
    assert dict(zip(RAW, answers)) == {name: status for name, (_, _, status) in RAW.items()}
    await world.until_nothing_is_left()
    assert world.model.connections == 0


async def test_who_breaks_off_in_mid_body_leaves_no_fault_in_the_log(
    world: Exposed, caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(FORGED + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"      # the body is waited for
        writer.transport.abort()
    await world.until_nothing_is_left()
    async with world.http.get(world.url("/healthz")) as response:
        assert response.status == 200
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_who_holds_many_connections_keeps_nobody_out(world: Exposed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "MOST", 20)
    crowd = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(60)]
    for _, writer in crowd:
        writer.write(HEAD)
    assert await world.post(signed(WEBHOOK, FORM)) == 200
    assert [await until_closed(reader) for reader, _ in crowd[:40]] == [b""] * 40
    assert len(world.app[keys.DOOR]) <= 20
    call = await world.upgrade(signed(STREAM))
    await call.send_json(start(await world.answered()))
    await world.model.until_session(timeout=PATIENCE_S)
    await call.close()
    for _, writer in crowd:
        writer.close()


@pytest.fixture
def public_addresses() -> Iterator[None]:
    """This thread is in a network of its own, whose loopback has public addresses besides 127.0.0.1."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home:
        if libc.unshare(CLONE_NEWNET):
            pytest.skip(f"a network of its own takes root on Linux: {os.strerror(ctypes.get_errno())}")
        try:
            for command in "link set lo up", *(f"address add {each}/32 dev lo" for each in (TWILIO, STRANGER)):
                subprocess.run(["ip", *command.split()], check=True)
            yield
        finally:
            assert libc.setns(home.fileno(), CLONE_NEWNET) == 0


@pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not installed: its ip must be on PATH")
async def test_who_holds_many_connections_from_one_address_closes_only_its_own(
    public_addresses: None, world: Exposed,
) -> None:
    async def come(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", world.port, local_addr=(address, 0))
    reader, writer = await come(TWILIO)
    crowd = [await come(STRANGER) for _ in range(strangers.MOST_OF_ADDRESS + 10)]
    assert [await until_closed(reader) for reader, _ in crowd[:10]] == [b""] * 10
    assert len(world.app[keys.DOOR]) == 1 + strangers.MOST_OF_ADDRESS
    writer.write(ASKED)
    assert b" 200 OK" in await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE_S)
    for _, each in [*crowd, (reader, writer)]:
        each.close()


async def test_a_connection_that_was_answered_may_be_used_again(impatient: None, world: Exposed) -> None:
    """As a proxy does: one that is closed just when it is used again would cost a call."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    for rest in (strangers.FIRST_S + 2 * door.LOOK_S, 0):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 OK" in await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE_S)
        await asyncio.sleep(rest)
    writer.close()
