"""The call survives over real sockets: a model that is lost, slow or renewed; a caller who is silent or leaves gaps."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bridge import keys
from bridge.call.clips import clips
from bridge.call.timing import Timing
from bridge.call.words import RESUMED, STILL_THERE, pressed
from bridge.records.endings import Ending
from bridge.sim.realtime import Call, Faults, Line, RealtimeSession, Turn
from bridge.twilio_side.twiml import APOLOGY
from tests.stage.office import GREETING_AUDIO, amid_an_answer, line, speech, told
from tests.stage.office import office as any_office

pytestmark = pytest.mark.usefixtures("way")

office = partial(any_office, clock_speed=10)
#: A session may last for a second, and is renewed before.
SHORT_SESSIONS = Timing(least_session_s=0.1)
LONG = Turn((Line("one two three four five six seven eight nine ten", line(8000).audio),), "What is there?")


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def clip(name: Any) -> bytes:
    return base64.b64decode(clips()[name].payload)


BREAKS: dict[str, Callable[[RealtimeSession], None]] = {
    **{str(code): partial(lambda code, session: session.close(code), code)
       for code in (1000, 1001, 1006, 1011, 1012, 1013)},
    "reset": lambda session: session.reset(),
    "no pong": lambda session: session.go_silent(),
}


@pytest.mark.parametrize("how", BREAKS)
async def test_a_model_that_is_lost_in_mid_sentence_goes_on_in_another_session(
    how: str, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(LONG, delta_speed=1.2, timing=Timing(tick_s=0.05)) as world:
        call = await amid_an_answer(world)
        BREAKS[how](world.session)
        second = await world.model.until_session(2)
        await second.until_received("response.create")
        heard = told(second)
        assert heard[0] == "600 ms of speech." and heard[1] == "What is there?" and heard[-1] == RESUMED
        assert "one two three four five six seven eight nine ten".startswith(heard[2])
        before = call.heard_ms
        await call.until_quiet()
        await call.until_heard(before + 100)         # the second session speaks
        assert second.config["audio"]["input"]["turn_detection"]
        assert call.spoken == [] and world.model.connections == 2
        await call.hang_up()
    assert "1 reconnects" in caplog.text


async def test_what_the_caller_says_meanwhile_is_heard_by_the_next_session() -> None:
    async with office(LONG, clock_speed=2) as world:
        call = await world.greeted()
        world.model.refuse(1)
        world.session.close(1011)
        await world.model.until(lambda: world.model.refused)     # what the first session was still sent is gone
        await call.say(speech(400, seed=7))
        second = await world.model.until_session(2)
        await second.until(lambda: speech(400, seed=7) in second.appended)
        assert world.model.refused == 1 and call.spoken == []


async def test_a_caller_hears_a_word_while_the_model_is_away() -> None:
    async with office(LONG, timing=Timing(hush_lost_ms=100, hush_ms=100)) as world:
        call = await world.greeted()
        world.model.refuse(1000)
        world.session.close(1012)
        await call.until_heard(call.heard_ms + (len(clip("moment")) + len(clip("still_here"))) / 8)
        assert clip("moment") in call.played and clip("still_here") in call.played
        world.model.refuse(0)
        await world.model.until_session(2)
        assert call.spoken == []


@pytest.mark.parametrize("rest", [False, True])
async def test_a_model_that_does_not_come_back_is_given_up_for_the_fallback(
    rest: bool, caplog: pytest.LogCaptureFixture,
) -> None:
    async with office(LONG, rest=rest, timing=Timing(give_up_s=0.7)) as world:
        call = await amid_an_answer(world)
        world.model.refuse(1000)
        world.session.close(1013)
        await call.until_over()
        assert call.spoken == [APOLOGY] and world.rest == []
        assert 2 <= world.model.refused <= 4
    assert "model unreachable" in caplog.text


async def test_a_key_that_is_refused_in_mid_call_is_not_tried_again() -> None:
    async with office(LONG) as world:
        call = await amid_an_answer(world)
        world.model.key = "sk-another"
        world.session.close(1011)
        await call.until_over()
        assert call.spoken == [APOLOGY] and world.model.refused == 1


async def test_a_first_session_that_fails_is_tried_again_and_greets() -> None:
    async with office() as world:
        for _ in range(2):
            world.model.refuse(2)
            call = await world.greeted()
            assert call.played == GREETING_AUDIO
        assert not world.app[keys.BREAKER].open      # four failures, but never three in a row


async def test_after_three_refusals_callers_get_the_fallback_at_once_until_the_model_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bridge.openai_side.breaker.FIRST_S", 0.05)
    monkeypatch.setattr("bridge.openai_side.probing.LOOK_S", 0.02)
    async with office(timing=Timing(give_up_s=1.0)) as world:
        world.model.refuse(1000)
        first = await world.phone.dial()
        await first.until_over()
        second = await world.phone.dial()
        await second.until_over()
        assert second.spoken == [APOLOGY] and second.stream_sid == ""
        world.model.refuse(0)
        await world.model.until_session()
        async with asyncio.timeout(5):
            while (third := await world.phone.dial()).stream_sid == "":
                await third.until_over()
        await third.until_speaking()


async def test_a_meeting_that_is_being_booked_when_the_model_is_lost_is_booked_once_and_told() -> None:
    book = Call("schedule_meeting", {
        "name": "Ada", "email": "ada@example.com", "datetime": "in three days at ten in the morning"})
    async with office(Turn((book,))) as world:
        world.may_answer.clear()
        call = await world.greeted()
        await call.say(speech(600))
        await world.session.until_sent("response.output_item.done", 2)
        world.session.close(1006)
        second = await world.model.until_session(2)
        world.may_answer.set()
        await second.until(lambda: outputs(second))
        assert outputs(second)[0]["status"] in ("confirmed", "recorded")
        assert len(world.meetings) == 1 and call.spoken == []


def outputs(session: RealtimeSession) -> list[dict[str, Any]]:
    """What functions have answered, as a session was told."""
    items = [event["item"] for event in session.received if event["type"] == "conversation.item.create"]
    return [json.loads(item["output"]) for item in items if item["type"] == "function_call_output"]


async def test_a_session_is_renewed_before_its_time_is_up_and_no_frame_is_lost() -> None:
    async with office(faults=Faults(expire_after_ms=40_000), timing=SHORT_SESSIONS) as world:
        call = await world.greeted()
        second = await world.model.until_session(2)
        world.model.faults = Faults()
        await second.until_received("conversation.item.create", 2)
        assert told(second) == ["600 ms of speech.", RESUMED]
        assert not second.received[-1]["type"].startswith("response")
        await world.session.until(lambda: world.session.closed)
        assert world.session.errors == []            # it was closed by us, before it expired
        words = speech(400, seed=3)
        await call.say(words)
        await second.until(lambda: words in second.appended)
        assert len(call.played) == len(GREETING_AUDIO)


async def test_a_renewal_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    timing = replace(SHORT_SESSIONS, renew_again_s=0.05)
    async with office(faults=Faults(expire_after_ms=40_000), timing=timing) as world:
        call = await world.greeted()
        world.model.refuse(1)
        await world.model.until_session(2)
        world.model.faults = Faults()
        await world.session.until(lambda: world.session.closed)
        assert world.model.refused == 1 and world.session.errors == []
        await call.hang_up()
        await world.closed()
    assert " 0 reconnects" in caplog.text


async def test_a_session_is_not_renewed_while_somebody_speaks() -> None:
    async with office(LONG, faults=Faults(expire_after_ms=12_000), timing=SHORT_SESSIONS) as world:
        call = await amid_an_answer(world)
        await world.model.until_session(2)
        assert call.queued_ms > 0 and not world.session.closed
        world.model.faults = Faults()
        await call.until_quiet()
        await world.session.until(lambda: world.session.closed)


async def test_a_session_that_waits_to_take_over_is_closed_when_the_one_before_it_is_lost() -> None:
    faults = Faults(expire_after_ms=12_000)
    async with office(LONG, faults=faults, delta_speed=1.2, timing=SHORT_SESSIONS) as world:
        await amid_an_answer(world)
        waiting = await world.model.until_session(2)
        world.model.faults = Faults()
        world.session.close(1011)
        third = await world.model.until_session(3)
        await third.until_received("response.create")
        await waiting.until(lambda: waiting.closed)
        assert not waiting.errors and not told(waiting)


async def test_responses_that_are_limited_are_asked_for_again_and_then_given_up() -> None:
    async with office(LONG, faults=Faults(limit_responses=2)) as world:
        world.errors_expected = ["rate_limit_exceeded"]
        await world.greeted()
    async with office(LONG, faults=Faults(limit_responses=9)) as world:
        world.errors_expected = ["rate_limit_exceeded"]
        call = await world.phone.dial()
        await call.until_over()
        assert call.spoken == [APOLOGY]


async def test_a_turn_that_the_model_does_not_answer_by_itself_is_answered_when_asked() -> None:
    async with office(LONG, faults=Faults(ignore_turns=1), timing=Timing(answer_ms=200)) as world:
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        assert len([event for event in world.session.received if event["type"] == "response.create"]) == 2


async def test_a_response_that_brings_nothing_is_given_by_another_session() -> None:
    async with office(LONG, timing=Timing(mute_ms=300)) as world:
        call = await world.greeted()
        world.session.faults = Faults(mute_responses=1)
        await call.say(speech(600))
        second = await world.model.until_session(2)
        await second.until_received("response.create")
        await call.until_speaking(after_ms=world.phone.clock.ms())


async def test_a_model_that_reads_nothing_is_left_for_another_and_the_call_goes_on() -> None:
    faults = Faults(stop_reading=True)
    async with office(faults=faults, timing=Timing(stall_s=0.2), PROTECT_GREETING="0") as world:
        call = await world.phone.dial()
        await (await world.model.until_session()).until_sent("session.updated")
        world.model.faults = Faults()
        frame = json.dumps({"event": "media", "media": {
            "track": "inbound", "timestamp": "1", "payload": base64.b64encode(b"x" * 40_000).decode()}})
        while world.model.connections < 2:
            await call.send_text(frame)
            await asyncio.sleep(0)                   # a send that need not wait gives nobody else a turn
        await call.until_heard(600)
        assert call.spoken == []


@pytest.mark.parametrize("how", ["lost", "renewed"])
async def test_a_call_that_ends_while_a_session_follows_another_leaves_none_of_them_open(
    how: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = Faults(expire_after_ms=12_000) if how == "renewed" else Faults()
    async with office(LONG, faults=faults, timing=SHORT_SESSIONS) as world:
        call = await (world.greeted() if how == "renewed" else amid_an_answer(world))
        [session] = world.app[keys.CALLS]
        held = session._model._wire                  # or the garbage collector might close it
        if how == "lost":
            session._model.lose("it answers nothing")
            session.end(Ending.SERVER_KILLED)
        else:
            monkeypatch.setattr(session, "model_renewed", lambda: session.end(Ending.SERVER_KILLED))
        await call.until_over()
        async with asyncio.timeout(5):
            while not all(each.closed for each in world.model.sessions):
                await asyncio.sleep(0.005)
        assert held


# ---- the caller

async def test_a_gap_in_the_middle_of_a_word_does_not_keep_the_turn_open() -> None:
    async with office(LONG) as world:
        call = await world.greeted()
        saying = asyncio.ensure_future(call.say(speech(2000)))
        await world.session.until_sent("input_audio_buffer.speech_started")
        call.lose_frames(1500)
        await world.session.until_sent("input_audio_buffer.speech_stopped")
        await saying


async def test_a_phone_that_sends_nothing_any_more_ends_its_turn() -> None:
    async with office(LONG, timing=Timing(missing_ms=300)) as world:
        call = await world.greeted()
        saying = asyncio.ensure_future(call.say(speech(4000)))
        await world.session.until_sent("input_audio_buffer.speech_started")
        call.lose_frames(60_000)
        await world.session.until_sent("input_audio_buffer.speech_stopped")
        saying.cancel()


async def test_a_phone_that_sends_nothing_at_all_is_let_go_of(caplog: pytest.LogCaptureFixture) -> None:
    async with office(timing=Timing(dead_s=0.3)) as world:
        call = await world.greeted()
        call.lose_frames(600_000)
        await call.until_over()
    assert "phone lost" in caplog.text


async def test_a_silent_caller_is_asked_once_and_then_left(caplog: pytest.LogCaptureFixture) -> None:
    async with office(Turn((line(300),)), Turn((line(400),)), rest=True, SILENCE_PROMPT_S="1") as world:
        call = await world.greeted()
        await call.until_over()
        asked = [event["response"].get("instructions") for event in world.session.received
                 if event["type"] == "response.create"]
        assert asked[1] == STILL_THERE and len(asked) == 3
        assert call.heard_ms == 600 + 300 + 400
        assert [form for _, form in world.rest] == [{"Status": "completed"}]
    assert "caller silent" in caplog.text


async def test_a_call_ends_politely_when_its_time_is_used_up(caplog: pytest.LogCaptureFixture) -> None:
    async with office(Turn((line(400),)), rest=True, MAX_CALL_S="1") as world:
        call = await world.greeted()
        await call.until_over()
        assert call.heard_ms == 1000 and call.spoken == []
    assert "time used up" in caplog.text


async def test_a_call_ends_politely_when_its_money_is_used_up(caplog: pytest.LogCaptureFixture) -> None:
    async with office(Turn((line(400),)), MAX_CALL_USD="0.00001") as world:
        call = await world.greeted()
        await call.until_over()
        assert call.spoken == []
    assert "money used up" in caplog.text


async def test_keys_reach_the_model_as_words() -> None:
    async with office(LONG) as world:
        call = await world.greeted()
        await call.press("42#")
        await world.session.until_received("response.create", 2)
        assert told(world.session) == [pressed("42")]
        await call.until_speaking(after_ms=world.phone.clock.ms())
