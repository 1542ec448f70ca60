"""What a caller or a model said, made fit for wherever it goes: a database, a webhook's JSON, a spreadsheet behind it,
a calendar, a log, a terminal.

Pure. Words keep their meaning in every script. Left out is what is not said: control characters, the marks that turn
the direction of writing around (https://trojansource.codes), and the signs that make a spreadsheet take a text for a
formula (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import re

#: Controls, other ends of lines, what turns the direction around, halves of surrogate pairs, and what is no character.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u206f\ufeff\ufff9-\uffff\ud800-\udfff]+")
_FORMULA = re.compile(r"[=+@\s\-\uff1d\uff0b\uff20\uff0d]+")


def one_line(text: str) -> str:
    """The text on one line, single spaces between its words."""
    return " ".join(_FORBIDDEN.sub(" ", text).split())


def several_lines(text: str) -> str:
    """The text with its lines; empty ones are left out."""
    return "\n".join(filter(None, map(one_line, text.splitlines())))


def without_formula(text: str) -> str:
    """Without the signs at its beginning that make a formula of it."""
    beginning = _FORMULA.match(text)
    return text[beginning.end():] if beginning else text
