"""A call's stream: it is let in here, and one CallSession carries it until the call ends."""

from contextlib import suppress
from functools import partial

from aiohttp import web

from bridge import keys
from bridge.call.entrance import Entered, NotLetIn
from bridge.call.session import CallSession
from bridge.reception import door, probe
from bridge.reception.refusals import refusals_told
from bridge.reception.token import Refused
from bridge.twilio_side import signature
from bridge.twilio_side.caller import Caller
from bridge.twilio_side.media_streams import StartBody
from bridge.twilio_side.public_url import NoAddress, public_origin
from bridge.wire import handshake
from bridge.wire.websocket import CLOSE_S

#: The longest message (bytes). Twilio's are far shorter. A longer one ends the stream.
MAX_MESSAGE = 64 * 1024


async def media_stream(request: web.Request) -> web.StreamResponse:
    """Handles the upgrade of a stream. All streams have this address. The stream's `start` message names its call."""
    app, policy = request.app, request.app[keys.POLICY]
    if probe.HEADER in request.headers:
        return await _answer_probe(request)
    with refusals_told(request):
        if policy.keys:
            await signature.check_upgrade(request, policy.keys)
    door.let_in(request)
    if app[keys.STOPPING].ending:
        raise web.HTTPServiceUnavailable(text="The server is stopping.\n")
    if len(app[keys.CALLS]) >= policy.limits.calls:
        raise web.HTTPServiceUnavailable(text="MAX_CALLS are under way.\n")
    response, phone = await handshake.accept(request, most=MAX_MESSAGE, direct=app[keys.DIRECT])
    call = CallSession(
        phone, app[keys.SERVICES], public_origin(request, policy.keys.public_url),
        enter=partial(enter, app, request.match_info["number"]))
    app[keys.CALLS].add(call)
    if app[keys.DIRECT]:                             # the connection is the call's, and aiohttp is done with it
        app[keys.BACKGROUND].start(_carry(app, call))
    else:
        await _carry(app, call)
    return response


async def _carry(app: web.Application, call: CallSession) -> None:
    try:
        await call.run()
    finally:
        app[keys.CALLS].discard(call)


async def _answer_probe(request: web.Request) -> web.StreamResponse:
    """One message goes back, so that it is known that messages do; no call begins, and no model is connected."""
    answer = probe.taken(request, probe.STREAM_PATH)
    try:
        await signature.check_upgrade(request, request.app[keys.POLICY].keys)
    except (web.HTTPForbidden, NoAddress):
        return probe.not_as_signed(request, answer)
    socket = web.WebSocketResponse(timeout=CLOSE_S, compress=False, max_msg_size=MAX_MESSAGE)
    await socket.prepare(request)
    with suppress(ConnectionError):
        await socket.send_json({"event": "probe", "answer": answer})
        await socket.close()
    return socket


async def enter(app: web.Application, number: str, start: StartBody) -> Entered:
    """Lets a stream in, once, if a webhook was answered with it. Raises NotLetIn.

    `number`: the digits of the caller's number, from the path. Used only if the stream names no caller.
    """
    turnstile, said = app[keys.TURNSTILE], start.custom_parameters
    try:
        await turnstile.take(turnstile.check(start), start.call_sid)
    except Refused as refusal:
        raise NotLetIn(str(refusal)) from None
    caller = Caller(said["caller"]) if "caller" in said else Caller.from_path(number)
    recall = partial(app[keys.ADMISSION].take_history, start.call_sid) if said.get("resume") else None
    return Entered(caller, said.get("called", ""), recall)
