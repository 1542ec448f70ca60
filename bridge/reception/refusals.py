"""A line in the log when a request at one of Twilio's addresses is refused."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from aiohttp import web

from bridge import keys
from bridge.twilio_side.public_url import NoAddress, public_origin

log = logging.getLogger(__name__)


@contextmanager
def refusals_told(request: web.Request) -> Iterator[None]:
    """Logs a refusal (HTTPForbidden, NoAddress), now and then: it may be Twilio's request, and the settings wrong.

    The refusal goes on to whoever handles the request.
    """
    try:
        yield
    except (web.HTTPForbidden, NoAddress) as refusal:
        left_out = request.app[keys.REFUSALS].passes(monotonic())
        if left_out is not None:
            log.warning(
                "a request for %(origin)s%(path)s was refused: %(reason)s If it was Twilio's, check TWILIO_AUTH_TOKEN, "
                "and set PUBLIC_URL to the address that Twilio knows (%(left_out)d more since the last such line)",
                {"origin": _origin_said(request),
                 "path": request.path.rpartition("/media-stream/")[1] or request.path,
                 "reason": (refusal.text or "").strip(), "left_out": left_out})
        raise


def _origin_said(request: web.Request) -> str:
    """The origin that the request asks for, for the log. "": the request names none."""
    try:
        return public_origin(request, request.app[keys.POLICY].keys.public_url)
    except NoAddress:
        return ""
