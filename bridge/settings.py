"""Every setting: read once from the environment, then from `.env`, and checked all together.

A field is named as its variable is. Its `setting(...)` holds the default as one would write it in `.env`, how the text
becomes a value (setting_values.py), an example for who wrote it wrong, and what it is for: SETTINGS.md and
`.env.example` are made of that by `python -m tests.documentation`. An empty variable stands for the default, or for
"off" where a setting can be switched off.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args
from zoneinfo import ZoneInfo

import sqlalchemy
from yarl import URL

from bridge import env_file, settings_checks
from bridge.console.passwords import parse_hash, parse_password
from bridge.delivery.webhook import parse_secrets
from bridge.meetings.closed_days import ClosedDays
from bridge.meetings.hours import OpeningHours
from bridge.meetings.schedule import duration
from bridge.openai_side import prices
from bridge.reception.blocklist import Blocklist
from bridge.records.database import parse_url
from bridge.recordings.shelf import parse_options, parse_place
from bridge.setting_values import (
    Parse, addresses, choice, email, language, matching, origin, phone_number, public_url, setting, shared_keys, spoken,
    switch, text, time_zone, transfer_numbers, turn_detection, url, usd, whole)
from bridge.settings_checks import FOR_ANYBODY
from bridge.twilio_side.twiml import FallbackKind


class BadSettings(Exception):
    """What is wrong with the settings: one line for each, fit to be shown to a person."""


SYSTEM_MESSAGE = (
    "You are the friendly receptionist of a small business and speak with a caller on the phone. "
    "Be brief, warm and clear: one or two sentences, then let the caller speak."
)

FALLBACK_GOODBYE = "Thank you for calling. If you still need us, please call again later. Goodbye."

#: A setting of names and what they stand for, without any.
NOTHING: Mapping[str, Any] = MappingProxyType({})
_AUTH_TOKEN = matching(r"[!-~]+", "a token without spaces")
_ACCOUNT_SID = matching("AC[0-9a-f]{32}", "AC and 32 hexadecimal digits, from the Twilio console")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, checked. Secrets do not show in its repr."""

    OPENAI_API_KEY: str = setting(
        None, matching(r"[!-~]+", "a key without spaces"), "sk-...", secret=True,
        about="The key of your OpenAI account.")
    SYSTEM_MESSAGE: str = setting(
        SYSTEM_MESSAGE, text, "You are the receptionist of Bridge Dental.",
        about="Who the assistant is, what it knows and how it behaves.")
    GREETINGS_RESPONSE: str = setting(
        "Hello! How can I help you?", text, "Hello! How can I help you?",
        about="The first words of every call, spoken as they stand here.")
    TIMEZONE: ZoneInfo = setting(
        "UTC", time_zone, "Europe/Berlin",
        about=(
            "Where your business is, as a name of the IANA list such as `Europe/Berlin`: the assistant knows the "
            "date and time there, and \"tomorrow at ten\" means ten o'clock there."))
    WEBHOOK_URL: tuple[str, ...] = setting(
        "", addresses, "https://example.com/meetings", secret=True, empty=(),
        about=(
            "Takes booked meetings as JSON, by POST; several, separated by commas. `https`, or `http` on the same "
            "machine. Empty: no meetings are offered."))
    WEBHOOK_SECRET: tuple[str, ...] = setting(
        "", parse_secrets, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", secret=True, empty=(),
        about=(
            "`whsec_` and a secret in base64: what is sent to your webhook is signed with it. Several, separated by "
            "spaces, while you change it."))
    TWILIO_AUTH_TOKEN: str = setting(
        "", _AUTH_TOKEN, "the auth token of the Twilio console", secret=True,
        about=(
            "The auth token of your Twilio console: only Twilio is let in. Required, unless `ALLOW_UNSIGNED` says "
            "otherwise."))
    TWILIO_ACCOUNT_SID: str = setting(
        "", _ACCOUNT_SID, "AC0123456789abcdef0123456789abcdef",
        about=(
            "The account SID of your Twilio console. With the token, calls are ended and transferred by Twilio's "
            "REST API. Empty: they are ended by closing the stream."))
    FALLBACK: FallbackKind = setting(
        "apology", choice(*get_args(FallbackKind)), "human",
        about=(
            "What a caller gets when the assistant cannot speak: `apology`, `message` (recorded, and sent to your "
            "webhook) or `human` (`FALLBACK_NUMBER` is dialled)."))
    FALLBACK_NUMBER: str = setting(
        "", phone_number, "+15551234567",
        about="Whom `FALLBACK=human` dials, such as `+15551234567`.")
    FALLBACK_MESSAGE: str = setting(
        "", spoken, "Please call again in a few minutes. Goodbye.",
        about="What the caller is told first then. Empty: an English sentence that suits `FALLBACK`.")
    FALLBACK_GOODBYE: str = setting(
        FALLBACK_GOODBYE, spoken, "Thank you for calling. Goodbye.",
        about="The last words, after a message, and after a person was dialled, whether or not somebody answered.")
    FALLBACK_LANGUAGE: str = setting(
        "en-US", language, "de-DE",
        about="The language of these two, as Twilio's `<Say>` names it.")
    TRANSFER_NUMBER: Mapping[str, str] = setting(
        "", transfer_numbers, "sales=+15551234567,support=+15557654321", empty=NOTHING,
        about=(
            "Whom the assistant can put a caller through to: one number, or several by name, "
            "`sales=+15551234567,support=+15557654321`. Needs Twilio's account SID and token."))
    PUBLIC_URL: str = setting(
        "", public_url, "https://bridge.example.com",
        about=(
            "The `https` address under which Twilio reaches this server (`http` on the same machine only): scheme "
            "and host, and the path that a proxy takes off, such as `https://example.com/calls`. Empty: taken from "
            "the request (`X-Forwarded-Proto` and `X-Forwarded-Host`, `Forwarded`, `Host`)."))
    DATABASE_URL: sqlalchemy.URL = setting(
        "sqlite:///bridge.db", parse_url, "postgres://user:password@host/database",
        about=(
            "Where meetings and the state of calls are kept: a SQLite file, or "
            "`postgres://user:password@host/database`."))
    RETENTION_DAYS: int = setting(
        "0", whole(0, 36_500), "90",
        about=(
            "Meetings and messages are forgotten so many days after they were over and settled, never what your "
            "webhook has not been told yet. `0`: they are kept."))
    TRANSCRIPTS: bool = setting(
        "1", switch, "0",
        about=(
            "`1`: the record of each call holds what was said and heard in it. `0`: the record holds figures only, and "
            "no words."))
    RECORD: str = setting(
        "0", choice("0", "1", "ask"), "ask",
        about=(
            "`1`: calls are recorded, and the greeting says so. `ask`: the greeting asks, and nothing of the caller is "
            "kept before a yes: no sound, no words. See [recordings](recordings/README.md). `0`: no call is."))
    RECORD_ANNOUNCEMENT: str = setting(
        "This call is recorded.", text, "This call is recorded.", empty_is_off=True,
        about="What `RECORD=1` says before the greeting. Empty: nothing, where callers know it otherwise.")
    RECORD_QUESTION: str = setting(
        "Before we start: may this call be recorded?", text, "May this call be recorded?",
        about="What `RECORD=ask` asks behind the greeting.")
    RECORDINGS: str = setting(
        "recordings", parse_place, "s3://my-bucket/calls",
        about="Where recordings go: a folder, or by the package `obstore` an object store such as `s3://bucket/calls`.")
    RECORDINGS_STORE: Mapping[str, str] = setting(
        "", parse_options, "access_key_id=of-yours,secret_access_key=of-yours", secret=True, empty=NOTHING,
        about="The object store's keys and more, as obstore names them. Empty: as the store's own tools find them.")
    RECORDINGS_DAYS: int | None = setting(
        "", whole(0, 36_500), "30", empty=None,
        about="Recordings are removed so many days after their call. `0`: with the record. Empty: as `RETENTION_DAYS`.")
    MEETING_MINUTES: int = setting(
        "30", whole(1, 24 * 60), "30",
        about="How long a meeting takes.")
    OPENING_HOURS: OpeningHours | None = setting(
        "", OpeningHours.parse, "Mon-Fri 09:00-17:00; Sat 10:00-13:00", empty=None,
        about="When meetings can be, such as `Mon-Fri 09:00-17:00; Sat 10:00-13:00`. Empty: at any time.")
    CLOSED_DAYS: ClosedDays | None = setting(
        "", ClosedDays.parse, "2026-12-24,2027-08-02..2027-08-15,*-12-31", empty=None,
        about=(
            "When meetings cannot be all the same: dates, ranges and a country's public holidays, such as "
            "`2026-12-24,2027-08-02..2027-08-15,DE-BY`: see [meetings](meetings/README.md). Holidays need the package "
            "`holidays`."))
    MINIMUM_NOTICE: timedelta = setting(
        "1h", duration, "2h",
        about="How far ahead a meeting must be: `30m`, `2h`, `1d`.")
    MAXIMUM_NOTICE: timedelta = setting(
        "365d", duration, "90d",
        about="How far ahead a meeting may be.")
    CONFIRM_MEETINGS: bool = setting(
        "1", switch, "1",
        about="`1`: a meeting is booked after the caller has agreed to what was read back. `0`: at once.")
    MEETING_EMAIL: str = setting(
        "optional", choice("optional", "required"), "required",
        about=(
            "`optional`: a caller without an e-mail address can book; one who hides the number gives a phone number "
            "or an address. `required`: nobody books without an address."))
    AVAILABILITY_URL: str = setting(
        "", url("https"), "https://example.com/busy", secret=True,
        about="An address that says when you are busy elsewhere: see [delivery](delivery/README.md).")
    ALLOW_PRIVATE_WEBHOOKS: bool = setting(
        "0", switch, "1",
        about=(
            "`1`: `WEBHOOK_URL` and `AVAILABILITY_URL` may lead into a private network. `0`: to public addresses "
            "only, and to this machine by `http://localhost`."))
    ORGANIZER_EMAIL: str = setting(
        "", email, "office@example.com",
        about="Who invites, in the iCalendar file of a meeting.")
    OPENAI_MODEL: str = setting(
        "gpt-realtime-2.1", matching(r"[\w.:/-]+", "a model's name"), "gpt-realtime-2.1",
        about="A model of the Realtime API.")
    OPENAI_VOICE: str = setting(
        "marin", matching(r"[\w-]+", "a voice's name"), "marin",
        about="The assistant's voice.")
    OPENAI_TRANSCRIPTION_MODEL: str = setting(
        "gpt-transcribe", text, "gpt-transcribe", empty_is_off=True,
        about="What writes down the caller's words. Empty: nothing does.")
    OPENAI_REALTIME_URL: str = setting(
        "wss://api.openai.com/v1/realtime", url("wss"), "wss://api.openai.com/v1/realtime",
        about=(
            "The Realtime API's address; the model is appended. On Azure "
            "`wss://<resource>.openai.azure.com/openai/v1/realtime`, and the key goes into Azure's own header."))
    OPENAI_PRICES: Mapping[str, float] = setting(
        "", prices.parse, "audio_in=32,audio_cached=0.4,audio_out=64,text_in=4,text_cached=0.4,text_out=24",
        empty=NOTHING,
        about=(
            "What the model costs where the list in `bridge/openai_side/prices.py` (read in November 2026) is out of "
            "date: US dollars for a million tokens, any of "
            "`audio_in=32,audio_cached=0.4,audio_out=64,text_in=4,text_cached=0.4,text_out=24`, and "
            "`transcription_minute=0.017` for a minute of the caller's words written down. A model that is not "
            "listed is taken to cost as much as the dearest that is."))
    MAX_CALL_USD: float = setting(
        "0", usd, "2.50",
        about="A call ends politely when the model has cost so much, US dollars by the prices above. `0`: no limit.")
    MAX_DAY_USD: float = setting(
        "0", usd, "20",
        about=(
            "What the model may cost in a day, US dollars by the prices above, in all processes that share the "
            "database; the day is that of `TIMEZONE`. When it is used up, calls under way end politely, and callers "
            "get the fallback until midnight. `0`: no limit."))
    SILENCE_PROMPT_S: int = setting(
        "12", whole(0, 3600), "12",
        about=(
            "A caller who says nothing for so many seconds is asked once whether anybody is there; after as many "
            "again the assistant says goodbye. `0`: never."))
    MAX_TURN_S: int = setting(
        "30", whole(0, 3600), "30",
        about=(
            "A caller who is heard for so many seconds without a pause, as on a noisy line, is answered all the "
            "same, and cannot interrupt that answer. After three turns in a row without a pause, and of which no "
            "word was understood, the call ends with a goodbye. `0`: the pause is waited for."))
    MAX_CALL_S: int = setting(
        "1800", whole(0, 24 * 3600), "1800",
        about="The longest a call lasts, seconds; it is announced a minute before. `0`: no limit.")
    OPERATOR_KEY: str = setting(
        "", choice("*", "0"), "0",
        about="The key, `0` or `*`, that puts the caller through to a person: the first of `TRANSFER_NUMBER`.")
    PROTECT_GREETING: bool = setting(
        "1", switch, "1",
        about=(
            "`1`: the greeting cannot be interrupted, and what the caller says meanwhile is heard afterwards. `0`: "
            "it can be."))
    TURN_DETECTION: dict[str, Any] = setting(
        "server_vad,threshold=0.5,prefix_padding_ms=300,silence_duration_ms=500", turn_detection,
        "semantic_vad,eagerness=auto",
        about=(
            "When the caller's turn ends: `server_vad` with its numbers, or `semantic_vad,eagerness=auto` (`low`, "
            "`medium`, `high`)."))
    NOISE_REDUCTION: str = setting(
        "", choice("", "near_field", "far_field"), "near_field",
        about="`near_field` for a phone at the ear, `far_field` for a loudspeaker. Empty: off.")
    HOST: str = setting(
        "0.0.0.0", matching(r"[\w.:-]+", "a host name or an address"), "127.0.0.1",
        about="The address to listen on; `::` for IPv6 and IPv4.")
    PORT: int = setting(
        "5050", whole(0, 65535), "5050",
        about="The port to listen on, as Heroku sets it; `0`: any free one.")
    MAX_CALLS: int = setting(
        "100", whole(1, 100_000), "100",
        about="More calls at once than this, in all processes that share the database, are rejected as busy.")
    MAX_CALLS_PER_CALLER: int = setting(
        "2", whole(0, 100_000), "2",
        about="More calls at once from one number than this are rejected as busy. `0`: any number.")
    CALLS_PER_HOUR_PER_CALLER: int = setting(
        "20", whole(0, 100_000), "20",
        about="More calls in an hour from one number than this are rejected as busy. `0`: any number.")
    MAX_CALLS_HIDDEN: int | None = setting(
        "", whole(0, 100_000), "10", empty=None,
        about=(
            "More calls at once than this from all who hide their number are rejected as busy. Empty: half of "
            "`MAX_CALLS`. `0`: any number."))
    BLOCKED_CALLERS: Blocklist | None = setting(
        "", Blocklist.parse, "+15557654321, +1900*, anonymous", empty=None,
        about=(
            "Whose calls are not answered, separated by commas: numbers, beginnings of numbers such as `+1900*`, and "
            "`anonymous` for all who hide theirs. They hear that the number is not in service."))
    MAX_MESSAGES_PER_S: int = setting(
        "200", whole(0, 100_000), "200",
        about=(
            "A stream that sends more messages a second than this, for five seconds, is closed: Twilio sends 50. "
            "`0`: any number."))
    DRAIN_S: int = setting(
        "20", whole(0, 3600), "20",
        about="How long calls may go on when the server is told to stop, seconds; it then exits within 8 more.")
    ADMIN_PASSWORD: str = setting(
        "", parse_password, "a password of 12 characters or more", secret=True,
        about=(
            "The operator's password, 12 characters at least: opens `/metrics`, and the reasons of `/readyz`. Empty: "
            "they are not there."))
    ADMIN_PASSWORD_HASH: str = setting(
        "", parse_hash, "scrypt:16384:8:1:AAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        secret=True,
        about="Instead of the password its hash, as `python -m bridge hash-password` prints it.")
    TWILIO_AUTH_TOKEN_OLD: str = setting(
        "", _AUTH_TOKEN, "the auth token before that one", secret=True,
        about="The auth token before that one, which counts too while you change it.")
    TWILIO_SHARED_KEYS: tuple[str, ...] = setting(
        "", shared_keys, "webhooks_sharedkey_1=the-secret-of-that-key", secret=True, empty=(),
        about=(
            "The shared keys by which your account signs webhooks, if it does: `id=secret`, several separated by "
            "commas."))
    ALLOW_UNSIGNED: str = setting(
        "0", choice("0", "1", FOR_ANYBODY), "1",
        about=(
            "`1`: without `TWILIO_AUTH_TOKEN` the server starts all the same, and answers whoever asks; only with "
            "`HOST=127.0.0.1`. For development. `anybody-may-call-at-my-expense`: with any `HOST`."))
    LOG_LEVEL: str = setting(
        "INFO", choice("DEBUG", "INFO", "WARNING", "ERROR"), "INFO",
        about="`DEBUG`, `INFO`, `WARNING` or `ERROR`.")
    LOG_FORMAT: str = setting(
        "text", choice("text", "json"), "json",
        about="`text` for people, `json` for machines.")
    TWILIO_API_URL: str = setting(
        "https://api.twilio.com", origin, "https://api.twilio.com",
        about="The origin of Twilio's REST API; another one is for tests.")

    @property
    def most_hidden(self) -> int:
        """How many calls there may be at once of callers who hide their number; 0: any number.

        Half of all unless the owner says otherwise: the lines that are left are those of callers who are told apart.
        """
        given = self.MAX_CALLS_HIDDEN
        return max(self.MAX_CALLS // 2, 1) if given is None else given

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
                value = tuple(value.values()) if isinstance(value, Mapping) else value
                values += value if isinstance(value, tuple) else [value]
        in_addresses = [part for value in values if "://" in value for part in _secret_parts(URL(value))]
        return frozenset(filter(None, [*values, *in_addresses, *self.shared_keys.values()]))


NAMES = tuple(each.name for each in fields(Settings))
#: Where a group of settings begins: the first of it, and what the group is about.
HEADINGS = {
    "SYSTEM_MESSAGE": "most likely yours",
    "DATABASE_URL": "meetings",
    "OPENAI_MODEL": "the model",
    "SILENCE_PROMPT_S": "the conversation",
    "HOST": "the server",
}
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


def _value(
    value: str | None, *, default: str | None, parse: Parse, example: str, empty: Any, empty_is_off: bool, about: str,
) -> Any:
    value = value and value.strip()
    if value:
        return parse(value)
    if value == "" and empty_is_off:
        return empty
    if default is None:
        raise ValueError("is not set")
    return parse(default) if default else empty


def _read(dotenv: Path | None) -> env_file.EnvFile:
    try:
        return env_file.read(dotenv)
    except env_file.Unreadable as problem:
        raise BadSettings(str(problem)) from None


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environ):
        if meant := env_file.close_to(name, NAMES, env_file.IN_ENVIRONMENT):
            yield f"{name}, in the environment, is no setting, and counts for nothing; {meant} is one"
