"""The conversation of the simulated Realtime server: items that a client makes, such as a history replayed."""

import pytest

from bridge.sim.realtime import Turn
from tests.stage.realtime_client import Event, connected, line


async def test_items_are_placed_where_asked() -> None:
    async with connected() as client:
        for item_id, after in ("a", None), ("b", None), ("c", "a"), ("d", "root"):
            item = {"id": item_id, "type": "message", "role": "system", "content": [
                {"type": "input_text", "text": "Note."}]}
            await client.send("conversation.item.create", item=item, previous_item_id=after)
        before = [(await client.until("conversation.item.added"))["previous_item_id"] for _ in range(4)]
        assert before == [None, "a", "a", None]
        assert client.session.conversation.order == ["d", "a", "c", "b"]
        error = await client.refused("conversation.item.create", item=item)
        assert error["code"] == "item_create_duplicate_item_id"


def message(role: str, part: str, text: str = "Words.", **more: object) -> Event:
    return {"type": "message", "role": role, "content": [{"type": part, "text": text}], **more}


HISTORY: list[Event] = [
    message("system", "input_text", "The call goes on.", id="note"),
    message("user", "input_text", "Are you open?", id="u" * 32),
    {"type": "function_call", "id": "call", "call_id": "c" * 32, "name": "lookup", "arguments": "{}"},
    {"type": "function_call_output", "id": "output", "call_id": "c" * 32, "output": "yes"},
    message("assistant", "output_text", "We are.", id="answer"),
    {"type": "function_call", "id": "open", "call_id": "unanswered", "name": "lookup", "arguments": "{}"},
]


async def test_a_history_can_be_replayed() -> None:
    async with connected() as client:
        after = "root"
        for item in HISTORY:
            await client.send("conversation.item.create", item=item, previous_item_id=after)
            after = item["id"]
        replayed = [(await client.until("conversation.item.done"))["item"] for _ in HISTORY]
        assert [{**item, "object": None, "status": None} for item in replayed] == [
            {**item, "object": None, "status": None} for item in HISTORY]
        assert client.session.conversation.order == [item["id"] for item in HISTORY]
        assert client.session.errors == []


async def test_nothing_replayed_can_be_truncated() -> None:
    async with connected() as client:
        for item in HISTORY:
            await client.send("conversation.item.create", item=item)
            error = await client.refused(
                "conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=0)
            assert error["code"] == "unsupported_content_type"


@pytest.mark.parametrize("item, code, param", [
    (message("assistant", "text"), "invalid_value", "item.content[0].type"),
    (message("assistant", "input_text"), "invalid_value", "item.content[0].type"),
    (message("assistant", "output_audio"), "invalid_value", "item.content[0].type"),
    (message("user", "output_text"), "invalid_value", "item.content[0].type"),
    (message("system", "text"), "invalid_value", "item.content[0].type"),
    (message("developer", "input_text"), "invalid_value", "item.role"),
    (message("user", "input_text", id="u" * 33), "invalid_value", "item.id"),
    ({"type": "function_call", "call_id": "c" * 33, "name": "f", "arguments": "{}"}, "invalid_value", "item.call_id"),
    ({"type": "function_call", "call_id": "c", "name": "f"}, "missing_required_parameter", "item.arguments"),
    ({"type": "function_call_output", "call_id": "c" * 33, "output": "{}"}, "invalid_value", "item.call_id"),
    ({"type": "function_call_output", "call_id": "c", "output": "{}"}, "invalid_tool_call_id", "item.call_id"),
])
async def test_what_cannot_be_replayed_is_refused(item: Event, code: str, param: str) -> None:
    async with connected() as client:
        error = await client.refused("conversation.item.create", item=item)
        assert (error["code"], error["param"]) == (code, param)
        assert client.session.items == {}


async def test_an_item_without_audio_cannot_be_truncated() -> None:
    async with connected() as client:
        await client.send("conversation.item.create", item={
            "id": "told", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]})
        error = await client.refused("conversation.item.truncate", item_id="told", content_index=0, audio_end_ms=0)
        assert error["code"] == "unsupported_content_type"
        await client.send("conversation.item.delete", item_id="told")
        await client.until("conversation.item.deleted")
        assert client.session.items["told"].deleted
        error = await client.refused("conversation.item.truncate", item_id="told", content_index=0, audio_end_ms=0)
        assert error["code"] == "item_truncate_invalid_item_id"


async def test_what_was_read_before_is_cached_and_costs_less() -> None:
    async with connected(Turn((line("One, two, three, four."),)), Turn((line(ms=60000),)), speed=1) as client:
        await client.send("response.create")
        first = (await client.until("response.done"))["response"]["usage"]
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        second = (await client.until("response.done"))["response"]["usage"]
        read, again = first["input_token_details"], second["input_token_details"]
        assert read["cached_tokens"] == 0 < read["text_tokens"]
        assert again["audio_tokens"] == first["output_token_details"]["audio_tokens"] == 20
        assert again["cached_tokens_details"] == {"text_tokens": read["text_tokens"], "audio_tokens": 0,
                                                  "image_tokens": 0}
        assert again["cached_tokens"] == read["text_tokens"]
        assert 0 < second["output_token_details"]["audio_tokens"] < 60000 / 50
        await client.send("response.create", response={"instructions": "Say goodbye."})
        assert (await client.until("response.done"))["response"]["usage"]["input_token_details"]["cached_tokens"] == 0
