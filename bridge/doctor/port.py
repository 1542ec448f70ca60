"""Whether the server's port is free, or taken by this very server."""

import errno
import os
import socket

import aiohttp

from bridge.doctor.finding import Finding
from bridge.doctor.probing import Prober

#: How long a neighbour on this machine may take, seconds.
NEIGHBOUR_S = 2.0


async def examine(http: aiohttp.ClientSession, host: str, port: int, prober: Prober | None) -> Finding:
    """`prober`: None where nothing is signed, and so no server can prove that it is this one."""
    if not port:
        return Finding("port", "skipped", "PORT=0: the server takes any free port.")
    try:
        _bind(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            reason = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else str(error)
            return Finding("port", "failure", f"The server cannot listen on HOST={host} PORT={port}: {reason}.",
                           "Set HOST to an address of this machine, and PORT to one that you may use.")
        return await _whose(http, host, port, prober)
    return Finding("port", "ok", f"Port {port} is free: no server runs on this machine.")


def _bind(host: str, port: int) -> None:
    """As the server does, and lets go at once. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        if os.name == "posix":
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind((host, port))


async def _whose(http: aiohttp.ClientSession, host: str, port: int, prober: Prober | None) -> Finding:
    near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    origin = f"http://{near}:{port}"
    if prober and await prober.is_ours(http, origin, NEIGHBOUR_S):
        return Finding("port", "ok", f"This server runs, and answers on port {port}.")
    if await _is_bridge(http, origin):
        if prober is None:
            return Finding("port", "ok", f"A server of bridge answers on port {port}.")
        return Finding(
            "port", "failure", f"A server of bridge answers on port {port}, with another TWILIO_AUTH_TOKEN.",
            "Start it anew, so that it reads its settings, or set PORT to the port of the right one.")
    return Finding("port", "failure", f"Another program listens on port {port}.", "Stop it, or set PORT to a free one.")


async def _is_bridge(http: aiohttp.ClientSession, origin: str) -> bool:
    try:
        async with http.get(origin + "/", timeout=aiohttp.ClientTimeout(total=NEIGHBOUR_S)) as answer:
            said = await answer.json()
            return isinstance(said, dict) and said.get("service") == "bridge"
    except (aiohttp.ClientError, OSError, ValueError):
        return False
