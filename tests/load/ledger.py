"""What meetings were asked for, what was answered, and what reached the receiver: all of them, each once."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from time import perf_counter
from typing import Any

FUNCTION = "schedule_meeting"
#: The answers after which a caller may be told that a meeting is booked.
PROMISES = ("confirmed", "recorded")


@dataclass
class BookingFaults:
    """Each must be 0."""

    unanswered: int = 0        # function calls without an output
    answered_again: int = 0    # outputs nobody had asked for, or had already
    refused: int = 0           # outputs of any other status than a promise
    shared: int = 0            # promises of a meeting that had been promised to another
    undelivered: int = 0       # promised meetings that the receiver was never told of
    repeated: int = 0          # news that reached the receiver more than once
    unknown: int = 0           # meetings that the receiver was told of and nobody was promised

    @property
    def total(self) -> int:
        return sum(getattr(self, each.name) for each in fields(self))


class Ledger:
    """All bookings of one run. The meetings are asked for at the minutes of next week and those after it, in order."""

    def __init__(self) -> None:
        self.measuring = False
        self.delays: list[float] = []                # from a function call to its output, s, taken while measuring
        self.statuses: Counter[str] = Counter()
        self.refusals: list[str] = []
        self._faults = BookingFaults()
        self._asked_at: dict[str, float] = {}        # of those without an output, by the call's id
        self._promised: set[str] = set()
        self._asked = 0
        today = datetime.combine(datetime.now(UTC), time(), UTC)
        self._first = today + timedelta(days=7)

    def ask(self) -> tuple[str, str]:
        """The next meeting: an id for the function call, and its arguments as JSON."""
        start = self._first + timedelta(minutes=self._asked)
        self._asked += 1
        call_id = f"call_{self._asked:016}"
        self._asked_at[call_id] = perf_counter()
        return call_id, json.dumps({
            "name": "Ada Lovelace", "email": "ada@example.com", "datetime": start.isoformat(),
            "description": "A first appointment, about a tooth that hurts when it is cold"})

    def answered(self, call_id: str, output: str) -> None:
        asked_at = self._asked_at.pop(call_id, None)
        if asked_at is None:
            self._faults.answered_again += 1
            return
        if self.measuring:
            self.delays.append(perf_counter() - asked_at)
        self._take(json.loads(output))

    def _take(self, output: Mapping[str, Any]) -> None:
        status, meeting = output.get("status", "error"), output.get("meeting_id")
        self.statuses[status] += 1
        if status not in PROMISES or not meeting:
            self._faults.refused += 1
            self.refusals.append(str(output.get("message") or output.get("error")))
            return
        self._faults.shared += meeting in self._promised
        self._promised.add(meeting)

    @property
    def unanswered(self) -> int:
        return len(self._asked_at)

    @property
    def promised(self) -> int:
        return len(self._promised)

    def faults(self, seen: Mapping[str, Sequence[str]]) -> BookingFaults:
        """What went wrong so far; `seen`: the messages that the receiver got of each meeting, by the meeting's id."""
        faults = self._faults
        return BookingFaults(
            unanswered=self.unanswered, answered_again=faults.answered_again, refused=faults.refused,
            shared=faults.shared, undelivered=len(self._promised - seen.keys()),
            repeated=sum(len(messages) - 1 for messages in seen.values()), unknown=len(seen.keys() - self._promised))
