"""`python -m bridge number`: where numbers lead, leading one here, and undoing it, with a strict Twilio."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import pytest

from bridge.sim.twilio_rest import RestFaults, TwilioRest
from tests.stage.terminal import typed
from tests.stage.typist import Typist

ACCOUNT, TOKEN, PHONE = "AC" + "1" * 32, "a-token", "+15551234567"
APPLICATION, TRUNK = "AP" + "1" * 32, "TK" + "1" * 32
HERE = "https://bridge.example.com"


@pytest.fixture
async def rest() -> AsyncIterator[TwilioRest]:
    async with TwilioRest(ACCOUNT, TOKEN) as rest:
        rest.numbers.applications[APPLICATION] = "https://app.example.com/voice"
        rest.numbers.trunks.add(TRUNK)
        yield rest


@pytest.fixture
def typist(
    rest: TwilioRest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> Typist:
    typist = Typist(tmp_path, monkeypatch, capsys)
    typist.sets(TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_AUTH_TOKEN=TOKEN, TWILIO_API_URL=rest.url, PUBLIC_URL=HERE)
    return typist


def changed(rest: TwilioRest) -> list[dict[str, str]]:
    return [each.form for each in rest.asked if each.method == "POST"]


async def test_the_list_says_where_each_leads(rest: TwilioRest, typist: Typist) -> None:
    rest.numbers.add("+15550000001", friendly_name="Main \x1b[31m", voice_url=f"{HERE}/incoming-call",
                     voice_fallback_url="https://handler.twilio.com/twiml/EH1")
    rest.numbers.add("+15550000002", voice_url=f"{HERE}/incoming-call", trunk_sid=TRUNK)
    rest.numbers.add("+15550000003", voice_url="https://x.example.com", voice_application_sid=APPLICATION)
    rest.numbers.add("+15550000004", voice_url="https://a-b.trycloudflare.com/incoming-call", voice_method="GET")
    rest.numbers.add("+15550000005", voice=False)
    rest.numbers.add("+15550000006")
    assert await typist.types("number") == 0
    rows = [" ".join(line.split()) for line in typist.out.splitlines()]
    assert rows == [
        "NUMBER NAME CALLS GO TO FALLBACK STATUS CALLBACK",
        f"+15550000001 Main [31m POST {HERE}/incoming-call (this server) https://handler.twilio.com/twiml/EH1 none",
        f"+15550000002 the trunk {TRUNK} none none",
        f"+15550000003 the application {APPLICATION}, at https://app.example.com/voice none none",
        "+15550000004 GET https://a-b.trycloudflare.com/incoming-call (a tunnel, while its program runs) none none",
        "+15550000005 nowhere: it has no voice none none",
        "+15550000006 nowhere: it has no voice URL none none"]
    assert changed(rest) == []


async def test_a_number_is_led_here_and_the_printed_command_undoes_it(rest: TwilioRest, typist: Typist) -> None:
    number = rest.numbers.add(
        PHONE, voice_url="https://old.example.com/?a=1&b='2'", voice_method="GET", status_callback_method="GET",
        voice_fallback_url="https://old.example.com/fallback")
    before = asdict(number)
    assert await typist.types("number", "set", PHONE, "--yes") == 0
    assert (number.voice_url, number.voice_method) == (f"{HERE}/incoming-call", "POST")
    assert (number.voice_fallback_url, number.voice_fallback_method) == (f"{HERE}/incoming-call", "POST")
    assert (number.status_callback, number.status_callback_method) == (f"{HERE}/call-status", "POST")
    rows = [" ".join(line.split()) for line in typist.out.splitlines()]
    assert f"voice_url https://old.example.com/?a=1&b='2' {HERE}/incoming-call" in rows
    assert f"status_callback none {HERE}/call-status" in rows
    assert f"Twilio has kept it: calls to {PHONE} go to POST {HERE}/incoming-call" in rows
    undo = next(line for line in typist.out.splitlines() if line.startswith("To undo it: ")).partition(": ")[2]
    assert await typist.types("number", "set", PHONE, "--yes") == 0
    assert typist.out == f"{PHONE} is set so already: calls go to POST {HERE}/incoming-call\n"
    assert await typist.types(*shlex.split(undo)[3:]) == 0
    assert asdict(number) == before


@pytest.mark.parametrize(("field", "sid"), [("trunk_sid", TRUNK), ("voice_application_sid", APPLICATION)])
async def test_a_number_of_a_trunk_or_an_application_is_taken_from_it_only_when_told(
    rest: TwilioRest, typist: Typist, field: str, sid: str,
) -> None:
    number = rest.numbers.add(PHONE, voice_url="https://old.example.com/", **{field: sid})
    before = asdict(number)
    assert await typist.types("number", "set", PHONE, "--yes") == 1
    assert sid in typist.error and "--detach" in typist.error and changed(rest) == []
    assert await typist.types("number", "set", PHONE, "--yes", "--detach") == 0
    assert (number.trunk_sid, number.voice_application_sid) == (None, None)
    undo = next(line for line in typist.out.splitlines() if line.startswith("To undo it: ")).partition(": ")[2]
    assert await typist.types(*shlex.split(undo)[3:]) == 0
    assert asdict(number) == before


async def test_a_fallback_that_twilio_answers_itself_stays(rest: TwilioRest, typist: Typist) -> None:
    number = rest.numbers.add(PHONE, voice_fallback_url="https://handler.twilio.com/twiml/EH1",
                              voice_fallback_method="GET")
    assert await typist.types("number", "set", PHONE, "--yes", "--url", "https://other.example.com/incoming-call") == 0
    assert (number.voice_url, number.voice_fallback_url, number.voice_fallback_method) == (
        "https://other.example.com/incoming-call", "https://handler.twilio.com/twiml/EH1", "GET")


@pytest.mark.parametrize(("arguments", "environ", "code", "said"), [
    (("+15550000009", "--yes"), {}, 1, f"the account has no +15550000009; it has {PHONE}"),
    (("0555", "--yes"), {}, 2, "must be a phone number with + and the country's code"),
    (("555-123-4567", "--yes"), {}, 2, "country's code, such as +15551234567"),
    ((PHONE, "--yes", "--url", "http://bridge.example.com"), {}, 2, "must begin with https://"),
    ((PHONE, "--yes", "--url", "https://192.168.0.2"), {}, 1, "Twilio cannot reach 192.168.0.2"),
    ((PHONE, "--yes"), {"PUBLIC_URL": "http://localhost:5050"}, 1, "Twilio cannot reach localhost"),
    ((PHONE, "--yes"), {"PUBLIC_URL": ""}, 1, "give --url"),
    ((PHONE, "--yes"), {"TWILIO_AUTH_TOKEN": "wrong"}, 1, "copy the account SID and the auth token"),
    ((PHONE, "--yes"), {"TWILIO_ACCOUNT_SID": ""}, 1, "python -m bridge init"),
])
async def test_what_cannot_be_is_one_line_and_changes_nothing(
    rest: TwilioRest, typist: Typist, arguments: tuple[str, ...], environ: dict[str, str], code: int, said: str,
) -> None:
    rest.numbers.add(PHONE, voice_url="https://old.example.com/")
    typist.sets(**environ)
    assert await typist.types("number", "set", *arguments) == code
    assert said in typist.error and changed(rest) == []
    assert code == 2 or typist.error.count("\n") == 1


async def test_a_number_is_known_as_people_write_it(rest: TwilioRest, typist: Typist) -> None:
    number = rest.numbers.add(PHONE)
    assert await typist.types("number", "set", "+1 (555) 123-4567", "--yes") == 0
    assert number.voice_url == f"{HERE}/incoming-call"


async def test_a_number_that_cannot_be_called_is_refused(rest: TwilioRest, typist: Typist) -> None:
    rest.numbers.add(PHONE, voice=False)
    assert await typist.types("number", "set", PHONE, "--yes") == 1
    assert typist.error == f"{PHONE} cannot be called: Twilio gives it messages only. Take a number with voice\n"


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("", 1)])
async def test_the_person_at_the_terminal_is_asked(
    rest: TwilioRest, tmp_path: Path, answer: str, code: int,
) -> None:
    number = rest.numbers.add(PHONE)
    terminal = typed(tmp_path, "number", "set", PHONE, "--url", HERE, TWILIO_ACCOUNT_SID=ACCOUNT,
                     TWILIO_AUTH_TOKEN=TOKEN, TWILIO_API_URL=rest.url)

    def work() -> int:
        terminal.answer("Set it? (yes/no) ", answer)
        return terminal.ends()
    assert await asyncio.to_thread(work) == code
    assert bool(number.voice_url) == bool(changed(rest)) == (code == 0)
    assert ("nothing was changed" in terminal.shown) == (code == 1)


async def test_what_somebody_changed_while_it_was_asked_is_not_overwritten(rest: TwilioRest, tmp_path: Path) -> None:
    number = rest.numbers.add(PHONE)
    terminal = typed(tmp_path, "number", "set", PHONE, "--url", HERE, TWILIO_ACCOUNT_SID=ACCOUNT,
                     TWILIO_AUTH_TOKEN=TOKEN, TWILIO_API_URL=rest.url)

    def work() -> int:
        terminal.until("Set it? (yes/no) ")
        number.voice_url = "https://new.example.com/"
        terminal.answer("", "yes")
        return terminal.ends()
    assert await asyncio.to_thread(work) == 1
    assert number.voice_url == "https://new.example.com/" and changed(rest) == []
    assert "was changed meanwhile" in terminal.shown


async def test_an_outage_of_twilio_is_one_line(rest: TwilioRest, typist: Typist) -> None:
    rest.faults = RestFaults(status=503)
    assert await typist.types("number") == 1
    assert typist.error.startswith("Twilio did not list the account's numbers: status 503") and typist.out == ""
