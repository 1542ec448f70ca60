"""Decides which meetings and messages are listed, and in which order: coming ones first, then past ones, newest first.

Pure. Old ones are left out unless all are asked for. One with a dead letter that waits for the owner is always listed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TypeVar

from bridge.meetings.meeting import Meeting
from bridge.meetings.message import Message

T = TypeVar("T", Meeting, Message)

#: How many past meetings, and how many messages, are listed unless all are asked for.
RECENT = 20


@dataclass(frozen=True, slots=True)
class Listed:
    """What is listed, in order. `left_out`: how many old meetings and messages are not."""

    meetings: list[Meeting]
    messages: list[Message]
    left_out: int = 0


def everything(meetings: Sequence[Meeting], messages: Sequence[Message], now: datetime) -> Listed:
    """The list of `--all`."""
    upcoming, over = _upcoming(meetings, now), _over(meetings, now)
    return Listed([*upcoming, *over], _newest_first(messages))


def recent(
    meetings: Sequence[Meeting], messages: Sequence[Message], now: datetime, needs_you: Callable[[str], bool],
) -> Listed:
    """The standard list: coming meetings, the newest past ones, the newest messages.

    `needs_you` says whether a dead letter of this id waits for the owner.
    """
    over, left = _over(meetings, now), _newest_first(messages)
    shown, shown_messages = _newest(over, needs_you), _newest(left, needs_you)
    return Listed([*_upcoming(meetings, now), *shown], shown_messages,
                  len(over) - len(shown) + len(left) - len(shown_messages))


def today(meetings: Sequence[Meeting], messages: Sequence[Message], now: datetime, zone: tzinfo) -> Listed:
    """The list of `--today`: each meeting's day is that of its own zone, each message's that of `zone`."""
    return Listed(
        sorted((each for each in meetings if each.start.date() == now.astimezone(each.zone).date()), key=_begin),
        _newest_first([each for each in messages
                       if each.recorded.astimezone(zone).date() == now.astimezone(zone).date()]))


def _upcoming(meetings: Sequence[Meeting], now: datetime) -> list[Meeting]:
    """The meetings that are not over, the next one first."""
    return sorted((each for each in meetings if each.end.timestamp() > now.timestamp()), key=_begin)


def _over(meetings: Sequence[Meeting], now: datetime) -> list[Meeting]:
    return sorted(
        (each for each in meetings if each.end.timestamp() <= now.timestamp()), key=_begin, reverse=True)


def _begin(meeting: Meeting) -> tuple[float, str]:
    return meeting.start.timestamp(), meeting.id


def _newest_first(messages: Sequence[Message]) -> list[Message]:
    return sorted(messages, key=lambda each: each.recorded.timestamp(), reverse=True)


def _newest(newest_first: Sequence[T], needs_you: Callable[[str], bool]) -> list[T]:
    return [each for place, each in enumerate(newest_first) if place < RECENT or needs_you(each.id)]
