"""What was heard in a call, and when the assistant began to speak."""

from bridge.sim.speech import BYTES_PER_MS


class Tape:
    """Written by the stream of a call, frame by frame; a further stream follows without a gap."""

    def __init__(self) -> None:
        self.heard = bytearray()
        """All assistant audio really played, mu-law, without the gaps."""
        self.talk_starts: list[float] = []
        """When audio began to play where none was queued, ms of the call's clock."""
        self._caller, self._assistant = bytearray(), bytearray()

    @property
    def heard_ms(self) -> float:
        return len(self.heard) / BYTES_PER_MS

    def frame(self, said: bytes, heard: bytes) -> None:
        """One frame's time of both sides, of equal length, silence where nothing was."""
        self._caller += said
        self._assistant += heard

    def recording(self) -> tuple[bytes, bytes]:
        """The caller's and the assistant's side, mu-law, of equal length."""
        return bytes(self._caller), bytes(self._assistant)

    def talk_start(self, after_ms: float) -> float | None:
        """The first time, at or after `after_ms`, that audio began to play."""
        return next((start for start in self.talk_starts if start >= after_ms), None)
