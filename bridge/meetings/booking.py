"""Meetings of one call: proposed, read back, agreed, and only then booked.

1. What was said becomes an instant in code (schedule.py), and is read back to the caller.
2. It is booked when the caller has spoken since, and the model comes back with the confirmation's id.
3. The meeting and its deliveries are on disk before the model is told anything. From there on they cannot be lost.
4. The caller hears what is true: `confirmed`, the receiver has taken it; `recorded`, it will be told; `refused`.
   With several receivers the first one decides.
5. What was promised to a caller is not taken back behind its back. A refusal that comes too late for the caller to hear
   is a dead letter, and the owner's to act on: a 4xx may be a no, or a slip that is mended and sent again. The books
   keep the meeting until the caller asks again, hears the no, and it is undone.
"""

import logging
import secrets
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bridge.meetings.availability import Availability, Interval, NotAsked
from bridge.meetings.event import Kind, as_told, deliveries_for
from bridge.meetings.meeting import Meeting
from bridge.meetings.outbox import Outbox
from bridge.meetings.schedule import Refused, Rules, free_starts, read_back, resolve
from bridge.records.deliveries import Delivery, DeliveryQueue
from bridge.records.meetings import Meetings, NewDelivery, SlotTaken, StoreFailed
from bridge.yielding import yield_loop

log = logging.getLogger(__name__)

#: How long a caller waits for the receiver's answer, seconds.
ANSWER_S = 3.0
#: How far ahead free times are looked for.
LOOK_AHEAD = timedelta(days=14)
OFFERED = 3
#: Proposals of one call that are remembered.
PROPOSALS = 20


@dataclass(frozen=True, slots=True)
class OnBehalfOf:
    """The call that something is done for, as it is now; `turn` counts what the caller has said."""

    call_sid: str
    phone_number: str
    turn: int

    @property
    def caller(self) -> str:
        """Whose meetings these are: a caller who hides the number owns those of this call."""
        return self.phone_number or self.call_sid


