"""What the commands ask of an account at Twilio, by Twilio's own REST client: its state, its numbers, its alerts.

The client blocks, so an event loop asks in a thread: `await asyncio.to_thread(account.numbers)`. Each request is
bounded by a time-out, and none is sent twice. The server uses none of this: a call's own requests are in rest.py.
Sources: https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource ,
https://www.twilio.com/docs/iam/api/account , https://www.twilio.com/docs/usage/monitor-alert ,
https://www.twilio.com/docs/voice/api/call-resource
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from yarl import URL

from bridge.twilio_side.rest import Credentials

if TYPE_CHECKING:
    from twilio.rest import Client

T = TypeVar("T")

#: How long a connection, and each pause in an answer, may take, seconds.
TIMEOUT_S = 4.0
#: The most that is read of a list.
MOST_NUMBERS, MOST_ALERTS = 500, 100

_CREDENTIALS = (
    "copy the account SID and the auth token from the Twilio console, of the same account and of the region of "
    "TWILIO_API_URL")
#: What is to be done about Twilio's errors, by code: https://www.twilio.com/docs/api/errors
_ADVICE = {
    20003: _CREDENTIALS,
    20008: "these are test credentials: use the live ones",
    20404: "it belongs to another account, or is not there any more",
    20429: "it is asked too often: wait a minute",
    21210: "the number that calls must be one of this account's",
    21211: "the number that is called is none",
    21219: "a trial account calls only numbers that are verified in the Twilio console",
}


class TwilioFailed(Exception):
    """Twilio did not do what was asked: one clear line, with what to do.

    `status` and `code` are those of Twilio's answer, 0 where none came.
    """

    def __init__(self, message: str, status: int = 0, code: int = 0) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    @property
    def refused_credentials(self) -> bool:
        """Whether SID and token do not fit, here."""
        return self.status == 401


@dataclass(frozen=True, slots=True)
class State:
    """What an account says of itself. `status`: active, suspended or closed; `type`: Trial or Full.

    `primary_token` is the token that Twilio signs with; "" where it is not told.
    """

    name: str
    status: str
    type: str
    primary_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Number:
    """One of the account's numbers, and what a call to it leads to. What is not set is "".

    While `voice_application_sid` or `trunk_sid` is set, Twilio keeps `voice_url` and does not use it.
    """

    sid: str
    phone_number: str
    friendly_name: str = ""
    voice_url: str = ""
    voice_method: str = "POST"
    voice_fallback_url: str = ""
    voice_fallback_method: str = "POST"
    status_callback: str = ""
    status_callback_method: str = "POST"
    voice_application_sid: str = ""
    trunk_sid: str = ""
    #: Whether it can be called: there are numbers for messages only, and lines set to fax.
    voice: bool = True
    voice_receive_mode: str = "voice"

    @property
    def overridden_by(self) -> str:
        """The SID that decides in place of `voice_url`; "": `voice_url` counts."""
        return self.trunk_sid or self.voice_application_sid


@dataclass(frozen=True, slots=True)
class Alert:
    """What Twilio noted in its debugger. The last two are told only by `Account.alert`."""

    sid: str
    error_code: str
    text: str
    request_url: str
    request_method: str
    resource_sid: str
    generated: datetime | None
    request_variables: str = ""
    response_body: str = ""


@dataclass(frozen=True, slots=True)
class MadeCall:
    """A call that Twilio was told to make. `status` as Twilio has it: queued, ringing, in-progress, completed..."""

    sid: str
    status: str
    seconds: int | None


class Account:
    """One account, asked by its own credentials; every method blocks, and raises TwilioFailed."""

    def __init__(self, credentials: Credentials, timeout_s: float = TIMEOUT_S) -> None:
        self._client = _client(credentials, timeout_s)
        self._sid = credentials.sid

    def state(self) -> State:
        """Whether it is active."""
        found = _asked("tell of the account", lambda: self._client.api.accounts(self._sid).fetch())
        return State(_text(found.friendly_name), _text(found.status), _text(found.type), _text(found.auth_token))

    def numbers(self) -> list[Number]:
        """All its numbers, in Twilio's order; MOST_NUMBERS at most."""
        found = _asked("list the account's numbers", lambda: self._client.incoming_phone_numbers.list(
            limit=MOST_NUMBERS, page_size=min(MOST_NUMBERS, 100)))
        return [_number(each) for each in found]

    def find(self, phone_number: str) -> Number | None:
        """The number that is written so, such as +15551234567; None: the account has it not."""
        found = _asked("look the number up", lambda: self._client.incoming_phone_numbers.list(
            phone_number=phone_number, limit=20))
        return next((_number(each) for each in found if each.phone_number == phone_number), None)

    def number(self, sid: str) -> Number:
        """One number as it is now."""
        return _number(_asked("tell of the number", lambda: self._client.incoming_phone_numbers(sid).fetch()))

    def change(self, sid: str, **fields: str) -> Number:
        """Sets some of a number's fields, named as in Number; "" deletes one. What Twilio says it has kept.

        That a `voice_url` was kept does not mean that it counts: see `Number.overridden_by`.
        """
        return _number(_asked(
            "change the number", lambda: self._client.incoming_phone_numbers(sid).update(**fields)))

    def application_url(self, sid: str) -> str:
        """Where a TwiML application leads calls."""
        return _text(_asked("tell of the application", lambda: self._client.applications(sid).fetch()).voice_url)

    def alerts(self, since: datetime) -> list[Alert]:
        """The errors since then, the newest first, without what was asked and answered; MOST_ALERTS at most."""
        found = _asked("tell of its alerts", lambda: self._client.monitor.v1.alerts.list(
            log_level="error", start_date=since, limit=MOST_ALERTS))
        return [_alert(each) for each in found]

    def alert(self, sid: str) -> Alert:
        """One of them, with what was asked and answered."""
        return _alert(_asked("tell of an alert", lambda: self._client.monitor.v1.alerts(sid).fetch()))

    def call(self, to: str, from_: str, twiml: str, rings_s: int, longest_s: int) -> MadeCall:
        """Calls somebody, which costs money; `twiml` says what is said. It rings for so many seconds at most."""
        return _call(_asked("make the call", lambda: self._client.calls.create(
            to=to, from_=from_, twiml=twiml, timeout=rings_s, time_limit=longest_s)))

    def made_call(self, sid: str) -> MadeCall:
        """How a call goes on."""
        return _call(_asked("tell of the call", lambda: self._client.calls(sid).fetch()))


