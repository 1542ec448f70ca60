"""The webhooks that tell Twilio what a call does next."""

import logging
from datetime import UTC, datetime

from aiohttp import web

from bridge import keys
from bridge.meetings.message import Message
from bridge.reception import door, probe
from bridge.reception.refusals import refusals_told
from bridge.reception.token import PARAMETER
from bridge.records.database import StoreFailed
from bridge.twilio_side import recording, signature, twiml
from bridge.twilio_side.caller import Caller
from bridge.twilio_side.public_url import NoAddress, public_origin

log = logging.getLogger(__name__)

#: The request's parameters, once Twilio's signature was checked.
SAID = web.RequestKey("SAID", dict[str, str])
#: A CallStatus with which the call is over. Nobody hears our answer.
OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
#: A DialCallStatus with which a person has spoken with the caller.
ANSWERED = frozenset({"completed", "answered"})


async def incoming_call(request: web.Request) -> web.Response:
    """A call comes in. It is connected to its stream, or to the fallback if the model is known to be unreachable.

    Rejects it beyond the limits, or because its caller is blocked, and has Twilio ask again in a moment when the server
    stops. A probe of `python -m bridge doctor` is answered as a call would be, and is none.
    """
    if probe.HEADER in request.headers:
        return await _answer_probe(request)
    app, parameters = request.app, await _parameters(request)
    call = _call(request, parameters)
    if app[keys.STOPPING].draining:
        # With GET, Twilio's parameters stand in the query, and Twilio sends them again by itself.
        return _answer(twiml.try_again(call, request.path if request.method == "GET" else request.path_qs))
    blocked = app[keys.POLICY].blocked
    if blocked and blocked.blocks(call.caller):
        app[keys.METRICS].rejected("BLOCKED_CALLERS")
        log.warning("call %(call)s from %(caller)s was rejected: BLOCKED_CALLERS",
                    {"call": call.sid, "caller": str(call.caller)})
        app[keys.RECORDS].without_stream(call.sid, call.caller, call.called, "nobody")
        return _answer(twiml.not_in_service())
    if await _admitted(app, call):
        return _answer(_to_the_assistant(request, call))
    app[keys.RECORDS].without_stream(call.sid, call.caller, call.called, "nobody")
    return _answer(twiml.busy())


async def _answer_probe(request: web.Request) -> web.Response:
    """What a call would be answered with, without a stream's token."""
    answer, app = probe.taken(request, probe.WEBHOOK_PATH), request.app
    policy = app[keys.POLICY]
    try:
        await signature.check_webhook(request, policy.keys)
    except (web.HTTPForbidden, NoAddress):
        return probe.not_as_signed(request, answer)
    call = _call(request, {**await signature.form(request)})
    if app[keys.STOPPING].draining:
        document = twiml.try_again(call, request.path)
    elif (used_up := app[keys.BUDGET].used_up) or app[keys.BREAKER].open:
        document = twiml.in_place_of_the_assistant(policy.used_up if used_up else policy.fallback, call)
    else:
        document = twiml.stream(call, {}, policy.fallback if policy.ends_by_rest else None)
    response = _answer(document)
    response.headers[probe.ANSWER_HEADER] = answer
    return response


async def _admitted(app: web.Application, call: twiml.Call) -> bool:
    limit = await app[keys.ADMISSION].admit(call.sid, call.caller.number)
    if limit:
        app[keys.METRICS].rejected(limit)
        log.warning("call %(call)s from %(caller)s was rejected as busy: %(limit)s=%(value)d",
                    {"call": call.sid, "caller": str(call.caller), "limit": limit,
                     "value": app[keys.POLICY].limits.value(limit)})
    return limit is None


async def after_stream(request: web.Request) -> web.Response:
    """A stream has ended, of a call that REST cannot end. An end in order: hang up. Any other: the fallback."""
    parameters = await _parameters(request)
    if parameters.get("CallStatus") in OVER or await _ended_in_order(request.app, parameters):
        return _answer(twiml.hang_up())
    log.warning("call %(call)s: its stream ended out of order, and the caller gets the fallback",
                {"call": parameters.get("CallSid", "")})
    return _answer(twiml.in_place_of_the_assistant(
        request.app[keys.POLICY].fallback, _call(request, parameters)))


async def transfer_ended(request: web.Request) -> web.Response:
    """A transfer to a person has ended. If nobody answered, the caller comes back to the assistant."""
    parameters = await _parameters(request)
    status = parameters.get("DialCallStatus", "")
    log.info("call %(call)s: its transfer ended: %(status)s", {"call": parameters.get("CallSid", ""), "status": status})
    if status in ANSWERED or parameters.get("CallStatus") in OVER:
        request.app[keys.BACKGROUND].start(
            request.app[keys.RECORDS].nobody_comes_back(parameters.get("CallSid", "")))
        return _answer(twiml.hang_up())
    return _answer(_to_the_assistant(request, _call(request, parameters), resume=True))


