"""Servers that speak the protocol nearly: no echo of metadata, odd fields, events that never come."""

import asyncio

import pytest

from bridge import keys
from bridge.call.steps import Reconnect
from bridge.call.timing import Timing
from bridge.sim.realtime import Call, Faults, Turn
from tests.stage.office import GREETING_AUDIO, Office, line, office, speech
from tests.stage.talk import TIMING, Talk, asks, says, until

ANSWER = Turn((line(500, seed=4),))
LOOK = Turn((Call("check_availability", {"earliest_day": "tomorrow"}),))


# ---- a server that does not say which request a response is for

@pytest.fixture
def mute() -> Talk:
    """Its server echoes no metadata. The greeting was heard."""
    talk = Talk(silence_prompt_ms=12_000).open()
    says(talk, "greeting", "hello", "Hello.")
    return talk


def test_the_greeting_is_the_response_that_was_asked_for(mute: Talk) -> None:
    assert mute.dialogue.quiet
    until(mute, TIMING.request_ms)
    assert not any(isinstance(step, Reconnect) for step in mute.steps)


def test_a_protected_greeting_of_such_a_server_is_over_when_it_was_heard() -> None:
    talk = Talk(protect=True).open()
    says(talk, "greeting", "hello", "Hello.")
    assert talk.sent("session.update")


def test_after_a_function_the_model_is_asked_to_go_on(mute: Talk) -> None:
    asks(mute, "c", "Tomorrow at ten.")
    mute.begins("r")
    mute.calls("r", "schedule_meeting")
    mute.done("r")
    mute.returns()
    says(mute, "booked", "b", "You are booked.")
    assert [request.partition("_")[0] for request in mute.requests] == ["greeting", "answer"]
    assert mute.dialogue.quiet


def test_the_server_s_own_answer_to_a_turn_is_not_taken_for_ours(mute: Talk) -> None:
    """Ours was under way when the caller spoke: the one that comes after the turn is explained by the turn."""
    until(mute, 12_000)                              # the caller is asked whether anybody is there
    asks(mute, "c", "Yes!")
    says(mute, "own", "o", "Good.")
    assert not mute.sent("response.cancel") and len(mute.heard("media")) == 2


def test_what_such_a_server_answered_by_itself_is_not_awaited_any_longer(mute: Talk) -> None:
    until(mute, 12_000)
    asks(mute, "c", "Yes!")
    says(mute, "own", "o", "Good.")
    until(mute, mute.now + TIMING.request_ms)
    assert not any(isinstance(step, Reconnect) for step in mute.steps) and mute.dialogue.quiet


def test_ours_that_begins_while_the_caller_speaks_is_cancelled(mute: Talk) -> None:
    until(mute, 12_000)
    mute.caller_speaks()
    mute.begins("late")
    assert [message["response_id"] for message in mute.sent("response.cancel")] == ["late"]


def test_an_error_that_names_no_event_is_about_what_was_asked(mute: Talk) -> None:
    mute.begins("r")
    mute.calls("r", "schedule_meeting")
    mute.done("r")
    mute.returns()
    mute.model(type="error", error={"code": "rate_limit_exceeded", "event_id": None})
    until(mute, mute.now + TIMING.retry_ms)
    assert len(mute.requests) == 3


def test_a_server_that_has_echoed_once_is_taken_at_its_word() -> None:
    talk = Talk().open()
    says(talk, "greeting", "hello", "Hello.", request="greeting_1")
    talk.begins("r")
    talk.calls("r", "schedule_meeting")
    talk.done("r")
    talk.returns()
    talk.begins("another")
    assert talk.dialogue._floor._requested == talk.requests[-1]


async def one_session(world: Office) -> None:
    """No session was given up for another one."""
    assert world.model.connections == 1
    [call] = world.app[keys.CALLS]
    assert call._dialogue.figures.reconnects == 0


async def converse(world: Office, *heard: bytes) -> None:
    """The caller asks twice, and hears each answer."""
    call = await world.greeted()
    for _ in heard:
        await call.say(speech(600))
        await call.until_speaking(after_ms=world.phone.clock.ms())
        await call.until_quiet()
    assert call.played == GREETING_AUDIO + b"".join(heard)
    await one_session(world)


async def test_a_conversation_with_a_server_that_echoes_no_metadata() -> None:
    turns = [ANSWER, LOOK, Turn((line(400, seed=5),))]
    async with office(*turns, faults=Faults(no_metadata=True), timing=Timing(request_ms=300)) as world:
        await converse(world, line(500, seed=4).audio, line(400, seed=5).audio)
        requests = [event for event in world.session.received if event["type"] == "response.create"]
        assert len(requests) == 2                    # the greeting, and one after the function


