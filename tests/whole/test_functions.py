"""What the model does in a call: bookings, and the end of the call; audio flows meanwhile."""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bridge.sim.phone import PhoneCall
from bridge.sim.realtime import Call, RealtimeSession, Turn
from bridge.sim.twilio_rest import RestFaults
from bridge.tools import booking
from tests.stage.disk import disk
from tests.stage.office import GREETING_AUDIO, Office, Scripted, line, office, speech

TOMORROW = (datetime.now(ZoneInfo("Asia/Dhaka")) + timedelta(days=1)).replace(second=0, microsecond=0)
BOOKING = {
    "name": "Ada Lovelace", "email": "Ada@Example.com", "datetime": TOMORROW.replace(tzinfo=None).isoformat(),
    "description": "The analytical engine"}
BOOK = Turn((Call("schedule_meeting", BOOKING),))


async def ask(call: PhoneCall) -> None:
    await call.say(speech(600))


def confirmed(session: RealtimeSession) -> Turn:
    """The second step, with the id that the first one answered."""
    [output] = [item.body["output"] for item in session.items.values() if item.type == "function_call_output"]
    return Turn((Call("schedule_meeting", {"confirmation_id": json.loads(output)["confirmation_id"]}),))


async def outputs(world: Office, count: int = 1) -> list[dict[str, Any]]:
    """What the model was answered, function by function."""
    created = [
        await world.session.until_received("conversation.item.create", count=number + 1) for number in range(count)]
    return [json.loads(event["item"]["output"]) for event in created]


async def test_a_meeting_reaches_the_webhook_and_the_caller_is_told() -> None:
    async with office(BOOK, Turn((line(500, seed=4),)), TIMEZONE="Asia/Dhaka") as world:
        call = await world.greeted()
        await ask(call)
        [output] = await outputs(world)
        assert output["status"] == "confirmed" and "Dhaka time" in output["message"]
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.played.endswith(line(500, seed=4).audio)
        [meeting] = world.meetings
        assert output["meeting_id"] == meeting["id"]
        assert {
            "name": "Ada Lovelace", "email": "Ada@example.com", "datetime": TOMORROW.isoformat(),
            "description": "The analytical engine", "phone_number": "+15557654321", "time_zone": "Asia/Dhaka",
            "call_sid": call.sid}.items() <= meeting.items()


async def test_a_meeting_is_booked_after_the_caller_has_agreed_to_what_was_read_back() -> None:
    async with office(BOOK, Turn((line(400),)), confirmed, Turn((line(500),)), CONFIRM_MEETINGS="1") as world:
        call = await world.greeted()
        await ask(call)
        [proposed] = await outputs(world)
        assert proposed["read_back"].endswith("UTC time") or proposed["read_back"].endswith("UTC")
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert world.meetings == []
        await ask(call)
        _, booked = await outputs(world, 2)
        assert booked["status"] == "confirmed" and len(world.meetings) == 1


async def test_a_caller_who_hides_the_number_gives_another_and_hears_of_the_meeting_again() -> None:
    wanted = {name: value for name, value in BOOKING.items() if name != "email"}
    turns = [Turn((Call("schedule_meeting", wanted),)), Turn((line(300),)),
             Turn((Call("schedule_meeting", {**wanted, "phone_number": "+49 30 901820"}),)), Turn((line(300),)),
             Turn((Call("list_meetings", {}),)), Turn((line(300),))]
    async with office(*turns) as world:
        call = await world.greeted(From="anonymous")
        for _ in range(3):
            await ask(call)
            await call.until_speaking(after_ms=world.phone.clock.ms())
            await call.until_quiet()
        refused, booked, listed = await outputs(world, 3)
        assert refused["status"] == "refused" and "one of the two" in refused["message"]
        assert booked["status"] == "confirmed"
        assert [each["meeting_id"] for each in listed["meetings"]] == [booked["meeting_id"]]
        [meeting] = world.meetings
        assert (meeting["email"], meeting["phone_number"], meeting["number_hidden"]) == ("", "+4930901820", True)


