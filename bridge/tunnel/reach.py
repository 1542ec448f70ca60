"""Whether a tunnel brings Twilio's requests to this server as Twilio signs them."""

import asyncio
import json
import socket
import time

import aiohttp
from twilio.request_validator import RequestValidator
from yarl import URL

from bridge.reception import probe
from bridge.tunnel.process import NoTunnel

#: How long a name and an answer are waited for, and between two looks, seconds; and how long one request may take.
REACH_S, LOOK_S, REQUEST_S = 60.0, 1.0, 10.0
#: As much of an answer as is read, bytes.
MAX_ANSWER = 16 * 1024


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
            # Asked for by itself: whoever asks too early is told for minutes that there is no such name.
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return "its name is not known yet"
        return await (self._probed(address) if self._token else self.lost(address))

    async def _probed(self, address: str) -> str:
        """A call that is none goes the way of a call."""
        where, form = address + probe.WEBHOOK_PATH, {
            "CallSid": "CA" + "0" * 32, "AccountSid": self._account_sid, "CallStatus": "ringing"}
        shown = probe.mint(self._token, probe.WEBHOOK_PATH, time.time())
        headers = {"X-Twilio-Signature": RequestValidator(self._token).compute_signature(where, form),
                   probe.HEADER: shown}
        try:
            async with _session() as http, http.post(
                    where, data=form, headers=headers, allow_redirects=False) as answer:
                text = (await answer.content.read(MAX_ANSWER)).decode(errors="replace")
                ours = probe.is_answer(
                    [self._token], shown, answer.headers.get(probe.ANSWER_HEADER, ""), time.time())
                status = answer.status
        except (aiohttp.ClientError, OSError) as error:
            return _why(error)
        if not ours:
            return f"somebody else answered there, with status {status}"
        if status != 200:
            raise NoTunnel(f"{where} leads here as {_saw(text)}, and by that Twilio's signature does not fit: look for "
                           "what rewrites host or path in the tunnel's configuration", final=True)
        return ""

    async def lost(self, address: str) -> str:
        """Why the server is not there any more; "": it is. Without a line in its log."""
        try:
            async with _session() as http, http.get(f"{address}/healthz", allow_redirects=False) as answer:
                return "" if answer.status == 200 else f"it was answered with status {answer.status}"
        except (aiohttp.ClientError, OSError) as error:
            return _why(error)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_S))


def _saw(text: str) -> str:
    try:
        return str(json.loads(text)["saw"])[:300]
    except (ValueError, LookupError, TypeError):
        return "another address"


def _why(error: Exception) -> str:
    """In a few words."""
    return getattr(error, "strerror", None) or type(error).__name__
