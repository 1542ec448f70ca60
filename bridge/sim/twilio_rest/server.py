"""The server: who asks for what, and what goes wrong."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from aiohttp import web

from bridge.sim.phone import Phone
from bridge.sim.twilio_rest import alerts
from bridge.sim.twilio_rest.alerts import Alert
from bridge.sim.twilio_rest.calls import Calls
from bridge.sim.twilio_rest.numbers import Numbers
from bridge.sim.twilio_rest.refusals import Refused, not_found, outage, problem, require_known, unauthorized, wrong

_RESOURCE = re.compile(r"(?P<kind>IncomingPhoneNumbers|Applications|Calls)(?:/(?P<sid>[A-Z]{2}[0-9a-f]{32}))?\.json")
_ALERT = re.compile(r"/v1/Alerts(?:/(?P<sid>NO[0-9a-f]{32}))?")


@dataclass(frozen=True)
class RestFaults:
    """What goes wrong with requests; those of a server may be changed between two of them."""

    #: Nothing is done, and the answer is this HTTP status: 429, 500, 503.
    status: int | None = None
    #: Nothing is done, and no answer ever comes.
    never_answers: bool = False
    #: It is done, and the connection breaks before the answer: the client cannot know.
    breaks: bool = False
    #: It is done, and the answer comes so many real seconds later.
    late_s: float = 0.0


class Asked(NamedTuple):
    """A request: where it went, what its form said, the status it was answered by, and its method."""

    path: str
    form: dict[str, str]
    status: int | None
    method: str = "POST"


class TwilioRest:
    """Listens on a free port of 127.0.0.1 while it is entered; `url` stands for https://api.twilio.com.

    `auth_token` is the primary one, which the account tells and signs with. `secondary_token` is let in as well.
    """

    def __init__(self, account_sid: str, auth_token: str, secondary_token: str = "") -> None:
        self.account_sid, self._auth_token, self._secondary_token = account_sid, auth_token, secondary_token
        #: active, suspended or closed; Trial or Full.
        self.status, self.type = "active", "Full"
        self.numbers = Numbers(account_sid)
        self.calls = Calls(account_sid, self.numbers)
        self.alerts: list[Alert] = []
        self.faults = RestFaults()
        self.asked: list[Asked] = []
        self.url = ""
        self._stopping = asyncio.Event()

    @property
    def phones(self) -> list[Phone]:
        """Whose calls can be updated."""
        return self.calls.phones

    def rotate(self) -> None:
        """The secondary token is promoted, and what was the primary one is the secondary one now."""
        self._auth_token, self._secondary_token = self._secondary_token, self._auth_token

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
        await self.calls.finish()

    async def _answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        faults = self.faults
        if faults.never_answers:
            self.asked.append(Asked(request.path, form, None, request.method))
            await self._linger(None)
            return web.Response(status=503)
        try:
            if faults.status:
                raise outage(faults.status)
            made = request.method == "POST" and request.path.endswith("/Calls.json")
            answer = web.json_response(await self._carry_out(request, form), status=201 if made else 200)
        except Refused as refused:
            answer = problem(refused)
        self.asked.append(Asked(request.path, form, None if faults.breaks else answer.status, request.method))
        if faults.breaks and request.transport:
            request.transport.abort()
        if faults.late_s:
            await self._linger(faults.late_s)
        return answer

    async def _linger(self, seconds: float | None) -> None:
        """For so long, and no longer than the server is there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _carry_out(self, request: web.Request, form: Mapping[str, str]) -> dict[str, Any]:
        """What is asked for, as JSON. Raises Refused."""
        self._authenticate(request)
        path, method = request.path, request.method
        account = f"/2010-04-01/Accounts/{self.account_sid}"
        if path == f"{account}.json":
            _require_method(method, "GET")
            require_known(request.query, ())
            return self._shown()
        if self.status != "active":
            raise unauthorized()
        if found := _ALERT.fullmatch(path):
            _require_method(method, "GET")
            if found["sid"]:
                return alerts.fetched(self.alerts, self.url, self.account_sid, found["sid"])
            return alerts.listed(self.alerts, self.url, self.account_sid, request.query)
        resource = _RESOURCE.fullmatch(path.removeprefix(f"{account}/"))
        if resource is None:
            raise not_found(path)
        if method == "POST" and request.content_type != "application/x-www-form-urlencoded":
            raise wrong(f"The form is sent as {request.content_type}.")
        if method == "POST" or resource["sid"]:
            require_known(request.query, ())             # a form's parameters do not stand in the address
        return await self._resource(method, path, resource["kind"], resource["sid"], form, request.query)

    async def _resource(
        self, method: str, path: str, kind: str, sid: str | None, form: Mapping[str, str], query: Mapping[str, str],
    ) -> dict[str, Any]:
        match kind, sid, method:
            case "IncomingPhoneNumbers", None, "GET":
                return self.numbers.listed(path, query)
            case "IncomingPhoneNumbers", str(), "GET":
                return self.numbers.fetched(sid, path)
            case "IncomingPhoneNumbers", str(), "POST":
                return self.numbers.updated(sid, path, form)
            case "Applications", str(), "GET":
                return self.numbers.application(sid, path)
            case "Calls", None, "POST":
                return self.calls.created(form)
            case "Calls", str(), "GET":
                return self.calls.fetched(sid, path)
            case "Calls", str(), "POST":
                return await self.calls.updated(sid, path, form)
        raise _not_allowed()

    def _authenticate(self, request: web.Request) -> None:
        tokens = [token for token in (self._auth_token, self._secondary_token) if token]
        allowed = [f"Basic {b64encode(f'{self.account_sid}:{token}'.encode()).decode()}" for token in tokens]
        if request.headers.get("Authorization") not in allowed or self.status == "closed":
            raise unauthorized()

    def _shown(self) -> dict[str, Any]:
        return {"sid": self.account_sid, "owner_account_sid": self.account_sid, "friendly_name": "An account",
                "status": self.status, "type": self.type, "auth_token": self._auth_token,
                "uri": f"/2010-04-01/Accounts/{self.account_sid}.json"}


def _require_method(method: str, allowed: str) -> None:
    if method != allowed:
        raise _not_allowed()


def _not_allowed() -> Refused:
    return Refused(405, 20004, "Method not allowed")
