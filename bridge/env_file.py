"""`.env`: its values, and statements that look like mistakes.

Pure but for `read`. No message repeats a value, because it may be a secret.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from dotenv.parser import Binding, parse_stream

#: How similar a name must be to a setting's to count as misspelt (ratio of difflib): in the file, which is ours, and in
#: the environment, which holds names of other programs too.
IN_FILE, IN_ENVIRONMENT = 0.82, 0.9

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=[^\S\r\n]*", re.ASCII)
_COMMENT = re.compile(r"\s#")


class Unreadable(Exception):
    """The file cannot be read at all. The message is a sentence that names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Line:
    """One statement of the file. `number` is its line, from 1."""

    number: int
    name: str
    value: str | None = None     # None: a name without =
    is_cut: bool = False         # a comment that began with ` #` was cut off
    broken: str = ""             # the statement's text, if it cannot be read


@dataclass(frozen=True, slots=True)
class EnvFile:
    """A file's statements in order. If a name stands there twice, the last statement counts."""

    name: str = ".env"
    lines: tuple[Line, ...] = ()

    @property
    def values(self) -> dict[str, str]:
        return {line.name: line.value for line in self.lines if line.value is not None and not line.broken}

    def unreadable(self, known: Iterable[str]) -> Iterator[str]:
        """A sentence for each statement that cannot be read and names one of these settings, which would be lost."""
        names = re.compile(rf"\b(?:{'|'.join(known)})\b")
        for line in self.lines:
            if line.broken and (found := names.search(line.broken)):
                reason = ("its quotes do not match: begin and end a value with the same quote, and use \" around one "
                          "that holds '" if re.search("[\"']", line.broken) else "it must be NAME=value")
                yield f"{self.name} line {line.number}, {line.name or found[0]}, cannot be read: {reason}"

    def doubtful(self, known: Sequence[str], texts: Iterable[str]) -> Iterator[str]:
        """A sentence for each readable statement that looks like a mistake.

        `texts` names the settings whose value may hold a ` #`.
        """
        texts, before = set(texts), dict[str, int]()
        for line in self.lines:
            if line.broken:
                continue
            if meant := close_to(line.name, known, IN_FILE):
                yield (f"{self.name} line {line.number}: {line.name} is no setting and counts for nothing. "
                       f"{meant} is one")
            if line.is_cut and line.name in texts:
                yield (f"{self.name} line {line.number}: {line.name} ends before ` #`, which begins a comment. If that "
                       "belongs to it, put the value into quotes")
            if line.name in known and line.name in before:
                yield (f"{self.name} line {line.number}: {line.name} is set again, so line {before[line.name]} counts "
                       "for nothing")
            before[line.name] = line.number


def close_to(name: str, known: Sequence[str], cutoff: float) -> str:
    """The setting that a misspelt name seems to mean. "" if the name is a setting itself, or close to none."""
    if name in known:
        return ""
    return next(iter(get_close_matches(re.sub(r"\W", "_", name).upper(), known, n=1, cutoff=cutoff)), "")


def read(path: Path | None) -> EnvFile:
    """Reads the file. A missing file, or None, gives an empty EnvFile. Raises Unreadable."""
    if path is None or not path.is_file():
        return EnvFile()
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Unreadable(f"{path} cannot be read: {reason}") from None
    # No interpolation: a `$` in a key or a token stays one.
    return EnvFile(path.name, tuple(_line(binding) for binding in parse_stream(StringIO(text)) if _says(binding)))


def _says(binding: Binding) -> bool:
    """Whether a statement is more than blanks and comments."""
    return binding.error or binding.key is not None


def _line(binding: Binding) -> Line:
    text = binding.original.string
    blank = len(text) - len(text.lstrip())
    number = binding.original.line + text[:blank].count("\n")
    found = _ASSIGNMENT.match(text)
    name = binding.key or (found[1] if found else "")
    if binding.error:
        return Line(number, name, broken=text)
    written = text[found.end():] if found else ""
    is_cut = not written.startswith(("'", '"')) and bool(_COMMENT.search(written))
    return Line(number, name, binding.value, is_cut)
