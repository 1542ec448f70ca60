"""Whether what a person filled in is right, as far as its vendor can be asked now. Nothing is changed, nothing costs.

A vendor that cannot be reached proves nothing: that is told, and the set-up goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import aiohttp

from bridge.delivery import reach
from bridge.doctor import webhooks
from bridge.doctor.model import list_models
from bridge.openai_side import connection
from bridge.twilio_side.account import Account, TwilioFailed
from bridge.twilio_side.rest import Credentials


@dataclass(frozen=True, slots=True)
class Verdict:
    """`right`, `wrong`, or `doubtful`, also where it could not be asked; `said`: a sentence about it."""

    kind: Literal["right", "wrong", "doubtful"]
    said: str


async def openai_key(account: connection.Account) -> Verdict:
    """Whether the key is taken, and has the model."""
    async with aiohttp.ClientSession() as http:
        listing = await list_models(http, account)
    if listing.status in (401, 403):
        return Verdict(
            "wrong", "OPENAI_API_KEY was refused by OpenAI: copy it again from https://platform.openai.com/api-keys")
    if listing.problem or listing.status != 200:
        reason = listing.problem or f"OpenAI answered with status {listing.status}"
        return Verdict("doubtful", f"OPENAI_API_KEY could not be checked: {reason}")
    if account.model not in listing.ends:
        return Verdict(
            "doubtful", f"The key is right, but its project has no {account.model}: allow that model in the project's "
            "limits, or set OPENAI_MODEL")
    return Verdict("right", f"The key is right, and has {account.model}")


async def webhook(urls: Sequence[str], *, private: bool) -> Verdict:
    """Whether each can be reached, and answers HEAD, which books nothing. `private`: in a private network too."""
    async with reach.open_session(private=private) as http:
        findings = await webhooks.examine(http, urls)
    said = " ".join(filter(None, (words for each in findings for words in (each.says, each.do, each.command))))
    return Verdict("right" if all(each.state == "ok" for each in findings) else "doubtful", said)


def numbers_with_voice(credentials: Credentials) -> list[str] | None:
    """Which numbers of the account can be called; None: that could not be asked."""
    try:
        return [each.phone_number for each in Account(credentials).numbers() if each.voice]
    except TwilioFailed:
        return None


def twilio_account(credentials: Credentials) -> Verdict:
    """Whether the token is that of the account, the one that Twilio signs with, and the account may take calls."""
    try:
        state = Account(credentials).state()
    except TwilioFailed as failed:
        if failed.refused_credentials or failed.status == 404:
            return Verdict("wrong", "Twilio refused TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN: copy both again from "
                                    "the first page of the Twilio console")
        return Verdict("doubtful", f"The Twilio account could not be checked: {failed}")
    if state.status != "active":
        return Verdict("doubtful", f"The Twilio account is {state.status}, and no call comes through: see the Twilio "
                                   "console")
    if state.primary_token and state.primary_token != credentials.token:
        return Verdict("wrong", "TWILIO_AUTH_TOKEN is the account's secondary token, and Twilio signs calls with the "
                                "primary one: copy that from the Twilio console")
    trial = state.type == "Trial"
    return Verdict("right", "The Twilio account is right, and active" + (
        ". It is a trial: callers hear a notice of Twilio's and press a key first" if trial else ""))
