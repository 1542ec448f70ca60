"""Who calls: the numbers of a call as Twilio names them, and what may be shown of them.

Pure. `From` is a number in E.164, `client:name`, `sip:user@host`, empty, or one of the numbers that stand for a
caller who hides: never assume a number.
"""

import re
from dataclasses import dataclass

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# What carriers send for a hidden caller: the words ANONYMOUS, RESTRICTED, UNAVAILABLE, UNKNOWN, BLOCKED on a keypad.
# https://help.twilio.com/articles/223179988
_HIDDEN = {"+266696687", "+7378742833", "+86282452253", "+8656696", "+2562533"}
#: What stands in the stream's path for a caller without a number.
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Caller:
    """`number` in E.164, "" when there is none; `name` is what Twilio called the caller, a number or not."""

    name: str = ""

    @property
    def number(self) -> str:
        return self.name if E164.fullmatch(self.name) and self.name not in _HIDDEN else ""

    @property
    def path(self) -> str:
        """The number's digits, for the stream's address: no sign that an address could change."""
        return self.number.removeprefix("+") or ANONYMOUS

    @classmethod
    def from_path(cls, path: str) -> "Caller":
        return cls("+" + path) if E164.fullmatch("+" + path) else cls()

    def __str__(self) -> str:
        """What a log line may show: where the call is from and its last two digits."""
        if not self.number:
            return ANONYMOUS
        return self.number[:3] + "*" * (len(self.number) - 5) + self.number[-2:]
