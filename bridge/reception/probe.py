"""Probes of `python -m bridge doctor`: it asks the public address what Twilio asks it, and nobody calls.

1. A probe is a request as Twilio signs it, with a token in the header X-Bridge-Probe. The token is made with the auth
   token (token.py, under a label of its own), counts for one of our addresses and for LIFE_S, and each process takes it
   once. Nobody makes one without the auth token, and nothing that Twilio or a caller says becomes a request's header.
2. It is answered with what a call would be answered with. No call is admitted, no stream's token is made, and no model
   is connected: who replays a probe, or has stolen one, can spend nothing.
3. The answer has a token too, bound to the probe's: who gets it knows that a server with the same auth token answered,
   and no page of a proxy.
4. Where Twilio's signature does not fit, the answer says which address this server believes that it was asked by. That
   is told only to who has shown a token: everybody else gets the 403 that Twilio would get.
"""

import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence

from aiohttp import web

from bridge import keys
from bridge.reception import token
from bridge.reception.token import Refused
from bridge.twilio_side import signature
from bridge.twilio_side.public_url import NoAddress, public_origin

log = logging.getLogger(__name__)

HEADER, ANSWER_HEADER = "X-Bridge-Probe", "X-Bridge-Probe-Answer"
#: The address that a stream's probe is bound to, whatever number stands behind it.
STREAM_PATH, WEBHOOK_PATH = "/media-stream", "/incoming-call"

_PROBE, _ANSWER = b"bridge: probe, version 1", b"bridge: answer to a probe, version 1"


def mint(secret: str, path: str, now: float) -> str:
    """A probe for one of our addresses."""
    return token.mint(secret, (path,), secrets.token_bytes(token.NONCE_BYTES), now, _PROBE)


def is_answer(auth_tokens: Sequence[str], probe: str, answer: str, now: float) -> bool:
    """Whether a server with one of these auth tokens has answered this probe."""
    try:
        token.read(auth_tokens, answer, (probe,), now, _ANSWER)
    except Refused:
        return False
    return True


class Probes:
    """Which probes count, and that each counts once; `auth_tokens`: the current one first, none: no probe counts."""

    def __init__(self, auth_tokens: Sequence[str], clock: Callable[[], float] = time.time) -> None:
        self._secrets, self._clock = auth_tokens, clock
        self._taken: dict[str, int] = {}             # nonce: expiry, in the order of taking

    def take(self, probe: str, path: str) -> str:
        """The answer's token. Raises Refused."""
        now = self._clock()
        shown = token.read(self._secrets, probe, (path,), now, _PROBE)
        for nonce, expires in list(self._taken.items()):
            if now < expires:
                break
            del self._taken[nonce]
        if shown.nonce in self._taken:
            raise Refused("used token")
        self._taken[shown.nonce] = shown.expires
        return token.mint(self._secrets[0], (probe,), secrets.token_bytes(token.NONCE_BYTES), now, _ANSWER)


def taken(request: web.Request, path: str) -> str:
    """The answer's token for a request that is a probe. Raises HTTPForbidden, as for whoever is not Twilio."""
    shown = request.headers.getall(HEADER)
    try:
        answer = request.app[keys.PROBES].take(shown[0] if len(shown) == 1 else "", path)
    except Refused:
        raise web.HTTPForbidden(text=signature.NOT_SIGNED) from None
    request.app[keys.DOOR].forget(request.protocol)
    log.info("a probe of our own, by doctor or for a tunnel, came to %(path)s; no call", {"path": path})
    return answer


def not_as_signed(request: web.Request, answer: str) -> web.Response:
    """For a probe that Twilio's signature does not fit: the address that this server sees."""
    try:
        origin = public_origin(request, request.app[keys.POLICY].keys.public_url)
    except NoAddress as problem:
        origin = (problem.text or "").strip()
    return web.Response(status=403, text=json.dumps({"saw": origin + request.raw_path}),
                        content_type="application/json", headers={ANSWER_HEADER: answer})
