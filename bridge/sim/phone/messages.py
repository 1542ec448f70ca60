"""The messages that a server may send over a stream: exactly the documented ones, and no others."""

import base64
import binascii
import json
from typing import Any


class Unusable(ValueError):
    """A message that Twilio ignores, with error 31951."""


_CONTENTS = {"media": "payload", "mark": "name", "clear": None}


def server_message(text: str, stream_sid: str) -> tuple[str, str]:
    """A server's message as (event, payload or name). Raises Unusable unless it is exactly as documented."""
    try:
        message = json.loads(text)
    except ValueError:
        raise Unusable("not JSON") from None
    event = message.get("event") if isinstance(message, dict) else None
    if not isinstance(event, str) or event not in _CONTENTS:
        raise Unusable(f"unknown event {event!r}")
    content = _CONTENTS[event]
    _require_keys(message, {"event", "streamSid"} | ({event} if content else set()))
    if message["streamSid"] != stream_sid:
        raise Unusable("not this stream's streamSid")
    if content is None:
        return event, ""
    _require_keys(message[event], {content})
    value = message[event][content]
    if not isinstance(value, str) or (event == "media" and not _is_base64(value)):
        raise Unusable(f"{event}.{content} is not a {'base64 ' * (event == 'media')}string")
    return event, value


def _require_keys(part: Any, names: set[str]) -> None:
    if not isinstance(part, dict):
        raise Unusable("not an object where one is expected")
    if missing := names - part.keys():
        raise Unusable(f"missing {', '.join(sorted(missing))}")
    if extra := part.keys() - names:
        raise Unusable(f"extra {', '.join(sorted(extra))}")


def _is_base64(payload: str) -> bool:
    try:
        base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
