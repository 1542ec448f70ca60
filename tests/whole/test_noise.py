"""A caller's turn that never ends, as on a noisy line: it is ended here, answered, and the noise does not cut that."""

import asyncio
import logging

import pytest

from bridge.call import floor, words
from bridge.call.bounds import BEGIN_MS
from bridge.call.floor import MOST_ENDLESS
from bridge.call.steps import HangUp, RunFunction
from bridge.records.endings import Ending
from bridge.sim.realtime import Turn
from tests.stage.office import GREETING_AUDIO, Office, line, office, speech
from tests.stage.talk import CLIPS, TIMING, Talk, asks, ends, greeted, press, retold, says, until

TURN_MS = 30_000


@pytest.fixture
def noisy() -> Talk:
    """The caller is heard, and no end of it is found."""
    talk = greeted(most_turn_ms=TURN_MS, clips=CLIPS, silence_prompt_ms=12_000)
    talk.caller_speaks()
    return talk


def noise(talk: Talk) -> None:
    """It goes on for as long as a turn may last."""
    if not talk.dialogue._floor.speaking:
        talk.caller_speaks()
    until(talk, talk.dialogue._bounds._at["turn"])


def answered(talk: Talk, number: int = 0) -> None:
    says(talk, f"r{number}", f"a{number}", "Sorry?", request=talk.requests[-1])


def test_the_audio_so_far_is_committed_and_answered_once_and_nothing_interrupts_that(noisy: Talk) -> None:
    noisy.to_model.clear()
    until(noisy, TURN_MS - 1)
    assert noisy.to_model == []
    until(noisy, TURN_MS)
    assert [message["type"] for message in noisy.to_model] == [
        "input_audio_buffer.commit", "session.update", "conversation.item.create", "response.create"]
    assert noisy.to_model[1]["session"]["audio"] == {"input": {"turn_detection": None}}
    assert retold(noisy) == [words.NO_PAUSE]
    assert "instructions" not in noisy.to_model[3]["response"]       # it may book, as any answer


def test_the_caller_is_listened_to_again_when_the_answer_was_heard(noisy: Talk) -> None:
    noise(noisy)
    noisy.frame("AAAA", at=20)
    assert not noisy.sent("input_audio_buffer.append")
    answered(noisy)
    listen, words_meanwhile = noisy.to_model[-2:]
    assert (listen["event_id"], words_meanwhile["audio"]) == ("listen", "AAAA")
    assert listen["session"]["audio"]["input"]["turn_detection"] == {"type": "server_vad"}


def test_a_turn_that_ends_in_time_is_the_server_s_to_answer(noisy: Talk) -> None:
    until(noisy, TURN_MS - 1)
    noisy.caller_stops()
    says(noisy, "r", "a", "Yes?")
    assert not noisy.sent("input_audio_buffer.commit") and "turn" not in noisy.dialogue._bounds


def test_a_second_start_does_not_put_the_bound_off(noisy: Talk) -> None:
    until(noisy, TURN_MS - 1)
    noisy.caller_speaks()
    until(noisy, TURN_MS)
    assert noisy.sent("input_audio_buffer.commit")


def test_it_may_be_waited_for() -> None:
    talk = greeted()
    talk.caller_speaks()
    assert talk.dialogue.deadline is None


def test_a_function_in_that_answer_is_answered_under_the_same_protection(noisy: Talk) -> None:
    noise(noisy)
    noisy.begins("r", noisy.requests[-1])
    noisy.calls("r", "schedule_meeting")
    assert isinstance(noisy.steps[0], RunFunction)
    noisy.done("r")
    assert len(noisy.sent("session.update")) == 1
    noisy.returns()
    answered(noisy)
    assert len(noisy.sent("session.update")) == 2


def test_an_answer_that_never_comes_does_not_make_a_deaf_call(noisy: Talk) -> None:
    noise(noisy)
    noisy.begins("r", noisy.requests[-1])
    noisy.speaks("r", "a")
    until(noisy, noisy.now + 2 * BEGIN_MS)
    assert len(noisy.sent("session.update")) == 2 or noisy.steps


def test_an_answer_without_a_sound_is_asked_for_again_under_protection(noisy: Talk) -> None:
    noise(noisy)
    noisy.begins("r", noisy.requests[-1])
    noisy.done("r")
    until(noisy, noisy.now + TIMING.retry_ms)
    answered(noisy, 1)
    assert len(noisy.requests) == 3 and len(noisy.sent("session.update")) == 2


