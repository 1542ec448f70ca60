"""Twilio's REST API, for a call that is under way.

Each request is one form POST on the application's HTTP session, bounded by TIMEOUT_S. It is sent once. If no connection
was made, so that certainly nothing was sent, it is tried a second time.
Source: https://www.twilio.com/docs/voice/api/call-resource
"""

import logging
from asyncio import timeout
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import quote

import aiohttp
import msgspec

log = logging.getLogger(__name__)

#: How long a request may take in all, and how long each of two connections (s).
TIMEOUT_S, CONNECT_S = 3.0, 1.2
#: How much of an answer is read (bytes).
MAX_ANSWER = 16 * 1024

#: No connection was made, and so nothing was sent.
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_CREDENTIALS = "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
#: What the owner can do about Twilio's errors, by code. https://www.twilio.com/docs/api/errors
_ADVICE = {
    20003: _CREDENTIALS,
    20404: "it knows no such call: TWILIO_ACCOUNT_SID must be the account of the number that was called",
    20429: "it is asked too often: ask Twilio for a higher limit",
    21218: "it could not read the TwiML",
}
#: Twilio's error code for a call that is over: the caller has hung up meanwhile.
CALL_IS_OVER = 21220


class Outcome(Enum):
    """What became of a change to a call. Only DONE is true.

    REFUSED: certainly nothing has changed. UNKNOWN: the request was sent and not answered, or Twilio failed over it.
    The change may have been made, or may be made at any moment.
    """

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        return self is Outcome.DONE


@dataclass(frozen=True, slots=True)
class Credentials:
    """The account whose calls may be changed. `api`: the origin of the REST API. `sid`: the account's id."""

    api: str
    sid: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one account. Used to end a call, or to lead it elsewhere. Methods raise nothing."""

    http: aiohttp.ClientSession
    credentials: Credentials

    async def complete(self, call_sid: str) -> Outcome:
        """Hangs up, whatever TwiML would come next. Logs any outcome but DONE."""
        return await _change(self, call_sid, "end it", Status="completed")

    async def update(self, call_sid: str, twiml: str) -> Outcome:
        """Replaces what the call does now by new TwiML, 4000 characters at most. The call's stream is stopped.

        Logs any outcome but DONE.
        """
        return await _change(self, call_sid, "give it new TwiML", Twiml=twiml)


async def _change(calls: Calls, call_sid: str, what: str, **form: str) -> Outcome:
    try:
        async with timeout(TIMEOUT_S):
            try:
                status, code = await _post(calls.http, calls.credentials, call_sid, form)
            except _NOT_SENT:
                status, code = await _post(calls.http, calls.credentials, call_sid, form)
    except _NOT_SENT as error:
        outcome, problem = Outcome.REFUSED, f"no connection could be made ({_reason(error)})"
    except (aiohttp.ClientError, OSError) as error:              # TimeoutError is an OSError
        outcome, problem = Outcome.UNKNOWN, f"it did not answer ({_reason(error)})"
    else:
        if 200 <= status < 300:
            return Outcome.DONE
        outcome = Outcome.UNKNOWN if status >= 500 else Outcome.REFUSED
        problem = _problem(status, code)
        if code == CALL_IS_OVER:
            log.info("call %(call)s: it was over before Twilio could %(what)s", {"call": call_sid, "what": what})
            return outcome
    log.error("call %(call)s: Twilio's REST API did not %(what)s: %(problem)s",
              {"call": call_sid, "what": what, "problem": problem})
    return outcome


class _Error(msgspec.Struct):
    """An error of Twilio's. Its message may hold a phone number, so it is not read."""

    code: int = 0


async def _post(
    http: aiohttp.ClientSession, credentials: Credentials, call_sid: str, form: dict[str, str],
) -> tuple[int, int]:
    """The answer's status, and Twilio's error code or 0."""
    account = f"{credentials.api}/2010-04-01/Accounts/{credentials.sid}"
    authorization = aiohttp.encode_basic_auth(credentials.sid, credentials.token)
    async with http.post(
        f"{account}/Calls/{quote(call_sid, safe='')}.json", data=form, headers={"Authorization": authorization},
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S), allow_redirects=False,
    ) as answer:
        if answer.ok:
            return answer.status, 0                  # the status is enough, and reading the body may still fail
        try:
            return answer.status, msgspec.json.decode(await answer.content.read(MAX_ANSWER), type=_Error).code
        except (msgspec.DecodeError, aiohttp.ClientError):
            return answer.status, 0


def _problem(status: int, code: int) -> str:
    said = f"it answered with status {status}" + (f", error {code}" if code else "")
    advice = _ADVICE.get(code) or (_CREDENTIALS if status in (401, 403) else "")
    return f"{said}; {advice}" if advice else said


def _reason(error: Exception) -> str:
    """The short reason of an error. Its whole text may hold the address."""
    return getattr(error, "strerror", None) or type(error).__name__
