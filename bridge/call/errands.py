"""The functions that the model has called: which still run, and which outputs the model has not seen. Pure."""


class Errands:
    """The functions of one call. `made` holds a sentence for each thing that they have done for the caller."""

    __slots__ = ("running", "made", "_unseen")

    def __init__(self) -> None:
        self.running: set[str] = set()               # call ids
        self.made: list[str] = []
        self._unseen: set[str] = set()               # call ids of outputs that the server has not acknowledged

    @property
    def all_seen(self) -> bool:
        """Whether a response that begins now knows every output that was sent."""
        return not self._unseen

    def begin(self, call_id: str) -> None:
        self.running.add(call_id)

    def returned(self, call_id: str, note: str = "") -> None:
        """`note`: what it has done, if a session that comes later should know."""
        self.running.discard(call_id)
        if note:
            self.made.append(note)

    def told(self, call_id: str) -> None:
        """An output was sent to the session in force."""
        self._unseen.add(call_id)

    def acknowledged(self, call_id: str) -> None:
        """The server has put an output into the conversation."""
        self._unseen.discard(call_id)

    def forget_session(self) -> None:
        """The next session is told all outputs at once."""
        self._unseen.clear()
