"""The address under which Twilio knows this server: PUBLIC_URL, or else the address in the request's headers.

A proxy passes it on in X-Forwarded-Proto and X-Forwarded-Host, or in Forwarded. Without a proxy the Host header holds
it.
"""

import re
from dataclasses import dataclass

from aiohttp import web
from yarl import URL

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
#: A longer Forwarded header is not read (characters). aiohttp takes a microsecond for each, and nobody has shown yet
#: who asks.
MOST_FORWARDED = 1024
_PATH = re.compile(r"(/[\w.~%-]+)*/?")


@dataclass(slots=True)
class PublicUrl:
    """PUBLIC_URL, or the address of a tunnel, which may change while the server runs; "": what each request says."""

    value: str = ""


class NoAddress(web.HTTPBadRequest):
    """The request, or a proxy, names an address that is none."""


def parse_public_url(value: str) -> str:
    """Reads the setting PUBLIC_URL: scheme (http or https), host and perhaps a path, without a slash at its end.

    The host keeps its spelling. Raises ValueError. Its message is the end of a sentence that begins with the setting.
    """
    address = URL(value)
    if address.query_string or address.fragment or address.user or not _PATH.fullmatch(address.raw_path):
        raise ValueError("must be scheme and host, and perhaps the path that a proxy takes off, nothing behind it")
    if address.raw_path.rstrip("/").endswith("/incoming-call"):
        raise ValueError("must end before /incoming-call")
    host = str(address.origin()).partition("://")[2]
    written = value.partition("://")[2][:len(host)]
    if written.lower() != host:                      # it is not ASCII
        written = host
    return f"{address.scheme}://{written}{address.raw_path.rstrip('/')}"


def public_origin(request: web.Request, public_url: str) -> str:
    """The address under which Twilio reached us: PUBLIC_URL with its path, or scheme and host from the request.

    Used for our own TwiML and to check signatures. Raises NoAddress for a scheme or a host that is none.
    """
    if public_url:
        return public_url
    scheme = (_first(request, "X-Forwarded-Proto") or _forwarded(request, "proto") or request.scheme).lower()
    scheme = {"wss": "https", "ws": "http"}.get(scheme, scheme)      # as Traefik calls an upgrade's
    if scheme not in ("http", "https"):
        raise NoAddress(text="The proxy names a scheme that is neither http nor https.\n")
    host = host_said(request)
    if not _HOST.fullmatch(host):
        raise NoAddress(text="The Host header is not a host name.\n")
    return f"{scheme}://{host}"


def host_said(request: web.Request) -> str:
    """The host that the proxy or the request names, unchecked."""
    return _first(request, "X-Forwarded-Host") or _forwarded(request, "host") or request.host


def _first(request: web.Request, header: str) -> str:
    """The first entry of a header: each further proxy appends its own, and the first is what Twilio asked for."""
    return request.headers.get(header, "").split(",")[0].strip()


def _forwarded(request: web.Request, name: str) -> str:
    """The first entry with this name in the standard's header, https://www.rfc-editor.org/rfc/rfc7239"""
    if sum(map(len, request.headers.getall("Forwarded", []))) > MOST_FORWARDED:
        return ""
    return next((each[name].strip() for each in request.forwarded if name in each), "")
