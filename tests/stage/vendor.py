"""What OpenAI's own package says about an event: a strict reading, in which nothing unknown may stand."""

from collections.abc import Iterator
from typing import Any

import pydantic
from openai.types.realtime import RealtimeClientEvent

_client_events: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RealtimeClientEvent)


def check_client_event(event: dict[str, Any]) -> None:
    """Fails unless the event is one that the vendor's types know, with no field besides."""
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
