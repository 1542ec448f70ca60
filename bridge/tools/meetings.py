"""The functions about meetings.

A wrong argument goes back to the model as an answer that it can speak about. Changes that need the caller's yes are
proposed first. They are done when the model comes back with the proposal's id and the caller has spoken since.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from functools import partial
from typing import Any

from bridge.loop.yielding import yield_loop
from bridge.meetings import contact
from bridge.meetings.details import DETAILS, another_person, better_spelled, details_of, differing, with_details
from bridge.meetings.meeting import Meeting
from bridge.meetings.schedule import Refused, Rules, first_day
from bridge.meetings.spoken import date_of
from bridge.records.database import StoreFailed
from bridge.records.meetings import NotYours
from bridge.tools import answers, briefing, declarations
from bridge.tools.arguments import read
from bridge.tools.booking import LIKELY, AlreadyBooked, Booking, Diary
from bridge.tools.declarations import Terms
from bridge.tools.proposal import Kind, Proposal
from bridge.tools.tool import CallContext, Declaration, Kit, OnBehalfOf, Output, Tool

log = logging.getLogger(__name__)

_Function = Callable[[str, OnBehalfOf], Awaitable[Output]]

#: The note beside a time if the owner's calendar did not answer.
_NOT_CERTAIN = (
    "The owner's calendar could not be asked whether this time is free. Tell the caller that it is likely, not "
    "certain: the business will get in touch if it has to be changed.")

#: The most meetings of a caller that are told at once. Nobody could listen to more.
MOST_LISTED = 10


def meetings(diary: Diary) -> Kit:
    """The kit of functions that book, move, cancel and list meetings, and say which times are free."""
    return lambda: _Meetings(diary).tools()


class _Meetings:
    """The functions of one call, with its proposals."""

    def __init__(self, diary: Diary) -> None:
        self._diary, self._booking = diary, Booking(diary)

    def tools(self) -> list[Tool]:
        return [
            self._tool("schedule_meeting", declarations.schedule_meeting, self._certain(self._schedule), promises=True,
                       prompt=lambda context: briefing.booking(self._diary.rules, self._terms(context))),
            self._tool("reschedule_meeting", declarations.reschedule_meeting, self._certain(self._reschedule),
                       promises=True),
            self._tool("cancel_meeting", declarations.cancel_meeting, self._cancel, promises=True),
            self._tool("list_meetings", declarations.list_meetings, self._list),
            self._tool("check_availability", declarations.check_availability, self._check),
        ]

    def _tool(
        self, name: str, declared: Callable[[Terms], Declaration], function: _Function, *, promises: bool = False,
        prompt: Callable[[CallContext], str] = lambda context: "",
    ) -> Tool:
        return Tool(name=name, declare=lambda context: declared(self._terms(context)), prompt=prompt,
                    run=partial(_answered, name, function), promises=promises)

    def _terms(self, context: CallContext) -> Terms:
        return Terms(self._diary.confirm, self._diary.email_required, context.number_hidden)

    def _certain(self, function: _Function) -> _Function:
        """The function, with a note in its answer if the owner's calendar did not answer for the time."""
        async def run(arguments: str, call: OnBehalfOf) -> Output:
            output = await function(arguments, call)
            answer = output.answer
            if answer.get("status") == "refused" or answer.get("read_back") not in self._booking.unchecked:
                return output
            return replace(output, answer={**answer, "note": _NOT_CERTAIN})
        return run

    # ---- the functions, by their names

    async def _schedule(self, arguments: str, call: OnBehalfOf) -> Output:
        wanted = read(arguments)
        agreed = self._proposed(wanted, "book", "correct")
        await yield_loop()
        given = _details(wanted, call)
        if agreed is None:
            return await self._ask(wanted, given, call)
        named = self._named(agreed, wanted)
        if agreed.done:
            return await self._asked_again(await self._booking.found(agreed.done), given, named, call)
        if not named:                                # another moment, with the same details
            said = details_of(agreed.meeting) if agreed.kind == "book" else {}
            return await self._ask(_moment(agreed) | wanted, said | given, call)
        _require_answer(agreed, call)
        new = differing(agreed.meeting, given)
        meant = with_details(agreed.meeting, new | better_spelled(agreed.meeting, given))
        if agreed.kind == "correct":
            own = await self._booking.found(meant.id)
            return await self._correct(own, differing(own, details_of(meant)), call, agreed)
        return await self._book(replace(agreed, meeting=meant), call, new)

    async def _reschedule(self, arguments: str, call: OnBehalfOf) -> Output:
        wanted = read(arguments)
        agreed = self._proposed(wanted, "move")
        if agreed and self._named(agreed, wanted):
            if agreed.done:
                return answers.booked(await self._booking.known(await self._booking.found(agreed.done)))
            _require_answer(agreed, call)
            return await self._book(agreed, call)
        wanted = {"meeting_id": agreed.meeting.id} | _moment(agreed) | wanted if agreed else wanted
        own, words = await self._own(wanted, call), _given(wanted, "datetime", "new date and time")
        zone = wanted.get("time_zone", "")
        try:
            meeting = await self._booking.understood(words, call, {}, caller_zone=zone, moving=own)
        except AlreadyBooked as there:               # the meeting is at that time already
            return answers.booked(await self._booking.known(there.meeting))
        return await self._propose(Proposal("move", meeting, call.turn, words, zone), call)

    async def _cancel(self, arguments: str, call: OnBehalfOf) -> Output:
        wanted = read(arguments)
        agreed = self._proposed(wanted, "cancel")
        if agreed and wanted.get("meeting_id", agreed.meeting.id) == agreed.meeting.id:
            _require_answer(agreed, call)
            return await self._cancelled(agreed.meeting, call)
        return await self._propose(Proposal("cancel", await self._own(wanted, call), call.turn), call)

    async def _list(self, arguments: str, call: OnBehalfOf) -> Output:
        read(arguments)
        upcoming = await self._booking.upcoming(call)
        return answers.listed(
            [await self._booking.standing(each) for each in upcoming[:MOST_LISTED]], len(upcoming),
            number_hidden=not call.phone_number)

    async def _check(self, arguments: str, call: OnBehalfOf) -> Output:
        offers, asked = await self._booking.free(self._earliest(read(arguments).get("earliest_day", "")))
        answer: dict[str, Any] = {"free": [
            {"datetime": offer.isoformat(), "read_back": self._booking.said(offer)} for offer in offers]}
        if not asked:
            answer["note"] = LIKELY
        return Output(answer)

    # ---- steps

    async def _ask(self, wanted: Mapping[str, str], given: Mapping[str, str], call: OnBehalfOf) -> Output:
        """Answers a wish for a moment: with the caller's own meeting at it, or with a proposal."""
        zone = wanted.get("time_zone", "")
        if "datetime" not in wanted:
            self._require(given, call)
        words = _given(wanted, "datetime", "date and time")
        try:
            meeting = await self._booking.understood(words, call, given, caller_zone=zone)
        except AlreadyBooked as there:
            return await self._again(there.meeting, given, call)
        self._require(given, call)
        return await self._propose(Proposal("book", meeting, call.turn, words, zone), call)

    async def _again(self, own: Meeting, given: Mapping[str, str], call: OnBehalfOf) -> Output:
        """Answers a wish for the caller's own meeting: after an interruption or a reconnect, or with other details."""
        new = differing(own, given)
        if "name" in new and (self._diary.confirm or another_person(own, given)):
            question = Proposal("correct", with_details(own, new), call.turn, own.start.isoformat())
            confirmation_id = self._booking.proposals.remember(question)
            return answers.somebody_else(own, new["name"], await self._booking.instead(own), confirmation_id)
        return await self._correct(own, new, call)

    async def _asked_again(self, own: Meeting, given: Mapping[str, str], named: bool, call: OnBehalfOf) -> Output:
        """Answers the id of a proposal that is done. Only details that differ now are new."""
        if own.status == "cancelled":
            raise Refused("That meeting has been cancelled since. If the caller wants it anew, call the function "
                          "without confirmation_id.")
        if not named:
            raise Refused(f"That meeting is booked, on {own.read_back}. To move it, call reschedule_meeting; for a "
                          "second meeting, call schedule_meeting without confirmation_id.")
        return await self._correct(own, differing(own, given), call)

    async def _propose(self, proposal: Proposal, call: OnBehalfOf) -> Output:
        if self._diary.confirm:
            return answers.proposed(proposal, self._booking.proposals.remember(proposal))
        if proposal.kind == "cancel":
            return await self._cancelled(proposal.meeting, call)
        return await self._book(proposal, call)

    async def _book(self, proposal: Proposal, call: OnBehalfOf, new: Mapping[str, str] | None = None) -> Output:
        """`new`: details that the caller said with the yes. They are told back."""
        try:
            booked = await self._booking.book(proposal)
        except AlreadyBooked as there:               # another call took it, or this one booked twice
            return await self._again(there.meeting, details_of(proposal.meeting), call)
        log.info("call %(call)s: meeting %(meeting)s %(status)s",
                 {"call": call.call_sid, "meeting": booked.meeting.id, "status": booked.status})
        return answers.booked(booked, new)

    async def _correct(
        self, own: Meeting, new: Mapping[str, str], call: OnBehalfOf, agreed: Proposal | None = None,
    ) -> Output:
        if not new:
            return answers.booked(await self._booking.known(own))
        corrected = await self._booking.correct(own, new)
        if agreed and corrected.status != "refused":
            self._booking.proposals.done(agreed, own.id)
        log.info("call %(call)s: meeting %(meeting)s changed, %(status)s",
                 {"call": call.call_sid, "meeting": own.id, "status": corrected.status})
        return answers.corrected(corrected, new)

    async def _cancelled(self, own: Meeting, call: OnBehalfOf) -> Output:
        booked = await self._booking.cancel(own)
        log.info("call %(call)s: meeting %(meeting)s cancelled", {"call": call.call_sid, "meeting": own.id})
        return answers.booked(booked)

    def _require(self, given: Mapping[str, str], call: OnBehalfOf) -> None:
        """Raises Refused if a detail is missing that a meeting needs."""
        _given(given, "name", "name")
        contact.require(given.get("email", ""), call.phone_number or given.get("phone_number", ""),
                        email_required=self._diary.email_required)

    def _proposed(self, wanted: Mapping[str, str], *kinds: Kind) -> Proposal | None:
        return self._booking.proposals.find(wanted.get("confirmation_id", ""), *kinds)

    def _named(self, agreed: Proposal, wanted: Mapping[str, str]) -> bool:
        """Whether the moment that was read back is still meant."""
        return agreed.names(wanted.get("datetime", ""), wanted.get("time_zone", ""), self._diary.now())

    async def _own(self, wanted: Mapping[str, str], call: OnBehalfOf) -> Meeting:
        """The caller's meeting that is meant. Raises Refused if there is none or that is not clear."""
        upcoming, meeting_id = await self._booking.upcoming(call), wanted.get("meeting_id")
        meant = [each for each in upcoming if each.id == meeting_id] if meeting_id else upcoming
        if not meant:
            raise Refused("This caller has no such meeting.")
        if len(meant) > 1:
            choices = "; ".join(f"{each.read_back} (meeting_id {each.id})" for each in meant)
            raise Refused(f"The caller has several meetings; ask which, and call again with its meeting_id: {choices}")
        return meant[0]

    def _earliest(self, day: str) -> datetime:
        """The beginning of the first day for which free times are wanted. Raises Refused."""
        rules, now = self._diary.rules, self._diary.now()
        if not day:
            return now
        last = (now + rules.maximum_notice).astimezone(rules.zone)
        first = _day(day, rules, now)
        if first > last.date():
            raise Refused(f"That day is too far away: the last one that can be booked is {date_of(last)} {last.year}. "
                          "Which earlier day?")
        return datetime.combine(max(first, now.astimezone(rules.zone).date()), time(), rules.zone)