def test_after_three_turns_in_a_row_without_a_word_the_call_ends_with_a_goodbye(noisy: Talk) -> None:
    for number in range(MOST_ENDLESS):
        noise(noisy)
        answered(noisy, number)
    noise(noisy)
    bye = noisy.sent("response.create")[-1]
    assert bye["response"]["instructions"] == words.NOT_UNDERSTOOD
    assert noisy.sent("session.update")[-1]["session"]["audio"]["input"]["turn_detection"] is None
    says(noisy, "bye", "b", "Goodbye.", request=bye["event_id"])
    while HangUp(Ending.LINE_TOO_NOISY) not in noisy.steps:
        noisy.time_passes()


@pytest.mark.parametrize("sign", ["words", "a pause"])
def test_a_caller_who_is_understood_goes_on(noisy: Talk, sign: str) -> None:
    for number in range(2 * MOST_ENDLESS):
        noise(noisy)
        if sign == "words":
            noisy.model(type="conversation.item.added", item={"id": f"c{number}", "type": "message", "role": "user"})
            noisy.model(type="conversation.item.input_audio_transcription.completed", item_id=f"c{number}",
                        transcript="Tomorrow at ten.")
        answered(noisy, number)
        if sign == "a pause":
            asks(noisy, f"c{number}", "Tomorrow at ten.")
            says(noisy, f"own{number}", f"o{number}", "Yes.")
    assert not any(message["response"].get("instructions") == words.NOT_UNDERSTOOD
                   for message in noisy.sent("response.create"))


def test_a_session_that_is_lost_meanwhile_is_followed_by_one_that_listens(noisy: Talk) -> None:
    noise(noisy)
    noisy.breaks()
    assert noisy.dialogue.listens
    noisy.to_model.clear()
    noisy.connects()
    assert noisy.requests and not noisy.sent("session.update")
    says(noisy, "r", "a", "Yes?", request=noisy.requests[-1])
    assert noisy.dialogue.quiet


def test_a_turn_that_ends_just_then_is_answered_once(noisy: Talk) -> None:
    noise(noisy)
    asked = noisy.requests[-1]
    noisy.caller_stops()                             # was on its way
    noisy.begins("own")
    noisy.model(type="error", error={"code": "input_audio_buffer_commit_empty", "event_id": "commit"})
    noisy.model(type="error", error={"code": "conversation_already_has_active_response", "event_id": asked})
    noisy.speaks("own", "o")
    ends(noisy, "own", "o")
    assert noisy.requests[-1] == asked and noisy.sent("session.update")[-1]["event_id"] == "listen"


def test_a_key_still_asks_for_a_person(noisy: Talk) -> None:
    noise(noisy)
    press(noisy, "1#")
    answered(noisy)
    assert len(noisy.requests) == 3                  # what was typed is answered next


# ---- over real sockets

async def heard(world: Office, ms: int) -> None:
    await world.phone.calls[-1].until_heard(ms)


async def test_a_caller_on_a_noisy_line_is_answered_to_the_end_again_and_again() -> None:
    first, second = line(700, seed=4), line(500, seed=5)
    async with office(Turn((first,)), Turn((second,)), MAX_TURN_S="1") as world:
        call = await world.greeted()
        going_on = asyncio.ensure_future(call.say(speech(60_000)))
        await heard(world, 600 + 700 + 500)
        assert call.played == GREETING_AUDIO + first.audio + second.audio
        commits = [event for event in world.session.received if event["type"] == "input_audio_buffer.commit"]
        assert len(commits) == 2
        assert not [event for event in world.session.received if event["type"] == "conversation.item.truncate"]
        going_on.cancel()
        assert world.model.connections == 1


async def test_noise_without_an_end_ends_with_a_goodbye(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(floor, "MOST_ENDLESS", 1)
    caplog.set_level(logging.INFO)
    answers = [Turn((line(200, seed=number),)) for number in range(2)]
    async with office(*answers, MAX_TURN_S="1", OPENAI_TRANSCRIPTION_MODEL="", clock_speed=5, rest=True) as world:
        call = await world.greeted()
        going_on = asyncio.ensure_future(call.say(speech(120_000)))
        await call.until_over()
        going_on.cancel()
        assert call.spoken == [] and call.played.endswith(line(200, seed=1).audio)
        assert world.rest[-1][1] == {"Status": "completed"}
    assert "line too noisy" in caplog.text
