"""The meetings of one call: proposed, read back, agreed, and only then booked.

1. Code makes an instant of the caller's words (schedule.py), and the model reads it back.
2. The meeting is booked when the caller has spoken since, and the model comes back with the confirmation's id.
3. The meeting and its deliveries are on disk before the model is told anything. They cannot be lost any more.
4. The caller hears the truth. `confirmed`: the receiver has taken it. `recorded`: the receiver will be told. `refused`:
   the receiver does not want it. With several receivers the first one decides.
5. A promise to a caller is not taken back without the caller's knowledge. If a refusal comes too late for the caller to
   hear, the delivery becomes a dead letter. The owner acts on it: it may be a slip that can be mended and sent again.
   The books keep the meeting until the caller asks again and hears the no. Then it is undone.
"""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bridge.calendars.busy import Interval, overlaps, without
from bridge.calendars.busy_url import Availability, NotAsked
from bridge.delivery.news import of_meeting
from bridge.delivery.outbox import LEASE_S, Outbox
from bridge.loop.yielding import yield_loop
from bridge.meetings.event import Kind, as_told
from bridge.meetings.meeting import Meeting
from bridge.meetings.schedule import Refused, Rules, free_starts, read_back, resolve
from bridge.records.database import StoreFailed
from bridge.records.deliveries import Delivery, DeliveryQueue
from bridge.records.meetings import Deliveries, Meetings, NotYours, Overtaken, SlotTaken
from bridge.tools.proposal import Proposal, Proposals, names
from bridge.tools.tool import OnBehalfOf

log = logging.getLogger(__name__)

#: How long a caller waits for the receiver's answer, in seconds.
ANSWER_S = 3.0
#: How far ahead free times are looked for, and how many are offered.
LOOK_AHEAD = timedelta(days=14)
OFFERED = 3
#: The note beside free times if only our own books are known.
LIKELY = "The owner's calendar could not be asked: say that these times are likely, not certain."


