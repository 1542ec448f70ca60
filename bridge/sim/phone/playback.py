"""The audio and the marks that wait at Twilio to be played."""

from collections import deque


class Playback:
    """The audio and the marks that wait to be played, in order."""

    def __init__(self) -> None:
        self.queued = 0
        """The waiting audio, in bytes."""
        self._queue: deque[bytes | str] = deque()

    def add(self, audio: bytes) -> None:
        if audio:
            self._queue.append(audio)
            self.queued += len(audio)

    def mark(self, name: str) -> list[str]:
        """Queue a mark. Returns the marks that come back at once, because no audio is before them."""
        self._queue.append(name)
        return self._marks_in_front()

    def play(self, size: int) -> tuple[bytes, list[str]]:
        """Play up to `size` bytes. Returns them, and the marks reached with them."""
        heard = bytearray()
        marks = self._marks_in_front()
        while self._queue and len(heard) < size:
            audio = self._queue.popleft()
            assert isinstance(audio, bytes)
            room = size - len(heard)
            heard += audio[:room]
            if audio[room:]:
                self._queue.appendleft(audio[room:])
            marks += self._marks_in_front()
        self.queued -= len(heard)
        return bytes(heard), marks

    def clear(self) -> list[str]:
        """Drop all audio. Returns every mark that was waiting."""
        marks = [item for item in self._queue if isinstance(item, str)]
        self._queue.clear()
        self.queued = 0
        return marks

    def _marks_in_front(self) -> list[str]:
        marks = []
        while self._queue and isinstance(self._queue[0], str):
            marks.append(self._queue[0])
            self._queue.popleft()
        return marks
