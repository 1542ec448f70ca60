"""A meeting: what was agreed with a caller."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Status = Literal["booked", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One meeting as it stands. A change is a new value with a higher `sequence`.

    `caller` owns it: the phone number in E.164 or, for a caller who hides it, the call's SID. `start` is aware and a
    whole minute. `minutes` is how long it takes. `read_back` is `start` as it was read to the caller. `email` and
    `phone_number` reach the caller, "" if unknown. The number is the call's or, if that is hidden, a number that the
    caller said.
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
        """The meeting of these that this one would repeat, or None: the same caller's, at the same instant.

        Timestamps are compared, because `==` compares what clocks show, which is wrong in the hour that comes twice.
        """
        return next((each for each in booked if each.caller == self.caller
                     and each.start.timestamp() == self.start.timestamp()), None)

    @property
    def number_hidden(self) -> bool:
        """Whether the caller hid the number of the call. `phone_number` is then only what the caller said."""
        return self.caller != self.phone_number

    @property
    def end(self) -> datetime:
        """The end, in `zone`. It is `minutes` of elapsed time after `start`, whatever the clocks do."""
        return (self.start.astimezone(UTC) + timedelta(minutes=self.minutes)).astimezone(self.zone)
