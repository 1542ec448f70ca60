"""What all answers share: headers that keep browsers from using them in a page, and no details of a fault.

1. An unexpected exception becomes an id. The answer has the id, and the log has the id and the traceback.
2. Twilio's webhooks get TwiML even then, so that no caller is left in silence.
3. A refused request leaves no reference cycles. Collecting those of hundreds would stop all calls for a tenth of a
   second.
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

#: Makes the answer of a webhook after a fault. None: a status is enough.
Rescue = Callable[[web.Request], Awaitable[web.Response | None]]


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """A signal's receiver, for every response. A header that a page sets itself, such as its CSP, stays."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = HEADERS["Server"]   # aiohttp has told its version by then


def hide_faults(rescue: Rescue) -> Middleware:
    """A middleware that turns exceptions into answers. `rescue` makes the answers of Twilio's webhooks."""
    @web.middleware
    async def hide(request: web.Request, handler: Handler) -> web.StreamResponse:
        await yield_loop()                           # audio goes before any request
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            # aiohttp would answer with the exception itself. That makes a reference cycle of it and all the frames that
            # it came through (rule 3).
            refusal.__traceback__ = None
            await yield_loop()                       # the answer is another piece of work
            return web.Response(
                status=refusal.status, reason=refusal.reason, headers=refusal.headers, text=refusal.text)
        except Exception:
            if request.writer.output_size:           # an answer or a call's stream has begun, so no other can
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
    """The route's pattern, without the values of this request."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "?"
