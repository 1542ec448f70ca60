"""`.env`, written: values that python-dotenv reads back exactly as they are, and what else stands in the file kept.

Pure but for `write`. The file is its owner's alone, and replaced as a whole: who breaks off leaves the old one.
"""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import StringIO
from itertools import count
from pathlib import Path

from dotenv.parser import parse_stream

#: What the file begins with when there was none.
HEAD = "# Made by `python -m bridge init`. bridge/SETTINGS.md lists all settings.\n"
#: What needs no quotes, for whoever reads it: a shell too.
_PLAIN = re.compile(r"[\w@%+=:,./-]*", re.ASCII)
#: How a value that needs quotes may be written. Read back, each is compared with the value.
_WAYS: tuple[Callable[[str], str], ...] = (
    lambda value: "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'",
    lambda value: '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r") + '"',
    str,
)


class CannotBeWritten(ValueError):
    """A value that no way of writing keeps: why, as the end of a sentence."""


def assignment(name: str, value: str) -> str:
    """`NAME=value`, in quotes where it must be. Raises CannotBeWritten."""
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    for way in _WAYS:
        line = f"{name}={way(value)}"
        # The quote on the next line is somebody else's: a value that ends with a backslash must not reach for it.
        if "\r" not in line and _values(f"{line}\nNEXT='it''s'\nLAST=\"\"\n").get(name) == value:
            return line
    raise CannotBeWritten("holds what a .env file cannot hold, such as a backslash at its end and a quote")


def merged(text: str, values: Mapping[str, str], about: Callable[[str], str] = lambda name: "") -> str:
    """The file's text with these values: each where it stood, new ones at the end, everything else untouched.

    `about`: a comment for a new one. Raises CannotBeWritten.
    """
    left, lines = dict(values), list[str]()
    bindings = list(parse_stream(StringIO(text)))
    last = {binding.key: place for place, binding in enumerate(bindings) if not binding.error}
    for place, binding in enumerate(bindings):
        name, original = binding.key, binding.original.string
        if name not in values or name is None or binding.error:
            lines.append(original)
        elif last[name] == place:                    # the last one counts; those before it go
            blank = original[:len(original) - len(original.lstrip())]
            value = left.pop(name)
            lines.append(original if binding.value == value else f"{blank}{assignment(name, value)}\n")
    merged = "".join(lines)
    if merged and not merged.endswith("\n"):
        merged += "\n"
    for name, value in left.items():
        comment = about(name)
        merged += (f"\n# {comment}\n" if comment else "") + f"{assignment(name, value)}\n"
    found = _values(merged)
    if lost := [name for name, value in values.items() if found.get(name) != value]:
        raise CannotBeWritten(f"({', '.join(lost)}) is lost behind a line that cannot be read: mend that line first")
    return merged


def write(path: Path, text: str) -> Path | None:
    """Puts the text in the file's place; where the copy of an earlier one is. Raises OSError."""
    path = path.resolve()                            # a link stays one
    copy = _copy(path) if path.exists() else None
    handle, new = tempfile.mkstemp(prefix=".env.", dir=path.parent)      # 0600, as the copy is
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
    return copy


def _copy(path: Path) -> Path:
    for number in count(1):
        copy = path.with_name(f"{path.name}.bak" + (f"{number}" if number > 1 else ""))
        with suppress(FileExistsError), open(
                copy, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(path.read_bytes())
            return copy
    raise AssertionError


def _values(text: str) -> dict[str, str | None]:
    return {each.key: each.value for each in parse_stream(StringIO(text)) if each.key and not each.error}
