"""Twilio's requests: where they go, how they are signed, and which answers Twilio takes."""

import asyncio
import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urldefrag, urlencode, urlsplit

import aiohttp
from yarl import URL

from bridge.sim.phone.event import PhoneError
from bridge.sim.phone.signature import HEADER, sign

WEBHOOK_SECONDS = 15
"""Twilio's own limit for a webhook, whatever is configured."""
CLOSING_SECONDS = 5
"""How long the phone waits for the server's half of a close."""


class Wire:
    """Sends Twilio's requests. Addresses are as Twilio knows them. Only this class decides where they really go."""

    def __init__(self, webhook: str, signed_as: str | None, auth_token: str | None) -> None:
        self._server = urlsplit(webhook)
        self._public = urlsplit(signed_as) if signed_as else None
        self._auth_token = auth_token
        self._session: aiohttp.ClientSession | None = None
        self.webhook = webhook
        if self._public:
            path = self._server._replace(scheme="", netloc="").geturl()
            self.webhook = f"{self._public.scheme}://{self._public.netloc}{path}"

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WEBHOOK_SECONDS))

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def twiml(self, url: str, method: str, parameters: Mapping[str, str], token: str = "") -> str:
        """Ask a webhook what to do. Raises PhoneError if Twilio would not take the answer.

        `token`: the idempotency token, which is the same for each repetition of a request.
        """
        try:
            status, headers, body = await self._request(url, method, parameters, token)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PhoneError(f"11200: {url} could not be asked: {error!r}.") from error
        if status != 200:
            raise PhoneError(f"11200: {url} answered {status}, not 200: {body[:200]!r}.")
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in ("text/xml", "application/xml"):
            raise PhoneError(f"12300: {url} answered with Content-Type {kind!r}, not text/xml.")
        if "Content-Length" not in headers or "Transfer-Encoding" in headers:
            raise PhoneError(f"{url} answered without Content-Length: Twilio may cut such TwiML short.")
        return body.decode(errors="replace")

    async def fetch_clip(self, url: str) -> None:
        """Get the sound of a <Play>. Raises PhoneError if Twilio could not play it."""
        try:
            status, headers, _ = await self._request(url, "GET", {})
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PhoneError(f"11200: {url} could not be fetched: {error!r}.") from error
        kind = headers.get("Content-Type", "")
        if status != 200 or not kind.startswith("audio/"):
            raise PhoneError(f"11200: {url} answered {status} with Content-Type {kind!r}: it is no sound.")

    async def tell(self, url: str, method: str, parameters: Mapping[str, str]) -> None:
        """Send a status callback. Nobody reads its answer."""
        with suppress(aiohttp.ClientError, TimeoutError):
            await self._request(url, method, parameters)

    async def connect(self, session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
        """Open a stream's websocket. Raises aiohttp's errors and TimeoutError."""
        address, headers = self._reach(url)
        async with asyncio.timeout(WEBHOOK_SECONDS):
            return await session.ws_connect(
                URL(address, encoded=True), headers=headers | self._signature(url, {}), max_msg_size=0,
                autoping=False, timeout=aiohttp.ClientWSTimeout(ws_close=CLOSING_SECONDS))

    async def _request(self, url: str, method: str, parameters: Mapping[str, str],
                       token: str = "") -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            raise PhoneError("The phone is not plugged in: use it as `async with Phone(...) as phone`.")
        url = urldefrag(url).url
        form: dict[str, str] | None = dict(parameters)
        if method == "GET":
            query = ("&" if "?" in url else "?") + urlencode(parameters) if parameters else ""
            url, form = url + query, None
        address, headers = self._reach(url)
        headers |= {"User-Agent": "TwilioProxy/1.1"} | self._signature(url, form or {})
        if token:
            headers["I-Twilio-Idempotency-Token"] = token
        async with self._session.request(method, URL(address, encoded=True), data=form, headers=headers,
                                         allow_redirects=False) as response:
            return response.status, response.headers, await response.read()

    def _reach(self, url: str) -> tuple[str, dict[str, str]]:
        """The real address of `url`, and the headers that a proxy in front of the server would add."""
        parts = urlsplit(url)
        if self._public and parts.hostname == self._public.hostname:
            scheme = self._server.scheme
            if parts.scheme == "wss":
                scheme = scheme.replace("http", "ws", 1)
            address = parts._replace(scheme=scheme, netloc=self._server.netloc)
            return address.geturl(), {"Host": parts.netloc, "X-Forwarded-Proto": "https"}
        if parts.scheme == "wss" and _is_loopback(parts.hostname or ""):
            return parts._replace(scheme="ws").geturl(), {}
        return url, {}

    def _signature(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        return {} if self._auth_token is None else {HEADER: sign(self._auth_token, url, form)}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
