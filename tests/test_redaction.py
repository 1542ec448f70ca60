"""What no log line may hold is taken out of it, whoever wrote it; and no text forges a line or steers a terminal."""

import dataclasses
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import log, log_queue
from bridge.redaction import Redaction, escaped
from tests.stage.settings import make_settings

SECRETS = ["token-very-secret", "sk-simulated", "whsec_c2VjcmV0c2VjcmV0", "5ecret/path?key=5ecret"]
redact = Redaction(SECRETS)


@pytest.mark.parametrize(("text", "shown"), [
    ("the key sk-proj-abc_DEF-123 is wrong", "the key sk-*** is wrong"),
    ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "signed with whsec_***"),
    ("token token-very-secret.", "token ***."),
    ("POST https://one.example/5ecret/path?key=5ecret", "POST https://one.example/***"),
    ("{'Authorization': 'Basic YWRhOnNlY3JldA=='}", "{'Authorization': 'Basic ***'}"),
    ("authorization: bearer abcdef.ghi-jkl", "authorization: bearer ***"),
    ("+15551234567 calls +4930123456", "+15*******67 calls +49******56"),
    ("/media-stream/15551234567", "/media-stream/155******67"),
    ("From=%2B15551234567&To=", "From=%2B*********67&To="),
    ("call +1 (555) 123-4567 now", "call +1 ************67 now"),
    ("ada.l+x@mail.example.com wrote", "*** wrote"),
    ("mailto:ada@example.com", "mailto:***"),
    ("email=ada%40example.com&x=1", "email=***&x=1"),
    ("sip:user@host.example", "sip:***"),
])
def test_it_is_taken_out(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("text", [
    "call CA00000000000000000000000000000000 closed", "heard 12345 ms of 1234567.25", "2026-12-03T10:00:00+10:00",
    "port 5050", "+15*******67", "cbf9148e-295a-4004-b91c-4d5610a4f71b", "msg_12345678901234567890", "at 3080 ms",
    "desk-top", "a @ b", "process 1234567", "",
])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text(), st.sampled_from(SECRETS), st.text())
def test_a_configured_secret_never_comes_through(before: str, secret: str, after: str) -> None:
    shown = redact(before + secret + after)
    assert secret not in shown
    assert redact(shown) == redact(redact(shown))


@given(st.text())
def test_an_escaped_text_is_one_printable_line(text: str) -> None:
    assert escaped(text).isprintable()


# ---- real records, of ours and of others

@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def said(capfd: pytest.CaptureFixture[str]) -> str:
    log_queue.flush()
    return capfd.readouterr().err


TELLTALE = "sk-abcdefgh token-very-secret +15551234567 ada@example.com"
WHOLE = ("abcdefgh", "very-secret", "5551234567", "ada@")


@pytest.mark.parametrize("style", ["text", "json"])
@pytest.mark.parametrize("logger", ["bridge.test", "aiohttp.server", "sqlalchemy.engine"])
def test_no_record_tells_a_secret(capfd: pytest.CaptureFixture[str], style: str, logger: str) -> None:
    log.set_up("INFO", style, SECRETS)
    of = logging.getLogger(logger)
    of.warning("said %s", TELLTALE)
    of.warning("said %(what)s", {"what": TELLTALE, "error": ValueError(TELLTALE), "number": 7})
    of.warning("two values, one place: %s", TELLTALE, "more")
    try:
        try:
            raise KeyError(TELLTALE)
        except KeyError as cause:
            raise RuntimeError(TELLTALE) from cause
    except RuntimeError:
        of.exception("failed", stack_info=True)
    text = said(capfd)
    assert "RuntimeError" in text and "KeyError" in text and "two values, one place" in text
    for secret in WHOLE:
        assert secret not in text


@pytest.mark.parametrize("nasty", [
    "x\n2026-11-25 00:00:00,000 INFO    call CA1 closed", "x\r\nforged", "x\x1b[2J\x1b]0;title\x07", "x\x9b2J",
    "x\u2028forged", "evil\u202egnp.exe", "null\x00", "half \ud800", "x\x85y", "tab\tbell\a",
])
def test_no_text_forges_a_line_or_steers_the_terminal(capfd: pytest.CaptureFixture[str], nasty: str) -> None:
    log.set_up("INFO", "text")
    logging.getLogger("bridge.test").error("said %(what)s", {"what": nasty})
    logging.getLogger("bridge.test").error(nasty)
    [first, second] = said(capfd).removesuffix("\n").split("\n")
    assert first.isprintable() and second.isprintable()
    log.set_up("INFO", "json")
    logging.getLogger("bridge.test").error("said %(what)s", {"what": nasty})
    [line] = said(capfd).removesuffix("\n").split("\n")
    assert line.isprintable()
    assert json.loads(line)["what"] == nasty.encode(errors="backslashreplace").decode()


def test_a_traceback_forges_no_line_either(capfd: pytest.CaptureFixture[str]) -> None:
    log.set_up("INFO", "text")
    try:
        raise ValueError("x\n2026-11-25 00:00:00,000 INFO    all is well\x1b[1m")
    except ValueError:
        logging.getLogger("bridge.test").exception("failed")
    first, *others = said(capfd).splitlines()
    assert first.endswith("ERROR   failed")
    assert all(line.startswith(log.INDENT) and line.isprintable() for line in others)
    assert any("all is well" in line for line in others)


# ---- the settings themselves

def test_the_settings_know_their_secrets_and_do_not_show_them() -> None:

    environ: dict[str, Any] = {
        "OPENAI_API_KEY": "sk-of-the-account", "TWILIO_AUTH_TOKEN": "token-of-the-console",
        "WEBHOOK_URL": "https://one.example/hook/of-mine,https://user:pass-of-mine@two.example/?key=of-yours",
        "WEBHOOK_SECRET": "whsec_b2YtdGhlLXdlYmhvb2s=", "AVAILABILITY_URL": "https://three.example/busy/of-mine",
        "DATABASE_URL": "postgres://bridge:pass-of-the-base@db.example/bridge"}
    settings = make_settings(**environ)
    secrets = ("sk-of-the-account", "token-of-the-console", "hook/of-mine", "pass-of-mine", "of-yours",
               "whsec_b2YtdGhlLXdlYmhvb2s=", "busy/of-mine", "pass-of-the-base")
    for shown in (repr(settings), str(settings), f"{settings}", repr(dataclasses.asdict(settings)),
                  repr(dataclasses.astuple(settings)), repr(vars(settings)), repr(dataclasses.replace(settings))):
        assert [each for each in secrets if each in shown] == []
    hidden = Redaction(settings.secrets)(" ".join(environ.values()))
    assert [each for each in secrets if each in hidden] == []
    assert settings.OPENAI_API_KEY == "sk-of-the-account"