async def _answered(name: str, function: _Function, arguments: str, call: OnBehalfOf) -> Output:
    """Runs a function. What it refuses, and a failing database, become answers."""
    try:
        return await function(arguments, call)
    except Refused as refusal:
        return _refused(str(refusal), **({"next": refusal.how} if refusal.how else {}))
    except NotYours:
        return _refused("This caller has no such meeting.")
    except StoreFailed as failure:
        log.error("call %(call)s: %(function)s could not be written down: %(failure)s",
                  {"call": call.call_sid, "function": name, "failure": str(failure)})
        return _refused("Our books cannot be written at the moment, so nothing has been booked or changed. Tell the "
                        "caller so, and to try again later.")


def _refused(message: str, **more: str) -> Output:
    return Output({"status": "refused", "message": message, **more})


def _day(text: str, rules: Rules, now: datetime) -> date:
    """The date of a text, in ISO 8601 or in words. Raises Refused."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return first_day(text, rules, now)
    except Refused:
        raise Refused("I did not understand the earliest day: give an ISO 8601 date, such as 2030-01-31.") from None


def _details(wanted: Mapping[str, str], call: OnBehalfOf) -> dict[str, str]:
    """The given details. Raises Refused for an e-mail address or a phone number that cannot be right.

    The number of the call goes before any number that is said. A number that is said is not proved, and opens nobody's
    meetings.
    """
    given = {name: wanted[name] for name in DETAILS if name in wanted}
    given["email"] = contact.email_address(given.get("email", ""))
    given["phone_number"] = "" if call.phone_number else contact.e164(given.get("phone_number", ""))
    return {name: said for name, said in given.items() if said}


def _given(values: Mapping[str, str], name: str, what: str) -> str:
    if not values.get(name):
        raise Refused(f"The {what} is missing: ask the caller for it.")
    return values[name]


def _moment(agreed: Proposal) -> dict[str, str]:
    """The arguments of the moment that was read back. The model may then change the zone alone."""
    return {"datetime": agreed.words, "time_zone": agreed.caller_zone}


def _require_answer(agreed: Proposal, call: OnBehalfOf) -> None:
    """Raises Refused until the caller has spoken since it was read back."""
    if call.turn <= agreed.turn:
        raise Refused("The caller has not answered yet: read it back, wait for a yes, and then call again.")
