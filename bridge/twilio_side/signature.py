"""Who may call us: Twilio's signature on webhooks and on the upgrade of a stream.

A signature covers the address as Twilio knows it, so behind a proxy that address is put together anew: from
PUBLIC_URL, or from what the proxy forwards. Source: https://www.twilio.com/docs/usage/security
"""

import re
from collections.abc import Iterator

from aiohttp import web
from multidict import MultiDict
from twilio.request_validator import SIGNATURE_HEADER, RequestValidator

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def public_origin(request: web.Request, public_url: str) -> str:
    """Scheme and host under which Twilio reached us. Raises HTTPBadRequest for a host that is none."""
    if public_url:
        return public_url
    scheme = _first(request, "X-Forwarded-Proto") or request.scheme
    scheme = {"wss": "https", "ws": "http"}.get(scheme, scheme)      # as Traefik calls an upgrade's
    host = _first(request, "X-Forwarded-Host") or request.host
    if scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise web.HTTPBadRequest(text="The Host header is not a host name.\n")
    return f"{scheme}://{host}"


def _first(request: web.Request, header: str) -> str:
    """A proxy behind a proxy appends to the list: the first entry is what Twilio asked for."""
    return request.headers.get(header, "").split(",")[0].strip()


async def form(request: web.Request) -> MultiDict[str]:
    """What a webhook's body says. Raises HTTPBadRequest for one that is no form, HTTPRequestEntityTooLarge."""
    try:
        fields = await request.post()
    except (ValueError, LookupError):
        raise web.HTTPBadRequest(text="The body is not a form.\n") from None
    return MultiDict((name, value) for name, value in fields.items() if isinstance(value, str))


async def check_webhook(request: web.Request, auth_token: str, public_url: str) -> None:
    """Raises HTTPForbidden unless Twilio signed this webhook, GET or form POST."""
    address = public_origin(request, public_url) + request.raw_path
    parameters = await form(request)
    _require(RequestValidator(auth_token).validate(address, parameters, _signature(request)))


def check_upgrade(request: web.Request, auth_token: str, public_url: str) -> None:
    """Raises HTTPForbidden unless Twilio signed this websocket upgrade."""
    signature, validator = _signature(request), RequestValidator(auth_token)
    addresses = _signed_addresses(public_origin(request, public_url), request.raw_path)
    _require(any(validator.validate(address, {}, signature) for address in addresses))


def _signed_addresses(origin: str, path: str) -> Iterator[str]:
    """The forms under which Twilio may have signed one address; each needs the token just the same."""
    scheme, _, host = origin.partition("://")
    hosts = [host.removesuffix(":443"), host.removesuffix(":443") + ":443"] if scheme == "https" else [host]
    for form in ("wss", "https") if scheme == "https" else ("wss", "ws", "http"):
        for place in hosts:
            yield f"{form}://{place}{path}"
            yield f"{form}://{place}{path}/"


def _signature(request: web.Request) -> str:
    signature = request.headers.get(SIGNATURE_HEADER)
    _require(signature is not None)
    return signature or ""


def _require(condition: bool) -> None:
    if not condition:
        raise web.HTTPForbidden(text="Twilio's signature is missing or wrong.\n")
