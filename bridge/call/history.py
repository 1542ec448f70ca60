"""What was said in a call, as it was heard: what a new session of the model must know to go on.

Pure. Items stand in the conversation's order, under the ids that the server gave them.

1. The caller's words are those that the model wrote down; they come late, long after their item.
2. The assistant's words run ahead of its voice. Of an item that was cut, or whose connection broke, only the words
   that were heard count: in proportion to the sound when the item is complete, else by the usual speed of speech.
3. A function call is told together with its output. One that still runs is told when it has returned.
4. The newest items are told, the oldest left out: all of it is input again, at the price of text.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from bridge.openai_side import realtime

#: As much as is kept, and as much as is told again: items, characters.
MOST_ITEMS = 200
MOST_CHARACTERS = 24_000
#: As many items are waited for until they were heard. One whose end was lost is never known to be.
MOST_UNHEARD = 16
#: How fast the voices speak, characters a second; a little less than they do, for what was not heard must not count.
SPEECH_RATE = 14
#: What an item's id gets when the item is told anew; ids have 32 characters at most.
AGAIN = "_2"


Role = Literal["caller", "assistant", "system", "function"]


class Item(msgspec.Struct):
    """A message, or a function call with its output."""

    id: str
    role: Role
    text: str = ""               # of a function: its arguments
    sound_ms: float = 0.0        # of the assistant: how much of its voice was sent
    complete: bool = False       # nothing more comes: neither words nor sound nor output
    told: bool = True            # the session in force knows it
    name: str = ""
    call_id: str = ""
    output: str = ""


class History:
    """One call's conversation; `items` are those of an earlier stream of the same call."""

    def __init__(self, items: list[Item] | None = None) -> None:
        self._items: list[Item] = items or []
        self._retold: set[str] = set()       # the assistant's, told as text to the session in force
        self.unheard: list[Item] = []        # the assistant's that the caller has not heard to their end, or cut

    # ---- what happens

    def added(self, item: realtime.Item) -> None:
        """The server has a new item; those that we told it are known already."""
        if item.type == "message" and item.role in ("user", "assistant") and self._find(item.id) is None:
            self._append(new := Item(item.id, "caller" if item.role == "user" else "assistant"))
            if new.role == "assistant":
                self.unheard = [*self.unheard[-MOST_UNHEARD:], new]

    def transcribed(self, item_id: str, words: str) -> None:
        """The caller's words, late."""
        if item := self._find(item_id):
            item.text, item.complete = words.strip(), True

    def said(self, item_id: str, words: str) -> None:
        """Some more words of the assistant's, ahead of their sound."""
        if item := self._find(item_id):
            item.text += words

    def sounded(self, item_id: str, ms: float) -> None:
        """Some more of the assistant's voice was sent to the caller."""
        if item := self._find(item_id):
            item.sound_ms += ms

    def completed(self, item_id: str) -> None:
        """The assistant has said all of an item."""
        if item := self._find(item_id):
            item.complete = True

    def noted(self, item_id: str, text: str, role: Role = "caller") -> None:
        """Something that happened and was told in words."""
        self._append(Item(item_id, role, text, complete=True))

    def called(self, item: realtime.Item) -> None:
        """The model called a function."""
        self._append(Item(item.id, "function", item.arguments, name=item.name, call_id=item.call_id))

    def returned(self, call_id: str, output: dict[str, Any]) -> None:
        """A function has answered."""
        if item := self._function(call_id):
            item.output, item.complete = msgspec.json.encode(output).decode(), True

    def cut(self, item_id: str, heard_ms: int) -> None:
        """The caller has heard so much of an item of the assistant's, and will hear no more of it."""
        if item := self._find(item_id):
            item.text = heard(item.text, heard_ms, item.sound_ms if item.complete else None)
            item.sound_ms, item.complete = heard_ms, True
            if not item.text:
                self._items.remove(item)

    def lost(self) -> None:
        """The session is gone, and what it had not said to its end ends with what was sent of it."""
        for item in [*self._items]:
            if item.role == "assistant" and not item.complete:
                self.cut(item.id, int(item.sound_ms))

    def heard(self) -> list[str]:
        """The assistant's words that the caller has heard since this was asked; to be asked in silence only."""
        done = [item for item in self.unheard if item.complete and item.sound_ms]
        self.unheard = [item for item in self.unheard if not item.complete]
        return [item.text.strip() for item in done if item.text.strip()]

    # ---- what a new session is told

    @property
    def empty(self) -> bool:
        return not self._items

    @property
    def inaudible(self) -> bool:
        """Whether it ends with something the caller said that nobody wrote down."""
        return bool(self._items) and self._items[-1].role == "caller" and not self._items[-1].text

    def replay(self) -> Iterator[bytes]:
        """The events that tell all of it."""
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
        """The events that tell a function's output, and its call where the session in force does not know it."""
        if item := self._function(call_id):
            if not item.told:
                yield realtime.function_call(item.id, item.name, item.call_id, item.text)
            item.told = True
            yield realtime.function_output(call_id, msgspec.json.decode(item.output))

    def retold(self, item_id: str) -> bool:
        """Whether the session in force knows this item as text: without sound, it cannot be truncated."""
        return item_id in self._retold

    def again(self, item_id: str) -> Iterator[bytes]:
        """The events that tell an item anew that was told as text before it was cut."""
        yield realtime.delete_item(item_id)
        if item := self._find(item_id):
            earlier = self._items[:self._items.index(item)]
            item.id += AGAIN
            self._retold.add(item.id)
            after = next((each.id for each in reversed(earlier) if each.told), "root")
            yield realtime.assistant_text(item.text, item.id, after=after)

    def dump(self) -> str:
        """As JSON, for another stream of the same call."""
        return msgspec.json.encode(self._newest()).decode()

    @classmethod
    def load(cls, text: str) -> "History":
        """Raises ValueError for a text that is none of `dump`."""
        return cls(msgspec.json.decode(text, type=list[Item]))

    # ---- details

    def _append(self, item: Item) -> None:
        self._items.append(item)
        if len(self._items) > MOST_ITEMS:
            del self._items[0]

    def _find(self, item_id: str) -> Item | None:
        """Only the newest items change."""
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
    """Those of the words that `heard_ms` of their sound hold, whole ones only.

    `all_ms`: how long all of them sound; None when that is not known.
    """
    length = int(heard_ms * SPEECH_RATE / 1000 if all_ms is None else len(words) * heard_ms / max(all_ms, 1))
    if length >= len(words):
        return words
    beginning = words[:length + 1]                   # with the space behind a word that ends here
    return beginning[:beginning.rfind(" ") + 1].rstrip()
