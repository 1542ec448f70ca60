"""Every setting: read once from the environment, then from `.env`, and checked all together.

A field is named as its variable is; its `setting(...)` holds the default as one would write it in `.env`, how the
text becomes a value, and an example for who wrote it wrong. An empty variable stands for the default, or for "off"
where a setting can be switched off.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import sqlalchemy
from email_validator import EmailNotValidError, validate_email
from yarl import URL

from bridge import env_file, settings_checks
from bridge.addresses import names_loopback
from bridge.console.passwords import parse_hash, parse_password
from bridge.delivery.webhook import parse_secrets
from bridge.meetings.closed_days import ClosedDays
from bridge.meetings.hours import OpeningHours
from bridge.meetings.schedule import duration
from bridge.openai_side import prices
from bridge.reception.blocklist import Blocklist
from bridge.records.database import parse_url
from bridge.settings_checks import FOR_ANYBODY
from bridge.twilio_side.caller import E164
from bridge.twilio_side.public_url import parse_public_url
from bridge.twilio_side.twiml import FallbackKind

Parse = Callable[[str], Any]

#: As much of a fallback's words as fits into TwiML of 4000 characters with everything else.
SAY_CHARACTERS = 1000


class BadSettings(Exception):
    """What is wrong with the settings: one line for each, fit to be shown to a person."""


# ---- how a text becomes a value: each raises ValueError with what is wrong, as the end of a sentence

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
    """An address that is `secure` (https or wss); the same without TLS on this machine only."""
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
    """One or several https addresses, separated by commas."""
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
    """What Twilio's <Say> is to speak: on one line, and without what XML cannot hold."""
    words = " ".join(value.split())
    if not words.isprintable() or len(words) > SAY_CHARACTERS:
        raise ValueError(f"must be a sentence of {SAY_CHARACTERS} characters at most, without control characters")
    return words


def phone_number(value: str) -> str:
    if not E164.fullmatch(value):
        raise ValueError("must be a phone number with + and the country's code")
    return value


def transfer_numbers(value: str) -> dict[str, str]:
    """`+15551234567`, which is called "human", or `sales=+15551234567,support=+15557654321`: numbers by name."""
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
    except Exception:                # ZoneInfo lets OSError, ValueError and others through, by the name's shape
        raise ValueError("must be a time zone of the IANA list") from None


_VAD_NUMBERS: dict[str, dict[str, tuple[type, float, float]]] = {
    "server_vad": {"threshold": (float, 0, 1), "prefix_padding_ms": (int, 0, 5000),
                   "silence_duration_ms": (int, 50, 10000)},
    "semantic_vad": {},
}
_EAGERNESS = ("low", "medium", "high", "auto")


def turn_detection(value: str) -> dict[str, Any]:
    """`server_vad,threshold=0.5,...` or `semantic_vad,eagerness=low`, as the Realtime API's object."""
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
    # The server answers a turn, and stops its answer when the caller speaks: what call/dialogue.py builds on.
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
    """Twilio's shared keys, each as `id=secret`."""
    pairs = tuple(re.split(r"[,\s]+", value.strip(", ")))
    if not all(map(_SHARED_KEY.fullmatch, pairs)) or len({pair.partition("=")[0] for pair in pairs}) < len(pairs):
        raise ValueError("must be ids and secrets, each id once and each secret of 16 characters or more")
    return pairs


# ---- secrets

class Secret(str):
    """A text whose repr does not show it, wherever it is printed with others around it."""

    def __repr__(self) -> str:
        return "'***'"


def masking(parse: Parse) -> Parse:
    def parse_secret(value: str) -> Secret | tuple[Secret, ...]:
        parsed: str | tuple[str, ...] = parse(value)
        return tuple(map(Secret, parsed)) if isinstance(parsed, tuple) else Secret(parsed)
    return parse_secret


# ---- the settings

def setting(
    default: str | None, parse: Parse, example: str, *, secret: bool = False, empty_is_off: bool = False,
) -> Any:
    """A field whose text is `default` when its variable is not set; None: it must be set."""
    return field(repr=not secret, metadata={
        "default": default, "parse": masking(parse) if secret else parse, "example": example,
        "empty_is_off": empty_is_off})