async def test_the_model_knows_when_the_business_is_open_and_whom_it_may_ask_for_a_number() -> None:
    tomorrow = f"{TOMORROW:%Y-%m-%d}"
    async with office(TIMEZONE="Asia/Dhaka", OPENING_HOURS="Mon-Fri 09:00-17:00", CLOSED_DAYS=tomorrow,
                      MINIMUM_NOTICE="2h", MEETING_MINUTES="45") as world:
        await world.greeted()
        await world.greeted(From="anonymous")
        known, hidden = (session.config for session in world.model.sessions)
        for config in (known, hidden):
            assert "Opening hours: Monday to Friday 09:00 to 17:00; closed on Saturday and Sunday." in (
                config["instructions"])
            assert f": {TOMORROW:%A} {TOMORROW.day} {TOMORROW:%B} {TOMORROW.year}." in config["instructions"]
            assert "forty-five minutes" in config["instructions"] and "at least two hours" in config["instructions"]
            assert "two steps" not in json.dumps(config), "CONFIRM_MEETINGS=0"
        assert "one of them is needed" in hidden["instructions"] and "one of them" not in known["instructions"]
        assert "phone_number" in json.dumps(hidden["tools"]) and "phone_number" not in json.dumps(known["tools"])


async def test_where_the_owner_wants_two_steps_and_an_address_the_model_is_told_so() -> None:
    async with office(CONFIRM_MEETINGS="1", MEETING_EMAIL="required") as world:
        await world.greeted()
        config = world.session.config
        [schedule] = [each for each in config["tools"] if each["name"] == "schedule_meeting"]
        assert "email" in schedule["parameters"]["required"]
        assert "confirmation_id" in schedule["parameters"]["properties"]
        assert "e-mail address, date and time" in config["instructions"]
        assert "only after the caller agreed" in config["instructions"]


async def test_the_hours_are_known_where_no_meetings_are_taken() -> None:
    async with office(webhook=False, OPENING_HOURS="Mon-Fri 09:00-17:00") as world:
        await world.greeted()
        instructions = world.session.config["instructions"]
        assert "Monday to Friday 09:00 to 17:00" in instructions and "schedule_meeting" not in instructions


def agreed(function: str, **said: str) -> Scripted:
    """The second step of a function, with the id that was answered last, and what the caller has said besides."""
    def turn(session: RealtimeSession) -> Turn:
        outputs = [item.body["output"] for item in session.items.values() if item.type == "function_call_output"]
        return Turn((Call(function, {"confirmation_id": json.loads(outputs[-1])["confirmation_id"], **said}),))
    return turn


async def test_what_a_caller_adds_corrects_and_cancels_reaches_the_webhook() -> None:
    answer = Turn((line(300),))
    read_back = TOMORROW.replace(tzinfo=None).isoformat(sep=" ")
    turns = [
        BOOK, answer, agreed("schedule_meeting", description="Allergic to penicillin", datetime=read_back), answer,
        Turn((Call("schedule_meeting", {"datetime": BOOKING["datetime"], "email": "ada@example.org"}),)), answer,
        Turn((Call("cancel_meeting", {}),)), answer, agreed("cancel_meeting"), answer]
    async with office(*turns, CONFIRM_MEETINGS="1", TIMEZONE="Asia/Dhaka") as world:
        call = await world.greeted()
        for _ in range(5):
            await ask(call)
            await call.until_speaking(after_ms=world.phone.clock.ms())
            await call.until_quiet()
        _, booked, corrected, asked, cancelled = await outputs(world, 5)
        assert booked["status"] == corrected["status"] == cancelled["status"] == "confirmed"
        assert "penicillin" in booked["message"] and "ada@example.org" in corrected["message"]
        assert "Nothing is cancelled yet" in asked["next"]
        assert {meeting["id"] for meeting in world.meetings} == {booked["meeting_id"]}
        assert [(meeting["type"], meeting["sequence"], meeting["email"]) for meeting in world.meetings] == [
            ("meeting.booked", 0, "Ada@example.com"), ("meeting.updated", 1, "ada@example.org"),
            ("meeting.cancelled", 2, "ada@example.org")]
        assert {meeting["description"] for meeting in world.meetings} == {"Allergic to penicillin"}


