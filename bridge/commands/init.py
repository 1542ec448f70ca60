"""`python -m bridge init`: asks for what a real call needs, tries each answer where it can, and writes `.env`.

In a script: `--yes` and flags, or what the environment holds; without `--yes` each line of a pipe answers one question.
An existing `.env` is changed only when that is agreed to (`--force`): its values are offered, what else stands in it
stays, and a copy is left. Exit codes: 0, it is written; 1, it is not, for the reason that is said; 130, Ctrl-C.
"""

import argparse
import asyncio
import os
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from secrets import token_bytes

from bridge import env_file, settings
from bridge.commands import env_writer, live
from bridge.commands.asking import CannotDo, agreed, answered, at_terminal
from bridge.commands.init_answers import (
    GREETING, GROUPS, KEY, NAME, NONE, QUESTIONS, SID, TOKEN, WEBHOOK, ZONE, Question, greeting, name_in, problem,
    system_message)
from bridge.doctor.finding import sentence
from bridge.program import command
from bridge.openai_side.connection import Account
from bridge.setting_values import addresses
from bridge.twilio_side.rest import Credentials

FILE = Path(".env")
#: Where a machine says its time zone, if the environment does not.
LOCALTIME = Path("/etc/localtime")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `init` to the program's commands."""
    parser = commands.add_parser(
        "init", help="ask for what a call needs, try it, and write .env",
        description="Asks for what a real call needs, tries each answer where it can, and writes .env.",
        epilog="Others on this machine can see what stands in a flag: a script can give a secret by the environment "
               "variable of the same name, such as OPENAI_API_KEY.")
    parser.add_argument("--yes", action="store_true", help="ask nothing: take the flags, then what is set already")
    parser.add_argument("--force", action="store_true", help="change a .env that is there; a copy is left")
    for question in QUESTIONS:
        explained = f"{question.asks}. {question.explains}".replace("%", "%%")
        parser.add_argument(question.flag, dest=question.key, metavar="TEXT", help=explained)


