"""`python -m bridge meetings`: the meetings and their deliveries, at the owner's terminal.

The list has coming meetings first, then past ones, then the messages that callers left. `show` and `resend` take
messages too. The command needs the database and nothing else. The list masks e-mail addresses and numbers. `show` and
`export` tell everything.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from bridge.commands import listing
from bridge.commands.asking import CannotDo
from bridge.commands.private_file import is_there, write_privately
from bridge.commands.terminal import facts, plain, table, utc
from bridge.delivery.delivery_log import host
from bridge.delivery.outbox import LEASE_S
from bridge.meetings.calendar import export
from bridge.meetings.meeting import Meeting
from bridge.meetings.message import Message
from bridge.records.database import Database, DatabaseUnavailable, StoreFailed, open_database
from bridge.records.deliveries import Delivery, DeliveryQueue
from bridge.records.meetings import Meetings
from bridge.records.messages import Messages
from bridge.twilio_side.caller import Caller

COLUMNS = ("ID", "WHEN", "NAME", "E-MAIL", "STATUS", "DELIVERY")
#: The word that `resend` takes in place of an id.
EVERYTHING = "all"
#: How many meetings are read at a time.
PAGE = 500


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `meetings` to the program's commands."""
    parser = commands.add_parser("meetings", help="list, show, send again or export what was promised")
    actions = parser.add_subparsers(dest="action", metavar="list|show|resend|export")
    _add_selection(parser)
    _add_selection(actions.add_parser(
        "list", help="coming meetings, then the newest past ones, then messages (the default)"))
    show = actions.add_parser("show", help="everything about one of them and its deliveries")
    show.add_argument("id", metavar="ID")
    resend = actions.add_parser("resend", help="send the waiting deliveries and dead letters of one of them again now")
    resend.add_argument("id", metavar="ID|all", help="all: everything that waits or was given up, except refusals")
    file = actions.add_parser("export", help="write all booked meetings to a calendar file")
    file.add_argument("file", metavar="FILE.ics", type=Path)
    file.add_argument("--force", action="store_true", help="write over a file that is there")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    """Adds `--today` and `--all`. They have no defaults, which after `list` would undo an option before it."""
    which = parser.add_mutually_exclusive_group()
    for name, what in (("today", "those of today"), ("all", "also all past ones")):
        which.add_argument(f"--{name}", dest="which", action="store_const", const=name, default=argparse.SUPPRESS,
                           help=what)


def run(
    options: argparse.Namespace, database_url: URL, receivers: Sequence[str] = (), *,
    of_calls: Sequence[str] = (), zone: tzinfo = UTC,
) -> int:
    """Does what the command line says. Returns the exit code: 0, or 1 after a line that says what was wrong.

    `receivers`: WEBHOOK_URL as it is now, where what is sent again goes. `of_calls`: CALL_WEBHOOK_URL, where reports of
    calls go. `zone`: where the business is, which says what `--today` means for messages.
    """
    try:
        asyncio.run(_run(options, database_url, receivers, of_calls, zone))
    except (CannotDo, DatabaseUnavailable) as problem:
        print(problem, file=sys.stderr)
        return 1
    except StoreFailed as reason:
        print(f"the database failed: {reason}", file=sys.stderr)
        return 1
    return 0


async def _run(
    options: argparse.Namespace, database_url: URL, receivers: Sequence[str], of_calls: Sequence[str], zone: tzinfo,
) -> None:
    async with open_database(database_url, create=False) as database:
        match options.action:
            case "show":
                await _show(database, options.id)
            case "resend":
                await _resend(database, options.id, receivers, of_calls)
            case "export":
                await _export(database, options.file, force=options.force)
            case _:
                await _list(database, getattr(options, "which", "recent"), zone)


# ---- the four actions

async def _list(database: Database, which: str, zone: tzinfo) -> None:
    meetings = [meeting async for meeting in _all(database)]
    messages = [message async for message in _all_messages(database)]
    states, now = await DeliveryQueue(database).states(), datetime.now(UTC)
    match which:
        case "today":
            listed = listing.today(meetings, messages, now, zone)
        case "all":
            listed = listing.everything(meetings, messages, now)
        case _:
            listed = listing.recent(meetings, messages, now, lambda id: "dead" in states.get(id, {}))
    rows = [COLUMNS]
    rows += [(meeting.id, _when(meeting.start), plain(meeting.name), masked(meeting.email), meeting.status,
              described(states.get(meeting.id, {}))) for meeting in listed.meetings]
    rows += [(message.id, utc(message.recorded.timestamp()), f"caller {Caller(message.caller)}", "",
              f"message, {message.seconds} s", described(states.get(message.id, {}))) for message in listed.messages]
    nothing = "nothing today" if which == "today" and (meetings or messages) else "no meetings yet"
    print(table(rows) if len(rows) > 1 else nothing)
    if listed.left_out:
        print(f"{listed.left_out} more are over: --all shows them")


