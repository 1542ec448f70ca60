"""Twilio's addresses: the voice webhook, and the stream of a call."""

import logging
from time import monotonic
from typing import Self

from aiohttp import web

from bridge import keys
from bridge.call.session import CallSession, Services
from bridge.twilio_side import signature, twiml
from bridge.twilio_side.caller import Caller

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
CLOSE_S = 0.5
#: Twilio's longest message is far below; a longer one ends the stream.
MAX_MESSAGE = 64 * 1024


async def incoming_call(request: web.Request) -> web.Response:
    """Somebody calls: connects the call to its stream, rejects it as busy, or sends it on when the server stops."""
    settings = request.app[keys.SETTINGS]
    if settings.TWILIO_AUTH_TOKEN:
        await signature.check_webhook(request, settings.TWILIO_AUTH_TOKEN, settings.PUBLIC_URL)
    parameters = {**request.query, **await signature.form(request)}
    caller, call_sid = Caller(parameters.get("From", "")), parameters.get("CallSid", "")
    if request.app[keys.STOPPING].draining:
        # By GET everything that Twilio said stands in the address, and is said again.
        document = twiml.try_again(request.path if request.method == "GET" else request.path_qs, request.method)
    elif await _admitted(request.app, call_sid, caller):
        document = twiml.stream(
            signature.public_origin(request, settings.PUBLIC_URL), caller, parameters.get("To", ""), call_sid,
            apologise=settings.rest_credentials)
    else:
        document = twiml.busy()
    return web.Response(text=document, content_type="text/xml")


async def _admitted(app: web.Application, call_sid: str, caller: Caller) -> bool:
    limit = await app[keys.ADMISSION].admit(call_sid, caller.number)
    if limit:
        app[keys.METRICS].rejected(limit)
        log.warning("call %(call)s from %(caller)s was rejected as busy: %(limit)s=%(value)d", {
            "call": call_sid, "caller": str(caller), "limit": limit, "value": getattr(app[keys.SETTINGS], limit)})
    return limit is None


async def media_stream(request: web.Request) -> web.StreamResponse:
    """A call's stream: one CallSession, for as long as the call lasts."""
    app, settings = request.app, request.app[keys.SETTINGS]
    if settings.TWILIO_AUTH_TOKEN:
        signature.check_upgrade(request, settings.TWILIO_AUTH_TOKEN, settings.PUBLIC_URL)
    if app[keys.STOPPING].ending:
        raise web.HTTPServiceUnavailable(text="The server is stopping.\n")
    if len(app[keys.CALLS]) >= settings.MAX_CALLS:
        raise web.HTTPServiceUnavailable(text="MAX_CALLS are under way.\n")
    phone = web.WebSocketResponse(
        heartbeat=HEARTBEAT_S, timeout=CLOSE_S, compress=False, max_msg_size=MAX_MESSAGE, decode_text=False)
    await phone.prepare(request)
    with _Following(app) as following:
        call = CallSession(
            phone, Caller.from_path(request.match_info["number"]), _services(app), on_start=following.start)
        app[keys.CALLS].add(call)
        try:
            following.reason = await call.run()
        finally:
            app[keys.CALLS].discard(call)
    return phone


def _services(app: web.Application) -> Services:
    return Services(
        settings=app[keys.SETTINGS], http=app[keys.HTTP], tools=app[keys.TOOLS], background=app[keys.BACKGROUND],
        breaker=app[keys.BREAKER], metrics=app[keys.METRICS], admission=app[keys.ADMISSION])


class _Following:
    """What is counted and written down of a call while its stream lasts; nothing of it makes the call wait."""

    def __init__(self, app: web.Application) -> None:
        self._admission, self._metrics = app[keys.ADMISSION], app[keys.METRICS]
        self._call_sid: str | None = None
        self.reason = "internal error"

    def __enter__(self) -> Self:
        self._began = monotonic()
        self._metrics.call_opened()
        return self

    def start(self, call_sid: str, number: str) -> None:
        self._call_sid = call_sid
        self._admission.opened(call_sid, number)

    def __exit__(self, *_: object) -> None:
        self._metrics.call_closed(self.reason, monotonic() - self._began)
        if self._call_sid is not None:
            self._admission.closed(self._call_sid, self.reason)
