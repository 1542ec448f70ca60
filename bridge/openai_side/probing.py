"""Tries whether the model is back, while the breaker says that it is away.

A trial begins like a call: a session is set up and asked to say a word. Only sound proves that the model is back. When
the account's credit is used up, sessions open as ever, and nothing is answered. The word costs a tenth of a cent. While
the breaker is closed nothing is tried.
"""

import asyncio
import logging

import aiohttp
from aiohttp import WSCloseCode

from bridge.openai_side import realtime
from bridge.openai_side.breaker import Breaker
from bridge.openai_side.connection import Account, ModelUnreachable, open_session
from bridge.wire.websocket import Websocket

log = logging.getLogger(__name__)

TRIAL = "trial"
#: How long a trial waits for the sound (s).
ANSWER_S = 10.0
#: How often to check whether a trial is due (s).
LOOK_S = 1.0


async def probe_while_open(breaker: Breaker, http: aiohttp.ClientSession, account: Account, voice: str) -> None:
    """The application's task: tries when `breaker.probe_at` has come. Runs until it is cancelled."""
    now = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(LOOK_S)
        if breaker.probe_at is None or now() < breaker.probe_at:
            continue
        if await _reachable(http, account, voice):
            breaker.tried()
        else:
            breaker.failed(now())


async def _reachable(http: aiohttp.ClientSession, account: Account, voice: str) -> bool:
    try:
        session = await open_session(http, account, _setup(voice))
        try:
            async with asyncio.timeout(ANSWER_S):
                await _hear(session.wire)
        finally:
            await session.wire.close(WSCloseCode.OK)
    except (ModelUnreachable, TimeoutError) as error:
        log.info("the model is still out of reach: %s", str(error) or f"it said nothing within {ANSWER_S:g} s")
        return False
    except Exception:
        log.exception("the model could not be tried")    # the task goes on: otherwise the breaker would stay open
        return False
    return True


async def _hear(wire: Websocket) -> None:
    """Asks for a word and waits for its first sound. Raises ModelUnreachable if none will come."""
    wire.send(realtime.create_response(TRIAL, "Say the word: yes."))
    while (message := await wire.receive()) is not None:
        try:
            event = realtime.parse(message)
        except realtime.Malformed:
            continue
        match event:
            case realtime.AudioDelta():
                return
            case realtime.Error(error=error) if error.fatal or error.event_id == TRIAL:
                raise ModelUnreachable(str(error), final=False)
            case realtime.ResponseDone(response=response):
                details = response.status_details
                raise ModelUnreachable(
                    f"it gave no answer ({details and details.error or response.status})", final=False)
    raise ModelUnreachable(f"the connection was closed with code {wire.close_code}", final=False)


def _setup(voice: str) -> bytes:
    """The set-up of a session like a call's, without instructions and tools."""
    return realtime.session_setup(instructions="", voice=voice, tools=[], turn_detection=None)
