"""Takes out of log lines secrets, whole phone numbers, e-mail addresses, and characters that steer a terminal.

Pure. No code passes these to a log on purpose. This is the last line of defence, for the texts of exceptions and of
libraries. In doubt it takes out too much.
"""

import re
from collections.abc import Iterable

#: The shortest secret that is looked for, in characters. A shorter one would be found in ordinary words and figures.
SHORTEST = 6
GONE = "***"

_KEYS = re.compile(r"\b(sk-|whsec_)[\w+/=-]{4,}")
_CREDENTIALS = re.compile(r"\b(Basic|Bearer)\s+[\w.~+/=-]{4,}", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@<>()\[\]\"',;:=&?/\\]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
# A number with a plus (in a URL %2B) in any spelling, or digits alone, as in the path of a stream.
_NUMBER = re.compile(r"(?:\+|%2B)[1-9](?:[ ().-]{0,2}[0-9]){6,14}|(?<![\w.+-])[1-9][0-9]{9,14}(?![\w.])", re.IGNORECASE)


class Redaction:
    """Takes out of a text everything that looks like a secret, and the given `secrets` themselves."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: one may be the beginning of another.
        found = sorted({each for each in secrets if len(each) >= SHORTEST}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, found))) if found else None

    def __call__(self, text: str) -> str:
        if self._secrets:
            text = self._secrets.sub(GONE, text)
        text = _KEYS.sub(rf"\1{GONE}", text)
        text = _CREDENTIALS.sub(rf"\1 {GONE}", text)
        if "@" in text or "%40" in text:
            text = _EMAIL.sub(GONE, text)
        return _NUMBER.sub(_masked, text)


def _masked(number: re.Match[str]) -> str:
    """The part of a number that a log may show. Caller.__str__ shows the same."""
    text = number[0]
    return text[:3] + "*" * (len(text) - 5) + text[-2:]


def escaped(text: str) -> str:
    """The text on one line, with unprintable characters escaped, so that it cannot steer a terminal or forge a line."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
