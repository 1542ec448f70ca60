"""Who may look: the operator, by ADMIN_PASSWORD or its hash. Without either what is the operator's is not there: 404.

1. The password comes with each request, by HTTP basic (any user's name) or as a bearer token. There are no cookies and
   nothing that a request changes, so a page of somebody else's can make a browser ask but gets and does nothing.
2. It is compared in constant time. A hash takes a thread for a while, so few are checked at once, and the password that
   was right is known again without it.
3. Guessing ends after GUESSES wrong ones in WINDOW_S from one address. Others are not locked out by that.
4. Who is refused is counted, and leaves a line now and then: it may be somebody who guesses.
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
#: Addresses whose guesses are remembered; the one that was heard of least lately is forgotten.
ADDRESSES = 1000
#: How often a wrong password is worth a line, seconds.
TOLD_S = 60.0
#: Hashes that are computed at once, each in a thread and 16 MB.
AT_ONCE = 2
CHALLENGE = {"WWW-Authenticate": 'Basic realm="bridge", charset="UTF-8"'}


class Guesses:
    """Wrong passwords by address. Pure: `now` is an argument, seconds of any clock."""

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
        """How long this address is not listened to, seconds."""
        moments = self._wrong.get(address)
        return max(moments[0] + WINDOW_S - now, 0.0) if moments and len(moments) == GUESSES else 0.0


class Access:
    """Lets the operator in, by the password or by what has its `hashed` (passwords.py).

    `clock` gives seconds; `count` is told why somebody was refused, in one of a few words.
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
        """Raises HTTPNotFound where there is no password, HTTPUnauthorized, HTTPTooManyRequests."""
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
        """Of one length, so that comparing tells nothing of the other's."""
        return hmac.digest(self._key, text.encode(errors="surrogatepass"), hashlib.sha256)


def password_in(header: str) -> str | None:
    """What stands in an Authorization header; None when there is no password in it."""
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
    """Whose guesses these are; of IPv6 the network, in which one has any number of addresses.

    A proxy in front of us has a private address, and says at the end of X-Forwarded-For who asked it. What somebody
    writes there who comes from the Internet is not believed.
    """
    peer = request.remote or ""
    forwarded = request.headers.getall("X-Forwarded-For", [])
    if forwarded and not is_public(peer):
        peer = forwarded[-1].rpartition(",")[2].strip()[:64]
    return network(peer)


def _too_many(seconds: float) -> web.HTTPTooManyRequests:
    return web.HTTPTooManyRequests(
        text="Too many wrong passwords.\n", headers={"Retry-After": str(math.ceil(seconds))})
