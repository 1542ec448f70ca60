"""Lines of the log that say the same again and again: some of them are enough.

Pure.
"""

#: So many kinds are told apart; what others name kinds is not bounded.
MOST_KINDS = 32


class Folded:
    """Lets the first line of a kind through, then the tenth, the hundredth and so on."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def worth_a_line(self, kind: str) -> int | None:
        """How often it has happened now, if that is worth a line. What is one kind too many counts as "others"."""
        if kind not in self._times and len(self._times) >= MOST_KINDS:
            kind = "others"
        self._times[kind] = times = self._times.get(kind, 0) + 1
        return times if times == 10 ** (len(str(times)) - 1) else None