@dataclass(frozen=True, slots=True, kw_only=True)
class Diary:
    """What bookings need of the application."""

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
class Proposal:
    """What is read back, and booked if the caller agrees.

    `turn`: how often the caller had spoken; `words`: how the moment was said; `replaces`: the meeting that it moves.
    """

    meeting: Meeting
    turn: int
    words: str
    replaces: Meeting | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of a meeting; `status` is confirmed, recorded or refused, `answer` the receiver's own words.

    `stays`: where a refused move leaves it, as it is read to the caller.
    """

    meeting: Meeting
    status: str
    answer: str = ""
    stays: str = ""


class Booking:
    """The bookings of one call."""

    def __init__(self, diary: Diary) -> None:
        self._diary = diary
        self._proposals: dict[str, Proposal] = {}

    # ---- proposing

    async def understood(
        self, words: str, call: OnBehalfOf, *, name: str, email: str, description: str, caller_zone: str,
        phone_number: str, replaces: Meeting | None = None,
    ) -> tuple[Meeting, Meeting | None]:
        """The meeting that the words ask for, not booked yet; and the caller's own at that moment. Raises Refused."""
        rules, now = self._diary.rules, self._diary.now()
        await yield_loop()
        start = resolve(words, rules, now, caller_zone)
        zone = ZoneInfo(caller_zone) if caller_zone else None
        meeting = Meeting(
            id=str(uuid.uuid4()), caller=call.caller, call_sid=call.call_sid, name=name, email=email,
            description=description, phone_number=phone_number, start=start, minutes=rules.minutes,
            zone=rules.zone, read_back=read_back(start, zone, now=now))
        await yield_loop()
        taken = await self._diary.meetings.within(meeting.start, meeting.end)
        own = meeting.repeated(taken)
        if own is None:
            await self._require_free(meeting, [each for each in taken if replaces is None or each.id != replaces.id])
        return meeting, own

    def propose(self, proposal: Proposal) -> str:
        """Remembers what is being read back; the id that books it."""
        confirmation_id = secrets.token_hex(4)
        self._proposals = dict([*self._proposals.items()][-PROPOSALS + 1:])
        self._proposals[confirmation_id] = proposal
        return confirmation_id

    def proposed(self, confirmation_id: str) -> Proposal:
        """Raises Refused for an id that was not given in this call."""
        if confirmation_id not in self._proposals:
            raise Refused("There is no such confirmation: call the function again without confirmation_id.")
        return self._proposals[confirmation_id]

    async def _require_free(self, meeting: Meeting, taken: Sequence[Meeting]) -> None:
        """Raises Refused, with other times, if there are others at that time, here or elsewhere."""
        try:
            busy = not taken and await self._elsewhere(meeting.start, meeting.end)
        except NotAsked:
            busy = False                             # the owner's own books decide
        start, end = meeting.start.timestamp(), meeting.end.timestamp()
        if taken or busy and any(since.timestamp() < end and start < until.timestamp() for since, until in busy):
            raise Refused(await self._not_free(meeting.start))

    async def _not_free(self, start: datetime) -> str:
        offers, _ = await self.free(start)
        instead = " Free are: " + "; ".join(map(self.said, offers)) + "." if offers else ""
        return f"That time is not free any more.{instead}"

    # ---- what is free

    def said(self, start: datetime) -> str:
        """A moment as it is read to the caller."""
        return read_back(start, now=self._diary.now())

    async def free(self, after: datetime) -> tuple[list[datetime], bool]:
        """Up to OFFERED free beginnings from `after` on, and whether the owner's calendar could be asked."""
        now, asked = self._diary.now(), True
        start = self._diary.rules.first_open(max(after, now))
        until = start + LOOK_AHEAD
        taken: list[Interval] = [
            (each.start, each.end) for each in await self._diary.meetings.within(start, until)]
        try:
            taken += await self._elsewhere(start, until)
        except NotAsked as reason:
            log.error("the calendar at AVAILABILITY_URL could not be asked: %s", reason)
            asked = False
        return free_starts(self._diary.rules, now, taken, start, OFFERED, until=until), asked

    async def _elsewhere(self, start: datetime, end: datetime) -> Sequence[Interval]:
        return await self._diary.availability.busy(start, end) if self._diary.availability else ()

    # ---- booking

    async def book(self, proposal: Proposal) -> Booked:
        """Writes the meeting and its deliveries down, and waits a moment for the receiver.

        Raises Refused when the time has been taken meanwhile, and StoreFailed when it could not be written down.
        """
        try:
            if proposal.replaces:
                moved = replace(
                    proposal.replaces, start=proposal.meeting.start, read_back=proposal.meeting.read_back)
                stored, news = await self._diary.meetings.change(moved, self._deliveries("meeting.rescheduled"))
            else:
                # A meeting the receiver refused has used its id up: each attempt has its own.
                fresh = replace(proposal.meeting, id=str(uuid.uuid4()))
                stored, news = await self._diary.meetings.book(fresh, self._deliveries("meeting.booked"))
        except SlotTaken:
            raise Refused(await self._not_free(proposal.meeting.start)) from None
        return await self._outcome(stored, await self._heard_from(stored, news))

    async def cancel(self, meeting: Meeting) -> Booked:
        """Cancels one of the caller's meetings. Raises StoreFailed."""
        stored, news = await self._diary.meetings.cancel(
            meeting.id, meeting.caller, self._deliveries("meeting.cancelled"))
        heard = await self._heard_from(stored, news)
        # It is cancelled here whatever the receiver says; a dead letter is the owner's to see.
        status = "confirmed" if _status(heard) == "confirmed" else "recorded"
        return Booked(stored, status, heard.answer if heard else "")

    async def known(self, meeting: Meeting) -> Booked:
        """A meeting that was made before, and what the receiver has said to it, which may have been a late no."""
        return await self._outcome(meeting, await self._heard_from(meeting))

    async def standing(self, meeting: Meeting) -> Booked:
        """The same without a wait: what the receiver has said so far."""
        return await self._outcome(meeting, self._newest(await self._diary.queue.of_meeting(meeting.id)))

    async def upcoming(self, call: OnBehalfOf) -> list[Meeting]:
        """The caller's booked meetings that are still to come."""
        return await self._diary.meetings.of_caller(call.caller, self._diary.now())

    def _deliveries(self, kind: Kind, urls: Sequence[str] | None = None) -> Callable[[Meeting], Sequence[NewDelivery]]:
        """The news of this kind, for all receivers or these; the first one's is ours, since the caller waits for it."""
        diary = self._diary

        def news(meeting: Meeting) -> Sequence[NewDelivery]:
            receivers = diary.receivers if urls is None else urls
            return [diary.outbox.ours(each) if each.url == diary.receivers[0] else each
                    for each in deliveries_for(meeting, receivers, kind, diary.now(), diary.organizer)]
        return news

    async def _heard_from(self, meeting: Meeting, news: Sequence[Delivery] = ()) -> Delivery | None:
        """The newest news of this meeting for the first receiver, as it stands when it was settled, or ANSWER_S later.

        `news`: the newest, where it was just promised. None: the database did not show it in that time.
        """
        self._diary.outbox.promised(news)
        try:
            newest = self._newest(news or await self._diary.queue.of_meeting(meeting.id))
        except StoreFailed as reason:                # it is in the books all the same, and so are its deliveries
            log.error("the delivery of meeting %(meeting)s could not be looked up: %(reason)s",
                      {"meeting": meeting.id, "reason": str(reason)})
            return None
        return next(iter(await self._diary.outbox.settle([newest.id], ANSWER_S)), None) if newest else None

    async def _outcome(self, meeting: Meeting, heard: Delivery | None) -> Booked:
        """What became of a meeting; one that was refused is undone."""
        stays = ""
        if heard and heard.refused:
            try:
                stays = await self._undo(meeting, heard)
            except StoreFailed as reason:            # it is undone when the caller asks again
                log.error("MEETING %(meeting)s WAS REFUSED, but is still in the books: %(reason)s",
                          {"meeting": meeting.id, "reason": str(reason)})
        return Booked(meeting, _status(heard), heard.answer if heard else "", stays)

    async def _undo(self, meeting: Meeting, refused: Delivery) -> str:
        """The first receiver does not want it: it is as the news before said, or cancelled where there was none.

        Where it stays, as it is read to the caller; "" where it is cancelled.
        """
        told = await self._diary.queue.of_meeting(meeting.id)
        others = {each.url: None for each in told if each.url != refused.url and each.state not in ("dead", "undone")}
        before = self._newest([each for each in told if each.created_at < refused.created_at and not each.refused])
        if before and before.type != "meeting.cancelled":
            try:
                restored, news = await self._diary.meetings.change(
                    as_told(meeting, before.body), self._deliveries("meeting.rescheduled", [*others]),
                    undoing=refused)
                self._diary.outbox.promised(news)
                return restored.read_back
            except SlotTaken:                        # by another caller, while nobody knew that it was refused
                others = {refused.url: None, **others}
        _, news = await self._diary.meetings.cancel(
            meeting.id, meeting.caller, self._deliveries("meeting.cancelled", [*others]), undoing=refused)
        self._diary.outbox.promised(news)
        return ""

    def _newest(self, deliveries: Sequence[Delivery]) -> Delivery | None:
        """The last news for the first receiver, but for what it has refused and was undone."""
        first = [each for each in deliveries if each.url == self._diary.receivers[0] and each.state != "undone"]
        return max(first, key=lambda each: each.created_at, default=None)


def _status(heard: Delivery | None) -> str:
    if heard is None:
        return "recorded"
    return "refused" if heard.refused else "confirmed" if heard.state == "delivered" else "recorded"
