"""How a setting is declared, and parsers that make a value of its text.

Each parser raises ValueError. Its message is the end of a sentence about the setting, such as "must be ...".
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any
from zoneinfo import ZoneInfo

from email_validator import EmailNotValidError, validate_email
from yarl import URL

from bridge.addresses import names_loopback
from bridge.twilio_side.caller import E164
from bridge.twilio_side.public_url import parse_public_url

Parse = Callable[[str], Any]

#: The most characters of a fallback's words. Twilio's REST API takes TwiML of at most 4000 characters.
SAY_CHARACTERS = 1000
#: The name of a transfer's only target.
A_HUMAN = "human"


def setting(
    default: str | None, parse: Parse, example: str, *, about: str, secret: bool = False, empty: Any = "",
    empty_is_off: bool = False,
) -> Any:
    """A field whose text is `default` when its variable is not set; None: it must be set. `about` is Markdown.

    `empty`: its value where that text is "". A text of "" is never parsed.
    """
    return field(repr=not secret, metadata={
        "default": default, "parse": masking(parse) if secret else parse, "example": example, "empty": empty,
        "empty_is_off": empty_is_off, "about": about})


def value_of(
    text: str | None, *, default: str | None, parse: Parse, empty: Any, empty_is_off: bool, **_documents: str,
) -> Any:
    """What a setting's text stands for; None: its variable is not set. The names are those of a field's metadata."""
    text = text and text.strip()
    if text:
        return parse(text)
    if text == "" and empty_is_off:
        return empty
    if default is None:
        raise ValueError("is not set")
    return parse(default) if default else empty


def text(value: str) -> str:
    return value


def whole(low: int, high: int) -> Parse:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)
    return parse


def switch(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError("must be 1 (on) or 0 (off)")
    return value == "1"


def usd(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
        raise ValueError("must be an amount in US dollars")
    return float(value)


def choice(*allowed: str) -> Parse:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError("must be one of " + ", ".join(filter(None, allowed)) + (", or empty" * ("" in allowed)))
        return value
    return parse


def matching(pattern: str, what: str) -> Parse:
    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"must be {what}")
        return value
    return parse


def url(secure: str) -> Parse:
    """A parser of addresses with the scheme `secure` (https or wss). Without TLS only this machine is allowed."""
    plain = secure.removesuffix("s")

    def parse(value: str) -> str:
        try:
            address = URL(value)
        except ValueError as error:
            raise ValueError(f"is no address ({error})") from None
        if not address.host or address.scheme != secure and not (address.scheme == plain and names_loopback(address)):
            raise ValueError(f"must begin with {secure}:// ({plain}:// on this machine only)")
        if not re.fullmatch(r"[\w.-]+|[0-9A-Fa-f:.]+", address.host):
            raise ValueError("names a host that cannot be")
        return value
    return parse


def addresses(value: str) -> tuple[str, ...]:
    """One or several https addresses, separated by commas or blanks."""
    return tuple(url("https")(each) for each in re.split(r"[,\s]+", value.strip(", ")))


def origin(value: str) -> str:
    address = URL(url("https")(value))
    if address.path not in ("", "/") or address.query_string or address.fragment or address.user:
        raise ValueError("must be an origin: scheme and host, nothing behind it")
    return str(address.origin())


def public_url(value: str) -> str:
    return parse_public_url(url("https")(value))


def email(value: str) -> str:
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise ValueError(f"is no e-mail address ({error})") from None


def spoken(value: str) -> str:
    """Words for Twilio's <Say>, on one line and without control characters, which XML cannot hold."""
    words = " ".join(value.split())
    if not words.isprintable() or len(words) > SAY_CHARACTERS:
        raise ValueError(f"must be a sentence of {SAY_CHARACTERS} characters at most, without control characters")
    return words


def phone_number(value: str) -> str:
    if not E164.fullmatch(value):
        raise ValueError("must be a phone number with + and the country's code")
    return value


