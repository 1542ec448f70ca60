"""How calls end: whoever leaves, the other side is closed, nothing stays behind, and no caller is left in silence."""

import asyncio
import base64
import json
import logging
import socket
import struct
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp
import pytest
from yarl import URL

from bridge import keys
from bridge.call.clips import clips
from bridge.call.timing import Timing
from bridge.records.endings import Ending
from bridge.sim.realtime import Faults, Line, Turn
from bridge.sim.speech import SILENCE
from bridge.twilio_side.twiml import APOLOGY
from tests.stage.office import GREETING_AUDIO, line, speech
from tests.stage.office import office as any_office

pytestmark = pytest.mark.usefixtures("way")

#: What happens here does not hang on exact times, so it may happen fast.
office = partial(any_office, clock_speed=20)


def closing_line(caplog: pytest.LogCaptureFixture) -> str:
    [closed] = [record.getMessage() for record in caplog.records if " closed after " in record.getMessage()]
    return closed


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def test_a_hang_up_closes_the_model(caplog: pytest.LogCaptureFixture) -> None:
    async with office() as world:
        call = await world.greeted()
        await call.hang_up()
        await world.session.until(lambda: world.session.closed)
        await world.closed()
    assert "caller hung up" in closing_line(caplog)


async def test_a_network_that_breaks_closes_the_model(caplog: pytest.LogCaptureFixture) -> None:
    async with office(Turn((line(5000),))) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        call.drop()
        await world.session.until(lambda: world.session.closed)
        await world.closed()
    assert "phone lost" in closing_line(caplog)


