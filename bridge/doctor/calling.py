"""`doctor --call`: Twilio calls a number, says a sentence, and hangs up; how long each leg of it took.

To call one's own number proves the way in: Twilio asks the public address, and the assistant answers. It costs some
cents, so the command asks first.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from twilio.twiml.voice_response import VoiceResponse

from bridge.doctor.finding import Finding, sentence
from bridge.twilio_side.account import Account, Number, TwilioFailed

WORDS = "This is a test call of your bridge. It works. Goodbye."
#: How long it rings, how long it may last, and how long it is watched, seconds; and how often it is looked at.
RINGS_S, LASTS_S, WATCHED_S, LOOK_S = 30, 30, 75.0, 0.5
#: A call of these has come to its end: https://www.twilio.com/docs/voice/api/call-resource#call-status-values
_OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_SAID = {"queued": "Twilio takes it", "ringing": "it rings", "in-progress": "it is answered",
         "completed": "it is over"}


@dataclass(frozen=True, slots=True)
class Leg:
    """A call has come so far, `after_s` after it was asked for."""

    status: str
    after_s: float


def caller_for(numbers: Sequence[Number], to: str) -> Number | None:
    """Which of the account's numbers calls: another one than is called, if there is one."""
    able = [each for each in numbers if each.voice]
    return next((each for each in able if each.phone_number != to), able[0] if able else None)


def twiml() -> str:
    response = VoiceResponse()
    response.say(WORDS)
    response.hangup()
    return str(response)


async def ring(account: Account, to: str, from_: str, look_s: float = LOOK_S) -> AsyncIterator[Leg]:
    """Makes the call, and tells each leg as it comes. Raises TwilioFailed."""
    begun = time.monotonic()
    call = await asyncio.to_thread(account.call, to, from_, twiml(), RINGS_S, LASTS_S)
    status = call.status
    yield Leg(status, time.monotonic() - begun)
    while status not in _OVER and time.monotonic() - begun < WATCHED_S:
        await asyncio.sleep(look_s)
        call = await asyncio.to_thread(account.made_call, call.sid)
        if call.status != status:
            status = call.status
            yield Leg(status, time.monotonic() - begun)


async def called(account: Account, to: str, look_s: float = LOOK_S) -> Finding:
    """What became of a call to that number."""
    try:
        from_ = caller_for(await asyncio.to_thread(account.numbers), to)
        if from_ is None:
            return Finding("call", "failure", "The account has no number that can call.", "Buy one with voice.",
                           subject=to)
        legs = [leg async for leg in ring(account, to, from_.phone_number, look_s)]
    except TwilioFailed as problem:
        return Finding("call", "failure", sentence(str(problem)), "Mend that, and call again.", subject=to)
    return judged(to, legs)


def judged(to: str, legs: Sequence[Leg]) -> Finding:
    told = ", ".join(f"{_SAID.get(each.status, each.status)} after {each.after_s:.1f} s" for each in legs)
    last = legs[-1].status
    if last == "completed":
        return Finding("call", "ok", f"{to} was called: {told}.", subject=to, took_s=legs[-1].after_s)
    if last in ("busy", "no-answer"):
        return Finding("call", "warning", f"{to} was called, and nobody answered: {told}.",
                       "If it is your own number, see the log of this server, and what Twilio noted of the call.",
                       subject=to)
    if last in _OVER:
        return Finding("call", "failure", f"The call to {to} failed: {told}.",
                       "See what Twilio noted of the call, in its console.", subject=to)
    return Finding("call", "not proven", f"The call to {to} did not end in {WATCHED_S:g} s: {told}.", subject=to)
