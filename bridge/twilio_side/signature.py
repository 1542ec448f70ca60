"""Twilio's signature on webhooks and on the upgrade of a stream. It proves that Twilio sent them.

1. A signature covers the address as Twilio knows it. Behind a proxy that address is put together anew (public_url.py).
   Twilio signs the host as it was spelled to it, so the spelling of PUBLIC_URL, that of the request and lower case
   count.
2. A stranger may forge the headers that name the address. That gains nothing, because a signature takes the auth token.
   One attack remains: replaying a request that Twilio signed with the same token for another host. Set PUBLIC_URL to
   stop it.
3. As little as possible is read of a stranger's request: first the headers, then at most MAX_BODY within BODY_S.

Sources: https://www.twilio.com/docs/usage/security , https://www.twilio.com/docs/usage/webhooks/webhook-shared-keys
"""

import asyncio
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from aiohttp import web
from multidict import MultiDict
from twilio.request_validator import (
    HMAC_SHA1, HMAC_SHA256, SIGNATURE_HEADER, SIGNATURE_SETTINGS_HEADER, RequestValidator)

from bridge.loop.yielding import yield_loop
from bridge.twilio_side.public_url import PublicUrl, host_said, public_origin

#: The longest body of a webhook (bytes), and how long it may take to arrive (s). A webhook's form is a few kB, and
#: Twilio gives up after 15 s. On a connection that was never answered, reception/strangers.py does not wait so long.
MAX_BODY, BODY_S = 64 * 1024, 15.0

#: What everybody is told who is not Twilio.
NOT_SIGNED = "Twilio's signature is missing or wrong.\n"

UTF_8 = frozenset({"utf-8", "utf8"})
#: Python keeps those bytes of an address that are no UTF-8 as these characters.
_NO_UTF_8 = re.compile("[\udc80-\udcff]")
_SHARED_KEY = re.compile(rf"key=([\w.:-]+),algorithm={HMAC_SHA256}")
_DEFAULT_PORT = {"https": ":443", "http": ":80"}


class Key(NamedTuple):
    """A secret with which Twilio may have signed, and the algorithm."""

    secret: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The secrets with which Twilio may sign, and the address that it signs.

    `tokens`: the auth token, and the one before it. `shared`: the secrets of Twilio's shared keys, by their ids.
    `public`: PUBLIC_URL, or what the request says. False without a token: then nothing is signed.
    """

    tokens: tuple[str, ...] = field(repr=False)
    shared: Mapping[str, str] = field(repr=False)
    public: PublicUrl = field(default_factory=PublicUrl)

    @property
    def public_url(self) -> str:
        return self.public.value

    def __bool__(self) -> bool:
        return bool(self.tokens)


async def form(request: web.Request) -> MultiDict[str]:
    """The fields of a webhook's body.

    Raises HTTPBadRequest if it is no form, HTTPRequestEntityTooLarge if it is too long, HTTPRequestTimeout if it does
    not arrive. Twilio sends UTF-8. Other charsets are refused: some take Python half a second for such a body, and
    nobody has shown yet who sends it.
    """
    if (request.content_length or 0) > MAX_BODY:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY, request.content_length or 0)
    if request.content_type.startswith("multipart/") or (request.charset or "utf-8").lower() not in UTF_8:
        raise web.HTTPBadRequest(text="The body is not a form of Twilio's.\n")
    try:
        async with asyncio.timeout(BODY_S):
            fields = await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The body did not come.\n") from None
    except (ValueError, LookupError):
        raise web.HTTPBadRequest(text="The body is not a form.\n") from None
    except ConnectionError as gone:                  # either side closed in mid-body: nobody reads the answer
        gone.__traceback__ = None                    # else it forms a reference cycle with the body's reader
        raise web.HTTPBadRequest(text="The body did not come.\n") from None
    return MultiDict((name, value) for name, value in fields.items() if isinstance(value, str))


async def check_webhook(request: web.Request, keys: Keys) -> None:
    """Checks the signature of a webhook, GET or form POST.

    Raises HTTPForbidden unless Twilio signed it, and what `form` raises.
    """
    signature, claimed = _claim(request, keys)
    scheme, hosts, path = _parts(request, keys.public_url)
    addresses = [f"{scheme}://{host}{path}" for host in hosts]
    fields = await form(request)
    await yield_loop()
    _require(_is_signed(signature, claimed, addresses, fields))


async def check_upgrade(request: web.Request, keys: Keys) -> None:
    """Checks the signature of a stream's websocket upgrade. Raises HTTPForbidden unless Twilio signed it."""
    signature, claimed = _claim(request, keys)
    addresses = _upgrade_addresses(*_parts(request, keys.public_url))
    await yield_loop()
    _require(_is_signed(signature, claimed, addresses, {}))


def _claim(request: web.Request, keys: Keys) -> tuple[str, list[Key]]:
    """The request's signature, and the keys that may have made it: only one, if a header names a shared key."""
    signatures = request.headers.getall(SIGNATURE_HEADER, [])
    named = request.headers.getall(SIGNATURE_SETTINGS_HEADER, [])
    _require(len(signatures) == 1 and len(named) <= 1)
    if not named:
        return signatures[0], [Key(token, HMAC_SHA1) for token in keys.tokens]
    found = _SHARED_KEY.fullmatch(named[0].replace(" ", ""))
    secret = keys.shared.get(found[1]) if found else None
    return signatures[0], [Key(secret, HMAC_SHA256)] if secret else []


def _is_signed(
    signature: str, keys: list[Key], addresses: list[str], parameters: Mapping[str, str],
) -> bool:
    """Tries every key with every address, so that the time tells a stranger nothing of them."""
    if any(map(_NO_UTF_8.search, addresses)):        # Twilio sends UTF-8 only
        return False
    claimed = signature.encode("utf-8", "surrogateescape")
    return any([
        hmac.compare_digest(RequestValidator(key.secret).compute_signature(address, parameters, key.algorithm).encode(),
                            claimed)
        for key in keys for address in addresses])


def _parts(request: web.Request, public_url: str) -> tuple[str, list[str], str]:
    """The address as Twilio knows it: its scheme, every form of its host that counts, its path with the query."""
    scheme, _, rest = public_origin(request, public_url).partition("://")
    host, slash, prefix = rest.partition("/")
    hosts = [form for spelling in _spellings(host, host_said(request)) for form in _with_ports(scheme, spelling)]
    return scheme, hosts, slash + prefix + request.raw_path


def _spellings(host: str, said: str) -> Iterable[str]:
    """The host as it is set, in lower case, and as the request spells it."""
    return dict.fromkeys([host, host.lower(), *([said] if said.lower() == host.lower() else [])])


def _with_ports(scheme: str, host: str) -> Iterator[str]:
    """The host with its port and without. Twilio signs https without a port, and http with the port it was told."""
    usual = _DEFAULT_PORT[scheme]
    named, port = re.fullmatch(r"(.*?)(:[0-9]+)?", host).groups()     # type: ignore[union-attr]
    if scheme == "https" or port in (None, usual):
        yield named
    yield named + (port or usual)


def _upgrade_addresses(scheme: str, hosts: list[str], path: str) -> list[str]:
    """The forms in which Twilio may have signed an upgrade's address. Each of them takes the token all the same."""
    forms = ("wss", "https") if scheme == "https" else ("wss", "ws")
    return [f"{form}://{host}{path}{slash}" for form in forms for host in hosts for slash in ("", "/")]


def _require(condition: bool) -> None:
    if not condition:
        raise web.HTTPForbidden(text=NOT_SIGNED)
