"""A meeting as an iCalendar file (RFC 5545), which a mail program takes as an invitation (RFC 5546, iTIP).

Pure. With an organizer the file is a message from the organizer to the caller. A booking or a change is METHOD:REQUEST,
a cancellation METHOD:CANCEL. UID names the meeting, SEQUENCE its version. Both methods need an ATTENDEE (RFC 5546,
3.2.2 and 3.2.5). For a caller without an e-mail address it is METHOD:PUBLISH, which has no ATTENDEE (3.2.1), and STATUS
says whether the meeting is cancelled.

Without an organizer the file has no METHOD and no ATTENDEE. Every iTIP method requires an ORGANIZER (RFC 5546, 3.2),
and an ATTENDEE needs one beside it. By RFC 5545, 3.7.2 a file without METHOD is a snapshot to be imported.

The caller's words end up in a file whose lines have a meaning. icalendar escapes separators. This module takes out
characters that no text may hold: controls and lone surrogates.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from icalendar import Calendar, Event, vCalAddress, vText

from bridge.loop.yielding import yield_core
from bridge.meetings.meeting import Meeting

PRODUCT = "-//bridge//meetings//EN"
#: Controls, the separators that some programs take for the end of a line, and lone surrogates.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def ics(meeting: Meeting, organizer: str, stamp: datetime) -> str:
    """The file of one version of a meeting, for a receiver's `ics`. Its lines end with CRLF.

    `organizer` is an e-mail address or "". `stamp` is the moment of writing, aware.
    """
    event = _event(meeting, stamp)
    calendar = _calendar()
    if organizer:
        calendar.add("method", _method(meeting))
        event.add("organizer", _address(organizer))
        if meeting.email:
            event.add("attendee", _attendee(meeting))
    calendar.add_component(event)
    return _text(calendar)


def export(meetings: Iterable[Meeting], stamp: datetime) -> str:
    """One file of many meetings, to be imported into a calendar. It invites nobody.

    Raises ValueError without a meeting: RFC 5545, 3.6 requires "one or more components".
    """
    calendar = _calendar()
    for meeting in meetings:
        calendar.add_component(_event(meeting, stamp))
    if not calendar.subcomponents:
        raise ValueError("a calendar file needs a meeting")
    return _text(calendar)


def _calendar() -> Calendar:
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    return calendar


def _text(calendar: Calendar) -> str:
    """The same as its to_ical(), line by line. All at once takes as long as ten frames of audio."""
    lines: list[bytes] = []
    for name, value in calendar.property_items():
        yield_core()
        lines.append(calendar.content_line(name, value).to_ical() + b"\r\n")
    return b"".join(lines).decode()


def _event(meeting: Meeting, stamp: datetime) -> Event:
    event = Event()
    for name, value in {
        "uid": _line(meeting.id),
        "dtstamp": stamp.astimezone(UTC),
        "dtstart": meeting.start.astimezone(UTC),
        "dtend": meeting.end.astimezone(UTC),
        "sequence": meeting.sequence,
        "status": "CANCELLED" if meeting.status == "cancelled" else "CONFIRMED",
        "summary": _line(f"Meeting with {meeting.name}"),
        "description": _lines(meeting.description),
        "contact": _line(", ".join(filter(None, (meeting.name, meeting.phone_number, meeting.email)))),
    }.items():
        yield_core()
        event.add(name, value)
    return event


def _method(meeting: Meeting) -> str:
    if not meeting.email:
        return "PUBLISH"
    return "CANCEL" if meeting.status == "cancelled" else "REQUEST"


def _attendee(meeting: Meeting) -> vCalAddress:
    attendee = _address(meeting.email)
    attendee.params["CN"] = vText(_line(meeting.name))
    attendee.params["ROLE"] = vText("REQ-PARTICIPANT")
    if meeting.status == "booked":
        attendee.params["PARTSTAT"] = vText("NEEDS-ACTION")
        attendee.params["RSVP"] = vText("TRUE")
    return attendee


def _address(email: str) -> vCalAddress:
    return vCalAddress("mailto:" + _line(email))


def _line(text: str) -> str:
    """The text on one line, without characters that a calendar may not hold."""
    return _FORBIDDEN.sub(" ", text).strip()


def _lines(text: str) -> str:
    return "\n".join(map(_line, text.splitlines()))
