"""Checks settings that can each be read, but would make calls or bookings fail, or look like mistakes.

Nothing is asked of the network. `problems` prevent the start: calls or bookings would fail. `doubts` are warnings at
the start: the setting works and surprises, or a date has passed. A server must still restart after its model has ended.
Settings that could not be read are absent here and have lines of their own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date
from typing import TYPE_CHECKING, Any

from yarl import URL

from bridge.addresses import is_address, is_loopback, is_public, names_loopback
from bridge.openai_side import models
from bridge.recordings.shelf import open_shelf

if TYPE_CHECKING:
    from bridge.settings import Settings

#: The value of ALLOW_UNSIGNED if others can reach the server. Nobody writes it by mistake.
FOR_ANYBODY = "anybody-may-call-at-my-expense"
#: Settings whose example is nobody's own.
OWN = ("WEBHOOK_URL", "CALL_WEBHOOK_URL", "WEBHOOK_SECRET", "AVAILABILITY_URL", "FALLBACK_NUMBER", "TRANSFER_NUMBER",
       "PUBLIC_URL", "TWILIO_ACCOUNT_SID")

#: Placeholders that people leave in place of a key: sk-your-key, <key>, sk-..., xxxxxxxx. One or two of a million
#: random keys begin like one.
_PLACEHOLDER = re.compile(
    r"(sk-)?(proj-)?[\[({\"'_*-]*((your|my|insert|enter|put|paste)[-_].*(key|token|secret|here)|your[a-z]*key|"
    r"(openai|api|twilio)[-_]?(api|auth)?[-_]?(key|token)|(change|replace)[-_]?me|placeholder|example|x{4,}|"
    r"\*{3,})|.*(\.\.\.|[<>])", re.IGNORECASE)
#: Endings of host names that only a private network resolves.
_PRIVATE_NAMES = (".local", ".lan", ".internal", ".intranet", ".home", ".home.arpa")


def problems(parsed: Mapping[str, Any], *, on_heroku: bool) -> list[str]:
    """A sentence for each reason why calls or bookings would fail, or strangers get in. They prevent the start."""
    return [*_missing(parsed), *_open(parsed, on_heroku), *_placeholders(parsed), *_model(parsed), *_bookings(parsed),
            *_private(parsed), *_recordings(parsed)]


def doubts(settings: "Settings", today: date) -> list[str]:
    """A sentence for each thing that works, and can hardly be meant."""
    return [*_ending_models(settings, today), *_receivers(settings), *examples(settings)]


# ---- what stops the start

def _missing(parsed: Mapping[str, Any]) -> Iterator[str]:
    """Settings that need another one. A setting that could not be read is absent and has its own line."""
    def empty(name: str) -> bool:
        return name in parsed and not parsed[name]
    if empty("TWILIO_AUTH_TOKEN"):
        for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN_OLD", "TWILIO_SHARED_KEYS"):
            if parsed.get(name):
                yield f"TWILIO_AUTH_TOKEN must be set with {name}. It stands in the Twilio console"
    if parsed.get("FALLBACK") == "human" and empty("FALLBACK_NUMBER"):
        yield "FALLBACK_NUMBER must be set with FALLBACK=human: whom to dial, for example FALLBACK_NUMBER=+15551234567"
    if parsed.get("FALLBACK") == "message" and empty("WEBHOOK_URL"):
        yield "WEBHOOK_URL must be set with FALLBACK=message: it is where messages go"
    if parsed.get("ADMIN_PASSWORD") and parsed.get("ADMIN_PASSWORD_HASH"):
        yield "ADMIN_PASSWORD_HASH must be empty with ADMIN_PASSWORD: one of them is enough"
    if parsed.get("OPERATOR_KEY") and empty("TRANSFER_NUMBER"):
        yield "TRANSFER_NUMBER must be set with OPERATOR_KEY: whom the key puts a caller through to"
    if parsed.get("TRANSFER_NUMBER") and (empty("TWILIO_ACCOUNT_SID") or empty("TWILIO_AUTH_TOKEN")):
        yield ("TRANSFER_NUMBER needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN: calls are transferred by Twilio's REST "
               "API")


def _open(parsed: Mapping[str, Any], on_heroku: bool) -> Iterator[str]:
    """A server without an auth token that ALLOW_UNSIGNED does not allow."""
    if parsed.get("TWILIO_AUTH_TOKEN") != "":
        return
    allowed, host = parsed.get("ALLOW_UNSIGNED"), parsed.get("HOST")
    if allowed == "0":
        # With one of these settings _missing has said it already.
        if not any(parsed.get(name) for name in ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN_OLD", "TWILIO_SHARED_KEYS")):
            yield ("TWILIO_AUTH_TOKEN is not set: it stands in the Twilio console, and keeps everybody but Twilio out. "
                   "To try the server on this machine without it, set ALLOW_UNSIGNED=1 and HOST=127.0.0.1")
    elif allowed == "1" and on_heroku:
        yield f"ALLOW_UNSIGNED=1 is not for Heroku: set TWILIO_AUTH_TOKEN, or ALLOW_UNSIGNED={FOR_ANYBODY}"
    elif allowed == "1" and host is not None and not is_loopback(host):
        yield (f"ALLOW_UNSIGNED=1 needs HOST=127.0.0.1, so that nobody else reaches the server; where that must be, "
               f"set ALLOW_UNSIGNED={FOR_ANYBODY}")


def _placeholders(parsed: Mapping[str, Any]) -> Iterator[str]:
    """Keys that are an example's placeholder. A model's server that is not OpenAI's own may take any key."""
    at_openai = {"OPENAI_API_KEY": "https://platform.openai.com/api-keys"} if _at_openai(parsed) else {}
    for name, where in (at_openai | {"TWILIO_AUTH_TOKEN": "the Twilio console"}).items():
        if _PLACEHOLDER.match(parsed.get(name) or ""):
            yield f"{name} is still the placeholder of an example: fill in your own, from {where}"


