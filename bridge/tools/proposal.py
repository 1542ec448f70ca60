"""Proposals: they are read back to a caller, and carried out if the caller agrees.

Pure. A proposal is known in its call only, and is carried out once. If the model repeats it afterwards, the answer is
the meeting that came of it, as it stands by then.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from bridge.meetings.hours import DAYS, OpeningHours
from bridge.meetings.meeting import Meeting
from bridge.meetings.plain import plain
from bridge.meetings.schedule import Refused, Rules, resolve

#: The most proposals of one call that are remembered.
MOST = 20

Kind = Literal["book", "move", "correct", "cancel"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal. `meeting` is the meeting as it will be, or the one to be cancelled.

    `turn`: how often the caller had spoken by then. `words`, `caller_zone`: how the moment was said. `done`: the id of
    the meeting that came of it, "" before. `id`: the confirmation_id, "" before it is remembered.
    """

    kind: Kind
    meeting: Meeting
    turn: int
    words: str = ""
    caller_zone: str = ""
    done: str = ""
    id: str = ""

    def names(self, words: str, caller_zone: str, now: datetime) -> bool:
        """Whether these words name the moment that was read back. "" stands for the old words, or the old zone."""
        words, caller_zone = words or self.words, caller_zone or self.caller_zone
        if (plain(words), caller_zone) == (plain(self.words), self.caller_zone):
            return True                              # "in two hours" does not count from a later moment
        return names(self.meeting, words, caller_zone, now)


def names(meeting: Meeting, words: str, caller_zone: str, now: datetime) -> bool:
    """Whether words name the moment of a meeting, whether or not it could be booked now.

    If they leave the half of the day open, the meeting's half is meant.
    """
    start = meeting.start.astimezone(meeting.zone)
    try:
        named = resolve(words, _only(start, meeting), now, caller_zone)
    except Refused:
        return False
    return named.timestamp() == start.timestamp()


def _only(start: datetime, meeting: Meeting) -> Rules:
    """Rules that allow only meetings that begin at this minute of this weekday."""
    minute = start.hour * 60 + start.minute
    days = tuple(((minute, minute + 1),) if day == start.weekday() else () for day in range(len(DAYS)))
    return Rules(meeting.zone, minutes=1, opening=OpeningHours(days), maximum_notice=timedelta.max)


class Proposals:
    """The proposals of one call, the newest MOST of them."""

    def __init__(self) -> None:
        self._proposals: dict[str, Proposal] = {}

    def remember(self, proposal: Proposal) -> str:
        """Keeps a proposal and returns its confirmation_id, with which the model comes back."""
        confirmation_id = secrets.token_hex(4)
        self._proposals = dict([*self._proposals.items()][-MOST + 1:])
        self._proposals[confirmation_id] = replace(proposal, id=confirmation_id)
        return confirmation_id

    def find(self, confirmation_id: str, *kinds: Kind) -> Proposal | None:
        """The proposal of this id, or None if there is no id or the proposal is of another kind.

        Raises Refused for an id that this call does not know.
        """
        if not confirmation_id:
            return None
        if confirmation_id not in self._proposals:
            raise Refused("There is no such confirmation: call the function again without confirmation_id.")
        proposal = self._proposals[confirmation_id]
        return proposal if proposal.kind in kinds else None

    def done(self, proposal: Proposal, meeting_id: str) -> None:
        """Marks a proposal as carried out: this meeting came of it."""
        if proposal.id in self._proposals:
            self._proposals[proposal.id] = replace(proposal, done=meeting_id)
