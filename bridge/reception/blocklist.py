"""BLOCKED_CALLERS: whose calls are not answered.

Pure. Twilio names a caller in E.164, so a prefix is a country, an area, or a block of numbers.
"""

import re
from dataclasses import dataclass

from bridge.twilio_side.caller import ANONYMOUS, E164, Caller

_PREFIX = re.compile(r"\+[1-9][0-9]{0,13}\*")


@dataclass(frozen=True, slots=True)
class Blocklist:
    """Whole numbers, beginnings of numbers, and whether all who hide theirs are meant."""

    numbers: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    hidden: bool = False

    @classmethod
    def parse(cls, text: str) -> "Blocklist":
        """`+15551234567, +1900*, anonymous`. Raises ValueError with what is wrong, as the end of a sentence."""
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
        """Whether this caller's calls are not answered."""
        number = caller.number
        if not number:
            return self.hidden
        return number in self.numbers or number.startswith(self.prefixes)
