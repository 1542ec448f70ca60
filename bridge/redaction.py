"""What no log line may hold, taken out of it: secrets, whole phone numbers, e-mail addresses, and what would steer a
terminal or forge a line.

Pure. Nobody passes these to a log on purpose; this is the last line of defence, for the text of an exception and for
what libraries say. What cannot be known for sure is rather taken out once too often.
"""

import re
from collections.abc import Iterable

#: A shorter secret is not looked for: it would be found in ordinary words and figures.
SHORTEST = 6
GONE = "***"

_KEYS = re.compile(r"\b(sk-|whsec_)[\w+/=-]{4,}")
_CREDENTIALS = re.compile(r"\b(Basic|Bearer)\s+[\w.~+/=-]{4,}", re.IGNORECASE)
_EMAIL = re.compile(r"[^\s@<>()\[\]\"',;:=&?/\\]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
# With a plus, which an address may write as %2B, in any spelling; and digits alone, as in the path of a stream.
_NUMBER = re.compile(r"(?:\+|%2B)[1-9](?:[ ().-]{0,2}[0-9]){6,14}|(?<![\w.+-])[1-9][0-9]{9,14}(?![\w.])", re.IGNORECASE)


class Redaction:
    """Takes the patterns of secrets out of a text, and these very ones."""

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
    """As much of a number as a log may show: see Caller.__str__."""
    text = number[0]
    return text[:3] + "*" * (len(text) - 5) + text[-2:]


def escaped(text: str) -> str:
    """On one line, and without what steers a terminal: whatever cannot be printed is written as its escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
