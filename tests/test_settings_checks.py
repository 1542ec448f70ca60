"""Settings that can be read and cannot be meant: what stops the start, what is only said, and what is neither."""

import ast
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from bridge.meetings.hours import OpeningHours
from bridge.settings import BadSettings, doubts, load, load_one
from tests.stage.settings import KEY, UNSIGNED

ROOT = Path(__file__).parent.parent
BOOKS = {"WEBHOOK_URL": "https://hooks.acme.org/meetings"}
TODAY = date(2026, 11, 28)


def refused(environ: dict[str, str], dotenv: Path | None = None) -> list[str]:
    """The lines with which the server does not start."""
    with pytest.raises(BadSettings) as refusal:
        load(environ, dotenv)
    return str(refusal.value).splitlines()


def said(environ: dict[str, str], dotenv: Path | None = None, today: date = TODAY) -> list[str]:
    """The lines that a server says which starts all the same."""
    return doubts(load(environ, dotenv), environ, dotenv, today=today)


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_there_is_nothing_to_say_of_what_is_meant(dotenv: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    dotenv.write_text(example.replace("API_KEY=", "API_KEY=sk-simulated").replace("AUTH_TOKEN=", "AUTH_TOKEN=t", 1))
    assert said({}, dotenv) == said(KEY) == said(KEY | BOOKS) == []


# ---- names

@pytest.mark.parametrize(("name", "meant"), [
    ("WEBHOK_URL", "WEBHOOK_URL"), ("webhook_url", "WEBHOOK_URL"), ("TIME_ZONE", "TIMEZONE"),
    ("WEBHOOK-URL", "WEBHOOK_URL"), ("MAX_CALL_USDS", "MAX_CALL_USD"), ("TRANSFER_NUMBERS", "TRANSFER_NUMBER"),
    ("FALLBACK_NUMER", "FALLBACK_NUMBER"), ("TWILIO_TOKEN", "TWILIO_AUTH_TOKEN"), ("MINIMUN_NOTICE", "MINIMUM_NOTICE"),
])
def test_a_misspelt_name_is_said_with_the_one_that_is_close(dotenv: Path, name: str, meant: str) -> None:
    dotenv.write_text(f"# mine\n\n{name}=secret\n")
    assert said(KEY, dotenv) == [
        f".env line 3: {name} is no setting and counts for nothing. {meant} is one"]


@pytest.mark.parametrize("name", [
    "PGHOST", "SOMETHING_ELSE", "POSTGRES_PASSWORD", "COMPOSE_PROJECT_NAME", "N8N_HOST", "HOSTNAME", "LOG_DIR"])
def test_other_programs_names_are_theirs(dotenv: Path, name: str) -> None:
    dotenv.write_text(f"{name}=x\n")
    assert said(KEY | {name: "x", "PATH": "/bin", "LOGNAME": "me"}, dotenv) == []


def test_a_key_under_a_misspelt_name_is_missing_and_the_name_is_said(dotenv: Path) -> None:
    dotenv.write_text("OPENAI_KEY=sk-very-secret\n")
    missing, misspelt = refused({"TWILIO_AUTH_TOKEN": "t"}, dotenv)
    assert missing.startswith("OPENAI_API_KEY is not set")
    assert misspelt == ".env line 1: OPENAI_KEY is no setting and counts for nothing. OPENAI_API_KEY is one"


def test_the_environment_is_looked_at_too() -> None:
    missing, misspelt = refused({"OPENAI_API_KEY": "sk-simulated", "TWILIO_AUTHTOKEN": "very-secret"})
    assert missing.startswith("TWILIO_AUTH_TOKEN is not set")
    assert misspelt == (
        "TWILIO_AUTHTOKEN, in the environment, is no setting and counts for nothing. TWILIO_AUTH_TOKEN is one")


def test_a_command_does_not_work_on_other_data_because_of_a_misspelt_name(dotenv: Path) -> None:
    dotenv.write_text("DATABSE_URL=sqlite:////srv/very-secret/bridge.db\n")
    with pytest.raises(BadSettings, match="^DATABASE_URL is not set, but DATABSE_URL is, which is no setting"):
        load_one("DATABASE_URL", {}, dotenv)
    with pytest.raises(BadSettings, match="^DATABASE_URL is not set, but DATABASE_URI is"):
        load_one("DATABASE_URL", {"DATABASE_URI": "postgres://very-secret@host/bridge"})
    assert load_one("DATABASE_URL", {"DATABASE_URL": "sqlite:///bridge.db"}, dotenv)


def test_a_name_that_is_set_twice_is_said(dotenv: Path) -> None:
    dotenv.write_text("PORT=6000\nHOST=127.0.0.1\nPORT=7000\n")
    assert said(KEY, dotenv) == [".env line 3: PORT is set again, so line 1 counts for nothing"]
    assert load(KEY, dotenv).PORT == 7000


def test_windows_mark_at_the_beginning_is_no_part_of_a_name(dotenv: Path) -> None:
    dotenv.write_bytes(b"\xef\xbb\xbfOPENAI_API_KEY=sk-simulated\r\nTWILIO_AUTH_TOKEN=t\r\n")
    assert load({}, dotenv).OPENAI_API_KEY == "sk-simulated"


# ---- values that end early, and quotes

@pytest.mark.parametrize("value", ["Press # to end.", "We are at 5 Main St #3.", "'Hello' # 2", "Hello\t#1"])
def test_a_text_that_is_cut_at_a_comment_is_said(dotenv: Path, value: str) -> None:
    dotenv.write_text(f"PORT=6000 # where it listens\nGREETINGS_RESPONSE={value}\n")
    lines = said(KEY, dotenv)
    assert lines == [] if value.startswith("'") else lines == [
        ".env line 2: GREETINGS_RESPONSE ends before ` #`, which begins a comment. If that belongs to it, put the "
        "value into quotes"]


@pytest.mark.parametrize("value", ['"Press # to end."', "'Press # to end.'", "Press#", "Hello", '"One\n # two"'])
def test_a_text_that_is_whole_is_not(dotenv: Path, value: str) -> None:
    dotenv.write_text(f"GREETINGS_RESPONSE={value}\n")
    assert said(KEY, dotenv) == []
    assert load(KEY, dotenv).GREETINGS_RESPONSE == value.strip("'\"")


@pytest.mark.parametrize(("text", "line", "name"), [
    ('PORT=6000\nGREETINGS_RESPONSE="Hello\n', 2, "GREETINGS_RESPONSE"),
    ("GREETINGS_RESPONSE='Hello, it's us'\n", 1, "GREETINGS_RESPONSE"),
    ('GREETINGS_RESPONSE="Hello\nWEBHOOK_URL="https://example.com/very-secret"\nPORT=1\n', 1, "GREETINGS_RESPONSE"),
    ('\n\n  export GREETINGS_RESPONSE="Hello" there\n', 3, "GREETINGS_RESPONSE"),
])
def test_a_quote_that_is_not_closed_stops_the_start(dotenv: Path, text: str, line: int, name: str) -> None:
    dotenv.write_text(text)
    [problem] = refused(KEY, dotenv)
    assert problem.startswith(f".env line {line}, {name}, cannot be read: its quotes do not match")
    assert "secret" not in problem
    with pytest.raises(BadSettings, match="its quotes do not match"):
        load_one("DATABASE_URL", {}, dotenv)


def test_a_line_without_an_equals_sign_stops_the_start_where_it_is_ours(dotenv: Path) -> None:
    dotenv.write_text("OPENAI_API_KEY sk-very-secret\n")
    assert refused({"TWILIO_AUTH_TOKEN": "t"}, dotenv)[0] == (
        ".env line 1, OPENAI_API_KEY, cannot be read: it must be NAME=value")
    dotenv.write_text("what somebody else's program reads\nit's theirs\nHOST_KEYS 'x\n")
    assert load(KEY, dotenv) == load(KEY)


# ---- keys

@pytest.mark.parametrize("key", [
    "sk-...", "sk-your-key", "your-api-key", "<your-key>", "sk-proj-xxxxxxxx", "YOUR_OPENAI_API_KEY", "changeme",
    "sk-your-openai-api-key-here", "insert-key-here", "sk-abc...xyz", "********", "openai_api_key", "my_key",
    "put_your_key_here", "replace-me"])
def test_a_placeholder_is_no_key(key: str) -> None:
    [problem] = refused(KEY | {"OPENAI_API_KEY": key})
    assert problem == ("OPENAI_API_KEY is still the placeholder of an example: fill in your own, from "
                       "https://platform.openai.com/api-keys")
    assert load(KEY | {"OPENAI_API_KEY": key, "OPENAI_REALTIME_URL": "wss://model.acme.org/v1/realtime"})
    if "openai" not in key.lower():
        [problem] = refused(KEY | {"TWILIO_AUTH_TOKEN": key})
        assert problem.startswith("TWILIO_AUTH_TOKEN is still the placeholder of an example")


@pytest.mark.parametrize("key", [
    "sk-proj-Yourx9dkQ2mAn-E_xampleT3BlbkFJx", "sk-svcacct-mYk3y", "sk-simulated", "sk-proj-The_xyz-1", "sk-x-xx-xxx",
    "sk-A-1", "sk-proj-My_qdkQ2mAnET3BlbkFJx"])
def test_a_key_may_look_like_anything(key: str) -> None:
    assert load(KEY | {"OPENAI_API_KEY": key}).OPENAI_API_KEY == key


# ---- models

@pytest.mark.parametrize(("model", "reason"), [
    ("gpt-live-1.1", "is a model of the Live API"), ("gpt-4o", "is no model of the Realtime API"),
    ("gpt-5.1-mini", "is no model of the Realtime API"), ("gpt-transcribe", "is no model of the Realtime API"),
    ("gpt-realtime-whisper", "is no model of the Realtime API"), ("whisper-1", "is no model of the Realtime API"),
    ("gpt-4o-realtime-preview-2025-06-03", "has been shut down"), ("o3", "is no model of the Realtime API"),
])
def test_a_model_that_can_carry_no_call_stops_the_start(model: str, reason: str) -> None:
    [problem] = refused(KEY | {"OPENAI_MODEL": model})
    assert problem.startswith(f"OPENAI_MODEL={model} {reason}")
    assert problem.endswith("Set OPENAI_MODEL=gpt-realtime-2.1")


@pytest.mark.parametrize("model", ["gpt-realtime-2.1-mini", "gpt-realtime-2", "gpt-realtime-1.5", "gpt-6-realtime"])
def test_a_model_that_may_be_one_is_left_alone(model: str) -> None:
    assert said(KEY | {"OPENAI_MODEL": model}) == []


def test_a_model_with_an_unknown_name_is_said() -> None:
    [line] = said(KEY | {"OPENAI_MODEL": "gpt-9-voice"})
    assert line.startswith("OPENAI_MODEL=gpt-9-voice does not look like a model of the Realtime API")


@pytest.mark.parametrize("model", ["gpt-realtime", "gpt-realtime-2025-08-28", "gpt-realtime-mini-2025-10-06"])
def test_a_model_that_ends_soon_is_said_and_starts_even_afterwards(model: str) -> None:
    [line] = said(KEY | {"OPENAI_MODEL": model})
    assert line.startswith(f"OPENAI_MODEL={model} is shut down by OpenAI on 2027-01-20, in 53 days")
    [line] = said(KEY | {"OPENAI_MODEL": model}, today=date(2027, 1, 20))
    assert line.startswith(f"OPENAI_MODEL={model} was to be shut down by OpenAI on 2027-01-20")


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe-2025-12-15"])
def test_a_transcription_that_ends_soon_is_said(model: str) -> None:
    [line] = said(KEY | {"OPENAI_TRANSCRIPTION_MODEL": model})
    assert "2027-02-26" in line and line.endswith("set OPENAI_TRANSCRIPTION_MODEL=gpt-transcribe")


@pytest.mark.parametrize("url", [
    "wss://dental.openai.azure.com/openai/v1/realtime", "wss://api.x.ai/v1/realtime", "ws://127.0.0.1:8000/v1"])
def test_elsewhere_models_have_names_of_their_own(url: str) -> None:
    for model in ("gpt-4o", "gpt-realtime", "grok-voice-latest", "gpt-live-1"):
        assert said(KEY | {"OPENAI_REALTIME_URL": url, "OPENAI_MODEL": model}) == []


# ---- bookings

@pytest.mark.parametrize(("least", "most"), [("2d", "1d"), ("24h", "1d"), ("0", "0")])
def test_a_notice_that_leaves_no_time_stops_the_start(least: str, most: str) -> None:
    notice = {"MINIMUM_NOTICE": least, "MAXIMUM_NOTICE": most}
    [problem] = refused(KEY | BOOKS | notice)
    assert problem.startswith("MINIMUM_NOTICE must be less than MAXIMUM_NOTICE")
    assert load(KEY | notice), "no meetings are offered"
    assert load(KEY | BOOKS | notice | {"MINIMUM_NOTICE": "0", "MAXIMUM_NOTICE": "1h"})


@pytest.mark.parametrize(("hours", "minutes", "longest"), [
    ("Mon-Fri 09:00-10:00,11:00-12:00", 61, 60), ("Sat 23:00-24:00; Sun 00:00-01:00", 121, 120),
    ("Mon 00:00-00:30; Sun 23:00-24:00", 91, 90), ("Mon 09:00-10:00,10:00-11:00", 121, 120)])
def test_a_meeting_longer_than_every_opening_stops_the_start(hours: str, minutes: int, longest: int) -> None:
    environ = KEY | BOOKS | {"OPENING_HOURS": hours}
    [problem] = refused(environ | {"MEETING_MINUTES": str(minutes)})
    assert problem.startswith(f"MEETING_MINUTES={minutes} is longer than OPENING_HOURS are ever open at a stretch, "
                              f"{longest} minutes")
    assert load(environ | {"MEETING_MINUTES": str(longest)})


def test_who_never_closes_has_room_for_any_meeting() -> None:
    assert OpeningHours.parse("Mon-Sun 00:00-24:00").longest() == 7 * 24 * 60


# ---- where webhooks lead

@pytest.mark.parametrize("host", ["192.168.1.5", "10.0.0.1", "172.17.0.2:5678", "169.254.169.254", "[fd00::1]",
                                  "127.0.0.2", "[::ffff:10.0.0.1]"])
@pytest.mark.parametrize("name", ["WEBHOOK_URL", "AVAILABILITY_URL"])
def test_a_private_address_needs_its_permission(name: str, host: str) -> None:
    environ = KEY | BOOKS | {name: f"https://{host}/very-secret"}
    [problem] = refused(environ)
    assert problem.startswith(f"{name} leads to ") and "ALLOW_PRIVATE_WEBHOOKS=1" in problem
    assert "secret" not in problem
    assert said(environ | {"ALLOW_PRIVATE_WEBHOOKS": "1"}) == []


@pytest.mark.parametrize("url", ["http://localhost:5678/x", "http://127.0.0.1/x", "https://93.184.216.34/x"])
def test_public_addresses_and_this_machine_need_none(url: str) -> None:
    assert said(KEY | {"WEBHOOK_URL": url}) == []


@pytest.mark.parametrize("host", ["n8n", "n8n:5678", "nas.local", "hooks.acme.internal"])
def test_a_name_that_looks_private_is_said(host: str) -> None:
    [line] = said(KEY | {"WEBHOOK_URL": f"https://{host}/very-secret"})
    assert "looks like a name of a private network" in line and "secret" not in line
    assert said(KEY | {"WEBHOOK_URL": f"https://{host}/x", "ALLOW_PRIVATE_WEBHOOKS": "1"}) == []


def test_the_address_of_n8n_s_editor_is_said() -> None:
    [line] = said(KEY | {"WEBHOOK_URL": "https://n8n.acme.org/webhook-test/very-secret"})
    assert line.startswith("WEBHOOK_URL is an address of n8n's editor (/webhook-test/)") and "secret" not in line
    assert said(KEY | {"WEBHOOK_URL": "https://n8n.acme.org/webhook/meetings"}) == []


def test_what_stands_in_the_documentation_is_nobody_s_own() -> None:
    rest = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32}
    assert said(KEY | rest | {"TRANSFER_NUMBER": "sales=+15551234567,support=+15557654321"}) == [
        "TRANSFER_NUMBER is that of the documentation's example: set it to your own"]
    assert said(KEY | rest | {"TRANSFER_NUMBER": "sales=+4930901820"}) == []


