"""However much comes at once in one call, the others have their turn."""

import asyncio
import gc
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import ModuleType
from typing import Any

import pytest

from bridge import keys, server
from bridge.app import create_app
from bridge.openai_side import realtime
from bridge.settings import load
from bridge.sim.realtime import Line, Turn
from bridge.sim.speech import SILENCE
from bridge.twilio_side import media_streams, signature
from bridge.wire.websocket import BURST
from tests.stage.office import office
from tests.whole.test_endings import a_phone_that_reads_nothing, frame_of

#: Many times a burst, and less than a socket's buffer.
MANY = 200
LONG_GREETING = Turn((Line("A long greeting.", SILENCE * 8_000 * 60),))


@asynccontextmanager
async def counting_turns() -> AsyncIterator[list[int]]:
    """The number of the event loop's turn, as its only item."""
    turn = [0]

    async def count() -> None:
        while True:
            turn[0] += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        yield turn
    finally:
        counting.cancel()
        await asyncio.wait([counting])


@contextmanager
def read_by_turn(codec: ModuleType, turn: list[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[int]]:
    """How many messages of one side are read in each turn of the loop."""
    read: Counter[int] = Counter()
    parse = codec.parse

    def counted(message: bytes) -> Any:
        read[turn[0]] += 1
        return parse(message)

    with monkeypatch.context() as patch:
        patch.setattr(codec, "parse", counted)
        yield read


@contextmanager
def frames_kept() -> Iterator[Callable[[], list[BaseException]]]:
    """What requests have ended with, and still holds all that it came through, while nothing is collected."""
    gc.collect()
    before = raised()                                # other tests' logs may hold some
    gc.disable()
    try:
        yield lambda: [each for each in raised() if not any(each is known for known in before)]
    finally:
        gc.enable()


def raised() -> list[BaseException]:
    return [each for each in gc.get_objects() if isinstance(each, Exception) and each.__traceback__]


@pytest.mark.usefixtures("way")
async def test_a_phone_that_catches_up_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with office(TWILIO_AUTH_TOKEN="") as world, counting_turns() as turn:
        _, writer = await a_phone_that_reads_nothing(world.origin)
        await (await world.model.until_session()).until_sent("session.updated")
        frame = frame_of(b"\xff" * 160).encode()
        with read_by_turn(media_streams, turn, monkeypatch) as read:
            writer.write((struct.pack("!BBH4x", 0x81, 0x80 | 126, len(frame)) + frame) * MANY)
            while read.total() < MANY:
                await asyncio.sleep(0)
        writer.close()
    assert max(read.values()) <= BURST


@pytest.mark.usefixtures("way")
async def test_a_model_that_says_much_at_once_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with counting_turns() as turn:
        with read_by_turn(realtime, turn, monkeypatch) as read:
            async with office(greeting=LONG_GREETING, delta_speed=0) as world:
                await world.phone.dial()
                await (await world.model.until_session()).until_sent("response.done")
                while read.total() < MANY:
                    await asyncio.sleep(0)
    assert max(read.values()) <= BURST


def at_work(name: str) -> bool:
    return any(name in repr(task) for task in asyncio.all_tasks())


@pytest.mark.slow
@pytest.mark.parametrize("sent", [
    b"GET /media-stream/15550000001 HTTP/1.1\r\nHost: bridge\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"POST /incoming-call HTTP/1.1\r\nHost: bridge\r\nX-Twilio-Signature: none\r\nContent-Length: 9\r\n\r\nhalf",
    b"GET /nowhere HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n",
])
@pytest.mark.parametrize("leaves", [False, True])
async def test_who_is_refused_leaves_little_for_the_garbage_collector(
    sent: bytes, leaves: bool, sqlite_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signature, "BODY_S", 60 if leaves else 0.05)
    monkeypatch.setattr(server, "LINGER_S", 0.05)
    settings = load({
        "OPENAI_API_KEY": "sk-test", "TWILIO_AUTH_TOKEN": "secret", "DATABASE_URL": sqlite_url, "HOST": "127.0.0.1",
        "PORT": "0"})
    app, listening = create_app(settings), server.listen(settings)
    async with server.serving(app, listening):
        with frames_kept() as kept:
            for _ in range(3):
                reader, writer = await asyncio.open_connection(*listening.getsockname())
                writer.write(sent)
                while leaves and not app[keys.DOOR] or leaves and b"half" in sent and not at_work("_handle_request"):
                    await asyncio.sleep(0)
                if not leaves:
                    assert (await reader.read()).startswith(b"HTTP/1.1 4")
                writer.transport.abort()
            while app[keys.DOOR] or at_work("RequestHandler"):
                await asyncio.sleep(0.01)
            assert kept() == []
