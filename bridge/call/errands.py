"""The functions that the model has called: which still run, and which outputs the model has not seen.

Pure.
"""


class Errands:
    """The functions of one call. `made` holds a sentence for each thing that they have done for the caller."""

    __slots__ = ("running", "made", "_unseen")

    def __init__(self) -> None:
        self.running: set[str] = set()               # call ids
        self.made: list[str] = []
        self._unseen: set[str] = set()               # call ids of outputs that the server has not acknowledged

    @property
    def all_seen(self) -> bool:
        """Whether a response that begins now has seen every output that was sent."""
        return not self._unseen

    def begin(self, call_id: str) -> None:
        self.running.add(call_id)

    def returned(self, call_id: str, note: str = "") -> None:
        """`note` says what the function has done, for a later session. "": nothing to tell."""
        self.running.discard(call_id)
        if note:
            self.made.append(note)

    def told(self, call_id: str) -> None:
        """The output was sent to the session in force."""
        self._unseen.add(call_id)

    def acknowledged(self, call_id: str) -> None:
        """The server has put the output into the conversation."""
        self._unseen.discard(call_id)

    def forget_session(self) -> None:
        """The session is gone. The next one is told all outputs at its beginning."""
        self._unseen.clear()
