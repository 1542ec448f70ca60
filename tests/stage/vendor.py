"""Checks events by the types of OpenAI's own package. No unknown field may stand in them."""

from collections.abc import Iterator
from typing import Any

import pydantic
from openai.types.realtime import RealtimeClientEvent

_client_events: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RealtimeClientEvent)


def check_client_event(event: dict[str, Any]) -> None:
    """Fails unless the vendor's types know the event and all of its fields."""
    parsed = _client_events.validate_python(event)
    assert event.get("type") == parsed.type, event
    extra = list(extras(parsed))
    assert not extra, (event["type"], extra)


def extras(value: object) -> Iterator[str]:
    """The names of all fields that a parsed model does not know, at any depth."""
    if isinstance(value, pydantic.BaseModel):
        yield from value.model_extra or {}
        for name in type(value).model_fields:
            yield from extras(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            yield from extras(item)
