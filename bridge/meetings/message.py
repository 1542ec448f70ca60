"""A message that a caller left because the assistant could not speak, and the news of it.

Pure. The body is flat JSON like a meeting's (event.py), with the five keys that both have: name, email, datetime,
description, phone_number. The caller's words are a recording at Twilio, and the body has its address.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bridge.meetings.event import moment, text

KIND = "message.recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `id` is Twilio's RecordingSid. `caller` is a number in E.164 or "". `recorded` is aware."""

    id: str
    caller: str
    call_sid: str
    recording_url: str
    seconds: int
    recorded: datetime


_PROPERTIES: dict[str, dict[str, Any]] = {
    "type": text("What happened.", enum=[KIND]),
    "timestamp": moment("When it happened, UTC."),
    "id": text("The message's id: Twilio's id of the recording.", minLength=1),
    "name": text('"": the caller is known by the number alone.'),
    "email": text('"": nobody asked for it.'),
    "phone_number": text('The caller\'s number, E.164. "" for a caller who hides it.'),
    "description": text("What this is, in a sentence."),
    "datetime": moment("When it was recorded, with the offset of the business's time zone."),
    "call_sid": text("Twilio's id of the call."),
    "recording_url": text(
        "Where the recording is: a WAV file, or with .mp3 appended an MP3 file. Twilio may ask for the account SID "
        "and the auth token.", format="uri"),
    "recording_sid": text("Twilio's id of the recording.", pattern="^RE[0-9a-f]{32}$"),
    "duration_seconds": {"type": "integer", "description": "How long it is, in seconds.", "minimum": 1},
}

#: The body's JSON Schema. Later versions may add keys, so a receiver should ignore unknown ones.
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A message that a caller left",
    "type": "object",
    "properties": _PROPERTIES,
    "required": [*_PROPERTIES],
}


def body(message: Message, zone: ZoneInfo) -> str:
    """The JSON of the news of a message. `zone` is the business's."""
    seconds = f"{message.seconds} second{'s' * (message.seconds != 1)}"
    return json.dumps({
        "type": KIND,
        "timestamp": message.recorded.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "id": message.id,
        "name": "",
        "email": "",
        "phone_number": message.caller,
        "description": f"A caller left a message of {seconds}, because the assistant could not speak.",
        "datetime": message.recorded.astimezone(zone).isoformat(),
        "call_sid": message.call_sid,
        "recording_url": message.recording_url,
        "recording_sid": message.id,
        "duration_seconds": message.seconds,
    })