@dataclass(frozen=True, slots=True, kw_only=True)
class Diary:
    """What bookings need of the application, once for all calls. `receivers` are the addresses of WEBHOOK_URL."""

    meetings: Meetings
    queue: DeliveryQueue
    outbox: Outbox
    receivers: Sequence[str]
    rules: Rules
    organizer: str = ""
    confirm: bool = True
    email_required: bool = False
    availability: Availability | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of a meeting. `status` is confirmed, recorded or refused. `answer` is the receiver's own words.

    `stays`: the time at which a refused change leaves the meeting, as it is read to the caller, or "".
    """

    meeting: Meeting
    status: str
    answer: str = ""
    stays: str = ""


class AlreadyBooked(Exception):
    """The caller has a meeting at this moment already. It may be asked for again, corrected, or for another person."""

    def __init__(self, meeting: Meeting) -> None:
        super().__init__(meeting.id)
        self.meeting = meeting


class Booking:
    """The bookings of one call. The functions of tools/meetings.py use it."""

    def __init__(self, diary: Diary) -> None:
        self._diary = diary
        self.proposals = Proposals()
        #: The moments, as they are read back, for which the owner's calendar did not answer.
        self.unchecked: set[str] = set()

    # ---- proposing

    async def understood(
        self, words: str, call: OnBehalfOf, details: Mapping[str, str], *, caller_zone: str = "",
        moving: Meeting | None = None,
    ) -> Meeting:
        """The meeting that the words ask for, not booked yet. With `moving` it is that meeting at another time.

        Raises Refused, AlreadyBooked if the caller has a meeting at that moment, and StoreFailed.
        """
        rules, now = self._rules(moving), self._diary.now()
        await yield_loop()
        try:
            start = resolve(words, rules, now, caller_zone)
        except Refused:
            own = await self._own_at(words, call, caller_zone)
            if own and (moving is None or own.id == moving.id):
                raise AlreadyBooked(own) from None
            raise
        zone = ZoneInfo(caller_zone) if caller_zone else None
        fresh = moving or Meeting(
            id=str(uuid.uuid4()), caller=call.caller, call_sid=call.call_sid, name=details.get("name", ""),
            email=details.get("email", ""), description=details.get("description", ""),
            phone_number=call.phone_number or details.get("phone_number", ""), start=start, minutes=rules.minutes,
            zone=rules.zone, read_back="")
        meeting = replace(fresh, start=start, read_back=read_back(start, zone, now=now))
        await yield_loop()
        taken = await self._diary.meetings.within(meeting.start, meeting.end)
        if (own := meeting.repeated(taken)) and (moving is None or own.id == moving.id):
            raise AlreadyBooked(own)
        others = [each for each in taken if moving is None or each.id != moving.id]
        await self._require_free(meeting, others, moving)
        return meeting

    def _rules(self, moving: Meeting | None) -> Rules:
        """The business's rules. A meeting that is moved keeps its length, even if MEETING_MINUTES has changed."""
        return replace(self._diary.rules, minutes=moving.minutes) if moving else self._diary.rules

    async def _own_at(self, words: str, call: OnBehalfOf, caller_zone: str) -> Meeting | None:
        """The caller's meeting at that moment, or None. By the rules of now (notice, hours) it could not be booked."""
        now = self._diary.now()
        return next((own for own in await self.upcoming(call) if names(own, words, caller_zone, now)), None)

    async def _require_free(self, meeting: Meeting, taken: Sequence[Meeting], moving: Meeting | None = None) -> None:
        """Raises Refused, with other times, if the time is taken in our books or in the owner's calendar.

        `moving`: the meeting at its old time, which the owner's calendar shows too.
        """
        if taken or await self._is_busy(meeting, moving):
            raise Refused(await self._not_free(meeting))

    async def _is_busy(self, meeting: Meeting, moving: Meeting | None) -> bool:
        """Whether the owner's calendar is busy then. False if it does not answer: our books decide."""
        self.unchecked.discard(meeting.read_back)
        try:
            busy = await self._elsewhere(meeting.start, meeting.end)
        except NotAsked:
            self.unchecked.add(meeting.read_back)
            return False
        if moving:
            busy = without(busy, (moving.start, moving.end))
        return overlaps(busy, meeting.start, meeting.end)

    async def _not_free(self, meeting: Meeting) -> str:
        return f"That time is not free any more.{await self.instead(meeting)}"

    # ---- what is free

    def said(self, start: datetime) -> str:
        """A moment as it is read to the caller."""
        return read_back(start, now=self._diary.now())

    async def instead(self, meeting: Meeting) -> str:
        """The next free times for a meeting of this length, as sentences that begin with a space, or ""."""
        offers, asked = await self.free(meeting.start, meeting.minutes)
        if not offers:
            return ""
        likely = "" if asked else f" {LIKELY}"
        return " Free are: " + "; ".join(map(self.said, offers)) + f".{likely}"

    async def free(self, after: datetime, minutes: int = 0) -> tuple[list[datetime], bool]:
        """Up to OFFERED free starts from `after` on, and whether the owner's calendar has answered. Raises StoreFailed.

        `minutes`: the meeting's length. 0: MEETING_MINUTES.
        """
        rules, now, asked = self._diary.rules, self._diary.now(), True
        start = rules.first_open(max(after, now))
        until = start + LOOK_AHEAD
        taken: list[Interval] = [
            (each.start, each.end) for each in await self._diary.meetings.within(start, until)]
        try:
            taken += await self._elsewhere(start, until)
        except NotAsked:
            asked = False
        rules = replace(rules, minutes=minutes or rules.minutes)
        return free_starts(rules, now, taken, start, OFFERED, until=until), asked

    async def _elsewhere(self, start: datetime, end: datetime) -> Sequence[Interval]:
        return await self._diary.availability.busy(start, end) if self._diary.availability else ()

    # ---- booking

    async def book(self, proposal: Proposal) -> Booked:
        """Books or moves a meeting: writes it and its deliveries down, and waits up to ANSWER_S for the receiver.

        Raises Refused if the time has been taken meanwhile, AlreadyBooked if the caller's own meeting took it, NotYours
        if the meeting to be moved has been cancelled, and StoreFailed if it could not be written down.
        """
        wanted = proposal.meeting
        try:
            if proposal.kind == "move":
                moment = {"start": wanted.start, "read_back": wanted.read_back}
                stored, news = await self._diary.meetings.change(
                    wanted.id, wanted.caller, moment, self._deliveries("meeting.rescheduled"))
            else:
                # A refused meeting has used up its id, so each attempt gets a new one.
                fresh = replace(wanted, id=str(uuid.uuid4()))
                stored, news = await self._diary.meetings.book(fresh, self._deliveries("meeting.booked"))
                if stored.id != fresh.id:
                    raise AlreadyBooked(stored)
        except SlotTaken:
            raise Refused(await self._not_free(wanted)) from None
        booked = await self._outcome(stored, await self._heard_from(stored, news))
        if booked.status != "refused":
            self.proposals.done(proposal, stored.id)
        return booked

    async def correct(self, meeting: Meeting, changes: Mapping[str, str]) -> Booked:
        """Gives one of the caller's meetings another name, e-mail address, phone number or description.

        If the receiver has refused the meeting in the meantime, the caller hears that and nothing is corrected. Raises
        NotYours and StoreFailed.
        """
        newest = self._newest(await self._diary.queue.about(meeting.id))
        if newest and newest.refused:
            return await self._outcome(meeting, newest)
        stored, news = await self._diary.meetings.change(
            meeting.id, meeting.caller, changes, self._deliveries("meeting.updated"))
        return await self._outcome(stored, await self._heard_from(stored, news))

    async def cancel(self, meeting: Meeting) -> Booked:
        """Cancels one of the caller's meetings. Raises Refused if it was moved meanwhile, NotYours and StoreFailed."""
        now = await self.found(meeting.id)
        if now.status == "booked" and now.start.timestamp() != meeting.start.timestamp():
            raise Refused(f"That meeting has been moved to {now.read_back}: ask whether it is to be cancelled, and "
                          "call again without confirmation_id.")
        stored, news = await self._diary.meetings.cancel(
            meeting.id, meeting.caller, self._deliveries("meeting.cancelled"))
        heard = await self._heard_from(stored, news, acts_on_no=False)
        # It is cancelled here, whatever the receiver says. The owner sees a no as a dead letter.
        status = "confirmed" if _status(heard) == "confirmed" else "recorded"
        return Booked(stored, status, heard.answer if heard else "")

    async def known(self, meeting: Meeting) -> Booked:
        """A meeting that was made before, and the receiver's answer, which may be a late no. Waits up to ANSWER_S."""
        return await self._outcome(meeting, await self._heard_from(meeting))

    async def standing(self, meeting: Meeting) -> Booked:
        """The same as `known`, without a wait: the receiver's answer so far."""
        return await self._outcome(meeting, self._newest(await self._diary.queue.about(meeting.id)))

    async def found(self, meeting_id: str) -> Meeting:
        """A meeting as it is now. Raises NotYours if it has been erased."""
        meeting = await self._diary.meetings.find(meeting_id)
        if meeting is None:
            raise NotYours(meeting_id)
        return meeting

    async def upcoming(self, call: OnBehalfOf) -> list[Meeting]:
        """The caller's booked meetings that are still to come."""
        return await self._diary.meetings.of_caller(call.caller, self._diary.now())

    def _deliveries(self, kind: Kind, urls: Sequence[str] | None = None) -> Deliveries:
        """Makes the news of this kind, for all receivers or these `urls`.

        The first receiver's is leased to this process, because the caller waits for its answer.
        """
        diary, now = self._diary, self._diary.now()
        receivers = diary.receivers if urls is None else urls
        lease_first = LEASE_S if receivers and receivers[0] == diary.receivers[0] else 0.0
        return lambda meeting: of_meeting(meeting, receivers, kind, now, diary.organizer, lease_first=lease_first)

    async def _heard_from(
        self, meeting: Meeting, news: Sequence[Delivery] = (), *, acts_on_no: bool = True,
    ) -> Delivery | None:
        """The newest news of this meeting for the first receiver, when it is settled, or ANSWER_S later.

        `news`: the newest news, if it was just promised. `acts_on_no`: a no will be undone, and told on the phone. None
        if there is no such news, or the database did not show it in time.
        """
        self._diary.outbox.promised(news)
        try:
            newest = self._newest(news or await self._diary.queue.about(meeting.id))
        except StoreFailed as reason:                # the meeting and its deliveries are in the books all the same
            log.error("the delivery of meeting %(meeting)s could not be looked up: %(reason)s",
                      {"meeting": meeting.id, "reason": str(reason)})
            return None
        if newest is None:
            return None
        return next(iter(await self._diary.outbox.settle([newest.id], ANSWER_S, acts_on_no=acts_on_no)), None)

    async def _outcome(self, meeting: Meeting, heard: Delivery | None) -> Booked:
        """What became of a meeting. A refused one is undone, unless newer news of it is on its way."""
        status, stays = _status(heard), ""
        if heard and heard.refused:
            try:
                stays = await self._undo(meeting, heard)
                log.info("meeting %(meeting)s: refused, so undone in the books. The caller is told",
                         {"meeting": meeting.id})
            except Overtaken:
                log.error(
                    "MEETING %(meeting)s WAS REFUSED, but has been changed since. The change is sent, and the caller "
                    "hears that the meeting is not certain. To see whom to call: python -m bridge meetings show "
                    "%(meeting)s", {"meeting": meeting.id})
                newest = await self.found(meeting.id)
                return await self._outcome(newest, await self._heard_from(newest))
            except StoreFailed as reason:
                log.error(
                    "MEETING %(meeting)s WAS REFUSED, but is still in the books: %(reason)s. The caller has heard the "
                    "no, and the time stays taken until the caller asks again. To have it after all, call the caller, "
                    "and: python -m bridge meetings resend %(meeting)s",
                    {"meeting": meeting.id, "reason": str(reason)})
        elif heard and status == "confirmed" and await self._was_refused_before(meeting, heard):
            status = "recorded"
        return Booked(meeting, status, heard.answer if heard else "", stays)

    async def _was_refused_before(self, meeting: Meeting, heard: Delivery) -> bool:
        """Whether the receiver has refused the news before this one. What its yes means is then unclear."""
        if not meeting.sequence:
            return False
        try:
            told = await self._diary.queue.about(meeting.id)
        except StoreFailed:                          # the meeting is in the books all the same
            return True
        before = self._newest([each for each in told if each.created_at < heard.created_at])
        return before is not None and before.refused

    async def _undo(self, meeting: Meeting, refused: Delivery) -> str:
        """Undoes a refusal of the first receiver. The meeting is again as the news before said, or cancelled.

        Returns the time at which it stays, as it is read to the caller, or "" if it is cancelled.
        """
        told = await self._diary.queue.about(meeting.id)
        others = {each.url: None for each in told if each.url != refused.url and each.state not in ("dead", "undone")}
        before = self._newest([each for each in told if each.created_at < refused.created_at and not each.refused])
        if before and before.type != "meeting.cancelled":
            try:
                was = as_told(before.body)
                restored, news = await self._diary.meetings.change(
                    meeting.id, meeting.caller, was, self._deliveries(_kind(meeting, was), [*others]),
                    undoing=refused)
                self._diary.outbox.promised(news)
                return restored.read_back
            except SlotTaken:                        # another caller took the time before the refusal was known
                others = {refused.url: None, **others}
            except NotYours:                         # the meeting was cancelled meanwhile
                return ""
        _, news = await self._diary.meetings.cancel(
            meeting.id, meeting.caller, self._deliveries("meeting.cancelled", [*others]), undoing=refused)
        self._diary.outbox.promised(news)
        return ""

    def _newest(self, deliveries: Sequence[Delivery]) -> Delivery | None:
        """The last news for the first receiver, without refusals that were undone."""
        first = [each for each in deliveries if each.url == self._diary.receivers[0] and each.state != "undone"]
        return max(first, key=lambda each: each.created_at, default=None)


def _kind(meeting: Meeting, changes: Mapping[str, Any]) -> Kind:
    moved = changes["start"].timestamp() != meeting.start.timestamp() or changes["minutes"] != meeting.minutes
    return "meeting.rescheduled" if moved else "meeting.updated"


def _status(heard: Delivery | None) -> str:
    if heard is None:
        return "recorded"
    return "refused" if heard.refused else "confirmed" if heard.state == "delivered" else "recorded"
