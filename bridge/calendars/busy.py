"""The owner's busy intervals, read from a calendar's answer.

Pure. An entry with one clear meaning is taken as iCalendar does (RFC 5545, 3.3.4, 3.3.5 and 3.6.1). A date is a whole
day in the business's time zone. The `end` of whole days is the first free day after them. A day without an end is one
day. A time without an offset is local to the business. It may have been meant otherwise, so the log tells of it.

An entry without a meaning, such as a time without an end, or an end before its start, is left out. The log tells of it,
and the other entries still count.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

import msgspec

Interval = tuple[datetime, datetime]

NO_OFFSET = "without an offset, taken as local time"


class Unreadable(ValueError):
    """The answer is no list of busy intervals. The message says what is wrong, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Busy:
    """A calendar's answer. `intervals` are aware, in the answer's order. `odd`: how many entries are odd, by reason."""

    intervals: Sequence[Interval]
    odd: Mapping[str, int]


class _Odd(Exception):
    """An entry cannot be used. The message says why."""


def read(answer: bytes, zone: tzinfo) -> Busy:
    """The busy intervals of a JSON list of objects with `start` and `end`. Raises Unreadable.

    `zone` is the business's. If no entry can be read, the answer is unreadable. Otherwise it would count as free time.
    """
    try:
        entries = msgspec.json.decode(answer, type=list[Any])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Unreadable(f"its answer is not a list of busy intervals ({error})") from None
    intervals: list[Interval] = []
    odd = Counter[str]()
    for entry in entries:
        try:
            intervals.append(_interval(entry, zone, odd))
        except _Odd as reason:
            odd[f"{reason}, left out"] += 1
        except OverflowError:
            odd["beyond the calendar, left out"] += 1
    if entries and not intervals:
        raise Unreadable(f"none of its {len(entries)} entries can be read: {told(odd)}")
    return Busy(intervals, odd)


def told(odd: Mapping[str, int]) -> str:
    """The odd entries for the log: "2 without an end, left out; 1 without an offset, taken as local time"."""
    return "; ".join(f"{count} {what}" for what, count in odd.items())


def without(busy: Sequence[Interval], own: Interval) -> list[Interval]:
    """The busy intervals without the time of `own`. Used when a meeting is moved: it may overlap its own entry."""
    left: list[Interval] = []
    since, until = (each.astimezone(UTC) for each in own)
    for begin, end in ((begin.astimezone(UTC), end.astimezone(UTC)) for begin, end in busy):
        pieces = [(begin, min(end, since)), (max(begin, until), end)]
        left += [piece for piece in pieces if piece[0] < piece[1]]
    return left


def overlaps(busy: Sequence[Interval], start: datetime, end: datetime) -> bool:
    """Whether any busy interval has a moment in [start, end). Instants are compared, not what clocks show."""
    since, until = start.timestamp(), end.timestamp()
    return any(begin.timestamp() < until and since < over.timestamp() for begin, over in busy)


def _interval(entry: Any, zone: tzinfo, odd: Counter[str]) -> Interval:
    """The interval of an entry, in UTC. Raises _Odd, OverflowError."""
    if not isinstance(entry, dict):
        raise _Odd("no object")
    start, end = _said(entry, "start"), _said(entry, "end")
    if start is None:
        raise _Odd("without a start")
    if end is None and isinstance(start, datetime):
        raise _Odd("without an end")
    if end is None or end == start and not isinstance(start, datetime):
        end = start + timedelta(days=1)
    if any(isinstance(each, datetime) and each.tzinfo is None for each in (start, end)):
        odd[NO_OFFSET] += 1
    interval = _instant(start, zone), _instant(end, zone)
    if interval[1] <= interval[0]:
        raise _Odd("with an end that is not after its start")
    return interval


def _said(entry: dict[Any, Any], key: str) -> date | None:
    """A date, a moment, or None. Raises _Odd."""
    text = entry.get(key)
    if text is None or text == "":
        return None
    if not isinstance(text, str):
        raise _Odd(f"with a {key} that is no text")
    for kind in (date, datetime):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    raise _Odd(f"with a {key} that is not ISO 8601")


def _instant(moment: date, zone: tzinfo) -> datetime:
    """The moment in UTC. A date is its first moment. Raises OverflowError beyond the calendar."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(), zone)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return aware.astimezone(UTC)