async def _show(database: Database, id: str) -> None:
    known = await _known(database, id)
    print(facts(_of_meeting(known) if isinstance(known, Meeting) else _of_message(known)))
    for delivery in await DeliveryQueue(database).about(id):
        print("\n" + facts(_of_delivery(delivery)))


async def _resend(database: Database, id: str, receivers: Sequence[str], of_calls: Sequence[str]) -> None:
    queue = DeliveryQueue(database)
    known = await _known(database, id) if id != EVERYTHING else None
    what = f"{'meeting' if isinstance(known, Meeting) else 'message'} {known.id}" if known else "all that is known"
    revived = await queue.revive(
        known.id if known else None, time.time(), lease_s=LEASE_S, receivers=receivers, of_calls=of_calls)
    if not revived:
        raise CannotDo(f"{what} has {await _nothing_to_send(queue, known)}" if known else "nothing waits to be sent")
    print(f"{revived} {'delivery' if revived == 1 else 'deliveries'} of {what} "
          "will be sent again by the running server within seconds.")


async def _nothing_to_send(queue: DeliveryQueue, known: Meeting | Message) -> str:
    """Why nothing about this is sent again, as the end of a sentence."""
    deliveries = await queue.about(known.id)
    states = summary(deliveries)
    if any(each.state == "undone" for each in deliveries):
        return (f"nothing to send again: it was refused, and the caller was told so. Its deliveries: {states}. "
                f"To see whom to call: python -m bridge meetings show {known.id}")
    if any(each.state == "dead" for each in deliveries):
        return f"nothing to send again: later news of it has been delivered. Its deliveries: {states}"
    return f"no dead letters to send again. Its deliveries: {states}"


async def _export(database: Database, file: Path, *, force: bool) -> None:
    booked = [meeting async for meeting in _all(database) if meeting.status == "booked"]
    if not booked:
        raise CannotDo(f"no meeting is booked, so {file} was not written: a calendar file needs a meeting")
    if file.exists() and not file.is_dir() and not force:
        raise is_there(file)                         # now rather than after some seconds
    write_privately(file, export(booked, datetime.now(UTC)).encode(), force=force)
    print(f"{len(booked)} {'meeting' if len(booked) == 1 else 'meetings'} written to {file}")


# ---- reading

async def _all(database: Database) -> AsyncIterator[Meeting]:
    meetings, last = Meetings(database), None
    while page := await meetings.all(PAGE, last):
        for meeting in page:
            yield meeting
        last = page[-1]


async def _all_messages(database: Database) -> AsyncIterator[Message]:
    messages, last = Messages(database), None
    while page := await messages.all(PAGE, last):
        for message in page:
            yield message
        last = page[-1]


async def _known(database: Database, id: str) -> Meeting | Message:
    known = await Meetings(database).find(id) or await Messages(database).find(id)
    if known is None:
        raise CannotDo(f"there is no meeting {plain(id)}. `python -m bridge meetings` lists them")
    return known


# ---- writing

def _of_meeting(meeting: Meeting) -> list[tuple[str, Any]]:
    return [
        ("id", meeting.id), ("status", meeting.status), ("begins", _when(meeting.start)), ("ends", _when(meeting.end)),
        ("time zone", meeting.zone.key), ("read back", meeting.read_back), ("name", meeting.name),
        ("e-mail", meeting.email), ("phone", meeting.phone_number), ("about", meeting.description),
        ("call", meeting.call_sid), ("version", meeting.sequence),
    ]


def _of_message(message: Message) -> list[tuple[str, Any]]:
    return [
        ("id", message.id), ("recorded", utc(message.recorded.timestamp())), ("phone", message.caller),
        ("recording", message.recording_url), ("seconds", message.seconds), ("call", message.call_sid),
    ]


def _of_delivery(delivery: Delivery) -> list[tuple[str, Any]]:
    moments = {"pending": "due", "delivered": "delivered", "dead": "given up", "undone": "refused"}
    return [
        ("delivery", delivery.id), ("news", delivery.type), ("receiver", host(delivery.url)),
        ("state", delivery.state), ("attempts", delivery.attempts), ("promised", utc(delivery.created_at)),
        (moments[delivery.state], utc(delivery.next_at)), ("last error", delivery.last_error),
        ("answer", delivery.answer),
    ]


def summary(deliveries: Sequence[Delivery]) -> str:
    """Counts the states of deliveries, such as "1 dead, 2 delivered"."""
    return described(Counter(delivery.state for delivery in deliveries))


def described(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"


def masked(email: str) -> str:
    """The part of an e-mail address by which its owner is recognised. "" for none."""
    if not email:
        return ""
    name, _, domain = email.rpartition("@")
    return f"{plain(name[:1])}***@{plain(domain)}"


def _when(moment: datetime) -> str:
    return f"{moment:%a %Y-%m-%d %H:%M %z}"
