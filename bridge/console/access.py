"""Lets the operator in, by ADMIN_PASSWORD or its hash. Without either, the operator's pages answer 404.

1. Each request carries the password, by HTTP basic (with any user name) or as a bearer token. There are no cookies, and
   no request changes anything. So a stranger's page can make a browser ask, but gets and does nothing.
2. The password is compared in constant time. A hash keeps a thread busy for a while, so few are checked at once. The
   right password is remembered and needs no second check.
3. An address is locked out after GUESSES wrong passwords in WINDOW_S. Others are not.
4. Refused requests are counted, and leave a log line now and then, because somebody may be guessing.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import math
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from aiohttp import web

from bridge.addresses import is_public, network
from bridge.console import passwords
from bridge.log import Seldom

log = logging.getLogger(__name__)

GUESSES, WINDOW_S = 10, 600.0
#: The most addresses whose guesses are remembered. The one with the oldest last guess is forgotten.
ADDRESSES = 1000
#: The least time between two log lines about refused requests, in seconds.
TOLD_S = 60.0
#: The most hashes that are computed at once, each in a thread and with 16 MB.
AT_ONCE = 2
CHALLENGE = {"WWW-Authenticate": 'Basic realm="bridge", charset="UTF-8"'}


class Guesses:
    """The wrong passwords of each address. Pure: `now` is the time of any clock, in seconds."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def wrong(self, address: str, now: float) -> None:
        moments = self._wrong.setdefault(address, deque(maxlen=GUESSES))
        moments.append(now)
        self._wrong.move_to_end(address)
        if len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)

    def right(self, address: str) -> None:
        self._wrong.pop(address, None)

    def locked_for(self, address: str, now: float) -> float:
        """How much longer this address is locked out, in seconds. 0: it may try."""
        moments = self._wrong.get(address)
        return max(moments[0] + WINDOW_S - now, 0.0) if moments and len(moments) == GUESSES else 0.0


class Access:
    """Lets the operator in. `hashed` is the password's hash (passwords.py), used if `password` is "".

    `clock` gives seconds. `count` hears why a request was refused: "wrong password" or "locked out".
    """

    def __init__(
        self, password: str = "", hashed: str = "", *, clock: Callable[[], float] = time.monotonic,
        count: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._password, self._hash = password, hashed
        self._clock, self._guesses = clock, Guesses()
        self._count, self._told = count, Seldom(TOLD_S)
        self._key, self._known = secrets.token_bytes(32), b""
        self._checking = 0

    @property
    def is_on(self) -> bool:
        return bool(self._password or self._hash)

    async def require(self, request: web.Request) -> None:
        """Returns if the request has the operator's password. A handler awaits it first.

        Raises HTTPNotFound if no password is set, HTTPUnauthorized, and HTTPTooManyRequests.
        """
        if not self.is_on:
            raise web.HTTPNotFound
        address = address_of(request)
        if wait := self._guesses.locked_for(address, self._clock()):
            self._refused(address, "locked out")
            raise _too_many(wait)
        given = password_in(request.headers.get("Authorization", ""))
        if given is None:
            raise web.HTTPUnauthorized(text="The operator's password is needed.\n", headers=CHALLENGE)
        if not await self._is_right(given):
            self._guesses.wrong(address, self._clock())
            self._refused(address, "wrong password")
            raise web.HTTPUnauthorized(text="The password is wrong.\n", headers=CHALLENGE)
        self._guesses.right(address)

    def _refused(self, address: str, reason: str) -> None:
        self._count(reason)
        left_out = self._told.passes(self._clock())
        if left_out is not None:
            log.warning("a request with the operator's password was refused: %(reason)s, from %(address)s "
                        "(%(left_out)d more since the last such line)",
                        {"address": address, "reason": reason, "left_out": left_out})

    async def _is_right(self, given: str) -> bool:
        if self._password:
            return hmac.compare_digest(self._digest(given), self._digest(self._password))
        if self._known and hmac.compare_digest(self._digest(given), self._known):
            return True
        if self._checking >= AT_ONCE:
            raise _too_many(1)
        self._checking += 1
        try:
            right = await asyncio.to_thread(passwords.matches, given, self._hash)
        finally:
            self._checking -= 1
        if right:
            self._known = self._digest(given)
        return right

    def _digest(self, text: str) -> bytes:
        """A digest of fixed length, so that comparing tells nothing about the other password's length."""
        return hmac.digest(self._key, text.encode(errors="surrogatepass"), hashlib.sha256)


def password_in(header: str) -> str | None:
    """The password in an Authorization header, or None if there is none."""
    scheme, _, value = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return password if colon else None


def address_of(request: web.Request) -> str:
    """The address, or IPv6 network, by which guesses are counted.

    A proxy of ours has a private address, and ends X-Forwarded-For with its peer's. From a public address that header
    is not believed.
    """
    peer = request.remote or ""
    forwarded = request.headers.getall("X-Forwarded-For", [])
    if forwarded and not is_public(peer):
        peer = forwarded[-1].rpartition(",")[2].strip()[:64]
    return network(peer)


def _too_many(seconds: float) -> web.HTTPTooManyRequests:
    return web.HTTPTooManyRequests(
        text="Too many wrong passwords.\n", headers={"Retry-After": str(math.ceil(seconds))})
