"""What is no answer to a caller: one without a sound, or that breaks off. It is asked for again, or gone on with."""

import logging
from typing import Any

import pytest

from bridge.call import words
from bridge.call.floor import RETRIES
from bridge.call.steps import HangUp
from bridge.records.endings import Ending
from bridge.sim.realtime import Call, Turn
from bridge.twilio_side.twiml import APOLOGY
from tests.stage.office import GREETING, GREETING_AUDIO, Office, line, office, speech
from tests.stage.talk import CLIPS, TIMING, Talk, asks, clips, ends, greeted, says, until

SILENT = Turn()
FILTERED = Turn(incomplete="content_filter")


# ---- without a sound

def done(talk: Talk, response: str, status: str, **details: object) -> None:
    talk.model(type="response.done", response={"id": response, "status": status, "status_details": details or None})


@pytest.mark.parametrize(("status", "details"), [
    ("completed", {}), ("", {}), ("incomplete", {"reason": "content_filter"}),
    ("incomplete", {"reason": "max_output_tokens"}), ("cancelled", {}), ("failed", {"error": {"code": "internal"}}),
])
def test_an_answer_without_a_sound_is_asked_for_again(
    status: str, details: dict[str, Any], caplog: pytest.LogCaptureFixture,
) -> None:
    talk = greeted(clips=CLIPS)
    asks(talk, "c", "Hello?")
    talk.begins("r")
    done(talk, "r", status, **details)
    until(talk, talk.now + TIMING.retry_ms)
    assert talk.requests[-1].startswith("answer")
    [record] = caplog.records
    assert details.get("reason", "") in record.getMessage()
    assert "internal" in record.getMessage() or "error" not in details


def test_a_caller_hears_a_word_meanwhile_and_the_fallback_after_the_third() -> None:
    talk = greeted(clips=CLIPS)
    asks(talk, "c", "Hello?")
    for attempt in range(RETRIES + 1):
        talk.begins(f"r{attempt}", talk.requests[-1] if attempt else None)
        until(talk, talk.now + 1_000)
        done(talk, f"r{attempt}", "completed")
        if not talk.steps:
            until(talk, talk.now + 1_000)
    assert clips(talk)[0] == "moment"
    assert talk.steps == [HangUp(Ending.MODEL_FAILED)]


@pytest.mark.parametrize("call", ["schedule_meeting", "end_call"])
def test_a_response_that_only_calls_a_function_is_an_answer(call: str) -> None:
    talk = greeted()
    asks(talk, "c", "Tomorrow at ten.")
    talk.begins("r")
    talk.calls("r", call)
    talk.done("r")
    assert "retry" not in talk.dialogue._bounds


def test_a_function_call_whose_status_is_not_told_is_made() -> None:
    talk = greeted()
    talk.begins("r")
    talk.model(type="response.output_item.done", response_id="r", item={
        "id": "f", "type": "function_call", "name": "check_availability", "call_id": "c", "arguments": "{}"})
    assert talk.dialogue._errands.running == {"c"}


def test_one_that_nobody_could_answer_is_no_call() -> None:
    talk = greeted()
    asks(talk, "c", "Tomorrow at ten.")
    talk.begins("r")
    talk.model(type="response.output_item.done", response_id="r", item={
        "id": "f", "type": "function_call", "name": "check_availability", "call_id": 7, "arguments": "{}"})
    talk.done("r")
    until(talk, talk.now + TIMING.retry_ms)
    assert talk.requests[-1].startswith("answer")


def test_one_that_the_caller_cut_is_not_asked_for_again() -> None:
    talk = greeted()
    asks(talk, "c", "Hello?")
    talk.begins("r")
    talk.caller_speaks()
    done(talk, "r", "cancelled", reason="turn_detected")
    assert "retry" not in talk.dialogue._bounds


def test_a_model_that_always_fails_after_a_syllable_is_given_up() -> None:
    talk = greeted()
    asks(talk, "c", "Hello?")
    for attempt in range(RETRIES + 1):
        talk.begins(f"r{attempt}", talk.requests[-1] if attempt else None)
        talk.speaks(f"r{attempt}", f"i{attempt}")
        talk.marks_return()
        talk.done(f"r{attempt}", "failed")
        if attempt < RETRIES:
            until(talk, talk.now + RETRIES * TIMING.retry_ms)
    assert talk.steps == [HangUp(Ending.MODEL_FAILED)]


def test_a_call_whose_time_is_over_is_not_kept_by_an_answer_without_a_sound() -> None:
    talk = greeted(most_ms=50_000)
    until(talk, 49_000)
    asks(talk, "c", "Hello?")
    talk.begins("r")
    until(talk, 50_000)
    talk.done("r")
    assert talk.sent("response.create")[-1]["response"]["instructions"] == words.TIME_OVER


