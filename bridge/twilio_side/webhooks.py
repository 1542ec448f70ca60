"""Twilio's addresses: the voice webhook, and the stream of a call."""

import logging

from aiohttp import web

from bridge import keys
from bridge.call.session import CallSession
from bridge.twilio_side import signature, twiml
from bridge.twilio_side.caller import Caller

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
CLOSE_S = 0.5
#: Twilio's longest message is far below; a longer one ends the stream.
MAX_MESSAGE = 64 * 1024


async def incoming_call(request: web.Request) -> web.Response:
    """Somebody calls: connects the call to its stream, or rejects it as busy when MAX_CALLS are under way."""
    settings = request.app[keys.SETTINGS]
    if settings.TWILIO_AUTH_TOKEN:
        await signature.check_webhook(request, settings.TWILIO_AUTH_TOKEN, settings.PUBLIC_URL)
    parameters = {**request.query, **await signature.form(request)}
    if _full(request):
        log.warning("a call was rejected as busy: MAX_CALLS=%d are under way", settings.MAX_CALLS)
        document = twiml.busy()
    else:
        document = twiml.stream(
            signature.public_origin(request, settings.PUBLIC_URL), Caller(parameters.get("From", "")),
            parameters.get("To", ""), parameters.get("CallSid", ""), apologise=settings.rest_credentials)
    return web.Response(text=document, content_type="text/xml")


async def media_stream(request: web.Request) -> web.StreamResponse:
    """A call's stream: one CallSession, for as long as the call lasts."""
    settings = request.app[keys.SETTINGS]
    if settings.TWILIO_AUTH_TOKEN:
        signature.check_upgrade(request, settings.TWILIO_AUTH_TOKEN, settings.PUBLIC_URL)
    if _full(request):
        raise web.HTTPServiceUnavailable(text="MAX_CALLS are under way.\n")
    phone = web.WebSocketResponse(
        heartbeat=HEARTBEAT_S, timeout=CLOSE_S, compress=False, max_msg_size=MAX_MESSAGE, decode_text=False)
    await phone.prepare(request)
    call = CallSession(
        phone, Caller.from_path(request.match_info["number"]), settings=settings, http=request.app[keys.HTTP],
        tools=request.app[keys.TOOLS], background=request.app[keys.BACKGROUND])
    calls = request.app[keys.CALLS]
    calls.add(call)
    try:
        await call.run()
    finally:
        calls.discard(call)
    return phone


def _full(request: web.Request) -> bool:
    return len(request.app[keys.CALLS]) >= request.app[keys.SETTINGS].MAX_CALLS
