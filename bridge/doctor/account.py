"""The account at Twilio: whether its credentials fit, here and now, and it is active.

Twilio signs with the primary auth token. The secondary one opens the REST API just as well, and every call would be
refused with it: so the account is asked which one is the primary.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from yarl import URL

from bridge.doctor import alerts
from bridge.doctor.finding import Finding, sentence
from bridge.twilio_side.account import Account, Alert, Number, State, TwilioFailed
from bridge.twilio_side.rest import Credentials

T = TypeVar("T")

#: Where each region's API is: https://www.twilio.com/docs/global-infrastructure/understanding-edge-locations
REGIONS: Mapping[str, str] = {
    "US1": "https://api.twilio.com", "IE1": "https://api.dublin.ie1.twilio.com",
    "AU1": "https://api.sydney.au1.twilio.com"}
#: How far back alerts are read.
A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class View:
    """What Twilio says. `account` is the finding about it. None: that was refused or did not come.

    `applications`: where those lead that decide for a number, by their SIDs.
    """

    account: Finding
    numbers: Sequence[Number] | None = None
    applications: Mapping[str, str] | None = None
    alerts: Sequence[Alert] | None = None


async def look(credentials: Credentials, tokens: Sequence[str], regions: Mapping[str, str] = REGIONS) -> View:
    """`tokens`: those of the settings, the current one first."""
    account = Account(credentials)
    begun = asyncio.get_running_loop().time()
    state, numbers, noted = await asyncio.gather(
        _asked(asyncio.to_thread(account.state)), _asked(asyncio.to_thread(account.numbers)),
        _asked(asyncio.to_thread(account.alerts, datetime.now(UTC) - A_DAY)))
    if isinstance(state, TwilioFailed):
        if not state.refused_credentials:
            return View(Finding("account", "not proven", sentence(str(state))))
        return View(await _refused(credentials, tokens, regions))
    finding = judged(state, tokens, credentials.api)
    finding = replace(finding, took_s=asyncio.get_running_loop().time() - begun)
    if isinstance(numbers, TwilioFailed):
        return View(finding if finding.state == "failure" else Finding("account", "not proven", sentence(str(numbers))))
    return View(finding, numbers, await _applications(account, numbers),
                None if isinstance(noted, TwilioFailed) else noted)


async def details(credentials: Credentials, noted: Sequence[Alert]) -> list[Alert]:
    """The newest of each kind once more, with what was asked and answered; fewer where that cannot be had."""
    account = Account(credentials)
    found = await asyncio.gather(*(
        _asked(asyncio.to_thread(account.alert, each.sid)) for each in alerts.newest_of_each_kind(noted)))
    return [each for each in found if isinstance(each, Alert)]


async def _applications(account: Account, numbers: Sequence[Number]) -> dict[str, str]:
    sids = sorted({each.voice_application_sid for each in numbers if each.voice_application_sid})
    found = await asyncio.gather(*(_asked(asyncio.to_thread(account.application_url, sid)) for sid in sids))
    return {sid: url for sid, url in zip(sids, found, strict=True) if isinstance(url, str)}


async def _refused(credentials: Credentials, tokens: Sequence[str], regions: Mapping[str, str]) -> Finding:
    """SID and token do not fit: whether they would elsewhere, or with the older token."""
    def elsewhere(api: str, token: str) -> Account:
        return Account(replace(credentials, api=api, token=token))
    at_twilio = credentials.api in regions.values() or (URL(credentials.api).host or "").endswith(".twilio.com")
    others = {name: api for name, api in regions.items() if at_twilio and api != credentials.api}
    tried = await asyncio.gather(
        *(_asked(asyncio.to_thread(elsewhere(api, credentials.token).state)) for api in others.values()),
        *(_asked(asyncio.to_thread(elsewhere(credentials.api, token).state)) for token in tokens[1:]))
    for (name, api), state in zip(others.items(), tried, strict=False):
        if isinstance(state, State):
            return Finding(
                "account", "failure", f"SID and token are of Twilio's region {name}, and TWILIO_API_URL leads to "
                f"another one ({URL(credentials.api).host}).", f"Set TWILIO_API_URL={api}")
    if any(isinstance(state, State) for state in tried[len(others):]):
        return Finding(
            "account", "failure", "Twilio takes TWILIO_AUTH_TOKEN_OLD, and refuses TWILIO_AUTH_TOKEN.",
            "Copy TWILIO_AUTH_TOKEN from the Twilio console once more.")
    return Finding(
        "account", "failure", "Twilio refuses TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN: they do not fit each other, or "
        "the account is closed.", "Copy both from the first page of the Twilio console.")


def judged(state: State, tokens: Sequence[str], api: str) -> Finding:
    """Of an account whose credentials fit."""
    if state.status != "active":
        return Finding("account", "failure", f"The account at Twilio is {state.status}.",
                       "See the Twilio console, and its billing page.")
    if state.primary_token and state.primary_token != tokens[0]:
        if state.primary_token in tokens:
            return Finding(
                "account", "warning", "Twilio still signs with TWILIO_AUTH_TOKEN_OLD.",
                "Promote the new token in the Twilio console, then take TWILIO_AUTH_TOKEN_OLD away.")
        return Finding(
            "account", "failure", "Twilio signs with another token than TWILIO_AUTH_TOKEN, which is the secondary one: "
            "every call would be refused.",
            "Set TWILIO_AUTH_TOKEN to the primary token of the Twilio console, or promote this one there.")
    trial = " It is a trial: callers hear a notice first." if state.type == "Trial" else ""
    return Finding("account", "ok", f"SID and token fit ({region_of(api)}), and the account is active.{trial}")


def region_of(api: str) -> str:
    """For people: the region that an API's host is of."""
    host = URL(api).host or ""
    named = host.removeprefix("api.").removesuffix("twilio.com").strip(".").rpartition(".")[2]
    return "region " + (named.upper() or "US1") if host.endswith("twilio.com") else host


def obsolete(api: str) -> Finding | None:
    """A region's host without an edge, such as api.ie1.twilio.com, has answered nothing since 2026-04-28."""
    host = URL(api).host or ""
    parts = host.split(".")
    if not host.endswith(".twilio.com") or len(parts) != 4 or parts[1] == "us1":
        return None
    right = REGIONS.get(parts[1].upper(), f"https://api.<edge>.{parts[1]}.twilio.com")
    return Finding("account", "failure", f"TWILIO_API_URL leads to {host}, which was switched off on 2026-04-28.",
                   f"Set TWILIO_API_URL={right}")


async def _asked(asking: Awaitable[T]) -> T | TwilioFailed:
    try:
        return await asking
    except TwilioFailed as problem:
        return problem