# ---- odd fields

async def test_a_conversation_in_which_whatever_only_informs_is_odd() -> None:
    async with office(ANSWER, LOOK, Turn((line(400, seed=5),)), faults=Faults(odd_fields=True)) as world:
        await converse(world, line(500, seed=4).audio, line(400, seed=5).audio)


# ---- events that never come

@pytest.mark.parametrize("kind", ["response.created", "response.done", "response.output_item.done"])
async def test_a_greeting_of_which_an_event_is_lost_is_heard_and_the_call_goes_on(kind: str) -> None:
    timing = Timing(mute_ms=300, request_ms=300, overrun_ms=300)
    async with office(ANSWER, ANSWER, faults=Faults(lost={kind: 1}), timing=timing) as world:
        world.errors_expected = ["response_cancel_not_active"]      # it is asked to stop, to be sure
        call = await world.greeted()
        await call.say(speech(600))
        await call.until_heard(600 + 500)
        assert call.played.startswith(GREETING_AUDIO) and call.spoken == []


@pytest.mark.parametrize(("kind", "first"), [
    ("response.output_item.done", LOOK), ("response.done", LOOK), ("response.created", LOOK),
    ("response.output_audio.delta", ANSWER), ("input_audio_buffer.speech_stopped", ANSWER),
    ("input_audio_buffer.speech_started", ANSWER), ("conversation.item.added", LOOK)])
async def test_a_turn_in_which_an_event_is_lost_is_answered_all_the_same(kind: str, first: Turn) -> None:
    timing = Timing(mute_ms=300, request_ms=300, answer_ms=300)
    async with office(first, ANSWER, ANSWER, timing=timing) as world:
        world.errors_expected = ["response_cancel_not_active"]
        call = await world.greeted()
        world.session._lost[kind] = 1
        await call.say(speech(600))
        await call.until_heard(600 + (250 if kind.endswith("delta") else 500))
        await call.until_quiet()
        assert call.spoken == []


async def test_marks_that_never_return_do_not_keep_the_silent_caller_from_being_asked() -> None:
    timing = Timing(unplayed_ms=100)
    async with office(Turn((line(300, seed=7),)), timing=timing, SILENCE_PROMPT_S="1", PROTECT_GREETING="0") as world:
        world.phone.late_marks_ms = 1e9
        call = await world.phone.dial()
        await call.until_heard(600 + 300)
        assert call.played == GREETING_AUDIO + line(300, seed=7).audio


# ---- without sockets

def test_a_response_whose_beginning_was_lost_is_the_one_that_was_asked_for() -> None:
    talk = Talk().open()
    talk.speaks("greeting", "hello")
    talk.marks_return()
    talk.done("greeting")
    assert talk.dialogue.quiet


def test_one_that_fails_before_its_beginning_was_heard_of_is_asked_for_again() -> None:
    talk = Talk().open()
    talk.done("greeting", "failed")
    until(talk, TIMING.retry_ms)
    assert talk.requests == ["greeting_1", "greeting_2"]


def test_an_answer_whose_beginning_and_end_were_lost_is_asked_for() -> None:
    talk = Talk().open()
    says(talk, "greeting", "hello", "Hello.", request="greeting_1")
    asks(talk, "c", "Hello?")
    until(talk, TIMING.answer_ms)
    assert talk.requests[-1].startswith("answer")


@pytest.mark.parametrize("brought", ["a function call", "an answer"])
def test_a_response_whose_end_was_lost_is_taken_for_over(brought: str) -> None:
    talk = Talk().open()
    says(talk, "greeting", "hello", "Hello.", request="greeting_1")
    talk.begins("r")
    if brought == "an answer":
        talk.speaks("r", "a")
        talk.model(type="response.output_item.done", response_id="r", item={
            "id": "a", "type": "message", "role": "assistant", "status": "completed"})
        talk.marks_return()
    else:
        talk.calls("r", "schedule_meeting")
        talk.returns()
    until(talk, talk.now + TIMING.mute_ms + 250)
    assert [message["response_id"] for message in talk.sent("response.cancel")] == ["r"]
    if brought == "an answer":
        assert talk.dialogue.quiet
    else:
        assert talk.requests[-1].startswith("answer")


def test_a_session_that_leaves_out_what_has_not_changed_still_speaks_as_before() -> None:
    talk = Talk().open()
    talk.model(type="session.updated", session={"audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
    assert talk.steps == []


async def test_nothing_of_it_is_left_behind() -> None:
    async with office(faults=Faults(no_metadata=True, odd_fields=True)) as world:
        await (await world.greeted()).hang_up()
        async with asyncio.timeout(5):
            while world.app[keys.CALLS]:
                await asyncio.sleep(0.005)
