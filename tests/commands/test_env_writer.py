"""`.env` as `init` writes it: python-dotenv reads back what was given, and what else stood there stays."""

import os
import stat
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import example, given, strategies as st

from bridge.commands.env_writer import CannotBeWritten, assignment, merged, write

TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("'\"\\#$ \n\r\t={}"), max_size=12)


def read(text: str) -> dict[str, str | None]:
    return dict(dotenv_values(stream=StringIO(text), interpolate=False))


@given(TEXT, TEXT)
@example("a 'b' \"c\" #d $e ${F}\ng\r\nh", "it's")
@example("sk-proj-x#y", " blanks ")
def test_what_is_read_back_is_what_was_given(first: str, second: str) -> None:
    try:
        text = merged("# it's mine\nC='kept'\n", {"A": first, "B": second}, about=lambda name: "it's a comment")
    except CannotBeWritten:
        assert any(value.endswith("\\") for value in (first, second))
        return
    assert read(text) == {"C": "kept", "A": first, "B": second}


@pytest.mark.parametrize(("value", "line"), [
    ("sk-proj-1_2", "A=sk-proj-1_2"), ("https://example.com/x?y=1", "A='https://example.com/x?y=1'"), ("", "A="),
    ("Bob's", r"A='Bob\'s'"), ("$HOME", "A='$HOME'"), ("x # y", "A='x # y'")])
def test_a_value_stands_in_quotes_where_a_shell_would_need_them(value: str, line: str) -> None:
    assert assignment("A", value) == line


def test_what_stood_there_stays_and_each_value_in_its_place() -> None:
    before = ("# mine\n\nexport A=1   # one\nB='old\nlines'\nthis is none\n#C=default\nA=2\nD=4 # kept")
    assert merged(before, {"A": "3", "B": "new", "C": "c", "D": "4"}, about=lambda name: f"about {name}") == (
        "# mine\nB=new\nthis is none\n#C=default\nA=3\nD=4 # kept\n\n# about C\nC=c\n")


def test_a_line_that_swallows_the_rest_is_told() -> None:
    with pytest.raises(CannotBeWritten, match="cannot be read: mend that line first"):
        merged("X='never closed\n", {"A": "it's"})


def test_the_file_is_its_owners_and_every_earlier_one_is_kept(tmp_path: Path) -> None:
    file, umask = tmp_path / ".env", os.umask(0)
    try:
        assert write(file, "A=1\n") is None
        file.chmod(0o644)
        assert [write(file, f"A={number}\n") for number in (2, 3)] == [tmp_path / ".env.bak", tmp_path / ".env.bak2"]
    finally:
        os.umask(umask)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        ".env": "A=3\n", ".env.bak": "A=1\n", ".env.bak2": "A=2\n"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("A=1\n")
    (tmp_path / ".env").symlink_to(tmp_path / "real")
    write(tmp_path / ".env", "A=2\n")
    assert (tmp_path / ".env").is_symlink() and (tmp_path / "real").read_text() == "A=2\n"
