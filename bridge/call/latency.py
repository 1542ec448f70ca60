"""How long the caller waits for an answer: from the end of the caller's words to the answer's first sound at the phone.

Pure; times are ms.
"""


class Latency:
    """Of one turn after the other. The mark that comes back as an answer begins to play tells its first sound."""

    __slots__ = ("_since", "_mark")

    def __init__(self) -> None:
        self._since: float | None = None             # the end of the words that were not answered yet
        self._mark = ""

    def caller_speaks(self) -> None:
        """What was said before counts no more."""
        self._since, self._mark = None, ""

    def caller_stopped(self, ended_at: float) -> None:
        """The caller's words ended then; the server says so some silence later."""
        self._since = ended_at

    def answer_sent(self, mark: str) -> None:
        """Audio of an answer goes out, and this mark comes back when it begins to play; only the first one counts."""
        if self._since is not None and not self._mark:
            self._mark = mark

    def mark_back(self, mark: str, now: float) -> float | None:
        """How long the turn waited, ms, where it is the mark of its answer."""
        if self._since is None or not self._mark or mark != self._mark:
            return None
        waited_ms = now - self._since
        self._since, self._mark = None, ""
        return waited_ms
