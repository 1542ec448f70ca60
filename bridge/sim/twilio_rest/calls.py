"""Calls: those under way are changed, and new ones are made to a callee who is imagined.

Source: https://www.twilio.com/docs/voice/api/call-resource
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from xml.etree.ElementTree import Element, SubElement, tostring

from bridge.sim.phone import Phone, PhoneCall, PhoneError
from bridge.sim.phone.twiml import parsed
from bridge.sim.twilio_rest.numbers import Numbers
from bridge.sim.twilio_rest.refusals import Refused, not_found, require_known, wrong

LONGEST_TWIML = 4000
"""Characters of TwiML that the API takes."""
#: What a new call may say. Others that Twilio has are refused here: nothing would come of them.
_NEW = ("To", "From", "Twiml", "Url", "ApplicationSid", "Method", "FallbackUrl", "FallbackMethod", "StatusCallback",
        "StatusCallbackMethod", "StatusCallbackEvent", "Timeout", "TimeLimit")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass
class Outbound:
    """A call that the API was told to make."""

    to: str
    from_: str
    twiml: str
    sid: str = field(default_factory=lambda: f"CA{uuid4().hex}")
    status: str = "queued"
    began: datetime | None = None
    ended: datetime | None = None


class Calls:
    """All calls of the account. A new one rings for `rings_s`, and is answered and speaks for `speaks_s`."""

    def __init__(self, account_sid: str, numbers: Numbers) -> None:
        self._account_sid, self._numbers = account_sid, numbers
        self.phones: list[Phone] = []
        self.made: list[Outbound] = []
        #: What becomes of a new call: completed, busy, no-answer or failed.
        self.callee = "completed"
        self.rings_s = self.speaks_s = 0.05
        self._running: set[asyncio.Task[None]] = set()

    async def finish(self) -> None:
        await asyncio.gather(*self._running)

    def created(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Raises Refused."""
        require_known(form, _NEW)
        if sum(bool(form.get(name)) for name in ("Twiml", "Url", "ApplicationSid")) != 1:
            raise Refused(400, 21205, "Exactly one of Twiml, Url and ApplicationSid must be given.")
        if not _E164.fullmatch(form.get("To", "")):
            raise Refused(400, 21211, f"The 'To' number {form.get('To', '')} is not a valid phone number.")
        if not self._numbers.owns(form.get("From", "")):
            raise Refused(400, 21210, "The source phone number provided is not yet verified for your account.")
        twiml = form.get("Twiml") or _redirect(form.get("Url", "https://application/"), form.get("Method", "POST"))
        _check_twiml(twiml)
        call = Outbound(form["To"], form["From"], twiml)
        self.made.append(call)
        self._running.add(asyncio.create_task(self._ring(call)))
        return self._shown(call.sid, call.status, "outbound-api") | {"to": call.to, "from": call.from_}

    async def _ring(self, call: Outbound) -> None:
        call.status = "ringing"
        await asyncio.sleep(self.rings_s)
        if self.callee == "completed":
            call.status, call.began = "in-progress", datetime.now(UTC)
            await asyncio.sleep(self.speaks_s)
        call.status, call.ended = self.callee, datetime.now(UTC)

    def fetched(self, sid: str, path: str) -> dict[str, Any]:
        for call in self.made:
            if call.sid == sid:
                seconds = round((call.ended - call.began).total_seconds()) if call.ended and call.began else None
                return self._shown(sid, call.status, "outbound-api") | {
                    "to": call.to, "from": call.from_, "start_time": _rfc2822(call.began),
                    "end_time": _rfc2822(call.ended), "duration": None if seconds is None else str(seconds)}
        found = self._find(sid, path)
        return self._shown(sid, found.status, "inbound")

    async def updated(self, sid: str, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Does what is asked; the call as it is afterwards. Raises Refused."""
        call = self._find(sid, path)
        change = _checked(form)
        if call.status == "completed" or (call.status == "ringing" and "Status" not in change):
            raise Refused(400, 21220, "Unable to update record. Call is not in-progress. Cannot redirect.")
        await self._change(call, change)
        status = "completed" if change.get("Status") == "completed" else call.status
        return self._shown(sid, status, "inbound")

    def _find(self, sid: str, path: str) -> PhoneCall:
        for call in self._under_way():
            if call.sid == sid:
                return call
        raise not_found(path)

    def _under_way(self) -> Iterator[PhoneCall]:
        return (call for phone in self.phones for call in phone.calls)

    async def _change(self, call: PhoneCall, change: Mapping[str, str]) -> None:
        if "Status" not in change:
            try:
                return await call.update(change["Twiml"])
            except PhoneError as error:
                raise Refused(400, 12100, str(error)) from None
        if change["Status"] == "completed":
            # Twilio answers before the call has ended: the stream's server may be the one who asks.
            self._running.add(asyncio.create_task(_complete(call)))

    def _shown(self, sid: str, status: str, direction: str) -> dict[str, Any]:
        return {"sid": sid, "account_sid": self._account_sid, "status": status, "direction": direction,
                "api_version": "2010-04-01", "uri": f"/2010-04-01/Accounts/{self._account_sid}/Calls/{sid}.json"}


async def _complete(call: PhoneCall) -> None:
    with suppress(PhoneError):      # of a call that fails while it ends; whoever waits for its end is told
        await call.complete()


def _checked(form: Mapping[str, str]) -> dict[str, str]:
    """The change that a form asks for: a Status, or a Twiml. Raises Refused."""
    require_known(form, ("Status", "Twiml", "Url", "Method"))
    if "Status" in form:
        if len(form) > 1 or form["Status"] not in ("completed", "canceled"):
            raise wrong("Status is neither completed nor canceled, or does not stand alone.")
        return {"Status": form["Status"]}
    if "Url" in form:
        return {"Twiml": _redirect(form["Url"], form.get("Method", "POST"))}
    _check_length(form.get("Twiml", ""))
    if form.keys() != {"Twiml"}:
        raise wrong("Neither Status, Twiml nor Url is given.")
    return {"Twiml": form["Twiml"]}


def _check_twiml(twiml: str) -> None:
    _check_length(twiml)
    try:
        parsed("REST", twiml)
    except PhoneError as error:
        raise Refused(400, 12100, str(error)) from None


def _check_length(twiml: str) -> None:
    if len(twiml) > LONGEST_TWIML:
        raise wrong(f"Twiml has more than {LONGEST_TWIML} characters.")


def _redirect(url: str, method: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise Refused(400, 21205, f"Url is not a valid URL: {url}")
    response = Element("Response")
    SubElement(response, "Redirect", method=method).text = url
    return '<?xml version="1.0" encoding="UTF-8"?>' + tostring(response, encoding="unicode")


def _rfc2822(moment: datetime | None) -> str | None:
    return format_datetime(moment) if moment else None
