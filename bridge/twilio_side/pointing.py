"""Where a number of the account leads its callers: what is to be set for this server, and what undoes it.

Pure but for how this program is called. Twilio keeps a voice URL and does not use it while the number has an
application or a trunk.
Source: https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource
"""

from collections.abc import Mapping
from dataclasses import dataclass

from yarl import URL

from bridge.addresses import is_address, is_public, names_loopback
from bridge.program import command
from bridge.twilio_side.account import Number

#: Of a number, what decides who answers a call.
FIELDS = (
    "voice_url", "voice_method", "voice_fallback_url", "voice_fallback_method", "status_callback",
    "status_callback_method", "voice_application_sid", "trunk_sid")
#: Where a call comes in, and where its end is told.
INCOMING, STATUS = "/incoming-call", "/call-status"
#: Hosts of Twilio's own, whose documents answer when no server of the owner's does.
_AT_TWILIO = ("twilio.com", "twimlets.com", "twil.io")
#: Hosts of tunnels that end with the program that opened them.
_PASSING = ("trycloudflare.com", "ngrok-free.app", "ngrok-free.dev", "ngrok.io", "ngrok.app", "ngrok.dev")


class CannotPoint(Exception):
    """The number cannot be led to a voice URL as it is: one line, with what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field, and what it was and is to be; "" is nothing."""

    field: str
    before: str
    after: str


def require_callable(number: Number, *, detach: bool = False) -> None:
    """Raises CannotPoint for a number whose voice URL would count for nothing."""
    if not number.voice:
        raise CannotPoint(f"{number.phone_number} cannot be called: Twilio gives it messages only. Take a number with "
                          "voice")
    if number.voice_receive_mode != "voice":
        raise CannotPoint(f"{number.phone_number} is set to receive {number.voice_receive_mode}: set it to voice calls "
                          "in the Twilio console")
    if number.overridden_by and not detach:
        kind = "trunk" if number.trunk_sid else "application"
        detaching = command("number", "set", number.phone_number, "--detach")
        raise CannotPoint(f"{number.phone_number} belongs to the {kind} {number.overridden_by}, and its voice URL "
                          f"counts for nothing. To take it from there: {detaching}")


def require_reachable(origin: str) -> None:
    """Raises CannotPoint for an address that Twilio cannot get to."""
    host = URL(origin).host or ""
    if names_loopback(URL(origin)) or is_address(host) and not is_public(host):
        raise CannotPoint(f"Twilio cannot reach {host}: give the server's public https address, or use --tunnel")


def to_this_server(origin: str, number: Number) -> dict[str, str]:
    """What leads a number's calls to the server at `origin`, and nowhere else.

    A fallback that Twilio itself answers, such as a TwiML Bin, stays: it works while no server does. Else a call that
    failed is brought to the server once more.
    """
    wanted = {
        "voice_url": origin + INCOMING, "voice_method": "POST", "status_callback": origin + STATUS,
        "status_callback_method": "POST"}
    if not _is_of(number.voice_fallback_url, _AT_TWILIO):
        wanted |= {"voice_fallback_url": origin + INCOMING, "voice_fallback_method": "POST"}
    if number.overridden_by:
        wanted |= {"voice_application_sid": "", "trunk_sid": ""}
    return wanted


def changes(number: Number, wanted: Mapping[str, str]) -> list[Change]:
    """What differs, in the order of FIELDS."""
    return [Change(name, before, wanted[name]) for name in FIELDS
            if name in wanted and (before := getattr(number, name)) != wanted[name]]


def undoing(number: Number, wanted: Mapping[str, str]) -> dict[str, str]:
    """What brings back a number as it is now, once `wanted` is set."""
    before = {each.field: each.before for each in changes(number, wanted)}
    if before.get("trunk_sid") or before.get("voice_application_sid"):
        # Either deletes the other by itself, and an empty one besides would be a contradiction.
        before = {name: value for name, value in before.items() if value or not name.endswith("_sid")}
    return before


def leads_to(number: Number) -> str:
    """Where calls go, in a few words."""
    if not number.voice:
        return "nowhere: it has no voice"
    if number.trunk_sid:
        return f"the trunk {number.trunk_sid}"
    if number.voice_application_sid:
        return f"the application {number.voice_application_sid}"
    return f"{number.voice_method} {number.voice_url}" if number.voice_url else "nowhere: it has no voice URL"


def is_passing(address: str) -> bool:
    """Whether this is a tunnel's address, of the kind that ends with its program."""
    return _is_of(address, _PASSING)


def _is_of(address: str, domains: tuple[str, ...]) -> bool:
    try:
        host = (URL(address).host or "").lower()
    except ValueError:
        return False
    return any(host == each or host.endswith(f".{each}") for each in domains)
