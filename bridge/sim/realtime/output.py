"""The outputs of a response: spoken messages, written ones and function calls, each as its sequence of events.

An output is opened, advanced step by step and closed. A step sends events and says how long the model takes for them,
in ms of call time. The response may be cancelled between two steps, and the item is then closed as it is.
"""

import base64
import itertools
import json
import struct
from collections.abc import Iterator
from typing import Any, Protocol

from bridge.sim.realtime.items import Item
from bridge.sim.realtime.script import Call, Line
from bridge.sim.realtime.vad import FORMATS
from bridge.sim.speech import decode

#: The lengths of successive deltas, relative to the usual one. Recordings show 187 to 275 ms around 250. None of them
#: is a multiple of a phone's frame of 160 bytes.
VARIATION = (0.75, 1.1, 0.93, 1.0, 0.87)
#: How long the model takes for a piece of a function call or of a written message, in ms.
PIECE_MS = 40


class Sink(Protocol):
    """What an output needs of the response that it belongs to."""

    delta_ms: int

    def emit(self, kind: str, **fields: Any) -> None: ...
    def keep(self, item: Item) -> None: ...
    def kept(self, item: Item) -> None: ...


class Output:
    """The base of all outputs: the events around the item."""

    def __init__(self, response: Sink, index: int, item: Item) -> None:
        self.response, self.index, self.item = response, index, item

    def open(self) -> None:
        self.response.emit("response.output_item.added", output_index=self.index, item=self.item.wire())
        self.response.keep(self.item)

    def steps(self) -> Iterator[float]:
        """Sends the content piece by piece. Yields how long each piece takes, in ms."""
        raise NotImplementedError

    def settle(self) -> None:
        """Sends the events that end the content."""
        raise NotImplementedError

    def close(self, status: str) -> None:
        """Ends the item, as `completed` or `incomplete`."""
        self.settle()
        self.item.status = status
        self.response.kept(self.item)
        self.response.emit("response.output_item.done", output_index=self.index, item=self.item.wire())

    def emit(self, kind: str, **fields: Any) -> None:
        self.response.emit(kind, item_id=self.item.id, output_index=self.index, **fields)


class Message(Output):
    """A message of the assistant with one content part. Its words come piece by piece."""

    part = ""           # the kind of the part in events
    content = ""        # its kind in the item
    words = ""          # its field for the words
    event = ""          # the events about the words

    def __init__(self, response: Sink, index: int, line: Line, item_id: str) -> None:
        body: dict[str, Any] = {"role": "assistant", "content": []}
        super().__init__(response, index, Item(item_id, "message", body, "in_progress"))
        self.line = line

    def open(self) -> None:
        super().open()
        self.emit("response.content_part.added", content_index=0, part={"type": self.part, self.words: ""})

    def say(self, words: str) -> None:
        self.item.transcript += words
        if self.item.truncated_ms is None:      # truncated words do not come back
            self.item.body["content"] = [{"type": self.content, self.words: self.item.transcript}]
        self.emit(f"{self.event}.delta", content_index=0, delta=words)

    def settle(self) -> None:
        said = {self.words: self.item.transcript}
        self.emit(f"{self.event}.done", content_index=0, **said)
        self.emit("response.content_part.done", content_index=0, part={"type": self.part, **said})


class Written(Message):
    """A message of a response whose `output_modalities` are `["text"]`."""

    part, content, words, event = "text", "output_text", "text", "response.output_text"

    def steps(self) -> Iterator[float]:
        for words in pieces(self.line.text, 4):
            self.say(words)
            yield PIECE_MS


class Spoken(Message):
    """A message with sound, in deltas of about a quarter of a second. The words run ahead of the sound."""

    part, content, words, event = "audio", "output_audio", "transcript", "response.output_audio_transcript"

    def __init__(self, response: Sink, index: int, line: Line, item_id: str, audio_format: str) -> None:
        super().__init__(response, index, line, item_id)
        self.format = audio_format
        self.item.bytes_per_ms = FORMATS[audio_format].bytes_per_ms

    def steps(self) -> Iterator[float]:
        deltas = list(slices(self.line.audio, self.response.delta_ms * 8))
        words = pieces(self.line.text, (len(deltas) + 1) // 2)
        for said, audio in itertools.zip_longest(words, deltas):
            if said:
                self.say(said)
            if audio:
                self._sound(audio)
                yield len(audio) / 8

    def settle(self) -> None:
        self.emit("response.output_audio.done", content_index=0)
        super().settle()

    def _sound(self, mulaw: bytes) -> None:
        audio = mulaw if self.format == "audio/pcmu" else pcm_24k(mulaw)
        self.item.audio += audio
        delta = base64.b64encode(audio).decode()
        self.emit("response.output_audio.delta", content_index=0, delta=delta)


class Calling(Output):
    """A function call. If it is cancelled, its arguments are cut off anywhere, and are no JSON."""

    def __init__(self, response: Sink, index: int, call: Call, item_id: str, call_id: str) -> None:
        body = {"name": call.name, "call_id": call_id, "arguments": ""}
        super().__init__(response, index, Item(item_id, "function_call", body, "in_progress"))
        self.call_id, self.name = call_id, call.name
        self.arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(dict(call.arguments))

    def steps(self) -> Iterator[float]:
        size = -(-len(self.arguments) // 3) or 1
        for at in range(0, len(self.arguments), size):
            delta = self.arguments[at:at + size]
            self.item.body["arguments"] += delta
            self.emit("response.function_call_arguments.delta", call_id=self.call_id, delta=delta)
            yield PIECE_MS

    def settle(self) -> None:
        self.emit("response.function_call_arguments.done", call_id=self.call_id, name=self.name,
                  arguments=self.item.body["arguments"])


def slices(audio: bytes, size: int) -> Iterator[bytes]:
    """Audio in deltas of about `size` bytes. Their lengths vary like the vendor's."""
    at = 0
    for part in itertools.cycle(VARIATION):
        if at >= len(audio):
            return
        end = at + max(1, int(size * part))
        yield audio[at:end]
        at = end


def pieces(text: str, count: int) -> list[str]:
    """A text in at most `count` pieces of whole words."""
    words = text.split(" ")
    size = -(-len(words) // max(1, count))
    groups = [" ".join(words[at:at + size]) for at in range(0, len(words), size)]
    return [group if at == 0 else f" {group}" for at, group in enumerate(groups)]


def pcm_24k(mulaw: bytes) -> bytes:
    """Mu-law of 8 kHz as audio/pcm: 24 kHz, 16 bits."""
    return b"".join(sample * 3 for (sample,) in struct.iter_unpack("2s", decode(mulaw)))
