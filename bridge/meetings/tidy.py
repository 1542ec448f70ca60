"""Makes the words of a caller or a model fit for a database, JSON, a spreadsheet, a calendar and a terminal.

Pure. Words keep their meaning in every script. Three kinds of characters are taken out: controls, the marks that
reverse the direction of writing (https://trojansource.codes), and leading signs that make a spreadsheet take a text for
a formula (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import re

#: Controls, other ends of lines, marks of direction, lone surrogates, and code points that are no characters.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u206f\ufeff\ufff9-\uffff\ud800-\udfff]+")
_FORMULA = re.compile(r"[=+@\s\-\uff1d\uff0b\uff20\uff0d]+")


def one_line(text: str) -> str:
    """The text on one line, with single spaces between its words."""
    return " ".join(_FORBIDDEN.sub(" ", text).split())


def several_lines(text: str) -> str:
    """The text with its lines, without empty ones."""
    return "\n".join(filter(None, map(one_line, text.splitlines())))


def without_formula(text: str) -> str:
    """The text without leading signs that make a formula of it."""
    beginning = _FORMULA.match(text)
    return text[beginning.end():] if beginning else text
