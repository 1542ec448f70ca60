"""A call is recorded as it was heard, beside the call, and never without the caller knowing of it."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from bridge import keys
from bridge.call.tape import FRAME, SILENCE
from bridge.recordings import recorder, shelving
from bridge.recordings.wav import WavFile
from bridge.records.call_record import CallRecord
from bridge.records.call_records import CallRecords
from bridge.sim.phone import PhoneCall
from bridge.sim.realtime import Call, Line, Turn
from tests.stage import wav
from tests.stage.disk import disk
from tests.stage.office import GREETING_AUDIO, Office, Scripted, line, office, speech
from tests.stage.wav import Wav

TOLD, ASKED = "This call is recorded.", "May this call be recorded?"
SECRET = "my card number is four seven one one"


def greeting(words: str) -> Turn:
    return Turn((Line(words, GREETING_AUDIO),))


def agrees(*, agreed: bool, words: str) -> Sequence[Scripted]:
    """The caller answers, the model notes it, and goes on."""
    return Turn((Call("record_consent", {"agreed": agreed}),), words), Turn((line(800, seed=5),))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The phone's time passes ten times as fast as ours."""
    monkeypatch.setattr(recorder, "EVERY_S", 0.1)
    monkeypatch.setattr(shelving, "LEAST_PAUSE_S", 0.02)


async def recorded(world: Office, call: PhoneCall) -> CallRecord:
    """The record of a call that is over, once its recording is in its place."""
    await world.closed()
    async with asyncio.timeout(10):
        while world.app[keys.RECORDER].open or world.app[keys.RECORDS].open:
            await world.app[keys.RECORDS].write()
            await asyncio.sleep(0.01)
    record = await CallRecords(world.app[keys.DATABASE]).read(call.sid)
    assert record
    return record


async def in_place(path: Path) -> Wav:
    async with asyncio.timeout(10):
        while not path.exists():
            await asyncio.sleep(0.01)
    return wav.read(path)


def close(ours: bytes, phones: bytes) -> bool:
    """The same sounds; a cut may be off by a frame or two."""
    mine, theirs = ours.replace(SILENCE, b""), phones.replace(SILENCE, b"")
    return abs(len(mine) - len(theirs)) <= 2 * FRAME


