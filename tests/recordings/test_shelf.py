"""Finished recordings reach their place, whatever comes between, and leave it when they are to be forgotten."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

import pytest

from bridge.commands import erase
from bridge.recordings import forgetting, shelf, shelving
from bridge.recordings.shelf import ShelfFailed, open_shelf, parse_options, parse_place, unfinished
from bridge.recordings.shelving import Shelving
from bridge.recordings.wav import WavFile
from bridge.records.call_record import Call
from bridge.records.call_records import CallRecords, Portion
from bridge.records.database import Database, open_database, parse_url
from bridge.records.recordings import Recordings
from tests.stage import wav
from tests.stage.object_store import PLACE, Bucket, free_port, object_store
from tests.stage.store import ALICE, BOB, NOW, rows

SID = "CA" + "1" * 32
NAME = f"{SID}-0123abcd.wav"
SOUND = bytes(range(200)) * 160


async def call(database: Database, sid: str = SID, *, caller: str = ALICE, ended: float = NOW, recording: str = "",
               ) -> None:
    record = Call(sid, ended - 60, caller, ended_at=ended, ending="caller hung up", recording=recording)
    await CallRecords(database).write([Portion(record, [], None)], NOW)


def write(path: Path, sound: bytes = SOUND) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = WavFile(path)
    file.write(sound)
    file.close()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shelving, "LEAST_PAUSE_S", 0.02)


def shelving_to(place: str, database: Database, bucket: Bucket | None = None, waiting: list[int] = []) -> Shelving:
    options = bucket.options if bucket else {}
    return Shelving(unfinished(place), place, open_shelf(place, options), Recordings(database),
                    count_waiting=waiting.append, now=lambda: NOW)


# ---- to a folder

async def test_what_a_killed_process_has_left_is_noted_and_put_in_its_place(database: Database, folder: Path) -> None:
    await call(database)
    write(folder / "unfinished" / NAME)
    waiting: list[int] = []
    assert await shelving_to(str(folder), database, waiting=waiting).bring()
    [row] = await rows(database, "call_records")
    assert row.recording == f"{folder}/{NAME}" and len(row.levels) == 2 * 20
    assert wav.read(folder / NAME).left == SOUND[0::2] and waiting == [0]


async def test_what_is_still_being_written_is_left_alone(database: Database, folder: Path) -> None:
    await call(database)
    path = folder / "unfinished" / NAME
    path.parent.mkdir(parents=True)
    file = WavFile(path)
    assert await shelving_to(str(folder), database).bring()
    assert path.exists()
    file.close()
    assert await shelving_to(str(folder), database).bring()
    assert not path.exists() and (folder / NAME).exists()


async def test_a_recording_without_a_record_waits_for_it_and_is_removed_in_the_end(
    database: Database, folder: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    path = write(folder / "unfinished" / NAME)
    os.utime(path, (NOW - 5, NOW - 5))
    shelves = shelving_to(str(folder), database)
    assert not await shelves.bring() and path.exists(), "asked for again soon"
    os.utime(path, (NOW - 600, NOW - 600))
    assert await shelves.bring() and path.exists()
    os.utime(path, (NOW - 4_000, NOW - 4_000))
    assert await shelves.bring() and not path.exists()
    assert "the call has no record any more" in caplog.text


async def test_a_second_stream_of_a_call_is_a_second_recording(database: Database, folder: Path) -> None:
    await call(database)
    write(folder / "unfinished" / NAME)
    write(folder / "unfinished" / f"{SID}-99999999.wav", SOUND[:1_600])
    assert await shelving_to(str(folder), database).bring()
    [row] = await rows(database, "call_records")
    assert row.recording.split("\n") == [f"{folder}/{NAME}", f"{folder}/{SID}-99999999.wav"]
    assert len(row.levels) == 2 * 20


# ---- to an object store

async def test_an_upload_goes_on_when_the_store_is_back_also_after_a_restart(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shelf, "_RETRIES", 0)
    port = free_port()
    away = Bucket(port)
    await call(database)
    path = write(unfinished(PLACE) / NAME)
    first = shelving_to(PLACE, database, away)
    assert not await first.bring() and path.exists()
    assert "are brought to their place later" in caplog.text and "simulated-secret" not in caplog.text
    async with object_store(port) as bucket:
        running = asyncio.create_task(shelving_to(PLACE, database, bucket).run())      # another process's
        async with asyncio.timeout(30):
            while path.exists():
                await asyncio.sleep(0.02)
        running.cancel()
        assert await bucket.names() == [NAME]
        stored = await bucket.read(NAME)
        Path("copy.wav").write_bytes(stored)
        assert wav.read(Path("copy.wav")).right == SOUND[1::2]
        [row] = await rows(database, "call_records")
        assert row.recording == f"{PLACE}/{NAME}"
        await shelf.remove(row.recording, bucket.options)
        await shelf.remove(row.recording, bucket.options)
        assert await bucket.names() == []
    with pytest.raises(ShelfFailed):
        await shelf.remove(row.recording, away.options)


async def test_erase_removes_a_caller_from_the_store_and_says_so(
    sqlite_url: str, capsys: pytest.CaptureFixture[str],
) -> None:
    other = "CA" + "2" * 32 + "-0000ffff.wav"
    url, port = parse_url(sqlite_url), free_port()
    async with object_store(port) as bucket:
        async with open_database(url) as database:
            await call(database)
            await call(database, other.partition("-")[0], caller=BOB)
            for name in (NAME, other):
                write(unfinished(PLACE) / name)
            assert await shelving_to(PLACE, database, bucket).bring()
            assert await bucket.names() == [NAME, other]
        code = await asyncio.to_thread(erase.run, options(), url, bucket.options)
        assert code == 0 and await bucket.names() == [other]
    assert "1 record of a call, 1 recording of a call" in capsys.readouterr().out
    async with open_database(url) as database:
        await call(database, recording=f"{PLACE}/{NAME}")
    code = await asyncio.to_thread(erase.run, options(), url, bucket.options)
    assert code == 1 and "0 recordings of 1 removed, and nothing else" in capsys.readouterr().err
    async with open_database(url) as database:
        assert len(await rows(database, "call_records")) == 2, "what could not be removed is not forgotten"


def options() -> argparse.Namespace:
    return argparse.Namespace(caller=ALICE, yes=True, undelivered=False)


# ---- what is old

async def test_old_recordings_are_removed_and_their_records_stay(database: Database, folder: Path) -> None:
    old, new = write(folder / NAME), write(folder / f"CA{2:032}-0000ffff.wav")
    await call(database, recording=str(old), ended=NOW - 40 * 86_400)
    await call(database, f"CA{2:032}", recording=str(new), ended=NOW)
    assert await forgetting.forget(Recordings(database), NOW - 30 * 86_400, {}) == 1
    assert not old.exists() and new.exists()
    assert {row.call_sid: row.recording for row in await rows(database, "call_records")} == {
        SID: "", f"CA{2:032}": str(new)}
    assert await forgetting.forget(Recordings(database), NOW - 30 * 86_400, {}) == 0


# ---- what is named

@pytest.mark.parametrize(("text", "place"), [
    ("recordings/", "recordings"), ("/var/calls", "/var/calls"), ("s3://bucket/a/", "s3://bucket/a"),
    ("gs://bucket", "gs://bucket")])
def test_a_place_is_a_folder_or_a_bucket(text: str, place: str) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize("text", [
    "https://example.com/calls", "s3://", "s3://key@bucket", "ftp://host/x", "memory:///"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a folder, or a bucket"):
        parse_place(text)


def test_without_the_package_a_store_is_refused_in_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(ValueError, match="needs the package obstore, which is not installed: pip install"):
        parse_place("s3://bucket")


@pytest.mark.parametrize(("text", "problem"), [
    ("region", "must be names and values"), ("region=", "must be names and values"),
    ("endpoint=http://elsewhere.example", "https://")])
def test_wrong_options_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_options(text)


def test_options_that_the_store_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be opened"):
        open_shelf("s3://bucket", {"colour": "blue"})
