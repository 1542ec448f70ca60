"""The functions as they are declared to the model, in the Realtime API's flat shape."""

from collections.abc import Collection
from typing import Any


def _function(name: str, description: str, required: list[str], /, **properties: str) -> dict[str, Any]:
    """A function whose arguments are all text; `properties` are their names and meanings."""
    return {
        "type": "function",
        "name": name,
        "description": description,
        "parameters": {
            "type": "object",
            "properties": {each: {"type": "string", "description": meaning} for each, meaning in properties.items()},
            "required": required,
            "additionalProperties": False,
        },
    }


_DATETIME = (
    "When it begins, in the caller's words in English, such as 'next Tuesday at half past ten in the morning', "
    "or as an ISO 8601 local date and time. Do not work dates out yourself.")
_TIME_ZONE = "The caller's IANA time zone, such as America/New_York, only if the caller named another zone."
_CONFIRMATION = "The id that the first call returned, once the caller has agreed to what you read back."
_MEETING = "Which meeting, if the caller has several."

SCHEDULE = _function(
    "schedule_meeting",
    "Books a meeting, in two steps: the first call answers with what to read back and a confirmation_id; when the "
    "caller has agreed, call it again with that id. To correct the name, e-mail address or description of a meeting "
    "that is booked, call it again for the same moment with what is right.",
    ["name", "email", "datetime"],
    name="The caller's full name.", email="The caller's e-mail address, such as ada@example.com.", datetime=_DATETIME,
    description="All that the caller said of what the meeting is about, in a sentence or two.", time_zone=_TIME_ZONE,
    confirmation_id=_CONFIRMATION)

RESCHEDULE = _function(
    "reschedule_meeting", "Moves a meeting of this caller, in the same two steps as schedule_meeting.", ["datetime"],
    datetime=_DATETIME, meeting_id=_MEETING, time_zone=_TIME_ZONE, confirmation_id=_CONFIRMATION)

CANCEL = _function(
    "cancel_meeting", "Cancels a meeting of this caller, in the same two steps as schedule_meeting.", [],
    meeting_id=_MEETING, confirmation_id=_CONFIRMATION)

CHECK = _function(
    "check_availability", "Up to three free times, for a caller who does not know when to come.", [],
    earliest_day="Not before this day: the caller's words, or an ISO 8601 date. Leave it out for as soon as possible.")

END_CALL = _function(
    "end_call", "Ends the call, once your goodbye was heard. Say goodbye first.", ["reason"],
    reason="Why the call is over, in a few words.")


def transfer_call(names: Collection[str]) -> dict[str, Any]:
    """Puts the caller through to one of these; which one is asked only where there are several."""
    choice = {"to": "Whom the caller is to speak with."} if len(names) > 1 else {}
    declared = _function(
        "transfer_call",
        "Puts the caller through to a person, for a caller who asks for one or whom you cannot help. Say first that "
        "you do so. If nobody answers, the caller comes back to you.",
        [*choice, "reason"], **choice, reason="What the caller wants, in a few words.")
    if choice:
        declared["parameters"]["properties"]["to"]["enum"] = [*names]
    return declared
