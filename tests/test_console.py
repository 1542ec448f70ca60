"""What only the operator may see, who is kept out and for how long, and what any answer gives away."""

import asyncio
import base64
import io
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from bridge import keys
from bridge.__main__ import main
from bridge.app import create_app
from bridge.console import access, answers, passwords
from bridge.console.access import ADDRESSES, GUESSES, WINDOW_S, Access, Guesses, address_of, password_in
from bridge.settings import BadSettings
from bridge.sim.demo import serving
from bridge.twilio_side.twiml import APOLOGY
from tests.helpers import make_settings

PASSWORD = "the operator's pässword"
HASH = passwords.hashed(PASSWORD, b"salt of 16 bytes")
OPERATORS = "/metrics"


def basic(password: str, user: str = "prometheus") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def bearer(password: str) -> bytes:
    return f"Bearer {password}".encode()


@dataclass
class Browser:
    """Somebody who asks, from an address of their own behind the proxy."""

    http: aiohttp.ClientSession
    origin: str

    async def asks(
        self, path: str = OPERATORS, authorization: str | None = None, address: str = "203.0.113.7",
    ) -> aiohttp.ClientResponse:
        headers = {"X-Forwarded-For": f"198.51.100.1, {address}"}
        if authorization is not None:
            headers["Authorization"] = authorization
        async with self.http.get(self.origin + path, headers=headers) as answer:
            await answer.read()
            return answer

    async def reads(self, *, address: str, authorization: str) -> str:
        """The text of the operator's figures."""
        headers = {"X-Forwarded-For": address, "Authorization": authorization}
        async with self.http.get(self.origin + OPERATORS, headers=headers) as answer:
            return await answer.text()


@asynccontextmanager
async def console(sqlite_url: str, **environ: str) -> AsyncIterator[tuple[Browser, web.Application]]:
    app = create_app(make_settings(DATABASE_URL=sqlite_url, **environ))
    async with serving(app) as origin, aiohttp.ClientSession() as http:
        yield Browser(http, origin), app


# ---- who may look

async def test_without_a_password_there_is_nothing_to_see(sqlite_url: str) -> None:
    async with console(sqlite_url) as (browser, _):
        for given in (None, basic(""), basic(PASSWORD), "Bearer "):
            assert (await browser.asks(authorization=given)).status == 404
        ready = await browser.asks("/readyz", basic(PASSWORD))
        assert (ready.status, await ready.json()) == (200, {"ready": True})


@pytest.mark.parametrize("setting", [{"ADMIN_PASSWORD": PASSWORD}, {"ADMIN_PASSWORD_HASH": HASH}])
async def test_the_operator_is_let_in(sqlite_url: str, setting: dict[str, str]) -> None:
    async with console(sqlite_url, **setting) as (browser, app):
        refused = await browser.asks()
        assert refused.status == 401 and refused.headers["WWW-Authenticate"].startswith("Basic realm=")
        for _ in range(2):
            assert (await browser.asks(authorization=basic(PASSWORD))).status == 200
        assert (await browser.asks(authorization=basic(PASSWORD, user=""))).status == 200
        for wrong in (basic(PASSWORD + " "), basic(""), basic(HASH), "Bearer x", basic(PASSWORD.upper())):
            assert (await browser.asks(authorization=wrong)).status == 401
        assert not browser.http.cookie_jar


async def test_a_balancer_is_told_no_reasons_and_the_operator_is(sqlite_url: str) -> None:
    async with console(sqlite_url, ADMIN_PASSWORD=PASSWORD) as (browser, app):
        app[keys.STOPPING].draining = True
        told = await browser.asks("/readyz")
        assert (told.status, await told.json()) == (503, {"ready": False})
        told = await browser.asks("/readyz", basic(PASSWORD))
        assert (told.status, await told.json()) == (
            503, {"ready": False, "reasons": ["server: stopping, and new calls go elsewhere"]})
        assert (await browser.asks("/readyz", basic("wrong"))).status == 401
        assert (await browser.asks("/healthz")).status == 200


