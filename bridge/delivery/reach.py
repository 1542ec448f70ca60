"""The reach of webhooks: they lead to public addresses only, unless the owner says otherwise.

The settings hold a host name, and a name may lead anywhere: into the server's private network, or to a cloud's
metadata. So the IP address is checked just before the connection to it is made. No other answer of a name server can
slip in between. This machine is reached only by an address that names it, such as http://localhost. The settings allow
that for tests and for a service beside the server.
"""

import errno
import os
import socket
from contextvars import ContextVar

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.tracing import Trace

from bridge.addresses import is_loopback, is_public, names_loopback

#: The problem that the log tells for a private address, with what to do.
REFUSAL = "its address is private, which only ALLOW_PRIVATE_WEBHOOKS=1 allows"

#: Whether the request names this machine. It holds while its connection is made.
_to_loopback: ContextVar[bool] = ContextVar("_to_loopback", default=False)


class NotPublic(OSError):
    """The address is one that a webhook may not lead to."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, REFUSAL)


class PublicConnector(aiohttp.TCPConnector):
    """Connects to public addresses, and to this machine where a request names it."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        super().__init__(limit=0, resolver=resolver, socket_factory=_socket)

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout,
    ) -> Connection:
        token = _to_loopback.set(names_loopback(req.url))
        try:
            return await super().connect(req, traces, timeout)
        finally:
            _to_loopback.reset(token)


def _socket(address: AddrInfoType) -> socket.socket:
    """The socket for a connection. Raises NotPublic."""
    family, kind, protocol, _, (host, *_) = address
    loopback = _to_loopback.get() and is_loopback(str(host))
    if not loopback and not is_public(str(host)):
        raise NotPublic
    return socket.socket(family, kind, protocol)


def why(error: Exception) -> str:
    """Why an address could not be reached, in a few words. aiohttp's own text may hold the address and its secrets."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        said = getattr(error.certificate_error, "verify_message", "unknown").rstrip(".")
        return f"its certificate is not accepted: {said}"
    said, number = getattr(error, "strerror", None) or type(error).__name__, getattr(error, "errno", None)
    # asyncio tells the address and no reason: "Connect call failed ('192.0.2.1', 443)".
    return os.strerror(number) if number and said.startswith("Connect call failed") else said


def is_misconfigured(error: Exception) -> bool:
    """Whether the owner must mend why an address cannot be reached: a name, a certificate, a permission, a bad URL."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    no_such_name = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
    return no_such_name or isinstance(cause, NotPublic) or isinstance(error, aiohttp.ClientSSLError | ValueError)


def open_session(*, private: bool = False, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """The HTTP session for webhooks and calendars. It keeps no cookies. `private`: it may connect to any address."""
    connector = aiohttp.TCPConnector(limit=0, resolver=resolver) if private else PublicConnector(resolver)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
