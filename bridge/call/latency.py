"""How long the caller waits for an answer: from the end of the caller's words to the sounds that follow at the phone.

Pure. Times are ms. A mark that comes back as a sound begins to play tells when the caller hears it.

1. The first sound may be a filler or a recorded sentence. It is not the answer, so it has a figure of its own.
2. A silence ends with each sound, and begins again when all that was sent has been heard.
"""

from typing import NamedTuple


class Waited(NamedTuple):
    """How long the caller has waited for an answer, in ms from the end of the caller's words."""

    answer_ms: float
    first_ms: float              # to the first sound of any kind
    silence_ms: float            # the longest silence until the answer


class Latency:
    """Of one turn after the other."""

    __slots__ = ("_since", "_sounds", "_answer", "_first_ms", "_quiet_since", "_silence_ms")

    def __init__(self) -> None:
        self._since: float | None = None             # the end of the words that were not answered yet
        self._forget()

    def _forget(self) -> None:
        self._sounds: list[str] = []                 # marks of sounds that came before the answer
        self._answer = ""                            # that of the answer's first sound
        self._first_ms: float | None = None
        self._quiet_since: float | None = None
        self._silence_ms = 0.0

    def caller_speaks(self) -> None:
        """What was said before counts no more."""
        self._since = None
        self._forget()

    def caller_stopped(self, ended_at: float) -> None:
        """The caller's words ended then; the server says so some silence later."""
        self._since = self._quiet_since = ended_at

    def sent(self, mark: str, *, answer: bool) -> None:
        """A sound goes out, and this mark comes back when it begins to play. Of an answer only the first one counts."""
        if self._since is None or self._answer:
            return
        if answer:
            self._answer = mark
        elif not self._sounds or self._quiet_since is not None:
            self._sounds.append(mark)

    def mark_back(self, mark: str, now: float) -> Waited | None:
        """How long the turn has waited, where it is the mark of its answer."""
        if self._since is None or mark != self._answer and mark not in self._sounds or not mark:
            return None
        if self._first_ms is None:
            self._first_ms = now - self._since
        if self._quiet_since is not None:
            self._silence_ms = max(self._silence_ms, now - self._quiet_since)
            self._quiet_since = None
        if mark != self._answer:
            return None
        waited = Waited(now - self._since, self._first_ms, self._silence_ms)
        self._since = None
        self._forget()
        return waited

    def all_heard(self, now: float) -> None:
        """The caller has heard all that was sent so far."""
        if self._since is not None and self._first_ms is not None and self._quiet_since is None:
            self._quiet_since = now
