"""The phone of an imagined call: it sends frames, plays what it is sent, and returns the marks behind that.

Pure: its time passes with its frames.
"""

from collections import deque
from typing import Any

from bridge.call.steps import Clip, ClipName
from bridge.twilio_side import media_streams

FRAME_MS = 20
BYTES_PER_MS = 8
DELTA_250_MS = "/" * 2664 + "=="        # 1998 bytes
CLIPS: dict[ClipName, Clip] = {
    "moment": Clip("bW9tZW50", 8000), "still_here": Clip("c3RpbGw=", 8000), "goodbye": Clip("Ynll", 8000)}
_SIZES = {clip.payload: clip.size for clip in CLIPS.values()} | {DELTA_250_MS: 1998}


class ImaginedPhone:
    def __init__(self) -> None:
        self.marks_back: deque[str] = deque()        # on their way to us
        self._queue: deque[int | str] = deque()      # what is to be played: as many bytes, or a mark
        self._played = 0                             # bytes of the first piece that were played
        self._frames = 0

    @property
    def silent(self) -> bool:
        """Whether it has nothing to play."""
        return not self._queue

    def frame(self) -> media_streams.Media:
        """The caller's next frame."""
        self._frames += 1
        return media_streams.Media(media_streams.MediaBody(b"\xff" * 160, "inbound", self._frames * FRAME_MS))

    def told(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "media":
                self._queue.append(_SIZES[message["media"]["payload"]])
            case "mark":
                self._queue.append(message["mark"]["name"])
            case "clear":
                self.marks_back.extend(each for each in self._queue if isinstance(each, str))
                self._queue.clear()
                self._played = 0

    def play(self) -> None:
        """The time of a frame passes."""
        size = FRAME_MS * BYTES_PER_MS
        while self._queue:
            first = self._queue[0]
            if isinstance(first, str):
                self.marks_back.append(first)
            elif size >= first - self._played:
                size -= first - self._played
                self._played = 0
            else:
                self._played += size
                break
            self._queue.popleft()
