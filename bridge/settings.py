"""Every setting: read once from the environment, then from `.env`, and checked all together.

A field has the name of its variable. Its `setting(...)` holds the default as written in `.env`, the parser of its text
(setting_values.py), an example for error messages, and a description. `python -m tests.documentation` makes SETTINGS.md
and `.env.example` of them. An empty variable stands for the default, or for "off" if the setting can be off.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import sqlalchemy

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
    addresses, choice, email, language, matching, origin, phone_number, public_url, secret_parts, setting, shared_keys,
    spoken, switch, text, time_zone, transfer_numbers, turn_detection, url, usd, value_of, whole)
from bridge.settings_checks import FOR_ANYBODY
from bridge.twilio_side.twiml import FallbackKind


class BadSettings(Exception):
    """The settings are wrong. The message has one line for each problem, to be shown to a person."""


SYSTEM_MESSAGE = (
    "You are the friendly receptionist of a small business and speak with a caller on the phone. "
    "Be brief, warm and clear: one or two sentences, then let the caller speak."
)

FALLBACK_GOODBYE = "Thank you for calling. If you still need us, please call again later. Goodbye."

#: A setting of names and what they stand for, without any.
NOTHING: Mapping[str, Any] = {}
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
            "Where your business is, as a name of the IANA list such as `Europe/Berlin`. The assistant knows the "
            "date and time there, and \"tomorrow at ten\" means ten o'clock there."))
    WEBHOOK_URL: tuple[str, ...] = setting(
        "", addresses, "https://example.com/meetings", secret=True, empty=(),
        about=(
            "Takes booked meetings as JSON, by POST; several, separated by commas. `https`, or `http` on the same "
            "machine. Empty: no meetings are offered."))
    CALL_WEBHOOK_URL: tuple[str, ...] = setting(
        "", addresses, "https://example.com/calls", secret=True,
        about=(
            "Takes the report of each call that is over as JSON, by POST, with what was said and heard. Several, "
            "separated by commas. Empty: calls are not reported."))
    WEBHOOK_SECRET: tuple[str, ...] = setting(
        "", parse_secrets, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", secret=True, empty=(),
        about=(
            "`whsec_` and a secret in base64. Everything that is sent to your webhook is signed with it. While you "
            "change it, set both, separated by a space."))
    TWILIO_AUTH_TOKEN: str = setting(
        "", _AUTH_TOKEN, "the auth token of the Twilio console", secret=True,
        about=(
            "The auth token of your Twilio console. With it only Twilio gets in. Required, unless `ALLOW_UNSIGNED` "
            "says otherwise."))
    TWILIO_ACCOUNT_SID: str = setting(
        "", _ACCOUNT_SID, "AC0123456789abcdef0123456789abcdef",
        about=(
            "The account SID of your Twilio console. With it and the token, Twilio's REST API ends and transfers "
            "calls. Empty: closing the stream ends them."))
    FALLBACK: FallbackKind = setting(
        "apology", choice(*get_args(FallbackKind)), "human",
        about=(
            "What a caller gets if the assistant cannot speak: `apology`, `message` (recorded and sent to your "
            "webhook) or `human` (`FALLBACK_NUMBER` is dialled)."))
    FALLBACK_NUMBER: str = setting(
        "", phone_number, "+15551234567",
        about="The number that `FALLBACK=human` dials, such as `+15551234567`.")
    FALLBACK_MESSAGE: str = setting(
        "", spoken, "Please call again in a few minutes. Goodbye.",
        about="The first words of the fallback. Empty: an English sentence that suits `FALLBACK`.")
    FALLBACK_GOODBYE: str = setting(
        FALLBACK_GOODBYE, spoken, "Thank you for calling. Goodbye.",
        about=(
            "The last words of the fallback: after a message, and after a person was dialled, whether or not "
            "somebody answered."))
    FALLBACK_LANGUAGE: str = setting(
        "en-US", language, "de-DE",
        about="The language of `FALLBACK_MESSAGE` and `FALLBACK_GOODBYE`, as Twilio's `<Say>` names it.")
    TRANSFER_NUMBER: Mapping[str, str] = setting(
        "", transfer_numbers, "sales=+15551234567,support=+15557654321", empty=NOTHING,
        about=(
            "The people to whom the assistant can put a caller through: one number, or several by name, "
            "`sales=+15551234567,support=+15557654321`. Needs `TWILIO_ACCOUNT_SID` and `TWILIO_AUTH_TOKEN`."))
    PUBLIC_URL: str = setting(
        "", public_url, "https://bridge.example.com",
        about=(
            "The `https` address under which Twilio reaches this server (`http` on the same machine only). It has "
            "scheme and host, and the path that a proxy takes off, such as `https://example.com/calls`. Empty: taken "
            "from the request (`X-Forwarded-Proto` and `X-Forwarded-Host`, `Forwarded`, `Host`)."))
    DATABASE_URL: sqlalchemy.URL = setting(
        "sqlite:///bridge.db", parse_url, "postgres://user:password@host/database",
        about=(
            "Where meetings and the state of calls are kept: a SQLite file, or "
            "`postgres://user:password@host/database`."))
    RETENTION_DAYS: int = setting(
        "0", whole(0, 36_500), "90",
        about=(
            "How long meetings and messages are kept after they are over and settled, in days. What your webhook has "
            "not been told yet is always kept. `0`: they are kept for good."))
    TRANSCRIPTS: bool = setting(
        "1", switch, "0",
        about=(
            "`1`: the record of each call holds what was said and heard in it. `0`: the record holds figures only, and "
            "no words."))
    RECORD: str = setting(
        "0", choice("0", "1", "ask"), "ask",
        about=(
            "`1`: calls are recorded, and the greeting says so. `ask`: the greeting asks, and neither sound nor words "
            "are kept before a yes. See [recordings](recordings/README.md). `0`: no call is."))
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
        about="How long a meeting takes, in minutes.")
    OPENING_HOURS: OpeningHours | None = setting(
        "", OpeningHours.parse, "Mon-Fri 09:00-17:00; Sat 10:00-13:00", empty=None,
        about="When meetings can be, such as `Mon-Fri 09:00-17:00; Sat 10:00-13:00`. Empty: at any time.")
    CLOSED_DAYS: ClosedDays | None = setting(
        "", ClosedDays.parse, "2026-12-24,2027-08-02..2027-08-15,*-12-31", empty=None,
        about=(
            "When meetings cannot be although `OPENING_HOURS` allow them: dates, ranges and a country's public "
            "holidays, such as `2026-12-24,2027-08-02..2027-08-15,DE-BY`. See [meetings](meetings/README.md). "
            "Holidays need the package `holidays`."))
    MINIMUM_NOTICE: timedelta = setting(
        "1h", duration, "2h",
        about="How far ahead a meeting must be at least: `30m`, `2h`, `1d`.")
    MAXIMUM_NOTICE: timedelta = setting(
        "365d", duration, "90d",
        about="How far ahead a meeting may be at most.")
    CONFIRM_MEETINGS: bool = setting(
        "1", switch, "1",
        about="`1`: a meeting is booked after the caller has agreed to what was read back. `0`: at once.")
    MEETING_EMAIL: str = setting(
        "optional", choice("optional", "required"), "required",
        about=(
            "`optional`: a caller without an e-mail address can book. A caller who hides the number must give a phone "
            "number or an address. `required`: nobody books without an address."))
    AVAILABILITY_URL: str = setting(
        "", url("https"), "https://example.com/busy", secret=True,
        about="An address that says when you are busy elsewhere. See [delivery](delivery/README.md).")
    ALLOW_PRIVATE_WEBHOOKS: bool = setting(
        "0", switch, "1",
        about=(
            "`1`: `WEBHOOK_URL` and `AVAILABILITY_URL` may lead into a private network. `0`: they may lead only to "
            "public addresses, and to this machine by `http://localhost`."))
    ORGANIZER_EMAIL: str = setting(
        "", email, "office@example.com",
        about="The e-mail address that invites, in the iCalendar file of a meeting.")
    OPENAI_MODEL: str = setting(
        "gpt-realtime-2.1", matching(r"[\w.:/-]+", "a model's name"), "gpt-realtime-2.1",
        about="A model of the Realtime API.")
    OPENAI_VOICE: str = setting(
        "marin", matching(r"[\w-]+", "a voice's name"), "marin",
        about="The assistant's voice.")
    OPENAI_TRANSCRIPTION_MODEL: str = setting(
        "gpt-transcribe", text, "gpt-transcribe", empty_is_off=True,
        about="The model that writes down the caller's words. Empty: they are not written down.")
    OPENAI_REALTIME_URL: str = setting(
        "wss://api.openai.com/v1/realtime", url("wss"), "wss://api.openai.com/v1/realtime",
        about=(
            "The Realtime API's address, to which the model is appended. On Azure "
            "`wss://<resource>.openai.azure.com/openai/v1/realtime`. The key then goes into Azure's own header."))
    OPENAI_PRICES: Mapping[str, float] = setting(
        "", prices.parse, "audio_in=32,audio_cached=0.4,audio_out=64,text_in=4,text_cached=0.4,text_out=24",
        empty=NOTHING,
        about=(
            "What the model costs, if the list in `bridge/openai_side/prices.py` (read in November 2026) is out of "
            "date. Any of `audio_in=32,audio_cached=0.4,audio_out=64,text_in=4,text_cached=0.4,text_out=24`, in US "
            "dollars for a million tokens, and `transcription_minute=0.017`, in US dollars for a minute of the "
            "caller's words written down. A model that is not listed counts as the dearest that is."))
    MAX_CALL_USD: float = setting(
        "0", usd, "2.50",
        about=(
            "What the model may cost in a call, in US dollars by the prices above. The call then ends politely. "
            "`0`: no limit."))
    MAX_DAY_USD: float = setting(
        "0", usd, "20",
        about=(
            "What the model may cost in a day, in US dollars by the prices above, over all processes that share the "
            "database. The day is that of `TIMEZONE`. When the money is used up, calls under way end politely, and "
            "callers get the fallback until midnight. `0`: no limit."))
    SILENCE_PROMPT_S: int = setting(
        "12", whole(0, 3600), "12",
        about=(
            "How long a caller may be silent, in seconds. The assistant then asks once whether anybody is there. "
            "After as long again it says goodbye. `0`: no limit."))
    MAX_TURN_S: int = setting(
        "30", whole(0, 3600), "30",
        about=(
            "How long a caller may be heard without a pause, as on a noisy line, in seconds. The assistant then "
            "answers all the same, and the caller cannot interrupt that answer. After three such turns in a row of "
            "which no word was understood, the call ends with a goodbye. `0`: the assistant waits for the pause."))
    MAX_CALL_S: int = setting(
        "1800", whole(0, 24 * 3600), "1800",
        about="How long a call may last, in seconds. The end is announced a minute before. `0`: no limit.")
    OPERATOR_KEY: str = setting(
        "", choice("*", "0"), "0",
        about="The key, `0` or `*`, that puts the caller through to a person: the first of `TRANSFER_NUMBER`.")
    PROTECT_GREETING: bool = setting(
        "1", switch, "1",
        about=(
            "`1`: the caller cannot interrupt the greeting, and what the caller says meanwhile is heard afterwards. "
            "`0`: the caller can."))
    TURN_DETECTION: dict[str, Any] = setting(
        "server_vad,threshold=0.5,prefix_padding_ms=300,silence_duration_ms=500", turn_detection,
        "semantic_vad,eagerness=auto",
        about=(
            "What decides that the caller's turn has ended: `server_vad` with its numbers, or "
            "`semantic_vad,eagerness=auto` (`low`, `medium`, `high`)."))
    NOISE_REDUCTION: str = setting(
        "", choice("", "near_field", "far_field"), "near_field",
        about="`near_field` for a phone at the ear, `far_field` for a loudspeaker. Empty: off.")
    HOST: str = setting(
        "0.0.0.0", matching(r"[\w.:-]+", "a host name or an address"), "127.0.0.1",
        about="The address to listen on. `::`: IPv6 and IPv4.")
    PORT: int = setting(
        "5050", whole(0, 65535), "5050",
        about="The port to listen on. Heroku sets it. `0`: any free one.")
    MAX_CALLS: int = setting(
        "100", whole(1, 100_000), "100",
        about=(
            "The most calls at once, over all processes that share the database. Further callers hear a busy tone."))
    MAX_CALLS_PER_CALLER: int = setting(
        "2", whole(0, 100_000), "2",
        about="The most calls at once from one number. Further ones hear a busy tone. `0`: no limit.")
    CALLS_PER_HOUR_PER_CALLER: int = setting(
        "20", whole(0, 100_000), "20",
        about="The most calls in an hour from one number. Further ones hear a busy tone. `0`: no limit.")
    MAX_CALLS_HIDDEN: int | None = setting(
        "", whole(0, 100_000), "10", empty=None,
        about=(
            "The most calls at once from all callers who hide their number. Further ones hear a busy tone. Empty: "
            "half of `MAX_CALLS`. `0`: no limit."))
    BLOCKED_CALLERS: Blocklist | None = setting(
        "", Blocklist.parse, "+15557654321, +1900*, anonymous", empty=None,
        about=(
            "Callers who are not answered, separated by commas: numbers, beginnings of numbers such as `+1900*`, and "
            "`anonymous` for all who hide their number. They hear that the number is not in service."))
    MAX_MESSAGES_PER_S: int = setting(
        "200", whole(0, 100_000), "200",
        about=(
            "The most messages a second of a stream. A stream that sends more for five seconds is closed. Twilio "
            "sends 50. `0`: no limit."))
    DRAIN_S: int = setting(
        "20", whole(0, 3600), "20",
        about=(
            "How long calls may go on after the server is told to stop, in seconds. The server exits within 8 seconds "
            "after that."))
    ADMIN_PASSWORD: str = setting(
        "", parse_password, "a password of 12 characters or more", secret=True,
        about=(
            "The operator's password, of 12 characters at least. It opens `/metrics` and the reasons of `/readyz`. "
            "Empty: they are not there."))
    ADMIN_PASSWORD_HASH: str = setting(
        "", parse_hash, "scrypt:16384:8:1:AAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        secret=True,
        about="The password's hash in place of the password, as `python -m bridge hash-password` prints it.")
    TWILIO_AUTH_TOKEN_OLD: str = setting(
        "", _AUTH_TOKEN, "the auth token before that one", secret=True,
        about="The previous auth token. It counts too while you change `TWILIO_AUTH_TOKEN`.")
    TWILIO_SHARED_KEYS: tuple[str, ...] = setting(
        "", shared_keys, "webhooks_sharedkey_1=the-secret-of-that-key", secret=True, empty=(),
        about=(
            "The shared keys, if your account signs webhooks with them: `id=secret`. Several are separated by "
            "commas."))
    ALLOW_UNSIGNED: str = setting(
        "0", choice("0", "1", FOR_ANYBODY), "1",
        about=(
            "`1`: the server starts without `TWILIO_AUTH_TOKEN` and answers anybody, but only with `HOST=127.0.0.1`. "
            "For development. `anybody-may-call-at-my-expense`: the same with any `HOST`."))
    LOG_LEVEL: str = setting(
        "INFO", choice("DEBUG", "INFO", "WARNING", "ERROR"), "INFO",
        about="`DEBUG`, `INFO`, `WARNING` or `ERROR`.")
    LOG_FORMAT: str = setting(
        "text", choice("text", "json"), "json",
        about="`text` for people, `json` for machines.")
    TWILIO_API_URL: str = setting(
        "https://api.twilio.com", origin, "https://api.twilio.com",
        about="The origin of Twilio's REST API. Change it only for tests.")

    @property
    def most_hidden(self) -> int:
        """The most calls at once of callers who hide their number. 0: no limit.

        Half of MAX_CALLS unless the owner says otherwise, so that hidden callers never take all lines.
        """
        given = self.MAX_CALLS_HIDDEN
        return max(self.MAX_CALLS // 2, 1) if given is None else given

    @property
    def auth_tokens(self) -> tuple[str, ...]:
        """The auth token, and the previous one while it still counts. Without any, every request is answered."""
        return tuple(token for token in (self.TWILIO_AUTH_TOKEN, self.TWILIO_AUTH_TOKEN_OLD) if token)

    @property
    def shared_keys(self) -> dict[str, str]:
        """The secrets of Twilio's shared keys, by id."""
        pairs = (pair.partition("=") for pair in self.TWILIO_SHARED_KEYS)
        return {name: secret for name, _, secret in pairs}

    @property
    def rest_credentials(self) -> bool:
        """Whether Twilio's REST API can end and transfer calls: account SID and auth token are set."""
        return bool(self.TWILIO_ACCOUNT_SID and self.TWILIO_AUTH_TOKEN)

    @property
    def secrets(self) -> frozenset[str]:
        """Every text that must never be shown: values of secret settings, and the secret parts of their addresses."""
        values = [self.DATABASE_URL.password or ""]
        for each in fields(self):
            if not each.repr:
                value = getattr(self, each.name)
                value = tuple(value.values()) if isinstance(value, Mapping) else value
                values += value if isinstance(value, tuple) else [value]
        in_addresses = [part for value in values if "://" in value for part in secret_parts(value)]
        return frozenset(filter(None, [*values, *in_addresses, *self.shared_keys.values()]))


