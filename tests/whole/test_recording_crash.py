"""A server that is killed in mid-call leaves a recording that can be listened to."""

import asyncio
import io
import shutil
from contextlib import closing
from pathlib import Path

import pytest
import soundfile
from aiohttp import web

from bridge.records import sqlite_file
from bridge.sim.clock import Clock
from bridge.sim.phone import Phone
from bridge.sim.realtime import RealtimeServer, Turn
from tests.stage import program, wav
from tests.stage.office import ACCOUNT, GREETING, GREETING_AUDIO, TOKEN, Office, line, speech

#: How much of a call a killed server may lose: half a second until it is taken, and what is on its way.
LOST_S = 1.0


async def test_it_is_whole_up_to_the_last_second_and_the_next_process_puts_it_in_its_place(tmp_path: Path) -> None:
    turns = iter([GREETING, Turn((line(60_000),))])
    database = tmp_path / "bridge.db"
    async with RealtimeServer(lambda session: next(turns)) as model:
        environ = {
            "OPENAI_API_KEY": model.key, "OPENAI_REALTIME_URL": model.url, "TWILIO_AUTH_TOKEN": TOKEN, "RECORD": "1",
            "DATABASE_URL": f"sqlite:///{database}"}
        async with program.serving(tmp_path, **environ) as server:
            async with Phone(f"{server.origin}/incoming-call", account_sid=ACCOUNT, auth_token=TOKEN,
                             clock=Clock()) as phone:
                world = Office(web.Application(), server.origin, model)
                world.phone = phone
                call = await world.greeted()
                await call.say(speech(300))
                await call.until_heard(2_500)
                server.process.kill()
                await server.process.wait()
                said, heard = call.recording()
        [path] = (tmp_path / "recordings").rglob("*.wav")
        sound = wav.read(path)
        assert len(said) / 8_000 - sound.seconds <= LOST_S
        assert sound.left == said[:len(sound.left)] and sound.right == heard[:len(sound.right)]
        assert GREETING_AUDIO in sound.right and speech(300) in sound.left
        await read_by_others(path, sound.seconds)
        async with asyncio.timeout(program.PATIENCE_S), program.serving(tmp_path, **environ):
            while not (placed := tmp_path / "recordings" / path.name).exists():
                await asyncio.sleep(0.05)
        assert wav.read(placed) == sound
    with closing(sqlite_file.connect(str(database))) as connection:
        [[recording, levels]] = connection.execute("SELECT recording, levels FROM call_records")
    assert recording == f"recordings/{path.name}" and len(levels) == 2 * -(-len(sound.left) // 800)


async def read_by_others(path: Path, seconds: float) -> None:
    """libsndfile, which half of the world's programs read sound with; ffprobe and sox where they are installed."""
    info = soundfile.info(io.BytesIO(path.read_bytes()))
    assert (info.format, info.subtype, info.channels, info.samplerate) == ("WAV", "ULAW", 2, 8000)
    assert info.duration == pytest.approx(seconds)
    for tool in (("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"), ("soxi", "-D")):
        if shutil.which(tool[0]):
            process = await asyncio.create_subprocess_exec(*tool, str(path), stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
            assert process.returncode == 0 and float(out) == pytest.approx(seconds, abs=0.01)
