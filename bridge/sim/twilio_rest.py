"""Twilio's REST API for calls under way, on this machine: strict, and with faults.

    async with TwilioRest(account_sid, auth_token) as rest:
        rest.phones.append(phone)       # with TWILIO_API_URL=rest.url the server can now update `phone`'s calls

It carries out accepted requests on the `PhoneCall`s of its phones. It refuses what Twilio refuses or ignores: an
unknown field is a mistake here. `RestFaults` says what goes wrong. Source:
https://www.twilio.com/docs/voice/api/call-resource
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, Self
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, tostring

from aiohttp import web

from bridge.sim.phone import Phone, PhoneCall, PhoneError

LONGEST_TWIML = 4000
"""The most characters of TwiML that the API takes."""


@dataclass(frozen=True)
class RestFaults:
    """The faults of requests. They may be changed between two requests."""

    #: The request is not carried out. The answer is this HTTP status: 429, 500, 503.
    status: int | None = None
    #: The request is not carried out, and no answer ever comes.
    never_answers: bool = False
    #: The request is carried out, and the connection breaks before the answer. The client cannot know which.
    breaks: bool = False
    #: The request is carried out, and the answer comes this much later, in real seconds.
    late_s: float = 0.0


class Asked(NamedTuple):
    """A request: its path, its form, and the status of its answer, or None without an answer."""

    path: str
    form: dict[str, str]
    status: int | None


class Refused(Exception):
    """A refusal, with its HTTP status and Twilio's own code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class TwilioRest:
    """Listens on a free port of 127.0.0.1 while it is entered. `url` stands for https://api.twilio.com.

    `asked` has every request so far. Set `faults` to make the next ones fail.
    """

    def __init__(self, account_sid: str, auth_token: str) -> None:
        self.account_sid, self._auth_token = account_sid, auth_token
        self.phones: list[Phone] = []
        self.faults = RestFaults()
        self.asked: list[Asked] = []
        self.url = ""
        self._completing: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stopping.set()
        await self._runner.cleanup()
        await asyncio.gather(*self._completing)

    async def _answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        faults = self.faults
        if faults.never_answers:
            self.asked.append(Asked(request.path, form, None))
            await self._linger(None)
            return web.Response(status=503)
        try:
            if faults.status:
                raise _outage(faults.status)
            answer = web.json_response(await self._carry_out(request, form))
        except Refused as refused:
            answer = _problem(refused)
        self.asked.append(Asked(request.path, form, None if faults.breaks else answer.status))
        if faults.breaks and request.transport:
            request.transport.abort()
        if faults.late_s:
            await self._linger(faults.late_s)
        return answer

    async def _linger(self, seconds: float | None) -> None:
        """Waits `seconds` (None: without end), or until the server stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _carry_out(self, request: web.Request, form: Mapping[str, str]) -> dict[str, str]:
        """Does what a request asks, and returns the call as it is afterwards. Raises Refused."""
        expected = b64encode(f"{self.account_sid}:{self._auth_token}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            raise Refused(401, 20003, "Authenticate")
        call = self._find(request.path)
        if request.method != "POST":
            raise Refused(405, 20004, "Method not allowed")
        if request.content_type != "application/x-www-form-urlencoded":
            raise Refused(400, 20001, f"The form is sent as {request.content_type}.")
        change = _checked(form)
        if call.status == "completed" or (call.status == "ringing" and "Status" not in change):
            raise Refused(400, 21220, "Unable to update record. Call is not in-progress. Cannot redirect.")
        await self._change(call, change)
        status = "completed" if change.get("Status") == "completed" else call.status
        return {"sid": call.sid, "account_sid": self.account_sid, "status": status, "direction": "inbound",
                "api_version": "2010-04-01", "uri": request.path}

    def _find(self, path: str) -> PhoneCall:
        for call in (call for phone in self.phones for call in phone.calls):
            if path == f"/2010-04-01/Accounts/{self.account_sid}/Calls/{call.sid}.json":
                return call
        raise Refused(404, 20404, f"The requested resource {path} was not found")

    async def _change(self, call: PhoneCall, change: Mapping[str, str]) -> None:
        if "Status" not in change:
            try:
                return await call.update(change["Twiml"])
            except PhoneError as error:
                raise Refused(400, 12100, str(error)) from None
        if change["Status"] == "completed":
            # Twilio answers before the call has ended, because the stream's server may have sent the request.
            self._completing.add(asyncio.create_task(_complete(call)))


async def _complete(call: PhoneCall) -> None:
    with suppress(PhoneError):      # if the call fails while it ends, `until_over` raises it
        await call.complete()


def _checked(form: Mapping[str, str]) -> dict[str, str]:
    """The change that a form asks for: a Status or a Twiml. Raises Refused."""
    if unknown := form.keys() - {"Status", "Twiml", "Url", "Method"}:
        raise Refused(400, 20001, f"Unknown parameters: {', '.join(sorted(unknown))}.")
    if "Status" in form:
        if len(form) > 1 or form["Status"] not in ("completed", "canceled"):
            raise Refused(400, 20001, "Status is neither completed nor canceled, or does not stand alone.")
        return {"Status": form["Status"]}
    if "Url" in form:
        return {"Twiml": _redirect(form["Url"], form.get("Method", "POST"))}
    if len(form.get("Twiml", "")) > LONGEST_TWIML:
        raise Refused(400, 20001, f"Twiml has more than {LONGEST_TWIML} characters.")
    if form.keys() != {"Twiml"}:
        raise Refused(400, 20001, "Neither Status, Twiml nor Url is given.")
    return {"Twiml": form["Twiml"]}


def _redirect(url: str, method: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise Refused(400, 21205, f"Url is not a valid URL: {url}")
    response = Element("Response")
    SubElement(response, "Redirect", method=method).text = url
    return '<?xml version="1.0" encoding="UTF-8"?>' + tostring(response, encoding="unicode")


def _outage(status: int) -> Refused:
    if status == 429:
        return Refused(429, 20429, "Too Many Requests")
    return Refused(status, 20500, "An internal server error has occurred")


def _problem(refused: Refused) -> web.Response:
    return web.json_response(status=refused.status, data={
        "code": refused.code, "message": refused.message, "status": refused.status,
        "more_info": f"https://www.twilio.com/docs/errors/{refused.code}"})
