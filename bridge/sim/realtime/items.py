"""The conversation as the server keeps it: its items in order, and how much audio each one has."""

import copy
from dataclasses import dataclass, field
from typing import Any

from bridge.sim.realtime.schema import Refused


@dataclass
class Item:
    """One item. `body` holds the fields of its type, as the vendor writes them."""

    id: str
    type: str
    body: dict[str, Any]
    status: str = "completed"
    #: The sound of a message, in the format that was in force.
    audio: bytearray = field(default_factory=bytearray)
    bytes_per_ms: int = 8
    #: The words of the audio. A truncation takes them out of the conversation, and they stay here.
    transcript: str = ""
    truncated_ms: int | None = None
    deleted: bool = False

    @property
    def role(self) -> str:
        """Of a message: system, user or assistant."""
        return str(self.body.get("role", ""))

    @property
    def audio_ms(self) -> int:
        """Whole milliseconds of audio."""
        return len(self.audio) // self.bytes_per_ms

    @property
    def remembered_ms(self) -> int:
        """How much of the audio the model believes was heard, in ms."""
        return self.audio_ms if self.truncated_ms is None else self.truncated_ms

    @property
    def texts(self) -> str:
        """All words that the model reads in it."""
        content = self.body.get("content", ())
        parts = [part.get("text") or part.get("transcript") or "" for part in content]
        return "".join([*parts, self.body.get("arguments", ""), self.body.get("output", "")])

    def wire(self) -> dict[str, Any]:
        """The item as events show it. It is a copy, because the item may change later."""
        return {"id": self.id, "object": "realtime.item", "type": self.type, "status": self.status,
                **copy.deepcopy(self.body)}


class Conversation:
    """The default conversation of a session."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}    # deleted ones too
        self.order: list[str] = []          # the ids of the items that are left

    @property
    def last(self) -> str | None:
        return self.order[-1] if self.order else None

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Put an item after another, by default the last, with `root` before all. Returns that other's id.

        Raises Refused.
        """
        if item.id in self.items:
            raise Refused("item_create_duplicate_item_id",
                          f"Error creating item: an item with id '{item.id}' already exists.", "item.id")
        previous = self.last if after is None else after
        if previous == "root":
            previous = None
        if previous is not None and previous not in self.order:
            raise Refused("invalid_value", f"Item '{previous}' does not exist.", "previous_item_id")
        self.items[item.id] = item
        self.order.insert(self.order.index(previous) + 1 if previous else 0, item.id)
        return previous

    def before(self, item_id: str) -> str | None:
        """The id of the item before this one, if both are there."""
        at = self.order.index(item_id) if item_id in self.order else 0
        return self.order[at - 1] if at else None

    def find(self, item_id: str, action: str) -> Item:
        """The item of this id.

        Raises:
            Refused: there is none, or it was deleted. The code names the action: item_truncate_invalid_item_id.
        """
        if item_id not in self.order:
            raise Refused(f"item_{action}_invalid_item_id",
                          f"Error with item {action}: item with id '{item_id}' not found.", "item_id")
        return self.items[item_id]

    def truncate(self, item_id: str, end_ms: int) -> Item:
        """Cut an assistant's audio to what was heard. Its words leave the conversation altogether."""
        item = self.find(item_id, "truncate")
        if item.role != "assistant" or not item.audio:
            raise Refused("unsupported_content_type", "Only model output audio messages can be truncated.", "item_id")
        if end_ms > item.remembered_ms or item.truncated_ms is not None:
            raise Refused("invalid_value", f"Audio content of {item.remembered_ms}ms is already shorter than "
                          f"{end_ms}ms", "audio_end_ms")
        item.truncated_ms = end_ms
        item.body["content"] = [{"type": "output_audio"}]
        return item

    def delete(self, item_id: str) -> None:
        self.find(item_id, "delete").deleted = True
        self.order.remove(item_id)

    def check_answer(self, call_id: str) -> None:
        """Raises Refused for the output of a function call that does not exist or has an output."""
        present = [self.items[item_id] for item_id in self.order]
        named = [item.type for item in present if item.body.get("call_id") == call_id]
        if "function_call" not in named:
            raise Refused("invalid_tool_call_id", f"Tool call ID '{call_id}' not found in conversation.",
                          "item.call_id", anonymous=True)
        if "function_call_output" in named:
            raise Refused("invalid_tool_call_id", f"Tool call ID '{call_id}' already has an output.",
                          "item.call_id", anonymous=True)

    def tokens(self) -> tuple[int, int]:
        """The (text, audio) tokens of all items. A caller's second is 10 tokens, a model's 20."""
        present = [self.items[item_id] for item_id in self.order]
        sound = sum(item.remembered_ms // (50 if item.role == "assistant" else 100) for item in present)
        return sum(len(item.texts) // 4 for item in present if not item.audio), sound
