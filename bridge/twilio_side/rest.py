"""Twilio's REST API, for a call that is under way.

Plain HTTP: one form POST on the application's session. Source: https://www.twilio.com/docs/voice/api/call-resource
"""

import asyncio
import logging

import aiohttp

from bridge.settings import Settings

log = logging.getLogger(__name__)

TIMEOUT_S = 3.0


async def complete_call(http: aiohttp.ClientSession, settings: Settings, call_sid: str) -> bool:
    """Hangs up, whatever TwiML would come next. False, and a log line, when Twilio did not take it."""
    address = f"{settings.TWILIO_API_URL}/2010-04-01/Accounts/{settings.TWILIO_ACCOUNT_SID}/Calls/{call_sid}.json"
    authorization = aiohttp.encode_basic_auth(settings.TWILIO_ACCOUNT_SID, settings.TWILIO_AUTH_TOKEN)
    try:
        async with http.post(
            address, data={"Status": "completed"}, headers={"Authorization": authorization},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), allow_redirects=False,
        ) as answer:
            if answer.ok:
                return True
            problem = f"status {answer.status}"
    except (aiohttp.ClientError, asyncio.TimeoutError) as error:
        problem = type(error).__name__
    log.error("Twilio did not end the call by REST (%s): check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN", problem)
    return False
