"""`doctor --call`: a call that Twilio makes, and how long each leg of it took."""

from collections.abc import AsyncIterator

import pytest

from bridge.doctor import calling
from bridge.doctor.calling import Leg
from bridge.sim.twilio_rest import TwilioRest
from bridge.twilio_side.account import Account, Number
from bridge.twilio_side.rest import Credentials

ACCOUNT, TOKEN, MINE, OTHER, MOBILE = "AC" + "1" * 32, "a-token", "+15550001111", "+15550002222", "+15557654321"


@pytest.fixture
async def rest() -> AsyncIterator[TwilioRest]:
    async with TwilioRest(ACCOUNT, TOKEN) as rest:
        rest.numbers.add(MINE)
        yield rest


def account(rest: TwilioRest) -> Account:
    return Account(Credentials(rest.url, ACCOUNT, TOKEN))


async def test_each_leg_is_told(rest: TwilioRest) -> None:
    rest.calls.rings_s = rest.calls.speaks_s = 0.2
    found = await calling.called(account(rest), MOBILE, look_s=0.01)
    [made] = rest.calls.made
    assert (made.to, made.from_) == (MOBILE, MINE) and "<Say>" in made.twiml and "<Hangup" in made.twiml
    assert found.state == "ok" and found.says.startswith(f"{MOBILE} was called: Twilio takes it after ")
    assert "it rings after" in found.says and "it is answered after" in found.says and "it is over" in found.says


@pytest.mark.parametrize("end, state, words", [
    ("busy", "warning", "nobody answered"), ("no-answer", "warning", "nobody answered"),
    ("failed", "failure", "failed")])
async def test_a_call_that_comes_to_nothing(rest: TwilioRest, end: str, state: str, words: str) -> None:
    rest.calls.callee = end
    found = await calling.called(account(rest), MOBILE, look_s=0.01)
    assert found.state == state and words in found.says and found.do


async def test_a_refusal_is_told_in_twilios_words(rest: TwilioRest) -> None:
    rest.numbers.all.clear()
    assert "no number that can call" in (await calling.called(account(rest), MOBILE)).says
    rest.status = "suspended"
    found = await calling.called(account(rest), MOBILE)
    assert found.state == "failure" and "error 20003" in found.says


def test_who_calls_is_another_number_than_is_called() -> None:
    numbers = [Number("PN1", MINE), Number("PN2", "+15550009999", voice=False), Number("PN3", OTHER)]
    assert [calling.caller_for(numbers, to) for to in (MINE, MOBILE)] == [numbers[2], numbers[0]]
    assert calling.caller_for(numbers[:1], MINE) == numbers[0] and calling.caller_for([], MINE) is None


def test_a_call_that_does_not_end_is_not_proven() -> None:
    assert calling.judged(MOBILE, [Leg("queued", 0.2), Leg("ringing", 1.0)]).state == "not proven"
