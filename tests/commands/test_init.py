"""`python -m bridge init`: at a terminal and in a script, with vendors that say right, wrong, or nothing."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from dotenv import dotenv_values

from bridge.commands.init_answers import system_message
from bridge.program import command
from bridge.settings import load
from bridge.sim.twilio_rest import TwilioRest
from tests.stage.terminal import CTRL_C, Terminal, typed
from tests.stage.typist import Typist

KEY, ACCOUNT, TOKEN, HOOK = "sk-right", "AC" + "1" * 32, "a-token", "http://127.0.0.1:1/meetings"
#: More than arrives at once.
MODELS = {"data": [{"id": f"gpt-{number}", "owned_by": "x" * 100} for number in range(5000)] + [
    {"id": "gpt-realtime-2.1"}]}
FLAGS = ("--openai-api-key", KEY, "--twilio-account-sid", ACCOUNT, "--twilio-auth-token", TOKEN)


@asynccontextmanager
async def openai() -> AsyncIterator[str]:
    """The model's address, beside which GET /v1/models takes KEY and no other."""
    async def models(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"code": "invalid_api_key"}}, status=401)
        return web.json_response(MODELS)
    app = web.Application()
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/v1/realtime"
    finally:
        await runner.cleanup()


@pytest.fixture
async def rest() -> AsyncIterator[TwilioRest]:
    async with TwilioRest(ACCOUNT, TOKEN, secondary_token="another-token") as rest:
        yield rest


@pytest.fixture
async def vendors(rest: TwilioRest) -> AsyncIterator[dict[str, str]]:
    """Where they are."""
    async with openai() as url:
        yield {"OPENAI_REALTIME_URL": url, "TWILIO_API_URL": rest.url}


