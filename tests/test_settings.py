"""The settings: where they come from, what is refused and how it is said."""

import dataclasses
import os
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bridge.settings import BadSettings, Settings, load
from tests.stage.settings import DEFAULTS, KEY, NAMES, TOKEN, make_settings, problems, write


# ---- where they come from

def test_only_the_key_and_the_token_are_required() -> None:
    settings = load(KEY)
    assert settings.OPENAI_API_KEY == "sk-simulated"
    assert settings.OPENAI_MODEL == "gpt-realtime-2.1"
    assert settings.OPENAI_VOICE == "marin"
    assert settings.OPENAI_REALTIME_URL == "wss://api.openai.com/v1/realtime"
    assert settings.OPENAI_TRANSCRIPTION_MODEL == "gpt-transcribe"
    assert settings.PROTECT_GREETING is True
    assert settings.TIMEZONE == ZoneInfo("UTC")
    assert (settings.HOST, settings.PORT) == ("0.0.0.0", 5050)
    assert settings.TWILIO_API_URL == "https://api.twilio.com"
    assert settings.WEBHOOK_URL == settings.WEBHOOK_SECRET == settings.TWILIO_SHARED_KEYS == ()
    assert (settings.TRANSFER_NUMBER, settings.OPENAI_PRICES) == ({}, {})
    assert (settings.OPENING_HOURS, settings.CLOSED_DAYS, settings.BLOCKED_CALLERS) == (None, None, None)
    assert (settings.PUBLIC_URL, settings.NOISE_REDUCTION) == ("", "")
    assert not settings.rest_credentials
    assert (settings.ALLOW_UNSIGNED, settings.auth_tokens) == ("0", ("simulated-token",))
    assert (settings.LOG_LEVEL, settings.LOG_FORMAT) == ("INFO", "text")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", "OPENAI_API_KEY=sk-of-the-file\nOPENAI_VOICE=cedar\nPORT=6000\n")
    settings = load({"OPENAI_API_KEY": "sk-of-the-environment", "PORT": "7000", **TOKEN}, dotenv)
    assert settings.OPENAI_API_KEY == "sk-of-the-environment"
    assert settings.PORT == 7000
    assert settings.OPENAI_VOICE == "cedar"


def test_reading_changes_neither_the_environment_nor_what_it_was_given(tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", "OPENAI_API_KEY=sk-of-the-file\nBRIDGE_TEST=1\n")
    environ, before = {"OPENAI_VOICE": "cedar", **TOKEN}, dict(os.environ)
    load(environ, dotenv)
    assert environ == {"OPENAI_VOICE": "cedar", **TOKEN}
    assert dict(os.environ) == before


def test_a_file_that_is_not_there_is_no_problem(tmp_path: Path) -> None:
    assert load(KEY, tmp_path / ".env") == load(KEY)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"OPENAI_API_KEY=\xff\xfe")
    with pytest.raises(BadSettings, match=r"\.env cannot be read: it is not UTF-8$"):
        load({}, dotenv)


def test_a_file_may_hold_quotes_dollars_hashes_and_other_peoples_variables(tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", "\n".join([
        "export OPENAI_API_KEY='sk-a$b${HOME}#c'", 'SYSTEM_MESSAGE="Two\\nlines"', "SOMETHING_ELSE", "PGHOST=db"]))
    settings = load(TOKEN, dotenv)
    assert settings.OPENAI_API_KEY == "sk-a$b${HOME}#c"
    assert settings.SYSTEM_MESSAGE == "Two\nlines"


def test_settings_cannot_be_changed() -> None:
    settings = load(KEY)
    for name in DEFAULTS:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(settings, name, getattr(settings, name))


# ---- what an empty variable means

OFF = ("OPENAI_TRANSCRIPTION_MODEL", "RECORD_ANNOUNCEMENT")


@pytest.mark.parametrize("name", OFF)
def test_it_is_switched_off_by_an_empty_variable(name: str) -> None:
    assert getattr(make_settings(**{name: ""}), name) == "" != getattr(make_settings(), name)


@pytest.mark.parametrize("name", sorted(NAMES - {*KEY, *OFF}))
@pytest.mark.parametrize("blank", ["", "  "])
def test_any_other_empty_variable_means_the_default(name: str, blank: str) -> None:
    assert load(KEY | {name: blank}) == load(KEY)


@pytest.mark.parametrize("blank", ["", "  "])
def test_an_empty_key_is_a_missing_one(blank: str) -> None:
    [problem] = problems(OPENAI_API_KEY=blank)
    assert problem.startswith("OPENAI_API_KEY is not set")


def test_spaces_around_a_value_do_not_count() -> None:
    assert make_settings(PORT=" 6000 ").PORT == 6000


# ---- what is refused, and how it is said

