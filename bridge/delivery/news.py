"""The news of a meeting or a message, one delivery for each receiver, ready to be written down.

Each receiver's delivery has an id of its own. The body is the same for all of them.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from bridge.loop.yielding import yield_core
from bridge.delivery import report
from bridge.meetings import event, message
from bridge.meetings.meeting import Meeting
from bridge.records.call_record import CallRecord
from bridge.records.news import NewDelivery


def of_meeting(
    meeting: Meeting, urls: Sequence[str], type: event.Kind, now: datetime, organizer: str = "", *,
    lease_first: float = 0.0,
) -> list[NewDelivery]:
    """The news of a meeting as it stands. `now` is aware.

    `lease_first`: the first receiver's delivery is leased to this process, because a caller waits for it (s).
    """
    body = event.body(meeting, type, now, organizer)
    yield_core()
    return _to_each(urls, type, body, lease_first)


def of_message(left: message.Message, urls: Sequence[str], zone: ZoneInfo) -> list[NewDelivery]:
    """The news of a message that a caller left."""
    return _to_each(urls, message.KIND, message.body(left, zone))


def of_call(record: CallRecord, meetings: Sequence[Meeting], urls: Sequence[str], zone: tzinfo) -> list[NewDelivery]:
    """The news of a call that is over. A call that was rejected is none."""
    if record.call.answered_by == "nobody":
        return []
    return _to_each(urls, report.KIND, report.body(record, meetings, zone))


def _to_each(urls: Sequence[str], type: str, body: str, lease_first: float = 0.0) -> list[NewDelivery]:
    return [NewDelivery(f"msg_{uuid.uuid4().hex}", url, type, body, 0.0 if number else lease_first)
            for number, url in enumerate(urls)]
