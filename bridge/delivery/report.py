"""The news that a call is over: its record, and what came of it.

Pure. The body is JSON with the five keys that every body has (name, email, datetime, description, phone_number), and
the call's record as lists and objects. It is written once, when the call has ended. All attempts send the same body.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, get_args

from bridge.meetings.event import moment, text
from bridge.meetings.meeting import Meeting
from bridge.records.call_record import By, CallRecord, Kind, Turn
from bridge.records.endings import Ending

KIND = "call.ended"
#: The longest body, bytes, of which so many are for the words that say that it is cut. Common proxies and servers take
#: a megabyte. An hour of talk has some hundred thousand.
MOST, MARGIN = 900_000, 200


def _count(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "description": description, "minimum": 0, **more}


def _ms(description: str) -> dict[str, Any]:
    return {"type": ["integer", "null"], "description": description + ", ms; null: there was none.", "minimum": 0}


_TURN: dict[str, dict[str, Any]] = {
    "at_ms": _count("When it began, ms since the call was opened."),
    "by": text("Who said or did it; server: what happened to the call.", enum=[*get_args(By)]),
    "kind": text("words and keys; filler: only bridges a wait; function: the assistant has called one; event: what "
                 "happened.", enum=[*get_args(Kind)]),
    "text": text("What was said, heard or not; the name of a function; what happened."),
    "heard": text("Of the assistant's words: those that the caller heard."),
    "unheard": text("Of the assistant's words: those that the caller did not hear."),
    "cut_at_ms": _ms("Of an utterance that was interrupted: how much of it was heard"),
    "first_sound_ms": _ms("From the end of the caller's words to the first sound of any kind"),
    "answer_ms": _ms("From the end of the caller's words to the first sound of the answer"),
    "silence_ms": _ms("The longest silence until the answer"),
    "data": {"type": "object", "description": "More of a function (arguments, answer, status, seconds) or an event."},
}

_MEETING: dict[str, dict[str, Any]] = {
    "id": text("The meeting's id."), "status": text("booked or cancelled."),
    "datetime": moment("When it begins."), "name": text("Whose name it is under."),
    "description": text("What it is about."),
}

_PROPERTIES: dict[str, dict[str, Any]] = {
    "type": text("What happened.", enum=[KIND]),
    "timestamp": moment("When it happened, UTC."),
    "id": text("The call's id: Twilio's.", minLength=1),
    "name": text('The name under which a meeting was made in the call; "" where none was.'),
    "email": text('The e-mail address of that meeting, or "".'),
    "phone_number": text('The caller\'s number, E.164; "" for a caller who hides it.'),
    "description": text("What the call was, in a sentence."),
    "datetime": moment("When the call began, with the offset of the business's time zone."),
    "call_sid": text("Twilio's id of the call."),
    "called": text("The number that was called."),
    "agent": text('Who answered, by name; "" where there is one assistant only.'),
    "answered_by": text("assistant, or fallback: the model could not be reached."),
    "test": {"type": "boolean", "description": "Whether it was a test call."},
    "started": moment("When the call began, UTC."),
    "ended": moment("When it ended, UTC."),
    "duration_seconds": {"type": "number", "description": "How long it took, seconds.", "minimum": 0},
    "ending": text("Why it ended.", enum=[each.value for each in Ending]),
    "in_order": {"type": "boolean", "description": "Whether nothing more is owed to the caller."},
    "turns": _count("How often the caller spoke or typed."),
    "interruptions": _count("How often the caller interrupted the assistant."),
    "sessions": _count("How many sessions of the model it took."),
    "first_audio_ms": _ms("From the beginning to the first sound"),
    "answer_p50_ms": _ms("The usual wait for an answer"),
    "answer_max_ms": _ms("The longest wait for an answer"),
    "silence_ms": _ms("The longest silence that the caller waited through"),
    "cost_usd": {"type": "number", "description": "What the model cost, US dollars.", "minimum": 0},
    "tokens": {"type": "object", "description": "The model's tokens by kind, such as \"input audio\".",
               "additionalProperties": {"type": "integer"}},
    "model": text("The model."),
    "voice": text("Its voice."),
    "transcript": {
        "type": "array", "description": "What was said and done, in the order of the conversation.",
        "items": {"type": "object", "properties": _TURN, "required": ["at_ms", "by", "kind", "text"]}},
    "meetings": {"type": "array", "description": "The meetings that were made or changed in the call, as they stand.",
                 "items": {"type": "object", "properties": _MEETING, "required": [*_MEETING]}},
    "summary": {"type": ["object", "null"], "description": "What the call was about; null: there is no summary."},
    "recording": text('Where the recording is; "": there is none.'),
}

#: The body's JSON Schema. Later versions may add keys, so a receiver should ignore what it does not know.
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A call that is over",
    "type": "object",
    "properties": _PROPERTIES,
    "required": [*_PROPERTIES],
}


def body(record: CallRecord, meetings: Sequence[Meeting], zone: tzinfo) -> str:
    """The JSON of the news of it. Of a transcript that is too long for it, the beginning."""
    told = {"type": KIND, "timestamp": _utc(record.call.ended_at or record.call.started_at),
            **as_told(record, meetings, zone)}
    text = json.dumps(told)
    if len(text) <= MOST:
        return text
    others = len(text) - len(json.dumps(told["transcript"]))
    return json.dumps(told | {"transcript": _beginning(told["transcript"], MOST - others - MARGIN)})


def _beginning(transcript: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """As many turns as `most` bytes hold, and one that says so."""
    kept, size = list[dict[str, Any]](), 0
    for turn in transcript:
        size += len(json.dumps(turn)) + len(", ")
        if size > most:
            return [*kept, {"at_ms": turn["at_ms"], "by": "server", "kind": "event",
                            "text": "the rest is too long for a report"}]
        kept.append(turn)
    return kept


def as_told(record: CallRecord, meetings: Sequence[Meeting], zone: tzinfo) -> dict[str, Any]:
    """A record as others read it: in reports, exports and the owner's pages."""
    call, latest = record.call, meetings[-1] if meetings else None
    ended_at = call.ended_at or call.started_at
    return {
        "id": call.call_sid,
        "name": latest.name if latest else "",
        "email": latest.email if latest else "",
        "phone_number": call.caller,
        "description": described(record, meetings),
        "datetime": datetime.fromtimestamp(call.started_at, zone).isoformat(timespec="seconds"),
        "call_sid": call.call_sid,
        "called": call.called,
        "agent": call.agent,
        "answered_by": call.answered_by,
        "test": call.test,
        "started": _utc(call.started_at),
        "ended": _utc(ended_at),
        "duration_seconds": round(call.seconds, 3),
        "ending": call.ending,
        "in_order": Ending.read(call.ending).in_order,
        "turns": call.turns,
        "interruptions": call.interruptions,
        "sessions": call.sessions,
        "first_audio_ms": call.first_audio_ms,
        "answer_p50_ms": call.answer_p50_ms,
        "answer_max_ms": call.answer_max_ms,
        "silence_ms": call.silence_ms,
        "cost_usd": round(call.usd, 6),
        "tokens": call.tokens,
        "model": call.model,
        "voice": call.voice,
        "transcript": [_turn(turn) for turn in record.turns],
        "meetings": [
            {"id": each.id, "status": each.status, "datetime": each.start.astimezone(each.zone).isoformat(),
             "name": each.name, "description": each.description} for each in meetings],
        "summary": json.loads(call.summary) if call.summary else None,
        "recording": call.recording,
    }


def described(record: CallRecord, meetings: Sequence[Meeting]) -> str:
    """What came of a call, in a sentence."""
    call = record.call
    seconds = round(call.seconds)
    came = ", ".join(f"a meeting {each.status} for {each.read_back}" for each in meetings)
    return f"A call of {seconds // 60}:{seconds % 60:02}, {call.ending or 'which goes on'}" + (
        f": {came}." if came else ".")


def _turn(turn: Turn) -> dict[str, Any]:
    told: dict[str, Any] = {"at_ms": turn.at_ms, "by": turn.by, "kind": turn.kind, "text": turn.text}
    if turn.heard is not None:
        told |= {"heard": turn.text[:turn.heard], "unheard": turn.text[turn.heard:].strip()}
    if turn.was_cut:
        told["cut_at_ms"] = turn.heard_ms
    if turn.answer_ms is not None:
        told |= {"first_sound_ms": turn.first_ms, "answer_ms": turn.answer_ms, "silence_ms": turn.silence_ms}
    return told | ({"data": turn.data} if turn.data else {})


def _utc(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
