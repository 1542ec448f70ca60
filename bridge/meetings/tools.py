"""The functions the model may call.

A model's arguments are not guaranteed by its schema, and may be what a caller dictated: they are read strictly and
tidied up before anything is done with them, and what is wrong with them goes back to the model as an answer it can
speak about.
"""

import logging
from collections.abc import Awaitable, Callable, Collection
from datetime import date, datetime, time
from time import monotonic
from typing import Annotated, Any, TypeVar

import msgspec
from email_validator import EmailNotValidError, validate_email

from bridge.meetings.booking import Booked, Booking, Diary, OnBehalfOf, Proposal
from bridge.meetings.declarations import CANCEL, CHECK, END_CALL, RESCHEDULE, SCHEDULE, transfer_call
from bridge.meetings.meeting import Meeting
from bridge.meetings.schedule import Refused
from bridge.meetings.tidy import one_line, several_lines, without_formula
from bridge.records.meetings import NotYours, StoreFailed
from bridge.yielding import yield_loop

log = logging.getLogger(__name__)

Output = dict[str, Any]
#: Is told of a function that has run: its name, what came of it in a word, and how long it took, seconds.
Observe = Callable[[str, str, float], None]

#: All arguments of a function together, characters: no reader should be given more.
MAX_ARGUMENTS = 16_000

_Name = Annotated[str, msgspec.Meta(pattern=r"\S", max_length=200)]
_Email = Annotated[str, msgspec.Meta(max_length=254)]
_Words = Annotated[str, msgspec.Meta(max_length=200)]
_Text = Annotated[str, msgspec.Meta(max_length=2000)]
_Id = Annotated[str, msgspec.Meta(max_length=64)]


class _Schedule(msgspec.Struct):
    name: _Name | None = None
    email: _Email | None = None
    datetime: _Words | None = None
    description: _Text = ""
    time_zone: _Id = ""
    confirmation_id: _Id = ""


class _Reschedule(msgspec.Struct):
    datetime: _Words | None = None
    meeting_id: _Id = ""
    time_zone: _Id = ""
    confirmation_id: _Id = ""


class _Cancel(msgspec.Struct):
    meeting_id: _Id = ""


class _Check(msgspec.Struct):
    earliest_day: _Id = ""


class Tools:
    """What the model may do; `diary` is None where no meetings are taken, `transfer_to` names whom a call can go to."""

    def __init__(
        self, diary: Diary | None, transfer_to: Collection[str] = (),
        observe: Observe = lambda name, status, seconds: None,
    ) -> None:
        self._diary, self._transfer_to, self._observe = diary, transfer_to, observe

    @property
    def takes_meetings(self) -> bool:
        return self._diary is not None

    @property
    def declarations(self) -> list[dict[str, Any]]:
        """The functions as session.update declares them."""
        meetings = [SCHEDULE, RESCHEDULE, CANCEL, CHECK] if self._diary else []
        return [*meetings, *([transfer_call(self._transfer_to)] if self._transfer_to else []), END_CALL]

    def for_call(self) -> "Functions":
        """The functions of one call: what was read back in it is known only there."""
        return Functions(self._diary, self._observe)


