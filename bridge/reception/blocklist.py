"""BLOCKED_CALLERS: the callers whose calls are not answered.

Pure. Twilio names callers in E.164, so a prefix stands for a country, an area, or a block of numbers.
"""

import re
from dataclasses import dataclass

from bridge.twilio_side.caller import ANONYMOUS, E164, Caller

_PREFIX = re.compile(r"\+[1-9][0-9]{0,13}\*")


@dataclass(frozen=True, slots=True)
class Blocklist:
    """Whole numbers, prefixes of numbers, and whether callers who hide their number are blocked."""

    numbers: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    hidden: bool = False

    @classmethod
    def parse(cls, text: str) -> "Blocklist":
        """Reads a setting like `+15551234567, +1900*, anonymous`.

        Raises ValueError. Its message is the end of a sentence that begins with the setting's name.
        """
        entries = list(filter(None, re.split(r"[,;\s]+", text)))
        for each in entries:
            if not E164.fullmatch(each) and not _PREFIX.fullmatch(each) and each != ANONYMOUS:
                raise ValueError(
                    "must be phone numbers with + and the country's code, beginnings of numbers with * behind them, or "
                    f"{ANONYMOUS}, separated by commas")
        return cls(
            frozenset(filter(E164.fullmatch, entries)), tuple(each[:-1] for each in entries if each.endswith("*")),
            ANONYMOUS in entries)

    def blocks(self, caller: Caller) -> bool:
        """Whether the calls of this caller are not answered."""
        number = caller.number
        if not number:
            return self.hidden
        return number in self.numbers or number.startswith(self.prefixes)
