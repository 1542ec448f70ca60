"""Whether what a person filled in is right, as far as its vendor can be asked now. Nothing is changed, nothing costs.

A vendor that cannot be reached proves nothing: that is told, and the set-up goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
from yarl import URL

from bridge.openai_side import connection
from bridge.twilio_side.account import Account, TwilioFailed
from bridge.twilio_side.rest import Credentials

#: How long a vendor may take to answer, seconds.
ANSWER_S = 8.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`right`, `wrong`, or `doubtful`, also where it could not be asked; `said`: a sentence about it."""

    kind: Literal["right", "wrong", "doubtful"]
    said: str


async def openai_key(account: connection.Account) -> Verdict:
    """Whether the key is taken, and has the model."""
    try:
        status, answer = await _get(_models(account.url), connection.headers(account))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Verdict("doubtful", f"OPENAI_API_KEY could not be checked: {_why(error)}")
    if status in (401, 403):
        return Verdict(
            "wrong", "OPENAI_API_KEY was refused by OpenAI: copy it again from https://platform.openai.com/api-keys")
    if status != 200:
        return Verdict("doubtful", f"OPENAI_API_KEY could not be checked: OpenAI answered with status {status}")
    found = {each.get("id") for each in answer.get("data") or () if isinstance(each, dict)}
    if found and account.model not in found:
        return Verdict(
            "doubtful", f"the key is right, but its project has no {account.model}: allow that model in the project's "
            "limits, or set OPENAI_MODEL")
    return Verdict("right", f"the key is right, and has {account.model}" if found else "the key is right")


def _models(realtime_url: str) -> URL:
    """wss://host/v1/realtime is beside https://host/v1/models."""
    address = URL(realtime_url)
    return address.with_scheme(address.scheme.replace("ws", "http", 1)).with_path(
        address.path.rstrip("/").removesuffix("/realtime") + "/models").with_query(None)


def twilio_account(credentials: Credentials) -> Verdict:
    """Whether the token is that of the account, the one that Twilio signs with, and the account may take calls."""
    try:
        state = Account(credentials).state()
    except TwilioFailed as failed:
        if failed.refused_credentials or failed.status == 404:
            return Verdict("wrong", "Twilio refused TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN: copy both again from "
                                    "the first page of the Twilio console")
        return Verdict("doubtful", f"the Twilio account could not be checked: {failed}")
    if state.status != "active":
        return Verdict("doubtful", f"the Twilio account is {state.status}, and no call comes through: see the Twilio "
                                   "console")
    if state.primary_token and state.primary_token != credentials.token:
        return Verdict("wrong", "TWILIO_AUTH_TOKEN is the account's secondary token, and Twilio signs calls with the "
                                "primary one: copy that from the Twilio console")
    trial = state.type == "Trial"
    return Verdict("right", "the Twilio account is right, and active" + (
        ". It is a trial: callers hear a notice of Twilio's and press a key first" if trial else ""))


async def _get(address: URL, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """The status, and what the answer says. Raises aiohttp.ClientError, OSError and ValueError."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=True) as http,
        http.get(address, headers=headers, allow_redirects=False) as answer,
    ):
        said = await answer.json(content_type=None) if answer.status == 200 else {}
        return answer.status, said if isinstance(said, dict) else {}


def _why(error: Exception) -> str:
    """In a few words; the whole text of an error may hold the address."""
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_S:g} s"
    if isinstance(error, ValueError):
        return "the answer is no JSON"
    return getattr(error, "strerror", None) or type(error).__name__