class Functions:
    """The functions of one call."""

    def __init__(self, diary: Diary | None, observe: Observe) -> None:
        self._observe = observe
        self._functions: dict[str, Callable[[str, OnBehalfOf], Awaitable[Output]]] = {}
        if diary:
            self._diary, self._booking = diary, Booking(diary)
            self._functions = {
                "schedule_meeting": self._schedule, "reschedule_meeting": self._reschedule,
                "cancel_meeting": self._cancel, "check_availability": self._check,
            }

    async def run(self, name: str, arguments: str, call: OnBehalfOf) -> Output:
        """A function's answer for the model; whatever goes wrong is an answer too."""
        function = self._functions.get(name)
        if function is None:
            return {"error": f"There is no function {name[:64]!r}."}
        began = monotonic()
        output = await self._answer(function, name, arguments, call)
        self._observe(name, output.get("status", "error" if "error" in output else "ok"), monotonic() - began)
        return output

    async def _answer(
        self, function: Callable[[str, OnBehalfOf], Awaitable[Output]], name: str, arguments: str, call: OnBehalfOf,
    ) -> Output:
        try:
            return await function(arguments, call)
        except Refused as refusal:
            how = {"next": refusal.how} if refusal.how else {}
            return {"status": "refused", "message": str(refusal), **how}
        except NotYours:
            return {"status": "refused", "message": "This caller has no such meeting."}
        except StoreFailed as failure:
            log.error("call %(call)s: %(function)s could not be written down: %(failure)s",
                      {"call": call.call_sid, "function": name, "failure": str(failure)})
            return {"status": "refused", "message": "Our books cannot be written at the moment, so nothing has been "
                    "booked or changed. Tell the caller so, and to try again later."}
        except Exception:
            log.exception("call %(call)s: function %(function)s failed", {"call": call.call_sid, "function": name})
            return {"error": "The function failed. Tell the caller that this cannot be done right now."}

    # ---- the functions, by their names

    async def _schedule(self, arguments: str, call: OnBehalfOf) -> Output:
        wanted = _read(arguments, _Schedule)
        agreed = self._booking.proposed(wanted.confirmation_id) if wanted.confirmation_id else None
        if agreed and not agreed.replaces and _same(wanted, agreed):
            return await self._commit(agreed, call)
        await yield_loop()
        name, email = _given(wanted.name, "name"), _usable(_given(wanted.email, "e-mail address"))
        words = _given(wanted.datetime, "date and time")
        meeting, own = await self._booking.understood(
            words, call, name=name, email=email, description=wanted.description, caller_zone=wanted.time_zone)
        if own:                                      # asked again, after an interruption or a reconnect
            return _told(await self._booking.known(own))
        return await self._propose(Proposal(meeting, call.turn, words), call, "schedule_meeting")

    async def _reschedule(self, arguments: str, call: OnBehalfOf) -> Output:
        wanted = _read(arguments, _Reschedule)
        agreed = self._booking.proposed(wanted.confirmation_id) if wanted.confirmation_id else None
        if agreed and agreed.replaces and wanted.datetime in (None, agreed.words):
            return await self._commit(agreed, call)
        own, words = await self._own(wanted.meeting_id, call), _given(wanted.datetime, "new date and time")
        meeting, _ = await self._booking.understood(
            words, call, name=own.name, email=own.email, description=own.description, caller_zone=wanted.time_zone,
            replaces=own)
        return await self._propose(Proposal(meeting, call.turn, words, replaces=own), call, "reschedule_meeting")

    async def _cancel(self, arguments: str, call: OnBehalfOf) -> Output:
        own = await self._own(_read(arguments, _Cancel).meeting_id, call)
        booked = await self._booking.cancel(own)
        log.info("call %(call)s: meeting %(meeting)s cancelled", {"call": call.call_sid, "meeting": own.id})
        return _told(booked)

    async def _check(self, arguments: str, call: OnBehalfOf) -> Output:
        offers, asked = await self._booking.free(self._earliest(_read(arguments, _Check).earliest_day))
        output: Output = {"free": [
            {"datetime": offer.isoformat(), "read_back": self._booking.said(offer)} for offer in offers]}
        if not asked:
            output["note"] = "The owner's calendar could not be asked: say that these times are likely, not certain."
        return output

    # ---- steps

    async def _propose(self, proposal: Proposal, call: OnBehalfOf, function: str) -> Output:
        if not self._diary.confirm:
            return await self._book(proposal, call)
        return {
            "confirmation_id": self._booking.propose(proposal),
            "read_back": proposal.meeting.read_back,
            "next": "Nothing is booked yet. Read the moment and the e-mail address back to the caller; once the "
                    f"caller has agreed, call {function} again with this confirmation_id.",
        }

    async def _commit(self, proposal: Proposal, call: OnBehalfOf) -> Output:
        if call.turn <= proposal.turn:
            raise Refused("The caller has not answered yet: read it back, wait for a yes, and then call again.")
        return await self._book(proposal, call)

    async def _book(self, proposal: Proposal, call: OnBehalfOf) -> Output:
        booked = await self._booking.book(proposal)
        log.info("call %(call)s: meeting %(meeting)s %(status)s",
                 {"call": call.call_sid, "meeting": booked.meeting.id, "status": booked.status})
        return _told(booked)

    async def _own(self, meeting_id: str, call: OnBehalfOf) -> Meeting:
        """The meeting of this caller that is meant. Raises Refused when that is not clear."""
        upcoming = await self._booking.upcoming(call)
        meant = [each for each in upcoming if each.id == meeting_id] if meeting_id else upcoming
        if not meant:
            raise Refused("This caller has no such meeting.")
        if len(meant) > 1:
            choices = "; ".join(f"{each.read_back} (meeting_id {each.id})" for each in meant)
            raise Refused(f"The caller has several meetings; ask which, and call again with its meeting_id: {choices}")
        return meant[0]

    def _earliest(self, day: str) -> datetime:
        zone = self._diary.rules.zone
        try:
            return datetime.combine(date.fromisoformat(day), time(), zone) if day else self._diary.now()
        except ValueError:
            raise Refused("earliest_day must be an ISO 8601 date, such as 2030-01-31.") from None


