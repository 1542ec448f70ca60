"""Whether a tunnel brings Twilio's requests to this server as Twilio signs them."""

import asyncio
import socket

import aiohttp
from twilio.request_validator import RequestValidator
from yarl import URL

from bridge.tunnel.process import NoTunnel
from bridge.twilio_side.pointing import STATUS

#: How long a name and an answer are waited for, and between two looks, seconds; and how long one request may take.
REACH_S, LOOK_S, REQUEST_S = 60.0, 1.0, 10.0


class Prober:
    """Asks by Twilio's signature; `account_sid` may be "" where calls of any account are taken."""

    def __init__(self, token: str, account_sid: str) -> None:
        self._token, self._account_sid = token, account_sid

    async def until_reached(self, address: str) -> None:
        """Raises NoTunnel when that does not come about in REACH_S, or cannot."""
        problem = "it was not tried"
        try:
            async with asyncio.timeout(REACH_S):
                while problem := await self.problem(address):
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise NoTunnel(f"{address} did not lead here in {REACH_S:g} s: {problem}") from None

    async def problem(self, address: str) -> str:
        """Why a signed request there gets no answer of ours; "": it gets one. Raises NoTunnel if it never will."""
        host, port = URL(address).host or "", URL(address).port
        try:
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return "its name is not known yet"
        try:
            status = await self._probe(address)
        except (aiohttp.ClientError, OSError) as error:
            return getattr(error, "strerror", None) or type(error).__name__
        if status == 403:
            raise NoTunnel(f"{address} leads here, but changes the address that Twilio signs, and every call would be "
                           "refused: look for a rewritten host or path in the tunnel's configuration", final=True)
        return "" if status == 204 else f"it was answered with status {status}"

    async def _probe(self, address: str) -> int:
        """The end of a call that there never was: nothing comes of it, and only a right signature is answered so."""
        form = {"CallSid": "CA" + "0" * 32, "AccountSid": self._account_sid, "CallStatus": "probe"}
        where = address + STATUS
        headers = {"X-Twilio-Signature": RequestValidator(self._token).compute_signature(where, form)}
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(where, data=form, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status
