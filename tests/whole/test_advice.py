"""The advice in the log works: what an ERROR says is typed as it stands there, and helps."""

import asyncio
import logging
import re
import shlex
from pathlib import Path

import pytest
from aiohttp import web

from bridge import __main__ as program
from bridge.app import create_app
from bridge.sim.demo import serving
from bridge.tools import booking
from tests.stage.settings import make_settings
from tests.stage.booking import (
    WANTED, World, office, refused_and_not_undone, refused_late, run, schedule, settled,
)


def advised(caplog: pytest.LogCaptureFixture, about: str) -> list[list[str]]:
    """The commands that the last ERROR or WARNING about something names."""
    [*_, line] = [record.getMessage() for record in caplog.records
                  if record.levelno >= logging.WARNING and about in record.getMessage()]
    return [shlex.split(each) for each in re.findall(r"python -m bridge ([a-z]+ [a-z]+ [\w-]+)", line)]


async def types(world: World, arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """At the owner's terminal, which knows the settings of now."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{world.database}")
    monkeypatch.setenv("WEBHOOK_URL", ",".join(world.diary.receivers))
    return await asyncio.to_thread(program.main, arguments)


async def waits(world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """A meeting that is recorded, and whose news waits for hours."""
    monkeypatch.setattr("bridge.delivery.retries.FIRST_S", (3600.0,) * 3)
    monkeypatch.setattr(booking, "ANSWER_S", 1.0)
    world.status = 404
    recorded = await schedule(world.functions())
    assert recorded["status"] == "recorded"
    return str(recorded["meeting_id"])


async def test_what_waits_for_a_mended_receiver_is_sent_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with office(tmp_path) as world:
        meeting = await waits(world, monkeypatch)
        world.status = 204
        [command] = advised(caplog, f"{meeting} WAITS")
        assert await types(world, command, monkeypatch, tmp_path) == 0
        assert "1 delivery of all that is known will be sent again" in capsys.readouterr().out
        world.diary.outbox.wake()
        await settled(world)
        assert [body["id"] for body in world.bodies] == [meeting] * 2


async def test_what_waits_at_a_wrong_address_is_sent_to_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(tmp_path) as world:
        meeting = await waits(world, monkeypatch)
        world.takers = {"/mended"}
        receivers = world.diary.receivers
        assert isinstance(receivers, list)
        receivers[0] = receivers[0].replace("receiver-0", "mended")
        [command] = advised(caplog, f"{meeting} WAITS")
        assert await types(world, command, monkeypatch, tmp_path) == 0
        world.diary.outbox.wake()
        await settled(world)
        assert [body["receiver"] for body in world.bodies] == ["/receiver-0", "/mended"]


async def test_a_late_no_is_looked_at_and_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with office(tmp_path) as world:
        meeting = (await refused_late(world, "schedule_meeting", **WANTED))["meeting_id"]
        show, resend = advised(caplog, f"{meeting} WAS NOT DELIVERED")
        assert await types(world, show, monkeypatch, tmp_path) == 0
        assert "+15551234567" in capsys.readouterr().out
        assert await types(world, resend, monkeypatch, tmp_path) == 0
        world.diary.outbox.wake()
        await settled(world)
        assert (await schedule(world.functions()))["status"] == "confirmed"


async def test_a_no_that_the_caller_has_heard_asks_nothing_of_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with office(tmp_path) as world:
        world.status = 409
        meeting = (await schedule(world.functions()))["meeting_id"]
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert advised(caplog, meeting) == []
        assert await types(world, ["meetings", "resend", meeting], monkeypatch, tmp_path) == 1
        said = capsys.readouterr().err
        assert said == (
            f"meeting {meeting} has nothing to send again: it was refused, and the caller was told so. Its deliveries: "
            f"1 undone. To see whom to call: python -m bridge meetings show {meeting}\n")
        assert await types(world, ["meetings", "show", meeting], monkeypatch, tmp_path) == 0
        assert "+15551234567" in capsys.readouterr().out


async def test_a_cancellation_that_is_refused_can_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(tmp_path) as world:
        meeting = (await schedule(world.functions()))["meeting_id"]
        world.status = 409
        assert (await run(world.functions(), "cancel_meeting"))["status"] == "recorded"
        world.status = 204
        _, resend = advised(caplog, f"{meeting} WAS NOT DELIVERED")
        assert await types(world, resend, monkeypatch, tmp_path) == 0
        world.diary.outbox.wake()
        await settled(world)
        assert [body["type"] for body in world.bodies] == ["meeting.booked", "meeting.cancelled", "meeting.cancelled"]


async def test_a_no_that_could_not_be_undone_can_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(tmp_path) as world:
        meeting = (await refused_and_not_undone(world))["meeting_id"]
        world.status = 204
        [resend] = advised(caplog, f"{meeting} WAS REFUSED")
        assert await types(world, resend, monkeypatch, tmp_path) == 0
        world.diary.outbox.wake()
        await settled(world)
        assert (await schedule(world.functions()))["status"] == "confirmed"


async def test_what_was_given_up_after_days_can_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(tmp_path) as world:
        monkeypatch.setattr("bridge.delivery.retries.GIVE_UP_S", -1.0)      # it has been tried for days already
        world.status = 503
        assert (await schedule(world.functions()))["status"] == "recorded"
        [meeting] = await world.diary.meetings.all()
        world.status = 204
        [resend] = advised(caplog, f"{meeting.id} WAS NOT DELIVERED")
        assert await types(world, resend, monkeypatch, tmp_path) == 0
        world.diary.outbox.wake()
        await settled(world)
        assert len(world.bodies) == 2


async def test_a_server_that_starts_with_another_webhook_says_how_to_bring_what_waits_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("bridge.delivery.outbox.POLL_S", 0.1)
    came: list[str] = []

    async def take(request: web.Request) -> web.Response:
        came.append((await request.json())["id"])
        return web.Response(status=204)
    mended = web.Application()
    mended.router.add_post("/mended", take)
    async with office(tmp_path) as world, serving(mended) as origin:
        meeting = await waits(world, monkeypatch)
        assert isinstance(world.diary.receivers, list)
        world.diary.receivers[:] = [f"{origin}/mended"]
        settings = make_settings(DATABASE_URL=f"sqlite:///{world.database}", WEBHOOK_URL=f"{origin}/mended")
        async with serving(create_app(settings)):
            [command] = advised(caplog, "deliveries wait for an address that is not in WEBHOOK_URL any more: 1 of them")
            assert await types(world, command, monkeypatch, tmp_path) == 0
            await settled(world)
        assert came == [meeting]
        caplog.clear()
        async with serving(create_app(settings)):
            assert "not in WEBHOOK_URL" not in caplog.text


async def test_resend_all_with_nothing_that_waits_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions())
        assert await types(world, ["meetings", "resend", "all"], monkeypatch, tmp_path) == 1
        assert capsys.readouterr().err == "nothing waits to be sent\n"


async def test_the_list_needs_no_webhook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    async with office(tmp_path) as world:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{world.database}")
        monkeypatch.setenv("WEBHOOK_URL", "nonsense")
        assert await asyncio.to_thread(program.main, ["meetings"]) == 0
        assert await asyncio.to_thread(program.main, ["meetings", "resend", "all"]) == 2
    assert "WEBHOOK_URL must" in capsys.readouterr().err