def run(options: argparse.Namespace) -> int:
    """Does it, or says why not; the exit code."""
    try:
        _run(options)
    except (CannotDo, env_file.Unreadable) as problem:
        print(f"{FILE} was not written: {problem}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    _require_consent(options)
    _require_a_place()
    before = env_file.read(FILE).values
    setup = _SetUp(options, before)
    for group in GROUPS:
        setup.answer(group)
    values = setup.values()
    try:
        text = FILE.read_text(encoding="utf-8-sig") if FILE.exists() else env_writer.HEAD
        copy = env_writer.write(FILE, env_writer.merged(text, values, _about))
    except OSError as error:
        raise CannotDo(error.strerror or str(error)) from None
    except env_writer.CannotBeWritten as reason:
        raise CannotDo(f"a value {reason}") from None
    print(f"\n{FILE.resolve()} is written, for your eyes only." + (f" What it was is in {copy.name}." if copy else ""))
    _look_through(values)
    print(_next_steps(setup.numbers))


def _require_consent(options: argparse.Namespace) -> None:
    """For changing a file that is there. Raises CannotDo."""
    if not FILE.exists() or options.force:
        return
    if options.yes or not at_terminal():
        raise CannotDo("it is there already, and was left as it is. Add --force to change it; a copy is left then")
    print(f"{FILE.resolve()} is there already. Its values are offered, what else is in it stays, and a copy is left.")
    if not agreed("Change it?"):
        raise CannotDo("it is there already, and was left as it is")


def _require_a_place() -> None:
    """Before anything is asked. Raises CannotDo."""
    folder = FILE.resolve().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotDo(f"you may not write in {folder}. Change to a folder of your own, and run this there")


class _SetUp:
    """The answers so far, and what each is taken from when nothing is said."""

    def __init__(self, options: argparse.Namespace, before: Mapping[str, str]) -> None:
        self._options, self._before = options, before
        self._known = {**before, **os.environ}
        self._answers: dict[str, str] = {}
        self._asks = not options.yes
        #: The account's numbers that can be called; None: they are not known.
        self.numbers: list[str] | None = None

    def answer(self, group: Sequence[Question]) -> None:
        """Until the answers are right, or nobody is there to be asked again. Raises CannotDo."""
        flags = {each.name: given for each in group if (given := getattr(self._options, each.key)) is not None}
        if group == (NAME,) and NAME.name not in flags and name_in(self._known.get("SYSTEM_MESSAGE", "")) is None:
            print("\nSYSTEM_MESSAGE is your own, and stays as it is.")
            self._answers["NAME"] = ""
            return
        while True:
            wrong = self._once(group, flags)
            if not wrong:
                return
            if not (self._asks and at_terminal()):
                raise CannotDo(wrong)
            print(f"  {sentence(wrong)}")
            flags = {}                               # what was wrong is not taken again

    def _once(self, group: Sequence[Question], flags: Mapping[str, str]) -> str:
        """What is wrong with the answers, or ""."""
        for question in group:
            given = flags.get(question.name)
            text = given.strip() if given is not None else self._asked(question)
            if question is WEBHOOK and text.lower() in NONE:
                text = ""
            if wrong := problem(question, text, self._known):
                return wrong
            self._answers[question.name] = text
        verdict = self._tried(group)
        if verdict is None or verdict.kind == "wrong":
            return verdict.said if verdict else ""
        print(f"  {sentence(verdict.said)}")
        return ""

    def _asked(self, question: Question) -> str:
        offered = self._offered(question)
        if not self._asks:
            if not offered and question.required:
                raise CannotDo(f"{question.name} is needed: give it with {question.flag}, or in the environment")
            return offered
        shown = "what is there already" if offered and question.secret else offered or ("" if question.required else
                                                                                        "none")
        print(f"\n{question.asks}. {question.explains}")
        return answered(f"{question.asks}{f' [{shown}]' if shown else ''}: ", secret=question.secret) or offered

    def _offered(self, question: Question) -> str:
        """What an empty answer stands for."""
        known = self._known.get(question.name, "").strip()
        match question:
            case _ if question == NAME:
                return name_in(self._known.get("SYSTEM_MESSAGE", "")) or ""
            case _ if question == GREETING:
                before = greeting(name_in(self._known.get("SYSTEM_MESSAGE", "")) or "")
                return known if known and known != before else greeting(self._answers["NAME"])
            case _ if question == ZONE:
                return known or _zone_of_this_machine()
        return known

    def _tried(self, group: Sequence[Question]) -> live.Verdict | None:
        """What the vendor says; None where there is nobody to ask."""
        known = {**self._known, **self._answers}
        if group == (KEY,):
            url, model = (_text(name, known) for name in ("OPENAI_REALTIME_URL", "OPENAI_MODEL"))
            return asyncio.run(live.openai_key(Account(url, model, known[KEY.name])))
        if group == (SID, TOKEN):
            credentials = Credentials(_text("TWILIO_API_URL", known), known[SID.name], known[TOKEN.name])
            verdict = live.twilio_account(credentials)
            if verdict.kind == "right":
                self.numbers = live.numbers_with_voice(credentials)
            return verdict
        if group == (WEBHOOK,) and known[WEBHOOK.name]:
            private = _text("ALLOW_PRIVATE_WEBHOOKS", known) == "1"
            return asyncio.run(live.webhook(addresses(known[WEBHOOK.name]), private=private))
        return None

    def values(self) -> dict[str, str]:
        """The settings to write: not those that say what is so anyway."""
        answers = dict(self._answers)
        if name := answers.pop("NAME"):
            answers["SYSTEM_MESSAGE"] = system_message(name)
        if answers["WEBHOOK_URL"] and not self._known.get("WEBHOOK_SECRET"):
            answers["WEBHOOK_SECRET"] = "whsec_" + b64encode(token_bytes(24)).decode()
        return {name: text for name, text in answers.items() if name in self._before or text != _text(name, {})}


def _text(name: str, known: Mapping[str, str]) -> str:
    """A setting as it is written, or its default."""
    return known.get(name, "").strip() or settings.default(name)


def _about(name: str) -> str:
    return next((each.explains for each in QUESTIONS if each.name == name), {
        "SYSTEM_MESSAGE": "Who the assistant is, what it knows and how it behaves: write here what callers ask.",
        "WEBHOOK_SECRET": "What is sent to your webhook is signed with it; your webhook checks it by this same secret.",
    }.get(name, ""))


def _zone_of_this_machine() -> str:
    named = os.environ.get("TZ", "").lstrip(":") or str(LOCALTIME.resolve()).partition("zoneinfo/")[2]
    return "" if problem(ZONE, named, {}) else named or settings.default(ZONE.name)


def _look_through(values: Mapping[str, str]) -> None:
    """Says what still stops the server, or can hardly be meant; and what the environment says against the file."""
    for name, text in values.items():
        if os.environ.get(name, text) != text:
            print(f"{name} is set in the environment too, and that counts: it is not what was written.")
    try:
        found = settings.load(os.environ, FILE)
        for doubt in settings.doubts(found, os.environ, FILE, today=date.today()):
            print(f"{doubt}.")
    except settings.BadSettings as problems:
        print(f"The server does not start yet:\n{problems}")


def _next_steps(numbers: list[str] | None) -> str:
    """With a number of the account's own, so that each line can be run as it stands."""
    number = numbers[0] if numbers else "+15551234567"
    steps = {command("doctor"): "is all as a call needs it?",
             command("--tunnel", "--number", number): "answer calls from this machine",
             command("number", "set", number, "--url", "https://ADDRESS"): "or lead it to a server with https",
             command(): "and answer calls there"}
    buy = "  Buy a number with voice in the Twilio console: the account has none yet.\n" if numbers == [] else ""
    width = max(map(len, steps))
    return f"\nWhat to do next:\n{buy}" + "\n".join(f"  {each:<{width}}   # {what}" for each, what in steps.items())
