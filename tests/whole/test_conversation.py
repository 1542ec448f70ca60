"""A caller talks with the model: greeting, audio both ways, and what must not disturb it."""

import asyncio
import json
import logging
import re

import pytest

from bridge import keys
from bridge.sim.realtime import Faults, Turn
from bridge.sim.speech import SILENCE
from tests.stage.office import GREETING_AUDIO, Office, line, office, speech

pytestmark = pytest.mark.usefixtures("way")


async def heard_by_model(world: Office, audio: bytes) -> None:
    """Until the model has received this, whole and in order."""
    await world.session.until(lambda: audio in world.session.appended)


async def test_the_assistant_speaks_first_and_word_for_word() -> None:
    async with office(GREETINGS_RESPONSE="Good morning, Bridge Dental.") as world:
        call = await world.greeted()
        assert call.played == GREETING_AUDIO
        greeting = await world.session.until_received("response.create")
        assert greeting["response"]["instructions"].endswith("Good morning, Bridge Dental.")
        assert greeting["response"]["tool_choice"] == "none"


async def test_the_session_is_set_up_for_a_phone_as_the_settings_say() -> None:
    async with office(
        OPENAI_VOICE="cedar", SYSTEM_MESSAGE="You sell boats.", TIMEZONE="Asia/Dhaka", NOISE_REDUCTION="near_field",
        TURN_DETECTION="semantic_vad,eagerness=low", OPENAI_TRANSCRIPTION_MODEL="gpt-live-transcribe",
    ) as world:
        await world.greeted()
        config = world.session.config
        assert config["audio"]["output"] == {"format": {"type": "audio/pcmu"}, "voice": "cedar", "speed": 1.0}
        assert config["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        assert config["audio"]["input"]["noise_reduction"]["type"] == "near_field"
        assert config["audio"]["input"]["transcription"]["model"] == "gpt-live-transcribe"
        assert config["audio"]["input"]["turn_detection"]["eagerness"] == "low"
        assert config["instructions"].startswith("You sell boats.")
        assert "Asia/Dhaka (UTC+06:00)" in config["instructions"]
        assert [tool["name"] for tool in config["tools"]] == [
            "schedule_meeting", "reschedule_meeting", "cancel_meeting", "list_meetings", "check_availability",
            "end_call"]


async def test_without_a_webhook_no_meeting_is_offered() -> None:
    async with office(webhook=False, OPENAI_TRANSCRIPTION_MODEL="") as world:
        await world.greeted()
        assert [tool["name"] for tool in world.session.config["tools"]] == ["end_call"]
        assert world.session.config["audio"]["input"]["transcription"] is None


async def test_both_directions_are_byte_exact() -> None:
    reply = line(3000, seed=5)
    async with office(Turn((reply,))) as world:
        call = await world.greeted()
        await call.say(speech(1500, seed=6))
        await heard_by_model(world, speech(1500, seed=6))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.played == GREETING_AUDIO + reply.audio
        assert len(world.session.appended) % 160 == 0


async def test_what_is_played_to_the_caller_is_not_taken_for_the_caller() -> None:
    async with office() as world:
        world.phone.both_tracks = True
        call = await world.greeted()
        await call.say(speech(300))
        await heard_by_model(world, speech(300))
        assert GREETING_AUDIO[-160:] not in world.session.appended


async def test_words_during_a_protected_greeting_reach_the_model_after_it() -> None:
    async with office(Turn((line(500),))) as world:
        call = await world.phone.dial()
        await call.until_speaking()
        await call.say(speech(200))
        assert not world.session.appended
        await call.until_quiet()
        await heard_by_model(world, speech(200))
        assert call.played.startswith(GREETING_AUDIO)


async def test_an_unprotected_greeting_can_be_interrupted() -> None:
    async with office(Turn((line(500),)), greeting=Turn((line(4000, seed=9),)), PROTECT_GREETING="0") as world:
        call = await world.phone.dial()
        await call.until_speaking()
        await call.say(speech(600))
        await world.session.until_received("conversation.item.truncate")
        assert call.heard_ms < 4000


async def test_words_before_the_model_is_there_come_first() -> None:
    async with office(Turn((line(500),)), PROTECT_GREETING="0") as world:
        world.phone.wait_before_start_ms = 0
        call = await world.phone.dial()
        await call.say(speech(100, seed=3))
        session = await world.model.until_session()
        await session.until(lambda: speech(100, seed=3) in session.appended)
        before, _, _ = bytes(session.appended).partition(speech(100, seed=3))
        assert set(before) <= {SILENCE[0]}


async def test_unknown_and_malformed_messages_of_the_model_harm_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with office(Turn((line(500, seed=5),)), faults=Faults(unknown_events=True, malformed=True)) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.played == GREETING_AUDIO + line(500, seed=5).audio
    complaints = [record for record in caplog.records if "could not be read" in record.getMessage()]
    assert len(complaints) == 1


async def test_unknown_and_malformed_messages_of_the_phone_harm_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with office() as world:
        call = await world.greeted()
        for text in ("{", "[]", '{"event":"news"}', '{"event":"media"}', '{"event":"media","media":{"payload":7}}',
                     '{"event":"mark","mark":{"name":"never sent"}}', '{"event":"dtmf","dtmf":{"digit":"1"}}'):
            await call.send_text(text)
        await call.say(speech(300))
        await heard_by_model(world, speech(300))
    complaints = [record for record in caplog.records if "could not be read" in record.getMessage()]
    assert len(complaints) == 1


async def test_a_payload_that_is_no_base64_does_not_reach_the_model(caplog: pytest.LogCaptureFixture) -> None:
    async with office() as world:
        call = await world.greeted()
        for payload in ('"},{"type":"response.create"} \u2028', "////*", "///", ""):
            await call.send_text(json.dumps({
                "event": "media", "media": {"track": "inbound", "timestamp": "1", "payload": payload}}))
        await call.say(speech(300))
        await heard_by_model(world, speech(300))
        assert world.session.errors == []
    assert len([record for record in caplog.records if "could not be read: media: " in record.getMessage()]) == 1


async def test_calls_side_by_side_do_not_hear_each_other() -> None:
    async with office(clock_speed=5) as world:
        calls = await asyncio.gather(*(world.phone.dial(f"+1555000{number:04}") for number in range(8)))
        await asyncio.gather(*(call.until_heard(600) for call in calls))
        await asyncio.gather(*(call.say(speech(300, seed=number)) for number, call in enumerate(calls)))
        for number in range(8):
            spoken = speech(300, seed=number)
            async with asyncio.timeout(10):          # audio is news to its session only
                while not any(spoken in session.appended for session in world.model.sessions):
                    await asyncio.sleep(0.005)
            assert len([session for session in world.model.sessions if spoken in session.appended]) == 1
        await asyncio.gather(*(call.until_quiet() for call in calls))
        assert {call.played for call in calls} == {GREETING_AUDIO}


async def test_one_line_when_a_call_opens_and_one_when_it_closes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with office() as world:
        call = await world.greeted()
        await call.hang_up()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("bridge.call")]
    assert len(lines) == 2
    assert call.sid in lines[0] and "+15*******21" in lines[0]
    assert call.sid in lines[1] and "caller hung up" in lines[1]
    assert re.search("first audio after [0-9]+ ms$", lines[1])
    assert "5557654321" not in caplog.text and world.model.key not in caplog.text


async def test_of_a_call_in_which_nothing_was_said_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with office(greeting=Turn()) as world:
        call = await world.phone.dial()
        await world.model.until_session()
        await call.hang_up()
        await world.closed()
    [line] = [record.getMessage() for record in caplog.records if " closed after " in record.getMessage()]
    assert line.endswith(", no audio")


async def test_more_calls_than_allowed_are_busy() -> None:
    async with office(MAX_CALLS="1") as world:
        first = await world.greeted()
        second = await world.phone.dial()
        assert second.rejected == "busy"
        await first.hang_up()
        await world.closed()
        assert not world.app[keys.CALLS]
        third = await world.phone.dial()
        assert third.rejected is None
