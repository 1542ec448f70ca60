"""Settings without an environment, for many tests."""

import dataclasses
from pathlib import Path

import pytest

from bridge.settings import BadSettings, Settings, load

#: What is required, and nothing else.
TOKEN = {"TWILIO_AUTH_TOKEN": "simulated-token"}
KEY = {"OPENAI_API_KEY": "sk-simulated", **TOKEN}
#: For a server that answers everybody on this machine.
UNSIGNED = {"ALLOW_UNSIGNED": "1", "HOST": "127.0.0.1"}
#: All settings there are, with what each is when nobody sets it.
DEFAULTS: dict[str, str | None] = {each.name: each.metadata["default"] for each in dataclasses.fields(Settings)}
NAMES = {*DEFAULTS}


def make_settings(**environ: str) -> Settings:
    """The settings of these variables and a key that opens nothing. Without a token they allow unsigned requests."""
    return load({"OPENAI_API_KEY": "sk-simulated"} | UNSIGNED | environ)


def problems(**environ: str) -> list[str]:
    """The lines of the message that these settings are refused with."""
    with pytest.raises(BadSettings) as refusal:
        make_settings(**environ)
    return str(refusal.value).splitlines()


def write(path: Path, text: str) -> Path:
    """A file with this text; its path."""
    path.write_text(text, encoding="utf-8")
    return path