def test_all_problems_are_reported_at_once_each_with_name_fault_and_example() -> None:
    with pytest.raises(BadSettings) as refusal:
        load(TOKEN | {
            "PORT": "eighty", "TIMEZONE": "Berlin", "WEBHOOK_URL": "http://example.com/", "LOG_LEVEL": "loud"})
    lines = str(refusal.value).splitlines()
    assert [line.split()[0] for line in lines] == [
        "OPENAI_API_KEY", "TIMEZONE", "WEBHOOK_URL", "PORT", "LOG_LEVEL"]
    assert lines[0] == "OPENAI_API_KEY is not set, for example OPENAI_API_KEY=sk-..."
    assert lines[3] == "PORT must be a whole number from 0 to 65535, for example PORT=5050"
    assert all("for example " + line.split()[0] + "=" in line for line in lines)


@pytest.mark.parametrize(("name", "value", "fault"), [
    ("OPENAI_API_KEY", "sk-with space", "a key without spaces"),
    ("OPENAI_API_KEY", "sk-line\nbreak", "a key without spaces"),
    ("OPENAI_API_KEY", "sk-schlüssel", "a key without spaces"),
    ("OPENAI_MODEL", "gpt realtime", "a model's name"),
    ("OPENAI_VOICE", "marin, cedar", "a voice's name"),
    ("OPENAI_REALTIME_URL", "https://api.openai.com/v1/realtime", "must begin with wss://"),
    ("OPENAI_REALTIME_URL", "ws://api.openai.com/v1/realtime", "ws:// on this machine only"),
    ("OPENAI_REALTIME_URL", "api.openai.com", "must begin with wss://"),
    ("PROTECT_GREETING", "yes", "1 (on) or 0 (off)"),
    ("NOISE_REDUCTION", "loud", "must be one of near_field, far_field, or empty"),
    ("TIMEZONE", "Berlin", "a time zone of the IANA list"),
    ("TIMEZONE", "../../etc/passwd", "a time zone of the IANA list"),
    ("TIMEZONE", "Europe", "a time zone of the IANA list"),
    ("TIMEZONE", "+02:00", "a time zone of the IANA list"),
    ("WEBHOOK_URL", "http://example.com/meetings", "must begin with https://"),
    ("WEBHOOK_URL", "https://", "must begin with https://"),
    ("WEBHOOK_URL", "https://[::1", "is no address"),
    ("HOST", "0.0.0.0:5050/", "a host name or an address"),
    ("PORT", "65536", "a whole number from 0 to 65535"),
    ("PORT", "-1", "a whole number"),
    ("PORT", "5050.0", "a whole number"),
    ("PORT", "٣", "a whole number"),
    ("PORT", "9" * 5000, "a whole number"),
    ("MAX_CALLS", "0", "a whole number from 1 to"),
    ("MAX_CALLS_PER_CALLER", "two", "a whole number from 0 to"),
    ("DRAIN_S", "3601", "a whole number from 0 to 3600"),
    ("TWILIO_AUTH_TOKEN", "two words", "a token without spaces"),
    ("TWILIO_ACCOUNT_SID", "SK" + "0" * 32, "AC and 32 hexadecimal digits"),
    ("TWILIO_API_URL", "https://api.twilio.com/2010-04-01", "must be an origin"),
    ("FALLBACK", "silence", "apology, message, human"),
    ("FALLBACK_NUMBER", "01632 960000", "a phone number with + and the country's code"),
    ("FALLBACK_LANGUAGE", "German", "a language of Twilio's <Say>"),
    ("LOG_LEVEL", "info", "DEBUG, INFO, WARNING, ERROR"),
    ("LOG_FORMAT", "xml", "text, json"),
])
def test_what_is_wrong_is_said(name: str, value: str, fault: str) -> None:
    [problem] = [line for line in problems(**{name: value}) if line.startswith(name)]
    assert fault in problem
    assert f"for example {name}=" in problem


def test_every_example_would_be_accepted() -> None:
    examples: dict[str, str] = {each.name: each.metadata["example"] for each in dataclasses.fields(Settings)}
    # These say where the key and the token stand: one in print would only be copied.
    tokens = {"OPENAI_API_KEY": "sk-simulated", "TWILIO_AUTH_TOKEN": "token", "TWILIO_AUTH_TOKEN_OLD": "old"}
    assert make_settings(**examples | tokens | {"ADMIN_PASSWORD_HASH": ""})
    assert make_settings(ADMIN_PASSWORD_HASH=examples["ADMIN_PASSWORD_HASH"])


def test_an_account_sid_is_of_no_use_without_its_token() -> None:
    [problem] = problems(TWILIO_ACCOUNT_SID="AC" + "0" * 32)
    assert problem.startswith("TWILIO_AUTH_TOKEN must be set")
    assert make_settings(TWILIO_ACCOUNT_SID="AC" + "0" * 32, TWILIO_AUTH_TOKEN="token").rest_credentials


