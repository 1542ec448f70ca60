"""A meeting: what was agreed with a caller."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Status = Literal["booked", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One meeting, as it stands. It is never changed in place: a change is a new value with a higher `sequence`.

    `caller` is whose it is: the phone number in E.164 or, for a caller who hides it, the call's SID. `start` is aware
    and a whole minute; `read_back` is how it was read to the caller. `email` and `phone_number` are how the caller can
    be reached, "" for what is not known: the number is the call's or, for a caller who hides it, the one that was said.
    """

    id: str
    caller: str
    call_sid: str
    name: str
    email: str
    description: str
    phone_number: str
    start: datetime
    minutes: int
    zone: ZoneInfo
    read_back: str
    status: Status = "booked"
    sequence: int = 0

    def repeated(self, booked: Iterable["Meeting"]) -> "Meeting | None":
        """The one of these that this one would be again: the same caller's, at the same instant.

        `==` of two times compares what clocks show, twice a year in vain.
        """
        return next((each for each in booked if each.caller == self.caller
                     and each.start.timestamp() == self.start.timestamp()), None)

    @property
    def number_hidden(self) -> bool:
        """Whether the caller hid the number of the call, so that `phone_number` is only what was said."""
        return self.caller != self.phone_number

    @property
    def end(self) -> datetime:
        """In the same zone as `start`; counted in elapsed minutes, not on the clock's face."""
        return (self.start.astimezone(UTC) + timedelta(minutes=self.minutes)).astimezone(self.zone)