NAMES = tuple(each.name for each in fields(Settings))
#: The groups of settings in the documents: the first setting of each, and its heading.
HEADINGS = {
    "SYSTEM_MESSAGE": "most likely yours",
    "DATABASE_URL": "meetings",
    "OPENAI_MODEL": "the model",
    "SILENCE_PROMPT_S": "the conversation",
    "HOST": "the server",
}
#: The settings whose value may hold a ` #`.
TEXTS = tuple(each.name for each in fields(Settings) if each.metadata["parse"] in (text, spoken)) + ("ADMIN_PASSWORD",)


def default(name: str) -> str:
    """What stands for a setting that is not set, as one would write it."""
    return next(each.metadata["default"] or "" for each in fields(Settings) if each.name == name)


def load(environ: Mapping[str, str], dotenv: Path | None = None) -> Settings:
    """Loads all settings: from `environ`, and what it lacks from the file `dotenv`. Raises BadSettings."""
    parsed, problems = _parsed(environ, dotenv)
    problems += settings_checks.problems(parsed, on_heroku="DYNO" in environ)
    if problems:                                     # a missing setting may be there under a misspelt name
        raise BadSettings("\n".join([*problems, *_misspelt(environ), *_read(dotenv).doubtful(NAMES, TEXTS)]))
    return Settings(**parsed)