@pytest.mark.parametrize("faults, reason", [
    (Faults(refuse_status=401), "check OPENAI_API_KEY"),
    (Faults(refuse_status=429), "limit or credit"),
    (Faults(refuse_status=500), "status 500"),
    (Faults(error_after_created="invalid_model"), "invalid_model"),
    (Faults(wrong_format=True), "audio/pcmu"),
    (Faults(hang_handshake=True), "no session within"),
    (Faults(never_created=True), "no session within"),
])
async def test_a_model_that_cannot_be_had_is_apologised_for(
    faults: Faults, reason: str, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(faults=faults, timing=Timing(give_up_s=0.5)) as world:
        world.errors_expected = ["invalid_model"]
        call = await world.phone.dial()
        await call.until_over()
        assert (call.spoken, call.played) == ([APOLOGY], b"")
        assert call.warnings == []
    assert "model unreachable" in closing_line(caplog)
    assert any(reason in record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR)


async def test_nobody_listening_at_the_models_address_is_apologised_for() -> None:
    async with office(timing=Timing(give_up_s=0.5), OPENAI_REALTIME_URL="ws://127.0.0.1:1/v1/realtime") as world:
        call = await world.phone.dial()
        await call.until_over()
        assert (call.spoken, call.played) == ([APOLOGY], b"")


async def test_a_format_that_changes_in_mid_call_is_never_heard(caplog: pytest.LogCaptureFixture) -> None:
    async with office() as world:
        call = await world.greeted()
        heard = len(call.played)
        changed: dict[str, Any] = {**world.session.config, "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}}}}
        await world.session.send({"type": "session.updated", "event_id": "x", "session": changed})
        await call.until_over()
        assert (call.spoken, call.played[heard:]) == ([APOLOGY], b"")
    assert "wrong audio format" in closing_line(caplog)


async def test_a_fatal_error_in_mid_call_is_apologised_for(caplog: pytest.LogCaptureFixture) -> None:
    async with office() as world:
        world.errors_expected = ["insufficient_quota"]
        call = await world.greeted()
        world.session.error("insufficient_quota", "You exceeded your current quota.")
        await call.until_over()
        assert call.spoken == [APOLOGY]
    assert "model refused" in closing_line(caplog)


async def test_a_stream_that_never_starts_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    async with office(timing=Timing(start_s=0.1)) as world:
        world.phone.send_start = False
        call = await world.phone.dial()
        await call.until_over()
        await world.closed()
        assert all(session.closed for session in world.model.sessions)
    assert "no start" in closing_line(caplog)


@pytest.mark.parametrize("rest", [False, True])
async def test_a_server_that_stops_says_goodbye(rest: bool, caplog: pytest.LogCaptureFixture) -> None:
    async with office(Turn((line(5000),)), rest=rest) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await world.app.shutdown()
        await call.until_over()
        await world.session.until(lambda: world.session.closed)
        assert call.played.endswith(base64.b64decode(clips()["goodbye"].payload))
        assert call.spoken == []
        assert [form for _, form in world.rest] == [{"Status": "completed"}] * rest
    assert "server stopping" in closing_line(caplog)


async def test_a_server_that_is_killed_leaves_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async with office() as world:
        call = await world.greeted()
        heard = len(call.played)
        for session in world.app[keys.CALLS]:
            session.end(Ending.SERVER_KILLED)
        await call.until_over()
        assert call.close_code == aiohttp.WSCloseCode.GOING_AWAY and len(call.played) == heard
        assert call.spoken == [APOLOGY]
    assert "server killed" in closing_line(caplog)


async def test_a_phone_that_takes_nothing_ends_its_call(caplog: pytest.LogCaptureFixture) -> None:
    endless, timing = Turn((Line("An endless greeting.", SILENCE * 8_000_000),)), Timing(stall_s=0.2)
    async with office(
            greeting=endless, delta_speed=0, timing=timing, PROTECT_GREETING="0", TWILIO_AUTH_TOKEN="") as world:
        reader, writer = await a_phone_that_reads_nothing(world.origin)
        await world.model.until_session()
        await world.closed()
        await world.session.until(lambda: world.session.closed)
        with suppress(ConnectionError):
            while await reader.read(65536):          # to the end: the server has let go of the connection
                pass
        writer.close()
    assert "phone stalled" in closing_line(caplog)


async def a_phone_that_reads_nothing(origin: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream that has started, on a connection whose buffers stay full."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    address = URL(origin)
    await asyncio.get_running_loop().sock_connect(connection, (address.host, address.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1)
    writer.write(
        b"GET /media-stream/15557654321 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n")
    start = json.dumps({"event": "start", "start": {"streamSid": "MZ" + "0" * 32, "callSid": "CA" + "0" * 32}})
    writer.write(struct.pack("!BBH4x", 0x81, 0x80 | 126, len(start)) + start.encode())
    return reader, writer


def frame_of(audio: bytes) -> str:
    return json.dumps({"event": "media", "media": {
        "track": "inbound", "timestamp": "1", "payload": base64.b64encode(audio).decode()}})


async def test_a_model_that_never_answers_the_close_is_let_go_of(caplog: pytest.LogCaptureFixture) -> None:
    async with office(faults=Faults(stop_reading=True)) as world:
        world.errors_expected = ["insufficient_quota"]
        call = await world.phone.dial()
        await (await world.model.until_session()).until_sent("session.updated")
        world.session.error("insufficient_quota", "You exceeded your current quota.")
        await call.until_over()
        assert (call.spoken, call.played) == ([APOLOGY], b"")
    assert "model refused" in closing_line(caplog)


async def test_a_greeting_that_fails_once_is_spoken_all_the_same() -> None:
    async with office(faults=Faults(fail_responses=1)) as world:
        call = await world.greeted()
        assert call.played == GREETING_AUDIO


async def test_a_model_that_fails_again_and_again_is_apologised_for(caplog: pytest.LogCaptureFixture) -> None:
    async with office(faults=Faults(fail_responses=9)) as world:
        call = await world.phone.dial()
        await call.until_over()
        assert (call.spoken, call.played) == ([APOLOGY], b"")
    assert "model failed" in closing_line(caplog)


async def test_a_fault_of_our_own_is_logged_and_apologised_for(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with office() as world:
        call = await world.greeted()
        [session] = world.app[keys.CALLS]
        monkeypatch.setattr(session._dialogue, "from_model", lambda event, now: 1 / 0)
        await call.say(speech(600))
        await call.until_over()
        assert call.spoken == [APOLOGY]
    assert "internal error" in closing_line(caplog)
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.slow
async def test_a_hundred_calls_leave_nothing_behind() -> None:
    async with office(clock_speed=20) as world:
        for batch in range(10):
            calls = await asyncio.gather(*(world.phone.dial() for _ in range(10)))
            for number, call in enumerate(calls):
                if number % 2:
                    call.drop()
            await asyncio.gather(*(call.hang_up() for number, call in enumerate(calls) if not number % 2))
            await asyncio.gather(*(call.until_over() for call in calls))
        await world.closed()
        assert not world.app[keys.CALLS]
        await world.model.until(lambda: all(session.closed for session in world.model.sessions))