async def test_guessing_ends_and_nobody_else_is_locked_out(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with console(sqlite_url, ADMIN_PASSWORD=PASSWORD) as (browser, app):
        now = 1000.0
        monkeypatch.setattr(app[keys.ACCESS], "_clock", lambda: now)
        for number in range(GUESSES):
            path = (OPERATORS, "/readyz")[number % 2]
            assert (await browser.asks(path, basic(f"guess {number}"))).status == 401
            now += 1
        locked = await browser.asks(authorization=basic(PASSWORD))
        assert locked.status == 429 and locked.headers["Retry-After"] == f"{WINDOW_S - GUESSES:.0f}"
        assert (await browser.asks("/readyz")).status == 200, "which needs no password"
        assert (await browser.asks(authorization=basic(PASSWORD), address="203.0.113.8")).status == 200
        now += WINDOW_S
        assert (await browser.asks(authorization=basic(PASSWORD))).status == 200


async def test_wrong_passwords_are_counted_and_leave_a_line_now_and_then(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    async with console(sqlite_url, ADMIN_PASSWORD=PASSWORD) as (browser, app):
        now = 1000.0
        monkeypatch.setattr(app[keys.ACCESS], "_clock", lambda: now)
        for number in range(GUESSES + 3):
            await browser.asks(authorization=basic(f"guess {number}"))
        now += access.TOLD_S
        await browser.asks(authorization=basic("one more"))
        await browser.asks()
        figures = await browser.reads(address="203.0.113.8", authorization=basic(PASSWORD))
    assert f'bridge_operator_refused_total{{reason="wrong password"}} {GUESSES}.0' in figures
    assert 'bridge_operator_refused_total{reason="locked out"} 5.0' in figures
    lines = [record.getMessage() for record in caplog.records if "operator's password" in record.getMessage()]
    assert lines == [
        "a request with the operator's password was refused: wrong password, from 203.0.113.7 (0 more since the "
        "last such line)",
        f"a request with the operator's password was refused: locked out, from 203.0.113.7 ({GUESSES + 2} more "
        "since the last such line)"]
    assert "guess" not in caplog.text


async def test_a_flood_of_guesses_takes_few_threads(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = most = 0
    right = passwords.matches

    def matches(password: str, hash: str) -> bool:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        found = right(password, hash)
        at_once -= 1
        return found
    monkeypatch.setattr(passwords, "matches", matches)
    async with console(sqlite_url, ADMIN_PASSWORD_HASH=HASH) as (browser, _):
        assert (await browser.asks(authorization=basic(PASSWORD))).status == 200
        flood = asyncio.gather(*(browser.asks(authorization=basic("x"), address=f"10.1.1.{n}") for n in range(30)))
        assert (await browser.asks(authorization=basic(PASSWORD))).status == 200, "known, and not hashed again"
        statuses = [answer.status for answer in await flood]
    assert set(statuses) == {401, 429} and most <= access.AT_ONCE


def test_guesses_are_counted_by_address_and_memory_is_bounded() -> None:
    guesses = Guesses()
    for number in range(GUESSES - 1):
        guesses.wrong("a", number)
    assert guesses.locked_for("a", GUESSES) == 0
    guesses.wrong("a", GUESSES)
    assert guesses.locked_for("a", GUESSES) == WINDOW_S - GUESSES
    assert guesses.locked_for("b", GUESSES) == 0
    for number in range(3 * ADDRESSES):
        guesses.wrong(f"address {number}", 20.0)
    assert len(guesses._wrong) == ADDRESSES
    guesses.right(f"address {3 * ADDRESSES - 1}")
    assert len(guesses._wrong) == ADDRESSES - 1


@pytest.mark.parametrize(("remote", "forwarded", "address"), [
    ("93.184.216.34", None, "93.184.216.34"),
    ("93.184.216.34", "1.2.3.4", "93.184.216.34"),
    ("10.0.0.1", None, "10.0.0.1"),
    ("10.0.0.1", "1.2.3.4, 93.184.216.34", "93.184.216.34"),
    ("127.0.0.1", "93.184.216.34", "93.184.216.34"),
    ("127.0.0.1", "2606:4700:1:2:3:4:5:6", "2606:4700:1:2::/64"),
    ("2606:4700:1:2::9", "1.2.3.4", "2606:4700:1:2::/64"),
    ("::ffff:93.184.216.34", None, "93.184.216.34"),             # HOST=:: takes IPv4 too
    ("127.0.0.1", "x" * 1000, "x" * 64),
])
def test_whose_guess_it_is(remote: str, forwarded: str | None, address: str) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=remote)
    assert address_of(request) == address


@pytest.mark.parametrize(("header", "password"), [
    ("Basic " + base64.b64encode(b"user:pass:word").decode(), "pass:word"), ("bearer  token ", "token"),
    ("BASIC " + base64.b64encode(b":x").decode(), "x"), ("", None), ("Basic", None), ("Basic !!!", None),
    ("Basic " + base64.b64encode(b"no colon").decode(), None), ("Basic /////w==", None), ("Digest x", None),
    ("Bearer ", None),
])
def test_an_authorization_header_is_read(header: str, password: str | None) -> None:
    assert password_in(header) == password


# ---- hashes

def test_a_hash_knows_its_password_and_no_other() -> None:
    assert passwords.parse_hash(HASH) == HASH
    assert passwords.matches(PASSWORD, HASH) and not passwords.matches(PASSWORD + "x", HASH)
    assert passwords.hashed(PASSWORD) != HASH, "each has its own salt"
    assert re.fullmatch(r"[\w:-]+", HASH), "nothing to be quoted"


@pytest.mark.parametrize("wrong", [
    "scrypt", PASSWORD, HASH[:-1], HASH.replace(":8:", ":99:"), HASH.replace("16384", "999999"),
    HASH.replace("16384", "16383"), HASH + "\n",
], ids=["its name", "a password", "cut", "eight times", "long", "odd", "a line"])
def test_a_hash_that_is_none_is_refused_when_the_server_starts(wrong: str) -> None:
    with pytest.raises(ValueError, match="hash-password"):
        passwords.parse_hash(wrong)


def test_the_settings_refuse_a_short_password_and_two_of_them() -> None:
    with pytest.raises(BadSettings, match="ADMIN_PASSWORD must have 12 characters"):
        make_settings(ADMIN_PASSWORD="short")
    with pytest.raises(BadSettings, match="ADMIN_PASSWORD_HASH must be empty"):
        make_settings(ADMIN_PASSWORD=PASSWORD, ADMIN_PASSWORD_HASH=HASH)


def test_the_command_prints_a_line_for_the_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\n"))
    assert main(["hash-password"]) == 0
    name, _, value = capsys.readouterr().out.strip().partition("=")
    assert passwords.matches(PASSWORD, getattr(make_settings(**{name: value}), name))
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert main(["hash-password"]) == 1
    assert capsys.readouterr().err == "the password must have 12 characters at least\n"


# ---- what any answer gives away

@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", "/incoming-call", "/nowhere", "/media-stream/1"])
async def test_every_answer_is_of_no_use_to_a_browser(sqlite_url: str, path: str) -> None:
    async with console(sqlite_url, TWILIO_AUTH_TOKEN="token", ADMIN_PASSWORD=PASSWORD) as (browser, _):
        answer = await browser.asks(path)
    for name, value in answers.HEADERS.items():
        assert answer.headers.getall(name) == [value]
    assert "Set-Cookie" not in answer.headers
    assert "aiohttp" not in str(answer.headers) and "Python" not in str(answer.headers)


async def test_a_page_may_say_for_itself_what_a_browser_may_do_with_it() -> None:
    policy = "default-src 'none'; script-src 'nonce-abc'"

    async def page(request: web.Request) -> web.Response:
        return web.Response(headers={"Content-Security-Policy": policy, "Cache-Control": "max-age=60", "Server": "x"})
    app = web.Application()
    app.router.add_get("/", page)
    app.on_response_prepare.append(answers.protect)
    async with serving(app) as origin, aiohttp.ClientSession() as http, http.get(origin) as answer:
        said = answer.headers
    assert said.getall("Content-Security-Policy") == [policy] and said.getall("Cache-Control") == ["max-age=60"]
    assert {name: said[name] for name in ("X-Frame-Options", "X-Content-Type-Options", "Server")} == {
        "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Server": "bridge"}


SECRET = "the database of +15551234567 at db.internal failed"
CALL = {"From": "+15551234567", "To": "+15557654321", "CallSid": "CA" + "1" * 32, "CallStatus": "in-progress"}


def break_it(app: web.Application, key: Any, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(SECRET)
    # Not the real failures, which are handled: one that nobody has thought of.
    monkeypatch.setattr(type(app[key]), method, fail)


async def test_a_fault_is_told_as_an_id_that_the_log_explains(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    async with console(sqlite_url, ADMIN_PASSWORD=PASSWORD) as (browser, app):
        break_it(app, keys.METRICS, "render", monkeypatch)
        answer = await browser.asks(authorization=basic(PASSWORD))
        told = await answer.json()
    assert answer.status == 500 and told.keys() == {"error", "id"} and told["error"] == "internal error"
    assert answer.headers["Cache-Control"] == "no-store"
    [record] = [each for each in caplog.records if each.exc_info]
    assert record.getMessage() == f"fault {told['id']} at /metrics"
    assert SECRET in caplog.text


@pytest.mark.parametrize("fallback", [{}, {"FALLBACK": "human", "FALLBACK_NUMBER": "+15550001111"}])
@pytest.mark.parametrize("path", ["/incoming-call", "/after-stream"])
async def test_twilio_is_told_what_to_do_even_then(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, path: str, fallback: dict[str, str],
) -> None:
    async with console(sqlite_url, **fallback) as (browser, app):
        break_it(app, keys.ADMISSION, "admit", monkeypatch)
        break_it(app, keys.ADMISSION, "ended_in_order", monkeypatch)
        async with browser.http.post(browser.origin + path, data=CALL) as answer:
            text = await answer.text()
    assert (answer.status, answer.content_type) == (200, "text/xml")
    verbs = [verb.tag for verb in ElementTree.fromstring(text)]
    assert verbs == (["Say", "Dial", "Say", "Hangup"] if fallback else ["Say", "Hangup"])
    assert fallback or APOLOGY in text
    assert SECRET not in text


async def test_a_stranger_is_not_told_what_twilio_is(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number = "+15550001111"
    settings = {"TWILIO_AUTH_TOKEN": "token", "FALLBACK": "human", "FALLBACK_NUMBER": number}
    async with console(sqlite_url, **settings) as (browser, app):
        monkeypatch.setattr("bridge.twilio_side.signature.check_webhook", lambda *_: 1 / 0)
        async with browser.http.post(browser.origin + "/incoming-call", data=CALL) as answer:
            text = await answer.text()
    assert answer.status == 500 and number not in text and "internal error" in text


async def test_a_recording_s_news_is_asked_for_again_and_its_caller_thanked(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    sid = "RE" + "1" * 32
    form = CALL | {"AccountSid": "AC" + "0" * 32, "RecordingSid": sid, "RecordingDuration": "3", "RecordingUrl":
                   f"https://api.twilio.com/2010-04-01/Accounts/AC{'0' * 32}/Recordings/{sid}"}
    settings = {"FALLBACK": "message", "WEBHOOK_URL": "https://one.example/"}
    async with console(sqlite_url, **settings) as (browser, app):
        break_it(app, keys.MAILBOX, "take", monkeypatch)
        async with browser.http.post(browser.origin + "/message-recorded", data=form) as answer:
            assert [verb.tag for verb in ElementTree.fromstring(await answer.text())] == ["Say", "Hangup"]
        callback = form | {"RecordingStatus": "completed"}
        async with browser.http.post(browser.origin + "/message-recorded", data=callback) as answer:
            assert answer.status == 500


def test_access_compares_no_text_by_itself() -> None:
    """Of passwords of any length and letters: what is compared has one length and is made of both."""
    guarded = Access(PASSWORD)
    assert {len(guarded._digest(text)) for text in ("", "x", PASSWORD, "x" * 10_000, "\udce4")} == {32}