#: How an argument is tidied up, unless it is simply brought on one line.
_TIDY: dict[str, Callable[[str], str]] = {
    "name": lambda text: without_formula(one_line(text)),
    "description": lambda text: without_formula(several_lines(text)),
}
_Arguments = TypeVar("_Arguments", bound=msgspec.Struct)


def _read(arguments: str, kind: type[_Arguments]) -> _Arguments:
    """Every text in it is tidy. Raises Refused."""
    if len(arguments) > MAX_ARGUMENTS:
        raise Refused(f"The function's arguments are wrong: they are longer than {MAX_ARGUMENTS} characters.")
    try:
        read = msgspec.json.decode(arguments, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Refused(f"The function's arguments are wrong: {error}") from None
    texts = {name: value for name, value in msgspec.structs.asdict(read).items() if value is not None}
    return msgspec.structs.replace(read, **{name: _TIDY.get(name, one_line)(value) for name, value in texts.items()})


def _given(value: str | None, what: str) -> str:
    if not value:
        raise Refused(f"The {what} is missing: ask the caller for it.")
    return value


def _same(wanted: _Schedule, agreed: Proposal) -> bool:
    """Whether the model books what was read back, or something the caller has corrected since."""
    meeting = agreed.meeting
    return (
        wanted.datetime in (None, agreed.words, meeting.start.isoformat())
        and wanted.name in (None, meeting.name)
        and (wanted.email is None or _usable(wanted.email) == meeting.email)
    )


def _usable(email: str) -> str:
    """The address, normalised. Raises Refused."""
    if email != without_formula(email):
        raise Refused("The e-mail address begins with a sign. Ask the caller to spell it.")
    try:
        return validate_email(email.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise Refused(f"The e-mail address cannot be right: {error} Ask the caller to spell it.") from None


def _told(booked: Booked) -> Output:
    """What the model is told of a meeting: three honest sentences, and the receiver's own words."""
    meeting = booked.meeting
    done = "cancelled" if meeting.status == "cancelled" else "booked"
    sentence = {
        "confirmed": f"The meeting on {meeting.read_back} is {done}, and the business has confirmed it.",
        "recorded": f"The meeting on {meeting.read_back} is {done} in our books; the business has not answered yet, "
                    "and will be told. Say that it is noted down and still to be confirmed.",
        "refused": f"The business did not accept the meeting on {meeting.read_back}: it is not booked."
                   + (f" The caller's meeting stays on {booked.stays}." if booked.stays else ""),
    }[booked.status]
    output = {"status": booked.status, "meeting_id": meeting.id, "read_back": meeting.read_back, "message": sentence}
    return {**output, "message_from_the_business": booked.answer} if booked.answer else output
