"""The functions the model may call.

A model's arguments are not guaranteed by its schema: they are read strictly, and what is wrong with them goes back
to the model as an answer it can speak about.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from email_validator import EmailNotValidError, validate_email

from bridge.meetings.schedule import Refused, instant
from bridge.meetings.webhook import Meeting, NotDelivered

log = logging.getLogger(__name__)

Output = dict[str, Any]
#: Hands a meeting over; returning means that it was taken. Raises NotDelivered.
Deliver = Callable[[Meeting], Awaitable[None]]

SCHEDULE_MEETING = {
    "type": "function",
    "name": "schedule_meeting",
    "description": "Books a meeting with the business, after the caller agreed to all of it.",
    "parameters": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "The caller's full name."},
            "email": {"type": "string", "description": "The caller's e-mail address, such as ada@example.com."},
            "datetime": {
                "type": "string",
                "description": "When it begins: ISO 8601 date and time in the business's local time, without an "
                               "offset, or with one if the caller named another time zone.",
            },
            "description": {"type": "string", "description": "What the meeting is about, in a sentence."},
        },
        "required": ["name", "email", "datetime", "description"],
        "additionalProperties": False,
    },
}

END_CALL = {
    "type": "function",
    "name": "end_call",
    "description": "Ends the call, once your goodbye was heard. Say goodbye first.",
    "parameters": {
        "type": "object",
        "properties": {"reason": {"type": "string", "description": "Why the call is over, in a few words."}},
        "required": ["reason"],
        "additionalProperties": False,
    },
}


class _Wanted(msgspec.Struct):
    """The arguments of schedule_meeting."""

    name: Annotated[str, msgspec.Meta(pattern=r"\S", max_length=200)]
    email: Annotated[str, msgspec.Meta(max_length=254)]
    datetime: Annotated[str, msgspec.Meta(max_length=64)]
    description: Annotated[str, msgspec.Meta(max_length=2000)] = ""


@dataclass(frozen=True, slots=True)
class OnBehalfOf:
    """The call a function is run for; `phone_number` is "" for a caller who hides it."""

    call_sid: str
    phone_number: str


class Tools:
    """What the model may do in a call; `deliver` is None where no meetings are taken."""

    def __init__(self, zone: ZoneInfo, deliver: Deliver | None) -> None:
        self._zone, self._deliver = zone, deliver

    @property
    def takes_meetings(self) -> bool:
        return self._deliver is not None

    @property
    def declarations(self) -> list[dict[str, Any]]:
        """The functions as session.update declares them."""
        return [SCHEDULE_MEETING, END_CALL] if self.takes_meetings else [END_CALL]

    async def run(self, name: str, arguments: str, call: OnBehalfOf) -> Output:
        """A function's answer for the model; whatever goes wrong is an answer too."""
        try:
            if name == "schedule_meeting" and self._deliver:
                return await self._schedule_meeting(arguments, call, self._deliver)
        except Exception:
            log.exception("call %(call)s: function %(function)s failed", {"call": call.call_sid, "function": name})
            return {"error": "The function failed. Tell the caller that this cannot be done right now."}
        return {"error": f"There is no function {name[:64]!r}."}

    async def _schedule_meeting(self, arguments: str, call: OnBehalfOf, deliver: Deliver) -> Output:
        try:
            meeting = self._meeting(arguments, call)
        except Refused as refusal:
            return {"status": "refused", "message": str(refusal)}
        try:
            await deliver(meeting)
        except NotDelivered as failure:
            log.error("call %(call)s: meeting %(meeting)s was NOT booked: %(failure)s",
                      {"call": call.call_sid, "meeting": meeting.id, "failure": str(failure)})
            return {"status": "refused", "message": "The meeting could not be booked because our calendar did not "
                    "take it. Tell the caller that it is not booked, and to try again later."}
        log.info("call %(call)s: meeting %(meeting)s booked", {"call": call.call_sid, "meeting": meeting.id})
        return {"status": "confirmed", "message": f"The meeting is booked for {read_back(meeting.start)}."}

    def _meeting(self, arguments: str, call: OnBehalfOf) -> Meeting:
        """Raises Refused."""
        try:
            wanted = msgspec.json.decode(arguments, type=_Wanted)
        except msgspec.DecodeError as error:
            raise Refused(f"The function's arguments are wrong: {error}") from None
        return Meeting(
            id=str(uuid.uuid4()), name=wanted.name, email=_usable(wanted.email),
            start=instant(wanted.datetime, self._zone, datetime.now(self._zone)), description=wanted.description,
            phone_number=call.phone_number, call_sid=call.call_sid,
        )


def _usable(email: str) -> str:
    """The address, normalised. Raises Refused."""
    try:
        return validate_email(email.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise Refused(f"The e-mail address cannot be right: {error} Ask the caller to spell it.") from None


def read_back(moment: datetime) -> str:
    """A moment as one says it, such as "Thursday, 26 November 2026 at 10:00, Asia/Dhaka time"."""
    return f"{moment:%A}, {moment.day} {moment:%B %Y} at {moment:%H:%M}, {moment.tzinfo} time"