SYSTEM_MESSAGE = (
    "You are the friendly receptionist of a small business and speak with a caller on the phone. "
    "Be brief, warm and clear: one or two sentences, then let the caller speak."
)

#: What a transfer's only target is called.
A_HUMAN = "human"
FALLBACK_GOODBYE = "Thank you for calling. If you still need us, please call again later. Goodbye."

_AUTH_TOKEN = matching(r"[!-~]+", "a token without spaces")
_ACCOUNT_SID = matching("AC[0-9a-f]{32}", "AC and 32 hexadecimal digits, from the Twilio console")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, checked. Secrets do not show in its repr."""

    OPENAI_API_KEY: str = setting(None, matching(r"[!-~]+", "a key without spaces"), "sk-...", secret=True)
    OPENAI_MODEL: str = setting("gpt-realtime-2.1", matching(r"[\w.:/-]+", "a model's name"), "gpt-realtime-2.1")
    OPENAI_VOICE: str = setting("marin", matching(r"[\w-]+", "a voice's name"), "marin")
    OPENAI_REALTIME_URL: str = setting(
        "wss://api.openai.com/v1/realtime", url("wss"), "wss://api.openai.com/v1/realtime")
    OPENAI_TRANSCRIPTION_MODEL: str = setting("gpt-transcribe", text, "gpt-transcribe", empty_is_off=True)
    OPENAI_PRICES: dict[str, float] = setting(
        "", prices.parse, "audio_in=32,audio_cached=0.4,audio_out=64,text_in=4,text_cached=0.4,text_out=24")
    MAX_CALL_USD: float = setting("0", usd, "2.50")
    MAX_DAY_USD: float = setting("0", usd, "20")
    SYSTEM_MESSAGE: str = setting(SYSTEM_MESSAGE, text, "You are the receptionist of Bridge Dental.")
    GREETINGS_RESPONSE: str = setting("Hello! How can I help you?", text, "Hello! How can I help you?")
    PROTECT_GREETING: bool = setting("1", switch, "1")
    TURN_DETECTION: dict[str, Any] = setting(
        "server_vad,threshold=0.5,prefix_padding_ms=300,silence_duration_ms=500", turn_detection,
        "semantic_vad,eagerness=auto")
    SILENCE_PROMPT_S: int = setting("12", whole(0, 3600), "12")
    MAX_TURN_S: int = setting("30", whole(0, 3600), "30")
    MAX_CALL_S: int = setting("1800", whole(0, 24 * 3600), "1800")
    OPERATOR_KEY: str = setting("", choice("*", "0"), "0")
    NOISE_REDUCTION: str = setting("", choice("", "near_field", "far_field"), "near_field")
    TIMEZONE: ZoneInfo = setting("UTC", time_zone, "Europe/Berlin")
    WEBHOOK_URL: tuple[str, ...] = setting("", addresses, "https://example.com/meetings", secret=True)
    WEBHOOK_SECRET: tuple[str, ...] = setting("", parse_secrets, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", secret=True)
    DATABASE_URL: sqlalchemy.URL = setting("sqlite:///bridge.db", parse_url, "postgres://user:password@host/database")
    RETENTION_DAYS: int = setting("0", whole(0, 36_500), "90")
    MEETING_MINUTES: int = setting("30", whole(1, 24 * 60), "30")
    OPENING_HOURS: OpeningHours | None = setting("", OpeningHours.parse, "Mon-Fri 09:00-17:00; Sat 10:00-13:00")
    CLOSED_DAYS: ClosedDays | None = setting("", ClosedDays.parse, "2026-12-24,2027-08-02..2027-08-15,*-12-31")
    MINIMUM_NOTICE: timedelta = setting("1h", duration, "2h")
    MAXIMUM_NOTICE: timedelta = setting("365d", duration, "90d")
    CONFIRM_MEETINGS: bool = setting("1", switch, "1")
    MEETING_EMAIL: str = setting("optional", choice("optional", "required"), "required")
    AVAILABILITY_URL: str = setting("", url("https"), "https://example.com/busy", secret=True)
    ALLOW_PRIVATE_WEBHOOKS: bool = setting("0", switch, "1")
    ORGANIZER_EMAIL: str = setting("", email, "office@example.com")
    FALLBACK: FallbackKind = setting("apology", choice(*get_args(FallbackKind)), "human")
    FALLBACK_NUMBER: str = setting("", phone_number, "+15551234567")
    FALLBACK_MESSAGE: str = setting("", spoken, "Please call again in a few minutes. Goodbye.")
    FALLBACK_GOODBYE: str = setting(FALLBACK_GOODBYE, spoken, "Thank you for calling. Goodbye.")
    FALLBACK_LANGUAGE: str = setting("en-US", language, "de-DE")
    TRANSFER_NUMBER: dict[str, str] = setting("", transfer_numbers, "sales=+15551234567,support=+15557654321")
    HOST: str = setting("0.0.0.0", matching(r"[\w.:-]+", "a host name or an address"), "127.0.0.1")
    PORT: int = setting("5050", whole(0, 65535), "5050")
    PUBLIC_URL: str = setting("", public_url, "https://bridge.example.com")
    TWILIO_ACCOUNT_SID: str = setting("", _ACCOUNT_SID, "AC0123456789abcdef0123456789abcdef")
    TWILIO_AUTH_TOKEN: str = setting("", _AUTH_TOKEN, "the auth token of the Twilio console", secret=True)
    TWILIO_AUTH_TOKEN_OLD: str = setting("", _AUTH_TOKEN, "the auth token before that one", secret=True)
    TWILIO_SHARED_KEYS: tuple[str, ...] = setting(
        "", shared_keys, "webhooks_sharedkey_1=the-secret-of-that-key", secret=True)
    ALLOW_UNSIGNED: str = setting("0", choice("0", "1", FOR_ANYBODY), "1")
    TWILIO_API_URL: str = setting("https://api.twilio.com", origin, "https://api.twilio.com")
    MAX_CALLS: int = setting("100", whole(1, 100_000), "100")
    MAX_CALLS_PER_CALLER: int = setting("2", whole(0, 100_000), "2")
    CALLS_PER_HOUR_PER_CALLER: int = setting("20", whole(0, 100_000), "20")
    MAX_CALLS_HIDDEN: int | None = setting("", whole(0, 100_000), "10")
    BLOCKED_CALLERS: Blocklist | None = setting("", Blocklist.parse, "+15557654321, +1900*, anonymous")
    MAX_MESSAGES_PER_S: int = setting("200", whole(0, 100_000), "200")
    DRAIN_S: int = setting("20", whole(0, 3600), "20")
    ADMIN_PASSWORD: str = setting("", parse_password, "a password of 12 characters or more", secret=True)
    ADMIN_PASSWORD_HASH: str = setting(
        "", parse_hash, "scrypt:16384:8:1:AAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        secret=True)
    LOG_LEVEL: str = setting("INFO", choice("DEBUG", "INFO", "WARNING", "ERROR"), "INFO")
    LOG_FORMAT: str = setting("text", choice("text", "json"), "json")

    @property
    def most_hidden(self) -> int:
        """How many calls there may be at once of callers who hide their number; 0: any number.

        Half of all unless the owner says otherwise: the lines that are left are those of callers who are told apart.
        """
        given = self.MAX_CALLS_HIDDEN
        return given if isinstance(given, int) else max(self.MAX_CALLS // 2, 1)

    @property
    def auth_tokens(self) -> tuple[str, ...]:
        """The auth token, and the one before it while that still counts; none: whoever asks is answered."""
        return tuple(token for token in (self.TWILIO_AUTH_TOKEN, self.TWILIO_AUTH_TOKEN_OLD) if token)

    @property
    def shared_keys(self) -> dict[str, str]:
        """The secrets of Twilio's shared keys, by their ids."""
        pairs = (pair.partition("=") for pair in self.TWILIO_SHARED_KEYS)
        return {name: secret for name, _, secret in pairs}

    @property
    def rest_credentials(self) -> bool:
        """Whether Twilio's REST API can be asked to end a call, or to transfer it."""
        return bool(self.TWILIO_ACCOUNT_SID and self.TWILIO_AUTH_TOKEN)

    @property
    def secrets(self) -> frozenset[str]:
        """Every text that must never be told: the values of the secret settings, and what stands in an address."""
        values = [self.DATABASE_URL.password or ""]
        for each in fields(self):
            if not each.repr:
                value = getattr(self, each.name)
                values += value if isinstance(value, tuple) else [value]
        in_addresses = [part for value in values if "://" in value for part in _secret_parts(URL(value))]
        return frozenset(filter(None, [*values, *in_addresses, *self.shared_keys.values()]))


