"""Who may call us: Twilio's signature on webhooks and on the upgrade of a stream.

1. A signature covers the address as Twilio knows it, so behind a proxy that address is put together anew
   (public_url.py). A host has no case, but Twilio signs it as it was written where Twilio was told it: every such
   spelling counts.
2. Whether a proxy has said that, or a stranger, makes no difference: the address only says what must have been signed,
   and to sign it takes the auth token. The Host header could be forged just as well. What is left is a signature that
   Twilio itself has made, with the same token, for another host: only PUBLIC_URL refuses that.
3. What a stranger sends is read as little as can be: first the headers, and no more than MAX_BODY within BODY_S.

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

#: A webhook's form is a few kilobytes; and how long it may take to arrive, seconds: after so many Twilio has given up.
#: On a connection that was never answered the door (reception/strangers.py) does not wait so long.
MAX_BODY, BODY_S = 64 * 1024, 15.0

#: What everybody is told who is not Twilio.
NOT_SIGNED = "Twilio's signature is missing or wrong.\n"

UTF_8 = frozenset({"utf-8", "utf8"})
#: As Python keeps the bytes of an address that are no UTF-8.
_NO_UTF_8 = re.compile("[\udc80-\udcff]")
_SHARED_KEY = re.compile(rf"key=([\w.:-]+),algorithm={HMAC_SHA256}")
_DEFAULT_PORT = {"https": ":443", "http": ":80"}


class Key(NamedTuple):
    """What Twilio may have signed with."""

    secret: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class Keys:
    """What a signature may be made with, and the address that is signed.

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
    """What a webhook's body says. Raises HTTPBadRequest for one that is no form, HTTPRequestEntityTooLarge for one that
    is too long, and HTTPRequestTimeout for one that does not come.

    Twilio's are UTF-8. Python knows charsets that take half a second for such a body, and nobody has shown yet who
    sends it.
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
    except ConnectionError as gone:                  # in mid-body, by whichever side: nobody reads the answer
        gone.__traceback__ = None                    # else a cycle with the body's reader, which keeps it
        raise web.HTTPBadRequest(text="The body did not come.\n") from None
    return MultiDict((name, value) for name, value in fields.items() if isinstance(value, str))


async def check_webhook(request: web.Request, keys: Keys) -> None:
    """Raises HTTPForbidden unless Twilio signed this webhook, GET or form POST; and what `form` raises."""
    signature, claimed = _claim(request, keys)
    scheme, hosts, path = _parts(request, keys.public_url)
    addresses = [f"{scheme}://{host}{path}" for host in hosts]
    fields = await form(request)
    await yield_loop()
    _require(_is_signed(signature, claimed, addresses, fields))


async def check_upgrade(request: web.Request, keys: Keys) -> None:
    """Raises HTTPForbidden unless Twilio signed this websocket upgrade."""
    signature, claimed = _claim(request, keys)
    addresses = _upgrade_addresses(*_parts(request, keys.public_url))
    await yield_loop()
    _require(_is_signed(signature, claimed, addresses, {}))


def _claim(request: web.Request, keys: Keys) -> tuple[str, list[Key]]:
    """The signature, and what it may be made with: the header that names a shared key leaves no other choice."""
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
    """Every key and every address is tried, so that the time tells nothing of them."""
    if any(map(_NO_UTF_8.search, addresses)):        # which Twilio does not send
        return False
    claimed = signature.encode("utf-8", "surrogateescape")
    return any([
        hmac.compare_digest(RequestValidator(key.secret).compute_signature(address, parameters, key.algorithm).encode(),
                            claimed)
        for key in keys for address in addresses])


def _parts(request: web.Request, public_url: str) -> tuple[str, list[str], str]:
    """Of the address as Twilio knows it: its scheme, its host in all forms that count, its path with the query."""
    scheme, _, rest = public_origin(request, public_url).partition("://")
    host, slash, prefix = rest.partition("/")
    hosts = [form for spelling in _spellings(host, host_said(request)) for form in _with_ports(scheme, spelling)]
    return scheme, hosts, slash + prefix + request.raw_path


def _spellings(host: str, said: str) -> Iterable[str]:
    """As it is set, in small letters, and as the request has it."""
    return dict.fromkeys([host, host.lower(), *([said] if said.lower() == host.lower() else [])])


def _with_ports(scheme: str, host: str) -> Iterator[str]:
    """With its port and without it. Twilio signs https without any, and http with the one that it was told."""
    usual = _DEFAULT_PORT[scheme]
    named, port = re.fullmatch(r"(.*?)(:[0-9]+)?", host).groups()     # type: ignore[union-attr]
    if scheme == "https" or port in (None, usual):
        yield named
    yield named + (port or usual)


def _upgrade_addresses(scheme: str, hosts: list[str], path: str) -> list[str]:
    """The forms under which Twilio may have signed one address; each needs the token just the same."""
    forms = ("wss", "https") if scheme == "https" else ("wss", "ws")
    return [f"{form}://{host}{path}{slash}" for form in forms for host in hosts for slash in ("", "/")]


def _require(condition: bool) -> None:
    if not condition:
        raise web.HTTPForbidden(text=NOT_SIGNED)
