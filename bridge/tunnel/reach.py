"""Whether a tunnel brings Twilio's requests to this server as Twilio signs them."""

import asyncio
import socket

import aiohttp
from yarl import URL

from bridge.delivery.reach import why
from bridge.doctor import probing
from bridge.tunnel.process import NoTunnel

#: How long a name and an answer are waited for, and between two looks, seconds; and how long one request may take.
REACH_S, LOOK_S, REQUEST_S = 60.0, 1.0, 10.0


class Prober:
    """Asks by Twilio's signature; `token`: "" where nothing is signed."""

    def __init__(self, token: str, account_sid: str) -> None:
        self._token, self._account_sid = token, account_sid

    async def until_reached(self, address: str) -> None:
        """Raises NoTunnel when that does not come about in REACH_S, or cannot."""
        problem = "it was not tried"
        try:
            async with asyncio.timeout(REACH_S):
                while problem := await self._problem(address):
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise NoTunnel(f"{address} did not lead here in {REACH_S:g} s: {problem}") from None

    async def _problem(self, address: str) -> str:
        """Why a signed request there gets no answer of ours; "": it gets one. Raises NoTunnel if it never will."""
        host, port = URL(address).host or "", URL(address).port
        try:
            # First and by itself, so that it is told apart: a new name takes some seconds.
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return "its name is not known yet"
        return await (self._probed(address) if self._token else self.lost(address))

    async def _probed(self, address: str) -> str:
        """A call that is none goes the way of a call, and a stream that is none that of a stream."""
        prober = probing.Prober(address, [self._token], self._account_sid)
        try:
            async with aiohttp.ClientSession() as http:
                answer = await prober.ask(http, address, REQUEST_S)
                if not answer.ours:
                    return f"somebody else answered there, with status {answer.status}"
                if answer.status != 200:
                    saw = answer.saw or "another address"
                    raise NoTunnel(
                        f"{address} leads here as {saw}, and by that Twilio's signature does not fit: look for what "
                        "rewrites host or path in the tunnel's configuration", final=True)
                async with asyncio.timeout(REQUEST_S):
                    stream = await prober.upgrade(http, REQUEST_S)
                return "" if stream.ours else "a stream there does not lead here"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"it was asked in vain: {why(error)}"

    async def lost(self, address: str) -> str:
        """Why the server is not there any more; "": it is. Without a line in its log."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(f"{address}/healthz", allow_redirects=False) as answer,
            ):
                return "" if answer.status == 200 else f"it was answered with status {answer.status}"
        except (aiohttp.ClientError, OSError) as error:
            return f"it was asked in vain: {why(error)}"