def _model(parsed: Mapping[str, Any]) -> Iterator[str]:
    model = parsed.get("OPENAI_MODEL") or ""
    if _at_openai(parsed) and (reason := models.not_realtime(model)):
        yield f"OPENAI_MODEL={model} {reason}: no call could be answered. Set OPENAI_MODEL={models.INSTEAD}"


def _bookings(parsed: Mapping[str, Any]) -> Iterator[str]:
    """Rules that leave no time for a meeting. They do not matter if no meetings are offered."""
    if not parsed.get("WEBHOOK_URL"):
        return
    least, most = parsed.get("MINIMUM_NOTICE"), parsed.get("MAXIMUM_NOTICE")
    if least is not None and most is not None and least >= most:
        yield ("MINIMUM_NOTICE must be less than MAXIMUM_NOTICE: a meeting would have to be further ahead than it may "
               "be, and none could be booked")
    opening, minutes = parsed.get("OPENING_HOURS"), parsed.get("MEETING_MINUTES")
    if opening and minutes and minutes > opening.longest():
        yield (f"MEETING_MINUTES={minutes} is longer than OPENING_HOURS are ever open at a stretch, "
               f"{opening.longest()} minutes: no meeting could be booked")


def _private(parsed: Mapping[str, Any]) -> Iterator[str]:
    """Addresses to which delivery/reach.py would never connect."""
    if parsed.get("ALLOW_PRIVATE_WEBHOOKS") is not False:
        return
    for name, address in _owners_addresses(parsed):
        if is_address(address.host or "") and not names_loopback(address) and not is_public(address.host or ""):
            yield (f"{name} leads to {address.host}, which is a private address, and nothing would ever arrive there: "
                   "set ALLOW_PRIVATE_WEBHOOKS=1 if it is yours")


def _recordings(parsed: Mapping[str, Any]) -> Iterator[str]:
    """A store that would not even be asked."""
    place, options = parsed.get("RECORDINGS"), parsed.get("RECORDINGS_STORE")
    if not place or options is None:
        return
    try:
        open_shelf(place, options)
    except ValueError as problem:
        yield f"RECORDINGS={place} {problem}: look at RECORDINGS_STORE"


# ---- what is said

def _ending_models(settings: "Settings", today: date) -> Iterator[str]:
    if not _at_openai({"OPENAI_REALTIME_URL": settings.OPENAI_REALTIME_URL}):
        return
    model, transcription = settings.OPENAI_MODEL, settings.OPENAI_TRANSCRIPTION_MODEL
    if models.is_unknown(model):
        yield (f"OPENAI_MODEL={model} does not look like a model of the Realtime API. If calls fail, set "
               f"OPENAI_MODEL={models.INSTEAD}")
    if day := models.ends(model):
        yield (f"OPENAI_MODEL={model} {_ended(day, today)}, and no call can be answered by it then: set "
               f"OPENAI_MODEL={models.INSTEAD}")
    if day := models.transcription_ends(transcription):
        yield (f"OPENAI_TRANSCRIPTION_MODEL={transcription} {_ended(day, today)}, and what callers say is not written "
               f"down then: set OPENAI_TRANSCRIPTION_MODEL={models.TRANSCRIPTION_INSTEAD}")


def _ended(day: date, today: date) -> str:
    left = (day - today).days
    if left > 0:
        return f"is shut down by OpenAI on {day}, in {left} {'day' if left == 1 else 'days'}"
    return f"was to be shut down by OpenAI on {day}"


def _receivers(settings: "Settings") -> Iterator[str]:
    for name, address in _owners_addresses({each.name: getattr(settings, each.name) for each in fields(settings)}):
        host = (address.host or "").lower()
        if "/webhook-test/" in address.path:
            yield (f"{name} is an address of n8n's editor (/webhook-test/), which takes one delivery after you clicked "
                   "on listening: for real calls use the production address (/webhook/)")
        alone = "." not in host and not is_address(host)
        if (alone or host.endswith(_PRIVATE_NAMES)) and not (
                settings.ALLOW_PRIVATE_WEBHOOKS or names_loopback(address)):
            yield (f"{name} leads to {host}, which looks like a name of a private network: if it is one, nothing "
                   "arrives there without ALLOW_PRIVATE_WEBHOOKS=1")


def examples(settings: "Settings") -> Iterator[str]:
    """A sentence for each value that was copied from the documentation."""
    for each in fields(settings):
        if each.name in OWN and getattr(settings, each.name) == each.metadata["parse"](each.metadata["example"]):
            yield f"{each.name} is that of the documentation's example: set it to your own"


# ---- details

def _at_openai(parsed: Mapping[str, Any]) -> bool:
    """Whether the model's server is OpenAI's own. Others, such as Azure, have names and keys of their own."""
    host = URL(parsed.get("OPENAI_REALTIME_URL") or "").host or ""
    return host == "openai.com" or host.endswith(".openai.com")


def _owners_addresses(parsed: Mapping[str, Any]) -> Iterator[tuple[str, URL]]:
    """Each address that is asked or told of meetings, with its setting."""
    for name in ("WEBHOOK_URL", "CALL_WEBHOOK_URL"):
        for receiver in parsed.get(name) or ():
            yield name, URL(receiver)
    if asked := parsed.get("AVAILABILITY_URL"):
        yield "AVAILABILITY_URL", URL(asked)