async def test_a_caller_hears_a_word_while_a_webhook_takes_its_time() -> None:
    async with office(BOOK, Turn((line(300, seed=5),)), Turn((line(300, seed=6),))) as world:
        world.may_answer.clear()
        call = await world.greeted()
        await ask(call)
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.played.endswith(line(300, seed=5).audio) and not world.meetings
        world.may_answer.set()
        await outputs(world)
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.played.endswith(line(300, seed=6).audio)


async def test_audio_flows_while_the_webhook_takes_its_time() -> None:
    async with office(Turn((line(2000, seed=4), Call("schedule_meeting", BOOKING))), Turn((line(300),))) as world:
        world.may_answer.clear()
        call = await world.greeted()
        await ask(call)
        await call.until_heard(600 + 2000)
        assert call.played == GREETING_AUDIO + line(2000, seed=4).audio
        await call.say(speech(40, seed=8))
        await world.session.until(lambda: speech(40, seed=8) in world.session.appended)
        assert not world.meetings
        world.may_answer.set()
        assert (await outputs(world))[0]["status"] == "confirmed"


async def test_two_hours_are_asked_about_and_the_model_learns_how_to_pass_the_one() -> None:
    """ "2 to 3 pm" was booked at 14:58; the caller hears a question, and the answer is booked as it was meant."""
    said = iter(["tomorrow 2 to 3 pm", "yes, tomorrow at 14h00"])

    def book(session: RealtimeSession) -> Turn:
        return Turn((Call("schedule_meeting", BOOKING | {"datetime": next(said)}),))

    async with office(book, Turn((line(400),)), book, Turn((line(500),)), TIMEZONE="Asia/Dhaka") as world:
        call = await world.greeted()
        await ask(call)
        [asked] = await outputs(world)
        assert asked["status"] == "refused" and asked["message"] == "At what time exactly should it begin?"
        assert "Pass only the time at which it begins" in asked["next"]
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert world.meetings == []
        await ask(call)
        _, booked = await outputs(world, 2)
        assert booked["status"] == "confirmed"
        assert [meeting["datetime"] for meeting in world.meetings] == [
            TOMORROW.replace(hour=14, minute=0).isoformat()]


async def test_two_bookings_of_one_response_are_answered_by_one() -> None:
    later = (TOMORROW + timedelta(days=1)).replace(tzinfo=None).isoformat()
    two = Turn((Call("schedule_meeting", BOOKING), Call("schedule_meeting", {**BOOKING, "datetime": later})))
    async with office(two, Turn((line(500, seed=4),))) as world:
        call = await world.greeted()
        await ask(call)
        assert [output["status"] for output in await outputs(world, 2)] == ["confirmed"] * 2
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert len([event for event in world.session.received if event["type"] == "response.create"]) == 2


@pytest.mark.parametrize("status", [409, 410, 422])
async def test_a_webhook_that_says_no_is_told_as_it_is(status: int) -> None:
    async with office(BOOK, Turn((line(300),))) as world:
        world.answers.append(status)
        await ask(await world.greeted())
        [output] = await outputs(world)
        assert output["status"] == "refused" and "not booked" in output["message"]


@pytest.mark.parametrize("status", [400, 401, 404, 413])
async def test_a_webhook_that_is_set_up_wrongly_refuses_nobody(
    status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(booking, "ANSWER_S", 0.5)
    async with office(BOOK, Turn((line(300),))) as world:
        world.answers += [status]
        await ask(await world.greeted())
        [output] = await outputs(world)
        assert output["status"] == "recorded" and "still to be confirmed" in output["message"]
        async with asyncio.timeout(10):
            while len(world.meetings) < 2:
                await asyncio.sleep(0.01)
        assert {meeting["id"] for meeting in world.meetings} == {output["meeting_id"]}, "it came when it could"
    assert f"WAITS: 127.0.0.1 answered with status {status}: " in caplog.text


async def test_a_webhook_that_never_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booking, "ANSWER_S", 0.05)
    async with office(BOOK, Turn((line(300),))) as world:
        world.may_answer.clear()
        await ask(await world.greeted())
        [output] = await outputs(world)
        assert output["status"] == "recorded"
        world.may_answer.set()


