"""What can go wrong with the simulated phone: frames that are lost or late, a line that stalls or is dead."""

import asyncio
import base64
import math

from bridge.sim.phone import Phone
from tests.stage.voice_server import SECOND, Socket, VoiceServer, listen


def frames(server: VoiceServer) -> list[dict[str, str]]:
    return [message["media"] for message in server.sockets[0].told if message["event"] == "media"]


def words(server: VoiceServer) -> bytes:
    return b"".join(base64.b64decode(frame["payload"]) for frame in frames(server)).strip(b"\xff")


def steps(numbers: list[str]) -> set[int]:
    return {int(after) - int(before) for before, after in zip(numbers, numbers[1:])}


async def test_lost_frames_leave_a_gap_in_the_timestamps(server: VoiceServer, phone: Phone) -> None:
    call = await phone.dial()
    await call.say(b"\x11" * 160)
    call.lose_frames(300)
    await call.say(b"\x22" * 8000)
    await call.hang_up()
    assert words(server) == b"\x11" * 160 + b"\x22" * (8000 - 300 * 8)
    assert steps([frame["timestamp"] for frame in frames(server)]) == {20, 320}
    assert steps([frame["chunk"] for frame in frames(server)]) == {1}


async def test_frames_that_are_held_leave_none(server: VoiceServer, phone: Phone) -> None:
    call = await phone.dial()
    held = call.clock.ms()
    call.hold_frames(300)
    await call.say(b"\x22" * 8000)
    assert call.clock.ms() - held >= 1260
    await call.hang_up()
    assert words(server) == b"\x22" * 8000
    assert steps([frame["timestamp"] for frame in frames(server)]) == {20}


async def test_a_stalled_phone_takes_nothing_and_answers_no_ping(server: VoiceServer, phone: Phone) -> None:
    async def talk(socket: Socket) -> None:
        await socket.start()
        await socket.next_of("dtmf")
        await socket.ws.ping()
        for _ in range(50):
            await socket.media(SECOND)
        await socket.next_of("dtmf")
        await socket.mark("end")
        await listen(socket)

    server.talk = talk
    call = await phone.dial()
    call.stop_reading()
    await call.press("1")
    await call.say(b"\x22" * 8000)
    assert call.queued_ms == call.heard_ms == 0
    await call.press("2")
    call.resume_reading()
    await call.until_logged("mark", "end")
    assert call.heard_ms + call.queued_ms == 50_000
    await call.hang_up()


async def test_a_dead_line_is_noticed_by_a_missing_pong(server: VoiceServer, phone: Phone) -> None:
    ended = asyncio.Event()

    async def talk(socket: Socket) -> None:
        try:
            await listen(socket)
        finally:
            ended.set()

    server.heartbeat, server.talk = 0.2, talk
    call = await phone.dial()
    call.stop_reading()
    call.lose_frames(math.inf)
    await ended.wait()
    assert (server.sockets[0].ws.close_code, call.over) == (1006, False)
    call.resume_reading()
    await call.until_over()


async def test_a_stalled_phone_can_hang_up(server: VoiceServer, phone: Phone) -> None:
    call = await phone.dial()
    call.stop_reading()
    await call.hang_up()
    assert server.sockets[0].told[-1]["event"] == "stop"


async def test_a_stream_may_never_start(server: VoiceServer, phone: Phone) -> None:
    phone.send_start = False
    call = await phone.dial()
    await call.send_text("{}")
    await call.hang_up()
    assert [message.get("event") for message in server.sockets[0].told] == ["connected", None, "stop"]
