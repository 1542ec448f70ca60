"""What all answers have in common: headers that keep browsers from doing anything with them, and no details of a fault.

1. An unexpected exception becomes an id: it stands in the answer and, with the traceback, in the log.
2. Twilio's webhooks are answered with TwiML even then: a caller is not left in silence.
3. Who is refused leaves nothing that only a full garbage collection would find.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bridge.loop.yielding import yield_loop

log = logging.getLogger(__name__)

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Server": "bridge",
}

#: What a webhook is answered with after a fault; None where a status is enough.
Rescue = Callable[[web.Request], Awaitable[web.Response | None]]


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """A signal's receiver, for every response. What a page says for itself counts: its Content-Security-Policy, say."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = HEADERS["Server"]   # aiohttp has told its version by then


def hide_faults(rescue: Rescue) -> Middleware:
    """A middleware."""
    @web.middleware
    async def hide(request: web.Request, handler: Handler) -> web.StreamResponse:
        await yield_loop()                           # no request is as urgent as audio, a stranger's least of all
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            # aiohttp would answer with the exception itself, and so make a cycle of it and all the frames that it came
            # through. To collect what hundreds of strangers leave that way stops all calls for a tenth of a second.
            refusal.__traceback__ = None
            await yield_loop()                       # to answer is another piece of work
            return web.Response(
                status=refusal.status, reason=refusal.reason, headers=refusal.headers, text=refusal.text)
        except Exception:
            if request.writer.output_size:           # an answer, or a call's stream, has begun: there is no other
                raise
            id = secrets.token_hex(4)
            log.exception("fault %(fault)s at %(path)s", {"fault": id, "path": _route(request)})
            return await _rescued(rescue, request, id) or web.json_response(
                {"error": "internal error", "id": id}, status=500)
    return hide


async def _rescued(rescue: Rescue, request: web.Request, id: str) -> web.Response | None:
    try:
        return await rescue(request)
    except Exception:
        log.exception("fault %(fault)s: its answer failed too", {"fault": id})
        return None


def _route(request: web.Request) -> str:
    """The address without what was filled into it."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "?"