async def call_status(request: web.Request) -> web.Response:
    """A call is over, as the number's status callback tells: one that never had a stream gives its line back now."""
    parameters = await _parameters(request)
    status = parameters.get("CallStatus", "")
    if status in OVER:
        request.app[keys.ADMISSION].over(parameters.get("CallSid", ""))
        request.app[keys.BACKGROUND].start(
            request.app[keys.RECORDS].nobody_comes_back(parameters.get("CallSid", "")))
        log.info("call %(call)s is over: %(status)s", {"call": parameters.get("CallSid", ""), "status": status})
    return web.Response(status=204)


async def message_recorded(request: web.Request) -> web.Response:
    """A caller has left a message. Twilio posts <Record>'s action, answered by a goodbye, and its status callback."""
    policy, parameters = request.app[keys.POLICY], await _parameters(request)
    try:
        left = recording.parse(parameters, policy.api)
    except recording.NotARecording as problem:
        raise web.HTTPBadRequest(text=f"{problem}.\n") from None
    is_callback = "RecordingStatus" in parameters
    kept = left is None or await _keep(request, left)
    if is_callback and not kept:
        raise web.HTTPServiceUnavailable(text="The message could not be written down.\n")    # Twilio tells it again
    return web.Response(status=204) if is_callback else _answer(twiml.say_goodbye(policy.fallback))


async def _keep(request: web.Request, left: recording.Recording) -> bool:
    """Writes the message down. False: it could not be, and the log says where the message is."""
    mailbox = request.app[keys.MAILBOX]
    try:
        if not mailbox.is_read:
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


async def _ended_in_order(app: web.Application, parameters: dict[str, str]) -> bool:
    """Whether the call ended in order. False if nothing is known: a needless apology is better than silence."""
    return bool(await app[keys.ADMISSION].ended_in_order(parameters.get("CallSid", "")))


def _to_the_assistant(request: web.Request, call: twiml.Call, *, resume: bool = False) -> str:
    policy, used_up = request.app[keys.POLICY], request.app[keys.BUDGET].used_up
    if used_up or request.app[keys.BREAKER].open:
        log.warning("call %(call)s: %(reason)s, and the caller gets the fallback", {
            "call": call.sid, "reason": "MAX_DAY_USD is used up" if used_up else "the model is unreachable"})
        request.app[keys.ADMISSION].sent_elsewhere(call.sid)
        request.app[keys.RECORDS].without_stream(call.sid, call.caller, call.called, "fallback")
        request.app[keys.METRICS].fault("sent to the fallback")
        return twiml.in_place_of_the_assistant(policy.used_up if used_up else policy.fallback, call)
    parameters = twiml.stream_parameters(call, resume=resume)
    if token := request.app[keys.TURNSTILE].mint(call.sid, call.account, parameters):
        parameters[PARAMETER] = token
    return twiml.stream(call, parameters, policy.fallback if policy.ends_by_rest else None)


def _call(request: web.Request, parameters: dict[str, str]) -> twiml.Call:
    return twiml.Call(
        public_origin(request, request.app[keys.POLICY].keys.public_url), Caller(parameters.get("From", "")),
        parameters.get("To", ""), parameters.get("CallSid", ""), parameters.get("AccountSid", ""))


async def _parameters(request: web.Request) -> dict[str, str]:
    """Twilio's parameters, by GET or form POST. Raises HTTPForbidden unless Twilio signed them, for our account."""
    policy = request.app[keys.POLICY]
    with refusals_told(request):
        if policy.keys:
            await signature.check_webhook(request, policy.keys)
        request[SAID] = parameters = {**request.query, **await signature.form(request)}
        if policy.account_sid and parameters.get("AccountSid") != policy.account_sid:
            raise web.HTTPForbidden(text="AccountSid is not that of TWILIO_ACCOUNT_SID.\n")
    door.let_in(request)
    return parameters


def _answer(document: str) -> web.Response:
    return web.Response(text=document, content_type="text/xml")


async def rescue(request: web.Request) -> web.Response | None:
    """The answer to a webhook that failed here: the fallback, because a caller waits. None: no caller waits."""
    parameters = request.get(SAID)
    if parameters is None or "RecordingStatus" in parameters:
        return None
    fallback = request.app[keys.POLICY].fallback
    if "RecordingSid" in parameters:                 # the fallback's own <Record>: the fallback must not begin anew
        return _answer(twiml.say_goodbye(fallback))
    return _answer(twiml.in_place_of_the_assistant(fallback, _call(request, parameters)))
