"""Tries whether the model is back, while the breaker says that it is away.

A trial is a whole set-up of a session, as a call makes it, and ends there: no response is asked for, so it costs
nothing. While calls can connect nothing is tried.
"""

import asyncio
import logging

import aiohttp

from bridge.openai_side import realtime
from bridge.openai_side.breaker import Breaker
from bridge.openai_side.connection import ModelUnreachable, open_session
from bridge.settings import Settings

log = logging.getLogger(__name__)

#: How often it is looked whether a trial is due, seconds.
LOOK_S = 1.0


async def probe_while_open(breaker: Breaker, http: aiohttp.ClientSession, settings: Settings) -> None:
    """Runs until it is cancelled."""
    now = asyncio.get_running_loop().time
    while True:
        await asyncio.sleep(LOOK_S)
        if breaker.probe_at is None or now() < breaker.probe_at:
            continue
        if await _reachable(http, settings):
            breaker.succeeded()
        else:
            breaker.failed(now())


async def _reachable(http: aiohttp.ClientSession, settings: Settings) -> bool:
    try:
        session = await open_session(http, settings, _setup(settings))
        await session.socket.close()
    except ModelUnreachable as error:
        log.info("the model is still out of reach: %s", error)
        return False
    except Exception:
        log.exception("the model could not be tried")    # and is tried again: or the breaker would never close
        return False
    return True


def _setup(settings: Settings) -> bytes:
    """A session as a call has it, without what a trial does not need."""
    return realtime.session_setup(instructions="", voice=settings.OPENAI_VOICE, tools=[], turn_detection=None)
