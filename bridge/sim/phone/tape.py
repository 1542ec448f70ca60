"""The sound of a call, and when the assistant began to speak."""

from bridge.sim.speech import BYTES_PER_MS


class Tape:
    """The stream of a call writes it frame by frame. A further stream follows without a gap."""

    def __init__(self) -> None:
        self.heard = bytearray()
        """All assistant audio really played, mu-law, without the gaps."""
        self.talk_starts: list[float] = []
        """When audio began to play where none was queued, in ms of the call's clock."""
        self._caller, self._assistant = bytearray(), bytearray()

    @property
    def heard_ms(self) -> float:
        return len(self.heard) / BYTES_PER_MS

    def frame(self, said: bytes, heard: bytes) -> None:
        """Adds a frame's time of both sides, of equal length, with silence where there was no sound."""
        self._caller += said
        self._assistant += heard

    def recording(self) -> tuple[bytes, bytes]:
        """The caller's and the assistant's side, mu-law, of equal length."""
        return bytes(self._caller), bytes(self._assistant)

    def talk_start(self, after_ms: float) -> float | None:
        """The first time, at or after `after_ms`, that audio began to play."""
        return next((start for start in self.talk_starts if start >= after_ms), None)