def monitor_origin(api: str) -> str:
    """Where the alerts are, for an account whose API is there; another origin than Twilio's serves both."""
    address = URL(api)
    host = address.host or ""
    return str(address.with_host("monitor." + host.removeprefix("api."))) if host.startswith("api.") else api


def _client(credentials: Credentials, timeout_s: float) -> "Client":
    # Imported here: the server needs none of it, and what lies below opens a socket when it is imported.
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client
    # Nine lines for each request, with the account's SID, are nothing for an owner's log.
    silent = logging.getLogger("twilio.http_client")
    silent.setLevel(logging.WARNING)
    client = Client(
        credentials.sid, credentials.token, http_client=TwilioHttpClient(timeout=timeout_s, logger=silent))
    client.edge = client.region = None               # of the environment: TWILIO_API_URL says where
    client.api.base_url, client.monitor.base_url = credentials.api, monitor_origin(credentials.api)
    return client


def _asked(what: str, ask: Callable[[], T]) -> T:
    """Raises TwilioFailed: in its words neither the address is told, which has the SID, nor what was sent."""
    try:
        return ask()
    except (TwilioRestException, TwilioServiceException) as error:
        said = getattr(error, "msg", "") or getattr(error, "title", "")
        raise _refused(what, error.status, error.code or 0, str(said).rpartition(": ")[2]) from None
    except TwilioException as error:                 # as the client has it for a list: with the answer as it came
        answer = error.args[1] if len(error.args) > 1 else None
        code, message = _code_and_message(getattr(answer, "text", ""))
        raise _refused(what, getattr(answer, "status_code", 0), code, message) from None
    except OSError as error:                         # as all errors of `requests`, which the client asks by
        kind = type(error).__name__
        reason = "no answer in time" if "Timeout" in kind else f"no connection ({kind})"
        raise TwilioFailed(
            f"Twilio did not {what}: {reason}: check this machine's network and TWILIO_API_URL") from None
    except ValueError:
        raise TwilioFailed(f"Twilio did not {what}: its answer is no JSON: is TWILIO_API_URL right?") from None


def _refused(what: str, status: int, code: int, message: str) -> TwilioFailed:
    advice = _ADVICE.get(code) or (_CREDENTIALS if status in (401, 403) else "")
    words = " ".join(message.split()).rstrip(".")
    return TwilioFailed(
        f"Twilio did not {what}: status {status}, error {code}" + (f" ({words})" if words else "")
        + (f": {advice}" if advice else ""), status, code)


def _code_and_message(body: str) -> tuple[int, str]:
    try:
        said = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        return 0, ""
    return said.code, said.message


class _Problem(msgspec.Struct):
    code: int = 0
    message: str = ""


def _number(found: Any) -> Number:
    capabilities = found.capabilities if isinstance(found.capabilities, dict) else {}
    return Number(
        sid=_text(found.sid), phone_number=_text(found.phone_number), friendly_name=_text(found.friendly_name),
        voice_url=_text(found.voice_url), voice_method=_text(found.voice_method) or "POST",
        voice_fallback_url=_text(found.voice_fallback_url),
        voice_fallback_method=_text(found.voice_fallback_method) or "POST",
        status_callback=_text(found.status_callback),
        status_callback_method=_text(found.status_callback_method) or "POST",
        voice_application_sid=_text(found.voice_application_sid), trunk_sid=_text(found.trunk_sid),
        voice=bool(capabilities.get("voice", True)), voice_receive_mode=_text(found.voice_receive_mode) or "voice")


def _alert(found: Any) -> Alert:
    return Alert(
        sid=_text(found.sid), error_code=_text(found.error_code), text=_text(found.alert_text),
        request_url=_text(found.request_url), request_method=_text(found.request_method),
        resource_sid=_text(found.resource_sid), generated=found.date_generated,
        request_variables=_text(found.request_variables), response_body=_text(found.response_body))


def _call(found: Any) -> MadeCall:
    duration = _text(found.duration)
    return MadeCall(_text(found.sid), _text(found.status), int(duration) if duration.isdecimal() else None)


def _text(value: object) -> str:
    return "" if value is None else str(value)