# ---- at the terminal

def test_doubts_are_warnings_of_a_server_that_starts(tmp_path: Path) -> None:
    """A folder as the database: the server says what it has to say, and then ends by itself."""
    (tmp_path / ".env").write_text("WEBHOK_URL=https://hooks.acme.org/very-secret\n")
    done = subprocess.run(
        [sys.executable, "-m", "bridge"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env=KEY | UNSIGNED | {"PYTHONPATH": str(ROOT), "PORT": "0", "DATABASE_URL": f"sqlite:///{tmp_path}/no/b.db"})
    assert done.returncode == 1
    assert "WARNING .env line 1: WEBHOK_URL is no setting and counts for nothing. WEBHOOK_URL is one" in done.stderr
    assert "very-secret" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["demo"], ["meetings", "list"]])
def test_an_old_python_gets_a_sentence(arguments: list[str], tmp_path: Path) -> None:
    """As far as it can be shown without one: the version is made up, and the two files are read by an old grammar."""
    program = ("import runpy, sys; sys.version_info = (3, 10, 4, 'final', 0); sys.argv[1:] = " + repr(arguments)
               + "; runpy.run_module('bridge', run_name='__main__', alter_sys=True)")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("bridge needs Python 3.11 or newer, and this is Python 3.10 (")
    for name in ("__init__.py", "__main__.py"):
        ast.parse((ROOT / "bridge" / name).read_text(), feature_version=(3, 8))


# ---- recordings

def test_an_object_store_that_would_not_even_be_asked_stops_the_start() -> None:
    [problem] = refused(KEY | {"RECORDINGS": "s3://bucket", "RECORDINGS_STORE": "colour=blue"})
    assert problem.startswith("RECORDINGS=s3://bucket cannot be opened") and "RECORDINGS_STORE" in problem
    assert load(KEY | {"RECORDINGS": "s3://bucket", "RECORDINGS_STORE": "region=eu-central-1"})