NAMES = tuple(each.name for each in fields(Settings))
#: Those in which a ` #` may stand.
TEXTS = tuple(each.name for each in fields(Settings) if each.metadata["parse"] in (text, spoken)) + ("ADMIN_PASSWORD",)


def _secret_parts(address: URL) -> Iterator[str]:
    """What of an address may be a secret: everything but scheme and host."""
    yield address.raw_path_qs.strip("/")
    yield address.password or ""


def load(environ: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """The settings of `environ`, and of the file `dotenv` for what it does not set. Raises BadSettings."""
    parsed, problems = _parsed(environ, dotenv)
    problems += settings_checks.problems(parsed, on_heroku="DYNO" in environ)
    if problems:                                     # what is missing may be there under a name that is not quite its
        raise BadSettings("\n".join([*problems, *_misspelt(environ), *_read(dotenv).doubtful(NAMES, TEXTS)]))
    return Settings(**parsed)


def doubts(
    settings: Settings, environ: Mapping[str, str], dotenv: Path | None = None, *, today: date,
) -> list[str]:
    """A sentence for each thing that works, and can hardly be meant: to be said when the server starts."""
    return [*_misspelt(environ), *_read(dotenv).doubtful(NAMES, TEXTS), *settings_checks.doubts(settings, today)]


def load_one(name: str, environ: Mapping[str, str], dotenv: Path | None = None) -> Any:
    """A single setting, for a command that needs no other. Raises BadSettings.

    Also where it is not set and a name that is nearly its is: the command would go by the default, on other data.
    """
    parsed, problems = _parsed(environ, dotenv, only=name)
    given = {*_read(dotenv).values, *environ}
    if name not in given:
        problems += [f"{name} is not set, but {each} is, which is no setting: give it its right name"
                     for each in sorted(given) if env_file.close_to(each, [name], env_file.IN_ENVIRONMENT)]
    if problems:
        raise BadSettings("\n".join(problems))
    return parsed[name]


def _parsed(
    environ: Mapping[str, str], dotenv: Path | None, only: str | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """The values by name, and a line for each that is wrong."""
    file = _read(dotenv)
    values = {**file.values, **environ}
    parsed: dict[str, Any] = {}
    problems = [*file.unreadable(NAMES)]
    for each in fields(Settings):
        if only not in (None, each.name):
            continue
        try:
            parsed[each.name] = _value(values.get(each.name), **each.metadata)
        except ValueError as error:
            problems.append(f"{each.name} {error}, for example {each.name}={each.metadata['example']}")
    return parsed, problems


def _value(value: str | None, *, default: str | None, parse: Parse, example: str, empty_is_off: bool) -> Any:
    value = value and value.strip()
    if value:
        return parse(value)
    if value == "" and empty_is_off:
        return ""
    if default is None:
        raise ValueError("is not set")
    return parse(default) if default else default


def _read(dotenv: Path | None) -> env_file.EnvFile:
    try:
        return env_file.read(dotenv)
    except env_file.Unreadable as problem:
        raise BadSettings(str(problem)) from None


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environ):
        if meant := env_file.close_to(name, NAMES, env_file.IN_ENVIRONMENT):
            yield f"{name}, in the environment, is no setting, and counts for nothing; {meant} is one"