@pytest.fixture
def typist(
    vendors: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> Typist:
    typist = Typist(tmp_path, monkeypatch, capsys)
    typist.sets(**vendors, TZ="Asia/Dhaka")
    return typist


def written(folder: Path) -> dict[str, str | None]:
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    return dict(dotenv_values(folder / ".env", interpolate=False))


# ---- in a script

async def test_a_script_gives_flags_and_the_server_would_start(typist: Typist, vendors: dict[str, str]) -> None:
    assert await typist.types("init", "--yes", *FLAGS, "--name", "Bob's $1 #1 Dental", "--webhook-url",
                              HOOK) == 0
    values = written(typist.folder)
    secret = values.pop("WEBHOOK_SECRET")
    assert values == {
        "OPENAI_API_KEY": KEY, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "TIMEZONE": "Asia/Dhaka",
        "GREETINGS_RESPONSE": "Hello, this is Bob's $1 #1 Dental. How can I help you?",
        "SYSTEM_MESSAGE": system_message("Bob's $1 #1 Dental"), "WEBHOOK_URL": HOOK}
    assert secret and load(vendors, typist.folder / ".env").WEBHOOK_SECRET == (secret,)
    assert "The key is right, and has gpt-realtime-2.1." in typist.out
    assert "The Twilio account is right, and active." in typist.out
    assert "python -m bridge --tunnel --number" in typist.out and "python -m bridge doctor" in typist.out
    assert KEY not in typist.out and TOKEN not in typist.out


async def test_the_next_steps_name_a_number_of_the_account(typist: Typist, rest: TwilioRest) -> None:
    assert await typist.types("init", "--yes", *FLAGS) == 0
    assert "Buy a number with voice in the Twilio console" in typist.out and "--number +15551234567 " in typist.out
    rest.numbers.add("+15550000001", voice=False)
    rest.numbers.add("+15550000002")
    assert await typist.types("init", "--yes", "--force", *FLAGS) == 0
    assert f"{command('--tunnel', '--number', '+15550000002')} " in typist.out and "Buy" not in typist.out


async def test_a_webhook_is_tried_and_a_bad_one_is_written_all_the_same(typist: Typist, rest: TwilioRest) -> None:
    assert await typist.types("init", "--yes", *FLAGS, "--webhook-url", f"{rest.url}/x") == 0
    assert "127.0.0.1 answers, by http." in typist.out
    assert await typist.types("init", "--yes", "--force", *FLAGS, "--webhook-url", "http://127.0.0.1:1/x") == 0
    assert "127.0.0.1 cannot be reached: Connection refused. Check WEBHOOK_URL" in typist.out
    assert written(typist.folder)["WEBHOOK_URL"] == "http://127.0.0.1:1/x"


async def test_a_folder_that_cannot_be_written_is_told_before_anything_is_asked(
    typist: Typist, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """root may write everywhere, so what the system says is made up."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert await typist.types("init") == 1
    assert typist.out == "" and typist.error == (
        f".env was not written: you may not write in {typist.folder}. Change to a folder of your own, and run this "
        "there\n")


async def test_secrets_can_come_from_the_environment(typist: Typist) -> None:
    typist.sets(OPENAI_API_KEY=KEY, TWILIO_ACCOUNT_SID=ACCOUNT, TWILIO_AUTH_TOKEN=TOKEN)
    assert await typist.types("init", "--yes") == 0
    assert written(typist.folder)["OPENAI_API_KEY"] == KEY


@pytest.mark.parametrize(("changed", "said"), [
    (("--openai-api-key", "sk-wrong"), "OPENAI_API_KEY was refused by OpenAI"),
    (("--twilio-auth-token", "your_auth_token"), "TWILIO_AUTH_TOKEN is still the placeholder of an example"),
    (("--openai-api-key", ""), "OPENAI_API_KEY is needed"),
    (("--twilio-account-sid", "AC1"), "TWILIO_ACCOUNT_SID must be AC and 32 hexadecimal digits"),
    (("--twilio-auth-token", "wrong"), "Twilio refused TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN"),
    (("--twilio-auth-token", "another-token"), "TWILIO_AUTH_TOKEN is the account's secondary token"),
    (("--timezone", "berlin"), "did you mean Europe/Berlin?"),
    (("--webhook-url", "http://hooks.example.com"), "WEBHOOK_URL must begin with https://"),
    (("--greetings-response", "Hello\udcff"), "GREETINGS_RESPONSE holds what is no letter"),
    (("--greetings-response", "Hello\x1b[31m"), "GREETINGS_RESPONSE holds what is no letter"),
    (("--webhook-url", "https://hooks.example.com/\udcff"), "WEBHOOK_URL holds what is no letter"),
    (("--webhook-url", "https://10.0.0.1/x"), "WEBHOOK_URL leads to 10.0.0.1, which is a private address"),
])
async def test_a_wrong_answer_is_one_line_and_writes_nothing(
    typist: Typist, changed: tuple[str, ...], said: str,
) -> None:
    assert await typist.types("init", "--yes", *FLAGS, *changed) == 1
    assert typist.error.startswith(".env was not written: ") and said in typist.error
    assert typist.error.count("\n") == 1 and list(typist.folder.iterdir()) == []


async def test_what_is_missing_is_named_with_its_flag(typist: Typist) -> None:
    assert await typist.types("init", "--yes") == 1
    assert typist.error == (".env was not written: OPENAI_API_KEY is needed: give it with --openai-api-key, or in the "
                            "environment\n")


async def test_vendors_that_cannot_be_reached_prove_nothing(typist: Typist) -> None:
    typist.sets(OPENAI_REALTIME_URL="ws://127.0.0.1:1/v1/realtime", TWILIO_API_URL="http://127.0.0.1:1")
    assert await typist.types("init", "--yes", *FLAGS) == 0
    assert "OPENAI_API_KEY could not be checked: " in typist.out
    assert "The Twilio account could not be checked: " in typist.out
    assert written(typist.folder)["OPENAI_API_KEY"] == KEY


async def test_a_file_that_is_there_is_kept_unless_told(typist: Typist) -> None:
    before = ("# mine\nOPENAI_API_KEY=sk-old\nSYSTEM_MESSAGE='You are Ada.'\n"
              "WEBHOOK_URL=https://example.com/mine\nPORT=80\n")
    file = typist.folder / ".env"
    file.write_text(before)
    assert await typist.types("init", "--yes", *FLAGS) == 1
    assert "Add --force to change it" in typist.error and file.read_text() == before
    assert await typist.types("init", "--yes", "--force", *FLAGS, "--webhook-url", "none") == 0
    assert (typist.folder / ".env.bak").read_text() == before
    values = written(typist.folder)
    assert (values["OPENAI_API_KEY"], values["SYSTEM_MESSAGE"], values["WEBHOOK_URL"], values["PORT"]) == (
        KEY, "You are Ada.", "", "80")
    assert file.read_text().startswith("# mine\n")


async def test_what_the_environment_says_against_it_is_told(typist: Typist) -> None:
    typist.sets(OPENAI_API_KEY="sk-other")
    assert await typist.types("init", "--yes", *FLAGS, "--webhook-url", "https://n8n.example.com/webhook-test/x") == 0
    assert "OPENAI_API_KEY is set in the environment too, and that counts" in typist.out
    assert "WEBHOOK_URL is an address of n8n's editor" in typist.out and "sk-other" not in typist.out


# ---- at a terminal

async def play(terminal: Terminal, *dialogue: tuple[str, str]) -> int:
    """Answers each prompt; the exit code."""
    def work() -> int:
        for prompt, text in dialogue:
            terminal.answer(prompt, text)
        return terminal.ends()
    return await asyncio.to_thread(work)


async def test_a_person_is_asked_and_asked_again(tmp_path: Path, vendors: dict[str, str]) -> None:
    terminal = typed(tmp_path, "init", TZ="Asia/Dhaka", **vendors)
    code = await play(
        terminal, ("OpenAI key: ", "sk-wrong"), ("OpenAI key: ", KEY), ("Twilio account SID: ", ACCOUNT),
        ("Twilio auth token: ", "wrong"), ("Twilio account SID: ", ACCOUNT), ("Twilio auth token: ", TOKEN),
        ("Name of the business [none]: ", "Bob's"),
        ("Greeting [Hello, this is Bob's. How can I help you?]: ", ""), ("Time zone [Asia/Dhaka]: ", "berlin"),
        ("Time zone [Asia/Dhaka]: ", "Europe/Berlin"), ("Webhook [none]: ", ""))
    assert code == 0 and "did you mean Europe/Berlin?\r\n" in terminal.shown
    assert not any(secret in terminal.shown for secret in (KEY, "sk-wrong", TOKEN))
    assert written(tmp_path) == {
        "OPENAI_API_KEY": KEY, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "TIMEZONE": "Europe/Berlin",
        "GREETINGS_RESPONSE": "Hello, this is Bob's. How can I help you?", "SYSTEM_MESSAGE": system_message("Bob's")}

    again = typed(tmp_path, "init", **vendors)       # what is there is offered, and kept by an empty answer
    before = written(tmp_path)
    assert await play(
        again, ("Change it? (yes/no) ", "yes"), ("OpenAI key [what is there already]: ", ""),
        (f"Twilio account SID [{ACCOUNT}]: ", ""), ("Twilio auth token [what is there already]: ", ""),
        ("Name of the business [Bob's]: ", "Ada's"), ("Greeting [Hello, this is Ada's. How can I help you?]: ", ""),
        ("Time zone [Europe/Berlin]: ", ""), ("Webhook [none]: ", "none")) == 0
    assert written(tmp_path) == before | {
        "GREETINGS_RESPONSE": "Hello, this is Ada's. How can I help you?", "SYSTEM_MESSAGE": system_message("Ada's")}


async def test_who_breaks_off_leaves_all_as_it_was(tmp_path: Path, vendors: dict[str, str]) -> None:
    (tmp_path / ".env").write_text("PORT=80\n")
    terminal = typed(tmp_path, "init", **vendors)

    def work() -> int:
        terminal.answer("Change it? (yes/no) ", "yes")
        terminal.until("OpenAI key: ")
        os.write(terminal.master, CTRL_C)
        return terminal.ends()
    assert await asyncio.to_thread(work) == 130
    assert "Traceback" not in terminal.shown
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(".env", "PORT=80\n")]