async def test_on_a_full_disk_the_caller_hears_the_truth_and_the_call_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:
    sorry, later = Turn((line(500, seed=4),)), Turn((line(500, seed=5),))
    with disk(tmp_path) as full:
        async with office(BOOK, sorry, BOOK, later, DATABASE_URL=f"sqlite:///{tmp_path}/bridge.db") as world:
            call = await world.greeted()
            full.fill()
            await ask(call)
            await call.until_speaking(after_ms=world.phone.clock.ms())
            await call.until_quiet()
            assert call.played.endswith(line(500, seed=4).audio) and not world.meetings
            full.empty()
            await ask(call)
            refused, booked = await outputs(world, 2)
            assert refused["status"] == "refused" and "nothing has been booked" in refused["message"]
            assert booked["status"] == "confirmed"
            assert [meeting["id"] for meeting in world.meetings] == [booked["meeting_id"]]
    assert "could not be written down: database or disk is full" in caplog.text


@pytest.mark.parametrize("call, reason", [
    (Call("schedule_meeting", "{broken"), "arguments are wrong"),
    (Call("schedule_meeting", {"name": "Ada"}), "date and time"),
    (Call("schedule_meeting", {**BOOKING, "email": "ada at example"}), "e-mail"),
    (Call("schedule_meeting", {**BOOKING, "datetime": "2001-01-01T10:00"}), "refused"),
    (Call("schedule_meeting", {**BOOKING, "datetime": "soon"}), "refused"),
    (Call("launch_rocket", {}), "no function 'launch_rocket'"),
])
async def test_what_cannot_be_done_is_answered_so_that_the_model_can_speak_about_it(call: Call, reason: str) -> None:
    async with office(Turn((call,)), Turn((line(500, seed=4),))) as world:
        phone_call = await world.greeted()
        await ask(phone_call)
        [output] = await outputs(world)
        assert reason in json.dumps(output)
        await phone_call.until_speaking(after_ms=world.phone.clock.ms())
        assert world.meetings == []


async def test_a_booking_outlives_a_caller_who_hangs_up() -> None:
    async with office(BOOK) as world:
        world.may_answer.clear()
        call = await world.greeted()
        await ask(call)
        await world.session.until(lambda: any(kind == "function_call" for _, kind, _ in world.session.log))
        await call.hang_up()
        await world.closed()
        world.may_answer.set()
    assert len(world.meetings) == 1


@pytest.mark.parametrize("rest", [False, True])
async def test_the_goodbye_is_heard_to_its_end_and_nothing_after_it(rest: bool) -> None:
    goodbye = line(1500, seed=4)
    async with office(Turn((goodbye, Call("end_call", {"reason": "done"}))), rest=rest) as world:
        call = await world.greeted()
        await ask(call)
        await call.until_over()
        assert call.played.endswith(goodbye.audio)
        assert call.spoken == []
        assert [form for _, form in world.rest] == [{"Status": "completed"}] * rest


async def test_when_rest_fails_the_call_still_ends(caplog: pytest.LogCaptureFixture) -> None:
    async with office(Turn((line(500), Call("end_call", {"reason": "done"}))), rest=True) as world:
        world.twilio.faults = RestFaults(status=500)
        call = await world.greeted()
        await ask(call)
        await call.until_over()
    assert "REST API did not end it: it answered with status 500" in caplog.text


async def test_an_end_without_a_word_is_given_a_goodbye() -> None:
    async with office(Turn((Call("end_call", {"reason": "done"}),)), Turn((line(800, seed=4),))) as world:
        call = await world.greeted()
        await ask(call)
        await call.until_over()
        assert call.played.endswith(line(800, seed=4).audio)