def doubts(
    settings: Settings, environ: Mapping[str, str], dotenv: Path | None = None, *, today: date,
) -> list[str]:
    """A sentence for each setting that works but looks like a mistake, to be logged when the server starts."""
    return [*_misspelt(environ), *_read(dotenv).doubtful(NAMES, TEXTS), *settings_checks.doubts(settings, today)]


def oddities(settings: Settings, environ: Mapping[str, str], dotenv: Path | None = None) -> list[str]:
    """Those of `doubts` that speak of how the settings are written, and of nothing that can be tried out."""
    return [*_misspelt(environ), *_read(dotenv).doubtful(NAMES, TEXTS), *settings_checks.examples(settings)]


def load_one(name: str, environ: Mapping[str, str], dotenv: Path | None = None) -> Any:
    """Loads one setting, for a command that needs no other. Raises BadSettings.

    A misspelt name is an error here: with the default, the command would work on other data.
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
    """The values by name, and a line for each wrong one."""
    file = _read(dotenv)
    values = {**file.values, **environ}
    parsed: dict[str, Any] = {}
    problems = [*file.unreadable(NAMES)]
    for each in fields(Settings):
        if only not in (None, each.name):
            continue
        try:
            parsed[each.name] = value_of(values.get(each.name), **each.metadata)
        except ValueError as error:
            problems.append(f"{each.name} {error}, for example {each.name}={each.metadata['example']}")
    return parsed, problems


def _read(dotenv: Path | None) -> env_file.EnvFile:
    try:
        return env_file.read(dotenv)
    except env_file.Unreadable as problem:
        raise BadSettings(str(problem)) from None


def _misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environ):
        if meant := env_file.close_to(name, NAMES, env_file.IN_ENVIRONMENT):
            yield f"{name}, in the environment, is no setting and counts for nothing. {meant} is one"