def test_a_token_alone_checks_signatures_and_calls_nobody() -> None:
    assert not make_settings(TWILIO_AUTH_TOKEN="token").rest_credentials


# ---- who is let in

@pytest.mark.parametrize(("environ", "said"), [
    ({}, "TWILIO_AUTH_TOKEN is not set: it stands in the Twilio console"),
    ({"HOST": "127.0.0.1"}, "TWILIO_AUTH_TOKEN is not set"),
    ({"ALLOW_UNSIGNED": "0"}, "TWILIO_AUTH_TOKEN is not set"),
    ({"ALLOW_UNSIGNED": "1"}, "ALLOW_UNSIGNED=1 needs HOST=127.0.0.1"),
    ({"ALLOW_UNSIGNED": "1", "HOST": "192.168.1.1"}, "ALLOW_UNSIGNED=1 needs HOST=127.0.0.1"),
    ({"ALLOW_UNSIGNED": "1", "HOST": "bridge.example.com"}, "ALLOW_UNSIGNED=1 needs HOST=127.0.0.1"),
    ({"ALLOW_UNSIGNED": "1", "HOST": "::"}, "ALLOW_UNSIGNED=1 needs HOST=127.0.0.1"),
    ({"ALLOW_UNSIGNED": "1", "HOST": "127.0.0.1", "DYNO": "web.1"}, "ALLOW_UNSIGNED=1 is not for Heroku"),
    ({"ALLOW_UNSIGNED": "yes"}, "ALLOW_UNSIGNED must be one of 0, 1, anybody-may-call-at-my-expense"),
    ({"TWILIO_AUTH_TOKEN_OLD": "old"}, "TWILIO_AUTH_TOKEN must be set with TWILIO_AUTH_TOKEN_OLD"),
    ({"TWILIO_SHARED_KEYS": "id=0123456789abcdef"}, "TWILIO_AUTH_TOKEN must be set with TWILIO_SHARED_KEYS"),
])
def test_nobody_opens_the_server_by_mistake(environ: dict[str, str], said: str) -> None:
    with pytest.raises(BadSettings) as refusal:
        load({"OPENAI_API_KEY": "sk-simulated"} | environ)
    [problem] = str(refusal.value).splitlines()
    assert problem.startswith(said)


@pytest.mark.parametrize("environ", [
    {"ALLOW_UNSIGNED": "1", "HOST": "127.0.0.1"}, {"ALLOW_UNSIGNED": "1", "HOST": "localhost"},
    {"ALLOW_UNSIGNED": "1", "HOST": "::1"}, {"ALLOW_UNSIGNED": "anybody-may-call-at-my-expense", "DYNO": "web.1"}])
def test_who_means_it_may_open_the_server(environ: dict[str, str]) -> None:
    assert load({"OPENAI_API_KEY": "sk-simulated"} | environ).auth_tokens == ()


def test_with_a_token_everything_is_checked_whatever_else_is_allowed() -> None:
    assert load(KEY | {"ALLOW_UNSIGNED": "anybody-may-call-at-my-expense"}).auth_tokens == ("simulated-token",)
    assert load(KEY | {"TWILIO_AUTH_TOKEN_OLD": "old"}).auth_tokens == ("simulated-token", "old")


def test_shared_keys_are_ids_and_secrets() -> None:
    text = "one=0123456789abcdef, two=0123456789abcde="
    assert make_settings(TWILIO_AUTH_TOKEN="t", TWILIO_SHARED_KEYS=text).shared_keys == {
        "one": "0123456789abcdef", "two": "0123456789abcde="}
    for wrong in ("one", "one=short", "=0123456789abcdef", "one=0123456789abcdef,one=0123456789abcdef"):
        [problem] = problems(TWILIO_AUTH_TOKEN="t", TWILIO_SHARED_KEYS=wrong)
        assert "must be ids and secrets" in problem and wrong not in problem


# ---- secrets

SECRETS = {
    "OPENAI_API_KEY": "sk-very-secret", "TWILIO_AUTH_TOKEN": "token-very-secret",
    "TWILIO_AUTH_TOKEN_OLD": "token-very-secret", "TWILIO_SHARED_KEYS": "id=shared-very-secret",
    "WEBHOOK_URL": "https://example.com/hook/very-secret",
}


def test_secrets_do_not_show_in_repr_or_str() -> None:
    settings = make_settings(**SECRETS)
    assert settings.WEBHOOK_URL == (SECRETS["WEBHOOK_URL"],)
    assert "very-secret" not in f"{settings} {settings!r}"
    assert "OPENAI_VOICE='marin'" in repr(settings)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_that_is_refused_is_not_repeated(name: str) -> None:
    assert "very-secret" not in "\n".join(problems(**{name: "http://very-secret word@[x"}))
