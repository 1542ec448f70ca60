"""What a real call needs, and what makes a good answer to each question of `python -m bridge init`.

Pure: no socket, no file. An answer's value is a setting's text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from zoneinfo import available_timezones

from bridge import settings_checks
from bridge.settings import SYSTEM_MESSAGE, Settings

#: In a prompt that nobody has changed, the business whose receptionist is speaking.
_NOBODY = "a small business"
_GREETING = "Hello, this is {}. How can I help you?"
#: What stands for no webhook.
NONE = ("none", "no", "-")


@dataclass(frozen=True, slots=True)
class Question:
    """`name`: the setting that the answer becomes; "NAME" becomes a part of SYSTEM_MESSAGE."""

    name: str
    asks: str
    explains: str
    secret: bool = False
    required: bool = False

    @property
    def flag(self) -> str:
        return f"--{self.name.lower().replace('_', '-')}"

    @property
    def key(self) -> str:
        """The name of the flag's value in argparse's Namespace."""
        return self.name.lower()


KEY = Question(
    "OPENAI_API_KEY", "OpenAI key", "It pays for the model that speaks: https://platform.openai.com/api-keys",
    secret=True, required=True)
SID = Question(
    "TWILIO_ACCOUNT_SID", "Twilio account SID", "It begins with AC, on the first page of https://console.twilio.com",
    required=True)
TOKEN = Question(
    "TWILIO_AUTH_TOKEN", "Twilio auth token", "It stands below the SID. By it only Twilio is let in.", secret=True,
    required=True)
NAME = Question("NAME", "Name of the business", "The assistant is its receptionist.")
GREETING = Question("GREETINGS_RESPONSE", "Greeting", "The first words of every call, spoken as they stand here.")
ZONE = Question("TIMEZONE", "Time zone", 'It says what "tomorrow at ten" means, such as Europe/Berlin.')
WEBHOOK = Question(
    "WEBHOOK_URL", "Webhook", "An https address that takes the meetings that callers book; none: they cannot book.")

#: Those of a group are checked together, and asked again together.
GROUPS = ((KEY,), (SID, TOKEN), (NAME,), (GREETING,), (ZONE,), (WEBHOOK,))
QUESTIONS = tuple(question for group in GROUPS for question in group)

_FIELDS = {each.name: each for each in fields(Settings)}


def problem(question: Question, answer: str, others: Mapping[str, str]) -> str:
    """What is wrong with an answer, as a sentence; "": nothing. `others`: the texts of the other settings."""
    if not answer:
        return f"{question.name} is needed" if question.required else ""
    if not "".join(answer.split()).isprintable():
        return f"{question.name} holds what is no letter, such as a control character: type it again"
    if question.name == "NAME":
        return "" if answer.isprintable() else "the name must be one line"
    parsed = {}
    for name in (question.name, "OPENAI_REALTIME_URL", "ALLOW_PRIVATE_WEBHOOKS"):
        text = answer if name == question.name else others.get(name) or _FIELDS[name].metadata["default"]
        try:
            parsed[name] = _FIELDS[name].metadata["parse"](text)
        except ValueError as error:
            if name == question.name:
                return f"{name} {error}{_close(answer) if question is ZONE else ''}"
    if question is WEBHOOK:
        parsed["OPENAI_REALTIME_URL"] = ""           # the model's address has nothing to do with it
    return next(iter(settings_checks.problems(parsed, on_heroku=False)), "")


def _close(zone: str) -> str:
    """Zones that somebody may mean who writes only the city, or a letter too few; as the end of a sentence."""
    zones, wanted = sorted(available_timezones()), zone.lower().replace(" ", "_")
    meant = [each for each in zones if each.lower().rpartition("/")[2] == wanted.rpartition("/")[2] and "/" in each]
    meant = meant or get_close_matches(zone, zones, n=3)
    return f"; did you mean {' or '.join(meant[:3])}?" if meant else ", such as Europe/Berlin"


# ---- the business's name in what the assistant is told

def system_message(name: str) -> str:
    """What the assistant is told at first of a business of this name."""
    return SYSTEM_MESSAGE.replace(_NOBODY, name)


def greeting(name: str) -> str:
    return _GREETING.format(name) if name else str(_FIELDS["GREETINGS_RESPONSE"].metadata["default"])


def name_in(message: str) -> str | None:
    """The name in a prompt of `system_message`; "" in the one that nobody changed; None: it is somebody's own."""
    if not message or message == SYSTEM_MESSAGE:
        return ""
    before, after = map(re.escape, SYSTEM_MESSAGE.split(_NOBODY))
    found = re.fullmatch(f"{before}(.+){after}", message)
    return found[1] if found else None
