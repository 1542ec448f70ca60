"""The caller as Twilio names them, and how much of the number may be shown.

Pure. Twilio's `From` is a number in E.164, `client:name`, `sip:user@host`, empty, or one of the numbers that stand for
a hidden caller. Never assume a number.
"""

import re
from dataclasses import dataclass

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# Carriers send these for a hidden caller: ANONYMOUS, RESTRICTED, UNAVAILABLE, UNKNOWN and BLOCKED, typed on a keypad.
# https://help.twilio.com/articles/223179988
_HIDDEN = {"+266696687", "+7378742833", "+86282452253", "+8656696", "+2562533"}
#: Stands in the stream's path, and in the log, for a caller without a number.
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller. `name` is Twilio's name for the caller, a number or not. `number` is in E.164. "": there is none."""

    name: str = ""

    @property
    def number(self) -> str:
        return self.name if E164.fullmatch(self.name) and self.name not in _HIDDEN else ""

    @property
    def path(self) -> str:
        """The number's digits, for the path of the stream's address. It holds no sign that a URL would encode."""
        return self.number.removeprefix("+") or ANONYMOUS

    @classmethod
    def from_path(cls, path: str) -> "Caller":
        return cls("+" + path) if E164.fullmatch("+" + path) else cls()

    def __str__(self) -> str:
        """The number as a log line may show it: the first three signs and the last two digits."""
        if not self.number:
            return ANONYMOUS
        return self.number[:3] + "*" * (len(self.number) - 5) + self.number[-2:]
