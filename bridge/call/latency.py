"""How long the caller waits for an answer: from the end of the caller's words to the answer's first sound at the phone.

Pure. Times are ms.
"""


class Latency:
    """Measures one turn after the other. The answer's first mark comes back when the answer begins to play."""

    __slots__ = ("_since", "_mark")

    def __init__(self) -> None:
        self._since: float | None = None             # when the caller's unanswered words ended
        self._mark = ""                              # the first mark of the answer

    def caller_speaks(self) -> None:
        """The caller speaks again: the measurement so far is dropped."""
        self._since, self._mark = None, ""

    def caller_stopped(self, ended_at: float) -> None:
        """The caller's words ended at `ended_at`. The server reports it later, after some silence."""
        self._since = ended_at

    def answer_sent(self, mark: str) -> None:
        """Audio of an answer goes out. `mark` comes back when it begins to play. Only an answer's first mark counts."""
        if self._since is not None and not self._mark:
            self._mark = mark

    def mark_back(self, mark: str, now: float) -> float | None:
        """How long the caller waited (ms). None if this is not the first mark of an answer."""
        if self._since is None or not self._mark or mark != self._mark:
            return None
        waited_ms = now - self._since
        self._since, self._mark = None, ""
        return waited_ms
