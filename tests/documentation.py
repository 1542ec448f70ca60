"""`python -m tests.documentation` writes what is made of the settings: `bridge/SETTINGS.md` and `.env.example`.

Run it after a change of bridge/settings.py; a test holds both files to it.
"""

import re
import textwrap
from dataclasses import fields
from pathlib import Path

from bridge.settings import HEADINGS, Settings

ROOT = Path(__file__).parents[1]
SETTINGS_MD = ROOT / "bridge" / "SETTINGS.md"
ENV_EXAMPLE = ROOT / ".env.example"
#: Which line of `.env.example` is in force: what a real call needs.
IN_FORCE = ("OPENAI_API_KEY", "TWILIO_AUTH_TOKEN")

_MD = """# Settings

From the environment, then from `.env`. They are read once, when the server starts. In `.env` a value ends before ` #`,
which begins a comment, unless it stands in quotes. An empty value stands for the default, or for "off" where that is
said. A wrong setting stops the start with one message that names every problem. What works and can hardly be meant is a
warning at the start.

This table is made of `settings.py` by `python -m tests.documentation`, and so is `.env.example`.
"""
_ENV = """# `python -m bridge init` asks for what a call needs and writes .env. Or copy this file to .env, and fill in
# your key and your token. What is commented out shows the default.
# The environment wins over .env. An empty value means the default, or "off" where that is said.
# A value with a # or a quote in it goes into quotes.
# This file is made of bridge/settings.py: see bridge/SETTINGS.md.
"""


def settings_md() -> str:
    """The table of all settings, in groups."""
    lines = [_MD]
    for each in fields(Settings):
        if each.name in HEADINGS:
            lines += ["", f"## {HEADINGS[each.name].capitalize()}"]
        if each.name in HEADINGS or each is fields(Settings)[0]:
            lines += ["", "| Setting | Default | What it is for |", "| --- | --- | --- |"]
        lines.append(f"| `{each.name}` | {printed(each.metadata['default'])} | {each.metadata['about']} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def printed(default: str | None) -> str:
    return "required" if default is None else f"`{default}`" if default else "empty"


def env_example() -> str:
    """Every setting with its default, commented out but for what a call needs."""
    lines = [_ENV.rstrip()]
    for each in fields(Settings):
        if each.name in HEADINGS:
            lines += ["", f"# ---- {HEADINGS[each.name]}"]
        about = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", each.metadata["about"].replace("`", ""))
        lines += ["", *textwrap.wrap(about, 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)]
        lines.append(f"{'' if each.name in IN_FORCE else '#'}{each.name}={each.metadata['default'] or ''}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    SETTINGS_MD.write_text(settings_md(), encoding="utf-8")
    ENV_EXAMPLE.write_text(env_example(), encoding="utf-8")