# ---- half an answer

@pytest.mark.parametrize("status", ["incomplete", "cancelled"])
def test_an_answer_that_breaks_off_is_gone_on_with_once(status: str) -> None:
    talk = greeted()
    asks(talk, "c", "Tell me all.")
    talk.begins("r")
    talk.speaks("r", "a")
    talk.done("r", status)
    until(talk, talk.now + TIMING.retry_ms)
    note, request = talk.to_model[-2:]
    assert note["item"]["content"][0]["text"] == words.GO_ON
    assert request["type"] == "response.create" and "instructions" not in request["response"]
    talk.begins("r2", talk.requests[-1])
    talk.speaks("r2", "b")
    talk.done("r2", status)
    talk.marks_return()
    until(talk, talk.now + 10 * TIMING.retry_ms)
    assert len(talk.requests) == 2 and talk.dialogue.quiet


def test_every_answer_may_be_gone_on_with() -> None:
    talk = greeted()
    for number in range(4):
        asks(talk, f"c{number}", "Tell me all.")
        talk.begins(f"half{number}")
        talk.speaks(f"half{number}", f"a{number}")
        talk.done(f"half{number}", "incomplete")
        until(talk, talk.now + TIMING.retry_ms)
        says(talk, f"rest{number}", f"b{number}", "All of it.", request=talk.requests[-1])
    assert len(talk.requests) == 1 + 4


def test_a_caller_who_speaks_does_not_want_the_rest() -> None:
    talk = greeted()
    asks(talk, "c", "Tell me all.")
    talk.begins("r")
    talk.speaks("r", "a")
    talk.done("r", "incomplete")
    talk.caller_speaks()
    until(talk, talk.now + 10 * TIMING.retry_ms)
    assert len(talk.requests) == 1


def test_half_a_goodbye_is_one() -> None:
    talk = greeted()
    talk.begins("r")
    talk.calls("r", "end_call")
    talk.done("r")
    talk.begins("bye", talk.requests[-1])
    talk.speaks("bye", "b")
    talk.done("bye", "incomplete")
    ends(talk, "bye", "b")
    while not talk.steps:
        talk.time_passes()
    assert talk.steps == [HangUp(Ending.ASSISTANT_ENDED)]


# ---- over real sockets

async def asked(world: Office) -> None:
    call = world.phone.calls[-1]
    await call.say(speech(600))


@pytest.mark.parametrize("silent", [SILENT, FILTERED], ids=["empty", "filtered"])
async def test_a_greeting_without_a_sound_is_given_at_the_second_attempt_and_stays_protected(silent: Turn) -> None:
    async with office(GREETING, greeting=silent) as world:
        call = await world.greeted()
        assert call.played == GREETING_AUDIO
        greetings = [event["event_id"] for event in world.session.received if event["type"] == "response.create"]
        assert greetings == ["greeting_1", "greeting_2"]


@pytest.mark.parametrize("silent", [SILENT, FILTERED], ids=["empty", "filtered"])
async def test_a_caller_is_answered_at_the_second_attempt(silent: Turn, caplog: pytest.LogCaptureFixture) -> None:
    async with office(silent, Turn((line(500, seed=4),))) as world:
        call = await world.greeted()
        await asked(world)
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.played == GREETING_AUDIO + line(500, seed=4).audio
    assert "the model did not answer to the end" in caplog.text


async def test_a_model_that_never_makes_a_sound_ends_in_the_fallback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with office(*[SILENT] * 9) as world:
        call = await world.greeted()
        await asked(world)
        await call.until_over()
        assert call.spoken == [APOLOGY]
    assert "model failed" in caplog.text


async def test_an_answer_that_breaks_off_goes_on_over_the_line() -> None:
    half, rest = Turn((line(700, seed=4),), incomplete="max_output_tokens"), Turn((line(500, seed=5),))
    async with office(half, rest) as world:
        call = await world.greeted()
        await asked(world)
        await call.until_heard(600 + 700 + 500)
        await call.until_quiet()
        assert call.played == GREETING_AUDIO + line(700, seed=4).audio + line(500, seed=5).audio
        notes = [event["item"]["content"][0]["text"] for event in world.session.received
                 if event["type"] == "conversation.item.create"]
        assert notes == [words.GO_ON]


async def test_a_call_of_a_function_needs_no_sound() -> None:
    look = Turn((Call("check_availability", {"earliest_day": "tomorrow"}),))
    async with office(look, Turn((line(500, seed=4),))) as world:
        call = await world.greeted()
        await asked(world)
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
        assert call.played == GREETING_AUDIO + line(500, seed=4).audio
