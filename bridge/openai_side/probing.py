"""Tries whether the model is back, while the breaker says that it is away.

A trial is what a call begins with: a session is set up, and asked to say a word. Only a sound proves anything: where
the account's credit is used up sessions open as ever, and nothing is answered. The word costs a tenth of a cent, at
most once a minute; while calls can be served nothing is tried.
"""

import asyncio
import logging

import aiohttp
from aiohttp import WSMsgType

from bridge.openai_side import realtime
from bridge.openai_side.breaker import Breaker
from bridge.openai_side.connection import Account, ModelSocket, ModelUnreachable, answer_ping, open_session

log = logging.getLogger(__name__)

TRIAL = "trial"
#: How long a trial waits for the sound, seconds.
ANSWER_S = 10.0
#: How often it is looked whether a trial is due, seconds.
LOOK_S = 1.0


async def probe_while_open(breaker: Breaker, http: aiohttp.ClientSession, account: Account, voice: str) -> None:
    """Runs until it is cancelled."""
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
                await _hear(session.socket)
        finally:
            await session.socket.close()
    except (ModelUnreachable, TimeoutError) as error:
        log.info("the model is still out of reach: %s", str(error) or f"it said nothing within {ANSWER_S:g} s")
        return False
    except Exception:
        log.exception("the model could not be tried")    # and is tried again: or the breaker would never close
        return False
    return True


async def _hear(socket: ModelSocket) -> None:
    """Until the model has made a sound. Raises ModelUnreachable when it will not."""
    await socket.send_frame(realtime.create_response(TRIAL, "Say the word: yes."), WSMsgType.TEXT)
    async for message in socket:
        if message.type is WSMsgType.PING:
            await answer_ping(socket, message.data)
        if message.type is not WSMsgType.TEXT:
            continue
        try:
            event = realtime.parse(message.data)
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
    raise ModelUnreachable(f"the connection was closed with code {socket.close_code}", final=False)


def _setup(voice: str) -> bytes:
    """A session as a call has it, without what a trial does not need."""
    return realtime.session_setup(instructions="", voice=voice, tools=[], turn_detection=None)
