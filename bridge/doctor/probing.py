"""Asks an address what Twilio would ask it, as nobody's call: reception/probe.py says what is answered."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext, cert_time_to_seconds
from typing import Any
from xml.etree import ElementTree

import aiohttp
from twilio.request_validator import RequestValidator

from bridge.reception import probe

#: What the number of a stream's path is: nobody's.
NOBODY = "anonymous"
#: As much of an answer as is read, bytes.
MAX_ANSWER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from /incoming-call.

    `ours`: a server with the same auth token answered. `saw`: the address that it believes it was asked by, where
    Twilio's signature did not fit it, else "". `stream`: where its TwiML leads the call, "" where to no stream.
    """

    status: int
    ours: bool
    saw: str = ""
    stream: str = ""
    location: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Stream:
    """What came back by /media-stream.

    `ours`: a message of a server with the same auth token. `certificate_until`: seconds since 1970, None without TLS.
    """

    ours: bool
    certificate_until: float | None


@dataclass(frozen=True, slots=True)
class Prober:
    """Signs probes for `origin`, the public address, with `tokens`, the current one first.

    `tls` is how certificates are judged. What its methods raise is aiohttp's and OSError.
    """

    origin: str
    tokens: Sequence[str] = field(repr=False)
    account_sid: str
    tls: SSLContext | bool = True
    clock: Callable[[], float] = time.time

    async def ask(self, http: aiohttp.ClientSession, at: str, within_s: float) -> Answer:
        """What /incoming-call answers; `at`: where it is asked, the public address or a way round it."""
        form = {"CallSid": "CA" + "0" * 32, "AccountSid": self.account_sid, "From": NOBODY, "To": "",
                "CallStatus": "ringing", "Direction": "inbound", "ApiVersion": "2010-04-01"}
        headers = self._headers(probe.WEBHOOK_PATH, self.origin + probe.WEBHOOK_PATH, form)
        begun = time.monotonic()
        async with http.post(
            at + probe.WEBHOOK_PATH, data=form, headers=headers, allow_redirects=False, ssl=self.tls,
            timeout=aiohttp.ClientTimeout(total=within_s),
        ) as answer:
            text = (await answer.content.read(MAX_ANSWER)).decode(errors="replace")
            return Answer(
                answer.status, self._is_answer(headers, answer.headers), _saw(text), _stream(text),
                answer.headers.get("Location", ""), time.monotonic() - begun)

    async def is_ours(self, http: aiohttp.ClientSession, at: str, within_s: float) -> bool:
        """Whether a server with the same auth token is there."""
        try:
            return (await self.ask(http, at, within_s)).ours
        except (aiohttp.ClientError, OSError):
            return False

    async def upgrade(self, http: aiohttp.ClientSession, within_s: float) -> Stream:
        """Whether a stream reaches a server, and a message of it comes back.

        Raises aiohttp.WSServerHandshakeError where there is no upgrade.
        """
        path = f"{probe.STREAM_PATH}/{NOBODY}"
        stream = "wss://" + self.origin.partition("://")[2] + path
        headers = self._headers(probe.STREAM_PATH, stream, {})
        async with http.ws_connect(
            self.origin + path, headers=headers, ssl=self.tls,
            timeout=aiohttp.ClientWSTimeout(ws_receive=within_s, ws_close=1.0),
        ) as socket:
            message = await socket.receive()
            said = json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else {}
            answer = said.get("answer", "") if isinstance(said, dict) else ""
            certificate: dict[str, Any] = socket.get_extra_info("peercert") or {}
            until = certificate.get("notAfter")
            return Stream(self._knows(headers, answer), float(cert_time_to_seconds(until)) if until else None)

    def _headers(self, path: str, signed: str, form: Mapping[str, str]) -> dict[str, str]:
        token = self.tokens[0]
        return {"X-Twilio-Signature": RequestValidator(token).compute_signature(signed, form),
                probe.HEADER: probe.mint(token, path, self.clock())}

    def _is_answer(self, headers: Mapping[str, str], answered: Mapping[str, str]) -> bool:
        return self._knows(headers, answered.get(probe.ANSWER_HEADER, ""))

    def _knows(self, headers: Mapping[str, str], answer: str) -> bool:
        return probe.is_answer(self.tokens, headers[probe.HEADER], answer, self.clock())


def _saw(text: str) -> str:
    try:
        said = json.loads(text)
    except ValueError:
        return ""
    return str(said.get("saw", "")) if isinstance(said, dict) else ""


def _stream(text: str) -> str:
    try:
        found = ElementTree.fromstring(text).find("Connect/Stream")
    except ElementTree.ParseError:
        return ""
    return found.attrib.get("url", "") if found is not None else ""
