"""Folds log lines that repeat. Use it where a peer can cause a line as often as it likes.

Pure.
"""

#: The number of kinds that are told apart. A peer's names for kinds are not bounded.
MOST_KINDS = 32


class Folded:
    """Lets the first line of a kind through, then the tenth, the hundredth, the thousandth."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}

    def worth_a_line(self, kind: str) -> int | None:
        """How often this kind has happened, if that is worth a line, else None. Surplus kinds count as "others"."""
        if kind not in self._times and len(self._times) >= MOST_KINDS:
            kind = "others"
        self._times[kind] = times = self._times.get(kind, 0) + 1
        return times if times == 10 ** (len(str(times)) - 1) else None
