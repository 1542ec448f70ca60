"""Twilio's addresses: what a call does next, and the stream of a call."""

import asyncio
import logging
from datetime import UTC, datetime

from aiohttp import web

from bridge import keys
from bridge.call.session import CallSession
from bridge.meetings.message import Message
from bridge.records.database import StoreFailed
from bridge.settings import Settings
from bridge.twilio_side import recording, signature, twiml
from bridge.twilio_side.caller import Caller

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
CLOSE_S = 0.5
#: Twilio's longest message is far below; a longer one ends the stream.
MAX_MESSAGE = 64 * 1024
#: How long a caller may be kept in silence while the records are asked, seconds.
RECORDS_S = 2.0

#: A call of these is over: whatever we answer, nobody hears it.
OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
#: A person has spoken with the caller.
ANSWERED = frozenset({"completed", "answered"})


# ---- what a call does next

async def incoming_call(request: web.Request) -> web.Response:
    """Somebody calls: connects the call to its stream, or to the fallback when the model is known to be unreachable.

    Rejects it as busy when MAX_CALLS are under way.
    """
    settings, parameters = request.app[keys.SETTINGS], await _parameters(request)
    if _full(request):
        log.warning("a call was rejected as busy: MAX_CALLS=%d are under way", settings.MAX_CALLS)
        return _answer(twiml.busy())
    return _answer(_to_the_assistant(request, _call(request, parameters)))


async def after_stream(request: web.Request) -> web.Response:
    """A stream has ended, of a call that cannot be ended by REST: silence if that was in order, else the fallback."""
    parameters = await _parameters(request)
    if parameters.get("CallStatus") in OVER or await _ended_in_order(request, parameters.get("CallSid", "")):
        return _answer(twiml.hang_up())
    log.warning("call %(call)s: its stream ended out of order, and the caller gets the fallback",
                {"call": parameters.get("CallSid", "")})
    return _answer(twiml.in_place_of_the_assistant(
        _fallback(request.app[keys.SETTINGS]), _call(request, parameters)))


async def transfer_ended(request: web.Request) -> web.Response:
    """A person was dialled for a caller; where nobody answered, the caller comes back to the assistant."""
    parameters = await _parameters(request)
    status = parameters.get("DialCallStatus", "")
    log.info("call %(call)s: its transfer ended: %(status)s", {"call": parameters.get("CallSid", ""), "status": status})
    if status in ANSWERED or parameters.get("CallStatus") in OVER:
        return _answer(twiml.hang_up())
    return _answer(_to_the_assistant(request, _call(request, parameters), resume=True))


async def message_recorded(request: web.Request) -> web.Response:
    """A caller has left a message: as <Record>'s action, which says goodbye, and as its status callback."""
    settings, parameters = request.app[keys.SETTINGS], await _parameters(request)
    try:
        left = recording.parse(parameters, settings.TWILIO_API_URL)
    except recording.NotARecording as problem:
        raise web.HTTPBadRequest(text=f"{problem}.\n") from None
    is_callback = "RecordingStatus" in parameters
    kept = left is None or await _keep(request, left)
    if is_callback and not kept:
        raise web.HTTPServiceUnavailable(text="The message could not be written down.\n")    # Twilio tells it again
    return web.Response(status=204) if is_callback else _answer(twiml.say_goodbye(_fallback(settings)))


async def _keep(request: web.Request, left: recording.Recording) -> bool:
    """Whether the message is on disk; if not, the log says where it is."""
    mailbox = request.app.get(keys.MAILBOX)
    try:
        if mailbox is None:
            problem = "there is no WEBHOOK_URL to tell of it"
        else:
            await mailbox.take(_message(left, request.query.get("caller", "")), ready=left.ready)
            log.info("call %(call)s: the caller left a message of %(seconds)d s: %(message)s",
                     {"call": left.call_sid, "seconds": left.seconds, "message": left.sid})
            return True
    except StoreFailed as reason:
        problem = f"the database failed: {reason}"
    log.error("call %(call)s: MESSAGE %(message)s IS ONLY IN TWILIO'S CONSOLE: %(problem)s",
              {"call": left.call_sid, "message": left.sid, "problem": problem})
    return False


def _message(left: recording.Recording, caller: str) -> Message:
    return Message(
        id=left.sid, caller=Caller.from_path(caller).number, call_sid=left.call_sid, recording_url=left.url,
        seconds=left.seconds, recorded=datetime.now(UTC))


async def _ended_in_order(request: web.Request, call_sid: str) -> bool:
    """False where nothing is known: better a needless apology than a caller in silence."""
    try:
        async with asyncio.timeout(RECORDS_S):
            return bool(await request.app[keys.CALL_RECORDS].ended_in_order(call_sid))
    except (StoreFailed, TimeoutError) as reason:
        log.error("call %(call)s: how it ended could not be read: %(reason)s",
                  {"call": call_sid, "reason": str(reason) or "no answer in time"})
        return False


def _to_the_assistant(request: web.Request, call: twiml.Call, *, resume: bool = False) -> str:
    settings, breaker = request.app[keys.SETTINGS], request.app.get(keys.BREAKER)
    fallback = _fallback(settings)
    if breaker and breaker.open:
        log.warning("call %(call)s: the model is unreachable, and the caller gets the fallback", {"call": call.sid})
        return twiml.in_place_of_the_assistant(fallback, call)
    return twiml.stream(call, fallback if settings.rest_credentials else None, resume=resume)


def _fallback(settings: Settings) -> twiml.Fallback:
    return twiml.Fallback(
        settings.FALLBACK, settings.FALLBACK_MESSAGE or twiml.WORDS[settings.FALLBACK], settings.FALLBACK_GOODBYE,
        settings.FALLBACK_LANGUAGE, settings.FALLBACK_NUMBER)


def _call(request: web.Request, parameters: dict[str, str]) -> twiml.Call:
    return twiml.Call(
        signature.public_origin(request, request.app[keys.SETTINGS].PUBLIC_URL), Caller(parameters.get("From", "")),
        parameters.get("To", ""), parameters.get("CallSid", ""))


async def _parameters(request: web.Request) -> dict[str, str]:
    """What Twilio says, by GET or form POST. Raises HTTPForbidden unless it is Twilio that says it."""
    settings = request.app[keys.SETTINGS]
    if settings.TWILIO_AUTH_TOKEN:
        await signature.check_webhook(request, settings.TWILIO_AUTH_TOKEN, settings.PUBLIC_URL)
    return {**request.query, **await signature.form(request)}


def _answer(document: str) -> web.Response:
    return web.Response(text=document, content_type="text/xml")


# ---- the stream of a call

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
        tools=request.app[keys.TOOLS], background=request.app[keys.BACKGROUND],
        endings=request.app[keys.ENDINGS])
    calls = request.app[keys.CALLS]
    calls.add(call)
    try:
        await call.run()
    finally:
        calls.discard(call)
    return phone


def _full(request: web.Request) -> bool:
    return len(request.app[keys.CALLS]) >= request.app[keys.SETTINGS].MAX_CALLS
