"""The conversation of a call as it was heard. A new session of the model is told this history, and goes on from there.

Pure. Items stand in the conversation's order, under the ids that the server gave them.

1. The caller's words are the model's transcription. They come long after their item.
2. The assistant's words run ahead of its voice. If an item was cut, or its connection broke, only the heard words
   count. They are estimated in proportion to the sound if the item is complete, else by the usual speed of speech.
3. A function call is told together with its output. If the function still runs, the call is told once it has returned.
4. The newest items are told, and the oldest are left out. Everything told is input again, at the price of text.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from bridge.openai_side import realtime

#: How much is kept (items), and how much a new session is told (characters).
MOST_ITEMS = 200
MOST_CHARACTERS = 24_000
#: How many unheard items are remembered. An item whose end was lost never counts as heard.
MOST_UNHEARD = 16
#: How fast the voices speak (characters per second). A little too slow, because unheard words must not count as heard.
SPEECH_RATE = 14
#: The suffix of an item's id when the item is told anew. An id has 32 characters at most.
AGAIN = "_2"


Role = Literal["caller", "assistant", "system", "function"]


class Item(msgspec.Struct):
    """A message, or a function call with its output."""

    id: str
    role: Role
    text: str = ""               # of a function: its arguments
    sound_ms: float = 0.0        # of the assistant: how much of its voice was sent, or heard once it was cut
    sent_ms: float = 0.0         # of the assistant: how much of its voice was sent
    unheard: str = ""            # of the assistant: the words behind `text` that were cut
    complete: bool = False       # nothing more comes: neither words nor sound nor output
    told: bool = True            # the session in force knows it
    name: str = ""
    call_id: str = ""
    output: str = ""


class History:
    """One call's conversation. `items` come from an earlier stream of the same call (`load`)."""

    def __init__(self, items: list[Item] | None = None) -> None:
        self._items: list[Item] = items or []
        self._retold: set[str] = set()       # ids of the assistant's items that the session in force knows as text
        self.unheard: list[Item] = []        # the assistant's items that `heard` has not returned yet

    # ---- what happens

    def added(self, item: realtime.Item) -> bool:
        """The server has an item; whether it is a new one. Those that we told it are known already."""
        if item.type == "message" and item.role in ("user", "assistant") and self._find(item.id) is None:
            self._append(new := Item(item.id, "caller" if item.role == "user" else "assistant"))
            if new.role == "assistant":
                self.unheard = [*self.unheard[-MOST_UNHEARD:], new]
            return True
        return False

    def transcribed(self, item_id: str, words: str) -> None:
        """The transcription of a caller's item has come."""
        if item := self._find(item_id):
            item.text, item.complete = words.strip(), True

    def said(self, item_id: str, words: str) -> None:
        """Some more words of the assistant's, ahead of their sound; of one that was cut nobody will hear them."""
        item = self._find(item_id)
        if item and item.complete:
            item.unheard += words
        elif item:
            item.text += words

    def sounded(self, item_id: str, ms: float) -> bool:
        """Some more of the assistant's voice was sent to the caller; whether it is the first of this item."""
        item = self._find(item_id)
        if item is None:
            return False
        is_first = not item.sent_ms
        item.sound_ms += ms
        item.sent_ms += ms
        return is_first

    def completed(self, item_id: str) -> None:
        """The assistant has said all of an item."""
        if item := self._find(item_id):
            item.complete = True

    def noted(self, item_id: str, text: str, role: Role = "caller") -> None:
        """Adds something that happened on the line and that the model is told in words."""
        self._append(Item(item_id, role, text, complete=True))

    def called(self, item: realtime.Item) -> None:
        """The model called a function."""
        self._append(Item(item.id, "function", item.arguments, name=item.name, call_id=item.call_id))

    def returned(self, call_id: str, output: dict[str, Any]) -> None:
        """A function has answered."""
        if item := self._function(call_id):
            item.output, item.complete = msgspec.json.encode(output).decode(), True

    def cut(self, item_id: str, heard_ms: int) -> None:
        """The caller has heard `heard_ms` of an item of the assistant, and will hear no more of it."""
        if item := self._find(item_id):
            words = heard(item.text, heard_ms, item.sound_ms if item.complete else None)
            item.text, item.unheard = words, item.text[len(words):]
            item.sound_ms, item.complete = heard_ms, True
            if not item.text:
                self._items.remove(item)

    def lost(self) -> None:
        """The session is gone. Each unfinished item of the assistant ends with the audio that was sent."""
        for item in [*self._items]:
            if item.role == "assistant" and not item.complete:
                self.cut(item.id, int(item.sound_ms))

    def settled(self) -> list[Item]:
        """The assistant's utterances that are over for the caller since this was asked; to be asked in silence only.

        `text` is what was heard of one, `sound_ms` of `sent_ms`. One that was never sent is left out.
        """
        done = [item for item in self.unheard if item.complete]
        if done:
            self.unheard = [item for item in self.unheard if not item.complete]
        return [item for item in done if item.sent_ms]

    # ---- what a new session is told

    @property
    def empty(self) -> bool:
        return not self._items

    @property
    def inaudible(self) -> bool:
        """Whether the conversation ends with words of the caller that were not transcribed."""
        return bool(self._items) and self._items[-1].role == "caller" and not self._items[-1].text

    def replay(self) -> Iterator[bytes]:
        """The events that tell a new session the conversation, the newest MOST_CHARACTERS of it."""
        newest = self._newest()
        if len(newest) < len(self._items):
            yield realtime.system_text("The beginning of this call is left out here.")
        for item in self._items:
            item.told = False
        self._retold = {item.id for item in newest if item.role == "assistant"}
        for item in newest:
            events = [*_events(item)]
            item.told = bool(events)
            yield from events

    def function_output(self, call_id: str) -> Iterator[bytes]:
        """The events that tell a function's output, after its call if the session in force does not know that."""
        if item := self._function(call_id):
            if not item.told:
                yield realtime.function_call(item.id, item.name, item.call_id, item.text)
            item.told = True
            yield realtime.function_output(call_id, msgspec.json.decode(item.output))

    def retold(self, item_id: str) -> bool:
        """Whether the session in force knows this item as text. Such an item has no sound and cannot be truncated."""
        return item_id in self._retold

    def again(self, item_id: str) -> Iterator[bytes]:
        """The events that replace an item that was told as text and has been cut since."""
        yield realtime.delete_item(item_id)
        if item := self._find(item_id):
            earlier = self._items[:self._items.index(item)]
            item.id += AGAIN
            self._retold.add(item.id)
            after = next((each.id for each in reversed(earlier) if each.told), "root")
            yield realtime.assistant_text(item.text, item.id, after=after)

    def dump(self) -> str:
        """The newest items as JSON, for `load` in another stream of the same call."""
        return msgspec.json.encode(self._newest()).decode()

    @classmethod
    def load(cls, text: str) -> "History":
        """The history that `dump` wrote. Raises ValueError for any other text."""
        return cls(msgspec.json.decode(text, type=list[Item]))

    # ---- details

    def _append(self, item: Item) -> None:
        self._items.append(item)
        if len(self._items) > MOST_ITEMS:
            del self._items[0]

    def _find(self, item_id: str) -> Item | None:
        """Searches from the newest item: only the newest ones change."""
        return next((item for item in reversed(self._items) if item.id == item_id), None)

    def _function(self, call_id: str) -> Item | None:
        return next((item for item in reversed(self._items) if item.call_id == call_id and call_id), None)

    def _newest(self) -> list[Item]:
        characters, newest = 0, list[Item]()
        for item in reversed(self._items):
            characters += len(item.text) + len(item.output)
            if characters > MOST_CHARACTERS and newest:
                break
            newest.append(item)
        return newest[::-1]


def _events(item: Item) -> Iterator[bytes]:
    match item.role:
        case "caller" if item.text:
            yield realtime.user_text(item.text, item.id)
        case "assistant" if item.text:
            yield realtime.assistant_text(item.text, item.id)
        case "system":
            yield realtime.system_text(item.text, item.id)
        case "function" if item.complete:
            yield realtime.function_call(item.id, item.name, item.call_id, item.text)
            yield realtime.function_output(item.call_id, msgspec.json.decode(item.output))


def heard(words: str, heard_ms: float, all_ms: float | None) -> str:
    """The whole words that the first `heard_ms` of their sound contain.

    `all_ms`: how long all of the words sound (ms). None: not known, so the usual speed of speech counts.
    """
    length = int(heard_ms * SPEECH_RATE / 1000 if all_ms is None else len(words) * heard_ms / max(all_ms, 1))
    if length >= len(words):
        return words
    beginning = words[:length + 1]                   # with the space behind a word that ends here
    return beginning[:beginning.rfind(" ") + 1].rstrip()
