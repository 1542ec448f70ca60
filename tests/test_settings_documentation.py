"""The documentation of the settings is true: the table, and the example file."""

import re
from pathlib import Path

import pytest

from bridge.settings import BadSettings, load
from tests import documentation
from tests.stage.settings import DEFAULTS, KEY, NAMES, write

ROOT = Path(__file__).parent.parent


def example_lines() -> list[tuple[bool, str, str]]:
    """`.env.example`: whether it is in force, the name, the value."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return [(not off, name, value) for off, name, value in re.findall(r"^(#?)([A-Z][A-Z_]+)=(.*)$", text, re.M)]


def test_the_table_of_settings_is_made_of_the_settings() -> None:
    """Else run `python -m tests.documentation`."""
    assert documentation.SETTINGS_MD.read_text(encoding="utf-8") == documentation.settings_md()


def test_the_table_has_every_setting_with_its_default_and_what_it_is_for() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| .*\w.* \|$", documentation.settings_md(), re.M)
    assert dict(rows) == {name: documentation.printed(default) for name, default in DEFAULTS.items()}
    assert len(rows) == len(NAMES)


def test_the_example_file_is_made_of_the_settings() -> None:
    assert documentation.ENV_EXAMPLE.read_text(encoding="utf-8") == documentation.env_example()


def test_the_example_file_lists_every_setting_with_its_default_once() -> None:
    lines = example_lines()
    assert len(lines) == len(NAMES)
    assert {name: value for _, name, value in lines} == {name: default or "" for name, default in DEFAULTS.items()}


def test_in_the_example_file_only_what_is_required_is_in_force_and_the_key_comes_first() -> None:
    lines = example_lines()
    assert [name for in_force, name, _ in lines if in_force] == list(KEY)
    assert lines[0][1] == "OPENAI_API_KEY"


def test_every_setting_in_the_example_file_has_a_line_that_explains_it() -> None:
    for paragraph in (ROOT / ".env.example").read_text(encoding="utf-8").split("\n\n"):
        *about, line = paragraph.splitlines()
        if re.match(r"#?[A-Z][A-Z_]+=", line):
            assert about and about[0].startswith("# ") and about[-1].endswith("."), line


def filled_in(text: str) -> str:
    for name, value in KEY.items():
        text = text.replace(f"{name}=", f"{name}={value}", 1)
    return text


def test_the_example_file_filled_in_works(tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", filled_in((ROOT / ".env.example").read_text(encoding="utf-8")))
    assert load({}, dotenv) == load(KEY)


def test_the_example_file_as_it_is_misses_only_what_is_required(tmp_path: Path) -> None:
    dotenv = write(tmp_path / ".env", (ROOT / ".env.example").read_text(encoding="utf-8"))
    with pytest.raises(BadSettings) as refusal:
        load({}, dotenv)
    key, token = str(refusal.value).splitlines()
    assert key == "OPENAI_API_KEY is not set, for example OPENAI_API_KEY=sk-..."
    assert token.startswith("TWILIO_AUTH_TOKEN is not set: ")


def test_every_line_of_the_example_file_may_be_uncommented(tmp_path: Path) -> None:
    text = re.sub(r"^#(?=[A-Z])", "", (ROOT / ".env.example").read_text(encoding="utf-8"), flags=re.M)
    dotenv = write(tmp_path / ".env", filled_in(text))
    assert load({}, dotenv) == load(KEY)
