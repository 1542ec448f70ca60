"""A meeting's news, as a receiver gets it: one flat JSON object.

Pure. The body is written once, with the news, and is the same for all attempts and all receivers. Its `id` is the
meeting's and stays over changes. The header `webhook-id` names the message, and stays over its attempts
(https://www.standardwebhooks.com).
"""

import json
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from bridge.meetings.calendar import ics
from bridge.meetings.meeting import Meeting, Status

#: The key that says that nobody wants to meet: `python -m bridge doctor --receiver` looks what is answered.
TEST = "test"

Kind = Literal["meeting.booked", "meeting.rescheduled", "meeting.updated", "meeting.cancelled"]


# ---- how a body's keys are described

def text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def moment(description: str) -> dict[str, Any]:
    return text(description, format="date-time", pattern=r"T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})$")


_PROPERTIES: dict[str, dict[str, Any]] = {
    "type": text(
        "What happened. Updated: another name, e-mail address, phone number or description.", enum=[*get_args(Kind)]),
    "timestamp": moment("When it happened, UTC."),
    "id": text("The meeting's id: the same over its changes and its cancellation.", minLength=1),
    "sequence": {
        "type": "integer", "description": "Which version of the meeting this is: 0 as it was booked.", "minimum": 0},
    "status": text("The meeting as it now stands.", enum=[*get_args(Status)]),
    "name": text("The caller's name.", minLength=1),
    "email": text('The caller\'s e-mail address. "" if there is none.', anyOf=[{"format": "email"}, {"const": ""}]),
    "phone_number": text(
        'The caller\'s number, E.164. If the caller hides it, a number that the caller said, or "".'),
    "number_hidden": {
        "type": "boolean", "description": "Whether the caller hid the number. phone_number is then not proved."},
    "description": text("What the meeting is about, in the caller's words."),
    "datetime": moment("When it begins, with the offset of time_zone. The same as start."),
    "start": moment("When it begins, with the offset of time_zone."),
    "end": moment("When it ends, with the offset of time_zone."),
    "time_zone": text("The business's time zone, a name of the IANA list.", minLength=1),
    "duration_minutes": {"type": "integer", "description": "How long it takes, in minutes.", "minimum": 1},
    "call_sid": text("Twilio's id of the call in which it was booked."),
    "read_back": text("How the time was read to the caller."),
    "ics": text("The meeting as an iCalendar file (RFC 5545).", pattern="^BEGIN:VCALENDAR\r\n"),
}

#: The body's JSON Schema. Later versions may add keys, so a receiver should ignore unknown ones.
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A meeting's news",
    "type": "object",
    "properties": _PROPERTIES | {
        TEST: {"const": True, "description": "A test of the owner's: nobody wants to meet. Else there is no key."}},
    "required": [*_PROPERTIES],
}


def body(meeting: Meeting, type: Kind, timestamp: datetime, organizer: str = "") -> str:
    """The JSON of one piece of news. `timestamp` is its moment, aware. `organizer` is an e-mail address or ""."""
    start = meeting.start.astimezone(meeting.zone)
    return json.dumps({
        "type": type,
        "timestamp": timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "id": meeting.id,
        "sequence": meeting.sequence,
        "status": meeting.status,
        "name": meeting.name,
        "email": meeting.email,
        "phone_number": meeting.phone_number,
        "number_hidden": meeting.number_hidden,
        "description": meeting.description,
        "datetime": start.isoformat(),
        "start": start.isoformat(),
        "end": meeting.end.isoformat(),
        "time_zone": meeting.zone.key,
        "duration_minutes": meeting.minutes,
        "call_sid": meeting.call_sid,
        "read_back": meeting.read_back,
        "ics": ics(meeting, organizer, timestamp),
    })


def as_told(body: str) -> dict[str, Any]:
    """The changeable fields of a meeting as an older `body` told them, to give the meeting back what it was."""
    news = json.loads(body)
    return {
        "start": datetime.fromisoformat(news["start"]), "minutes": news["duration_minutes"],
        **{name: news[name] for name in ("read_back", "name", "email", "phone_number", "description")},
    }