def transfer_numbers(value: str) -> dict[str, str]:
    """Numbers by name: `sales=+15551234567,support=+15557654321`. A number alone gets the name A_HUMAN."""
    if "=" not in value:
        return {A_HUMAN: phone_number(value)}
    numbers: dict[str, str] = {}
    for each in value.strip(", ").split(","):
        name, _, number = (part.strip() for part in each.partition("="))
        if not re.fullmatch(r"[A-Za-z][\w -]{0,39}", name, re.ASCII):
            raise ValueError("needs a name before each =, of letters, digits, spaces, _ and -")
        if name in numbers:
            raise ValueError(f"has two numbers for {name!r}")
        numbers[name] = phone_number(number)
    return numbers


def language(value: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,4})?(-[A-Za-z0-9]{2,3})?", value):
        raise ValueError("must be a language of Twilio's <Say>")
    return value


def time_zone(value: str) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except Exception:                # depending on the name, ZoneInfo raises OSError, ValueError and others
        raise ValueError("must be a time zone of the IANA list") from None


_VAD_NUMBERS: dict[str, dict[str, tuple[type, float, float]]] = {
    "server_vad": {"threshold": (float, 0, 1), "prefix_padding_ms": (int, 0, 5000),
                   "silence_duration_ms": (int, 50, 10000)},
    "semantic_vad": {},
}
_EAGERNESS = ("low", "medium", "high", "auto")


def turn_detection(value: str) -> dict[str, Any]:
    """The Realtime API's `turn_detection` object of `server_vad,threshold=0.5,...` or `semantic_vad,eagerness=low`."""
    kind, *options = re.split(r"[,\s]+", value.strip())
    if kind not in _VAD_NUMBERS:
        raise ValueError("must begin with server_vad or semantic_vad")
    detection: dict[str, Any] = {"type": kind}
    for option in options:
        name, _, number = option.partition("=")
        if kind == "semantic_vad" and name == "eagerness":
            detection[name] = choice(*_EAGERNESS)(number)
        else:
            detection[name] = _vad_number(kind, name, number)
    # The server answers each turn by itself, and stops its answer when the caller speaks. bridge/call relies on it.
    return {**detection, "create_response": True, "interrupt_response": True}


def _vad_number(kind: str, name: str, number: str) -> float:
    known = _VAD_NUMBERS[kind]
    if name not in known:
        raise ValueError(f"has no {name!r} for {kind}, only " + ", ".join(known or ["eagerness"]))
    convert, low, high = known[name]
    try:
        value: float = convert(number)
    except ValueError:
        value = -1
    if not low <= value <= high:
        raise ValueError(f"needs {name} from {low} to {high}")
    return value


_SHARED_KEY = re.compile(r"[\w.:-]{1,200}=[!-+\--~]{16,500}")


def shared_keys(value: str) -> tuple[str, ...]:
    """Twilio's shared keys, each as `id=secret`, separated by commas or blanks."""
    pairs = tuple(re.split(r"[,\s]+", value.strip(", ")))
    if not all(map(_SHARED_KEY.fullmatch, pairs)) or len({pair.partition("=")[0] for pair in pairs}) < len(pairs):
        raise ValueError("must be ids and secrets, each id once and each secret of 16 characters or more")
    return pairs


# ---- secrets

class Secret(str):
    """A text whose repr hides it, also inside the repr of what holds it."""

    def __repr__(self) -> str:
        return "'***'"


def masking(parse: Parse) -> Parse:
    def parse_secret(value: str) -> Secret | tuple[Secret, ...] | dict[str, Secret]:
        parsed: str | tuple[str, ...] | Mapping[str, str] = parse(value)
        if isinstance(parsed, Mapping):
            return {name: Secret(each) for name, each in parsed.items()}
        return tuple(map(Secret, parsed)) if isinstance(parsed, tuple) else Secret(parsed)
    return parse_secret


def secret_parts(value: str) -> Iterator[str]:
    """The parts of an address that may be a secret: path and query, and the password."""
    address = URL(value)
    yield address.raw_path_qs.strip("/")
    yield address.password or ""