async def test_a_call_is_recorded_as_both_sides_heard_it(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    async with office(Turn((line(3_000),)), greeting=greeting(f"{TOLD} Hello!"), RECORD="1", RECORDINGS=str(folder),
                      GREETINGS_RESPONSE="Hello!") as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking()
        await call.until_heard(call.heard_ms + 1_000)
        await call.hang_up()
        record = await recorded(world, call)
        said, heard = call.recording()
        sound = await in_place(Path(record.call.recording))
    assert folder.stat().st_mode & 0o777 == 0o700 == (folder / "unfinished").stat().st_mode & 0o777
    assert Path(record.call.recording).stat().st_mode & 0o777 == 0o600
    assert Path(record.call.recording).parent == folder and [*(folder / "unfinished").iterdir()] == []
    assert sound.left == said[:len(sound.left)] and len(said) - len(sound.left) <= 3 * FRAME
    assert sound.right == heard[:len(sound.right)]
    assert traces(all_bytes(folder), speech(600)) == ["voice"], "what a search of the disk finds where it is"
    stamp = json.loads(record.call.consent)
    assert (stamp["how"], stamp["words"], stamp["heard"], stamp["agreed"]) == ("told", TOLD, True, None)
    assert 0 <= stamp["at_ms"] < 2_000
    assert f"{TOLD} Hello!" in str(world.session.received), "the model was asked for these words"


async def test_a_cut_is_where_the_phone_made_it(tmp_path: Path) -> None:
    async with office(Turn((line(5_000),)), Turn((line(900, seed=7),)), RECORD="1", RECORDINGS=str(tmp_path)) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking()
        await call.until_heard(call.heard_ms + 1_000)
        await call.say(speech(800, seed=3))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        await call.hang_up()
        record = await recorded(world, call)
        _, heard = call.recording()
        sound = await in_place(Path(record.call.recording))
    assert record.call.interruptions == 1
    assert close(sound.right, heard), "neither more nor less than was played"
    assert speech(900, seed=7) in sound.right


async def test_how_loud_both_sides_were_is_known_for_each_tenth_of_a_second(tmp_path: Path) -> None:
    async with office(RECORD="1", RECORDINGS=str(tmp_path)) as world:
        call = await world.greeted()
        await call.say(speech(1_000))
        await call.hang_up()
        record = await recorded(world, call)
        sound = await in_place(Path(record.call.recording))
        [levels] = await world.app[keys.DATABASE].read(lambda connection: [
            *connection.exec_driver_sql("SELECT levels FROM call_records").scalars()])
    assert len(levels) == 2 * -(-len(sound.left) // 800)
    assert max(levels[0::2]) > 100 and max(levels[1::2]) > 100
    for at, (left, right) in enumerate(zip(levels[0::2], levels[1::2], strict=True)):
        here = slice(at * 800, (at + 1) * 800)
        assert (left > 0) == bool(sound.left[here].strip(SILENCE))
        assert right == 0 or sound.right[here].strip(SILENCE)


# ---- the caller is asked

def all_bytes(*folders: Path) -> bytes:
    """Everything that stands on the disk: the database, its log, recordings."""
    return b"".join(path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())


async def asked(tmp_path: Path, *turns: Scripted, then: int = 1) -> tuple[CallRecord, list[bytes], bytes, list[Path]]:
    """The caller says a secret before the answer; the record, the disk before and after, and the caller's words."""
    database, folder = tmp_path / "database", tmp_path / "recordings"
    database.mkdir()
    seen: list[bytes] = []
    secret = Turn((line(400, seed=2),), SECRET)
    async with office(secret, *turns, greeting=greeting(f"Hello! {ASKED}"), RECORD="ask", RECORD_QUESTION=ASKED,
                      RECORDINGS=str(folder), DATABASE_URL=f"sqlite:///{database}/bridge.db") as world:
        call = await world.greeted()
        voice = speech(700, seed=11)
        await call.say(voice)
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        await world.app[keys.RECORDS].write()
        seen.append(all_bytes(database, folder))
        for number in range(then):
            await call.say(speech(700, seed=12 + number))
            await call.until_speaking(after_ms=world.phone.clock.ms())
            await call.until_quiet()
        assert call.heard_ms >= 600 + 400 + 800 * then, "the call goes on"
        await call.hang_up()
        record = await recorded(world, call)
        if record.call.recording:
            await in_place(Path(record.call.recording))
        seen.append(all_bytes(database, folder))
    return record, seen, voice, [*folder.rglob("*.wav")]


def traces(disk: bytes, voice: bytes) -> list[str]:
    """What of the caller's words and voice is on the disk, the voice alone or beside another one."""
    return [name for name, what in (("words", SECRET.encode()), ("voice", voice[1_600:1_760]))
            if any(what in part for part in (disk, disk[0::2], disk[1::2]))]


async def test_nothing_of_the_caller_is_on_the_disk_before_a_yes_and_the_words_are_after_it(tmp_path: Path) -> None:
    record, (before, after), voice, files = await asked(tmp_path, *agrees(agreed=True, words="Yes, that is fine."))
    assert traces(before, voice) == []
    assert traces(after, voice) == ["words"], "what was said before is written down now, its sound never"
    assert [turn.text for turn in record.turns if turn.by == "caller"] == [SECRET, "Yes, that is fine."]
    stamp = json.loads(record.call.consent)
    assert (stamp["how"], stamp["heard"], stamp["agreed"]) == ("asked", True, True)
    [file] = files
    assert speech(800, seed=5) in wav.read(file).right
    assert wav.read(file).left.strip(SILENCE) == b"", "the caller has said nothing since"


async def test_a_no_leaves_no_audio_and_no_words_and_the_call_goes_on(tmp_path: Path) -> None:
    no = agrees(agreed=False, words="No, I would rather not.")
    record, (before, after), voice, files = await asked(tmp_path, *no)
    assert traces(before, voice) == traces(after, voice) == [] and files == []
    assert b"rather not" not in after and b"400 ms of speech" not in after
    assert record.call.recording == "" and json.loads(record.call.consent)["agreed"] is False
    assert record.call.turns == 2 and all(not turn.text for turn in record.turns if turn.kind == "words")


async def test_a_yes_that_is_taken_back_takes_everything_back(tmp_path: Path) -> None:
    record, (_, after), voice, files = await asked(
        tmp_path, *agrees(agreed=True, words="Yes."), *agrees(agreed=False, words="On second thoughts, no."), then=2)
    assert files == [] and record.call.recording == ""
    assert all(not turn.text for turn in record.turns if turn.kind == "words")


async def test_a_yes_before_the_caller_has_spoken_does_not_count(tmp_path: Path) -> None:
    eager = Turn((Line(f"Hello! {ASKED}", GREETING_AUDIO), Call("record_consent", {"agreed": True})))
    async with office(Turn((line(300),)), greeting=eager, RECORD="ask", RECORDINGS=str(tmp_path)) as world:
        call = await world.phone.dial()
        await call.until_speaking()
        await call.until_quiet()
        session = await world.model.until_session()
        await session.until(lambda: [item for item in session.items.values() if item.type == "function_call_output"])
        assert "has not answered yet" in str([item.body for item in session.items.values()])
        await call.hang_up()
        assert (await recorded(world, call)).call.recording == ""
    assert [*tmp_path.rglob("*.wav")] == []


@pytest.mark.parametrize("agreed", [True, False])
async def test_what_was_said_is_kept_over_a_transfer_only_after_a_yes(tmp_path: Path, agreed: bool) -> None:
    database, folder = tmp_path / "database", tmp_path / "recordings"
    database.mkdir()
    turns = [*agrees(agreed=agreed, words=SECRET), Turn((line(300), Call("transfer_call", {"to": "sales"})))]
    async with office(*turns, rest=True, RECORD="ask", RECORD_QUESTION=ASKED, RECORDINGS=str(folder),
                      TRANSFER_NUMBER="sales=+15557770000", DATABASE_URL=f"sqlite:///{database}/bridge.db") as world:
        world.phone.dial_statuses = ["no-answer"]
        call = await world.greeted()
        await call.say(speech(700))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        await call.say(speech(700))
        await call.until_logged("Dial")
        second = await world.model.until_session(2)
        request = await second.until_received("response.create")
        assert (ASKED in str(request)) is not agreed, "who has not agreed is greeted and asked anew"
        assert (SECRET in str(second.received)) is agreed
        assert (SECRET.encode() in all_bytes(database)) is agreed
        await call.hang_up()
        record = await recorded(world, call)
    assert len(record.call.recording.splitlines()) == (2 if agreed else 0), "what was agreed to holds for the call"


# ---- a disk that fails

async def test_a_full_disk_ends_the_recording_and_not_the_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    with disk(tmp_path) as small:
        async with office(Turn((line(2_000),)), RECORD="1", RECORDINGS=str(tmp_path / "recordings")) as world:
            call = await world.greeted()
            await until_holds_greeting(tmp_path)
            small.fill()
            await call.say(speech(600))
            await call.until_speaking(after_ms=world.phone.clock.ms())
            await until_told(caplog, "its recording ended too early: No space left on device")
            await call.until_quiet()
            assert call.heard_ms == 2_600
            await call.hang_up()
            record = await recorded(world, call)
            assert world.app[keys.METRICS].render().count(b"bridge_recordings_lost_total 1.0")
            small.empty()
            sound = await in_place(Path(record.call.recording))
    assert [turn.text for turn in record.turns if turn.kind == "event"] == ["recording lost"]
    assert sound.seconds > 0 and GREETING_AUDIO[:1_000] in sound.right


async def until_told(caplog: pytest.LogCaptureFixture, line: str) -> None:
    async with asyncio.timeout(10):
        while line not in caplog.text:
            await asyncio.sleep(0.01)


async def until_holds_greeting(folder: Path) -> None:
    async with asyncio.timeout(10):
        while not [path for path in folder.rglob("*.wav")
                   if path.stat().st_size > 1_000 and GREETING_AUDIO[:1_000] in wav.read(path).right]:
            await asyncio.sleep(0.01)


async def test_a_folder_that_cannot_be_written_to_is_told_and_calls_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("no folder")
    async with office(RECORD="1", RECORDINGS=str(tmp_path / "file" / "recordings")) as world:
        call = await world.greeted()
        await call.hang_up()
        record = await recorded(world, call)
    assert "CALLS ARE NOT RECORDED" in caplog.text and "its recording could not be made" in caplog.text
    assert record.call.ending == "caller hung up" and record.call.recording == ""


async def test_a_disk_that_does_not_answer_holds_up_no_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    answers, real = asyncio.Event(), WavFile.write
    loop = asyncio.get_running_loop()

    def stuck(file: WavFile, both: bytes) -> None:
        asyncio.run_coroutine_threadsafe(answers.wait(), loop).result()
        real(file, both)
    monkeypatch.setattr(WavFile, "write", stuck)
    monkeypatch.setattr(recorder, "MOST_WAITING", 2)
    async with office(Turn((line(9_000),)), RECORD="1", RECORDINGS=str(tmp_path)) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.heard_ms == 9_600
        await call.hang_up()
        await world.closed()
        answers.set()
        await recorded(world, call)
    assert "the disk is too slow" in caplog.text
