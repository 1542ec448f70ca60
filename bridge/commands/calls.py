"""`python -m bridge calls`: what was said and heard in each call, and what came of it, at the owner's terminal.

It needs the database and nothing else. Numbers are masked in the list. `show` and `export` tell everything.
"""

import argparse
import asyncio
import csv
import io
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from bridge.commands.asking import CannotDo
from bridge.commands.private_file import write_privately
from bridge.commands.terminal import facts, plain, table, utc
from bridge.delivery.delivery_log import host
from bridge.delivery.outbox import LEASE_S
from bridge.delivery.report import as_told, described
from bridge.log import json_escaped
from bridge.meetings.meeting import Meeting
from bridge.records.call_record import Call, CallRecord, Turn
from bridge.records.call_records import CallRecords, Wanted
from bridge.records.database import Database, DatabaseUnavailable, StoreFailed, open_database
from bridge.records.deliveries import DeliveryQueue
from bridge.records.endings import Ending
from bridge.twilio_side.caller import Caller

COLUMNS = ("CALL", "WHEN", "CALLER", "LASTED", "ENDING", "TURNS", "WAIT", "LONGEST", "USD")
#: Calls that are listed unless another number is asked for; and calls that are read at once.
RECENT, PAGE = 20, 200
#: A span back from now: 90m, 24h, 7d.
_SPAN = re.compile(r"(\d{1,5})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
#: What a CSV file has of each call, in this order.
CSV_COLUMNS = (
    "call_sid", "started", "ended", "duration_seconds", "phone_number", "called", "agent", "answered_by", "ending",
    "in_order", "turns", "interruptions", "sessions", "first_audio_ms", "answer_p50_ms", "answer_max_ms", "silence_ms",
    "cost_usd", "model", "voice", "name", "description")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `calls` to the program's commands."""
    parser = commands.add_parser("calls", help="list, show or export what was said in calls")
    actions = parser.add_subparsers(dest="action", metavar="list|show|export|resend")
    _add_filters(parser)
    _add_filters(actions.add_parser("list", help="the newest calls (the default)"))
    show = actions.add_parser("show", help="one call: its words, heard and unheard, and its figures")
    show.add_argument("call", metavar="CALL", help="Twilio's id of the call, or its beginning")
    show.add_argument("--json", action="store_true", help="as JSON")
    export = actions.add_parser("export", help="write calls to a file of JSON lines, or to a CSV file without words")
    _add_filters(export)
    export.add_argument("file", metavar="FILE.jsonl|FILE.csv", type=Path)
    export.add_argument("--force", action="store_true", help="write over a file that is there")
    resend = actions.add_parser("resend", help="send the report of a call again, if it waits or was given up")
    resend.add_argument("call", metavar="CALL")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    """Also behind `list`, where they must not undo what stands before it: hence no defaults there."""
    def add(name: str, **more: Any) -> None:
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS, **more)
    add("since", metavar="DAY|7d", help="calls from this day on, such as 2026-11-28, or of the last 90m, 24h, 7d")
    add("until", metavar="DAY", help="calls before this day")
    add("caller", metavar="NUMBER", help="of this number")
    add("agent", metavar="NAME", help="that this agent has answered")
    add("ending", action="append", metavar="ENDING", help='that ended so, such as "caller hung up"; or: bad')
    add("words", metavar="WORDS", help="in which somebody said this")
    add("limit", type=_count, metavar="N", help=f"so many calls ({RECENT})")


def _count(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError("must be a number from 1 on")
    return int(text)


def run(
    options: argparse.Namespace, database_url: URL, receivers: Sequence[str] = (), *, zone: tzinfo = UTC,
) -> int:
    """Does what the command line says; the exit code: 0, or 1 with one line that says what was wrong.

    `receivers`: CALL_WEBHOOK_URL as it is now. `zone`: where the business is, whose clocks the times are told by.
    """
    try:
        asyncio.run(_run(options, database_url, receivers, zone))
    except (CannotDo, DatabaseUnavailable) as problem:
        print(problem, file=sys.stderr)
        return 1
    except StoreFailed as reason:
        print(f"the database failed: {reason}", file=sys.stderr)
        return 1
    return 0


async def _run(options: argparse.Namespace, database_url: URL, receivers: Sequence[str], zone: tzinfo) -> None:
    wanted = _wanted(options, datetime.now(zone))
    async with open_database(database_url, create=False) as database:
        match options.action:
            case "show":
                await _show(database, options.call, zone, as_json=options.json)
            case "export":
                await _export(database, wanted, getattr(options, "limit", None), options.file, zone, options.force)
            case "resend":
                await _resend(database, options.call, receivers)
            case _:
                await _list(database, wanted, getattr(options, "limit", RECENT), zone)


# ---- which calls

def _wanted(options: argparse.Namespace, now: datetime) -> Wanted:
    """Raises CannotDo for a moment or an ending that cannot be read."""
    def moment(name: str) -> float | None:
        text = getattr(options, name, None)
        return _moment(text, now, name) if text else None
    return Wanted(
        since=moment("since"), until=moment("until"), caller=getattr(options, "caller", ""),
        agent=getattr(options, "agent", ""), endings=_endings(getattr(options, "ending", ())),
        words=getattr(options, "words", ""))


def _moment(text: str, now: datetime, name: str) -> float:
    if span := _SPAN.fullmatch(text):
        return (now - timedelta(**{_UNITS[span[2]]: int(span[1])})).timestamp()
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise CannotDo(f"--{name} must be a day such as {now:%Y-%m-%d}, or a span such as 24h or 7d") from None
    return (day if day.tzinfo else day.replace(tzinfo=now.tzinfo)).timestamp()


def _endings(texts: Sequence[str]) -> Sequence[str]:
    known = [each.value for each in Ending]
    for text in texts:
        if text not in (*known, "bad"):
            raise CannotDo(f"there is no ending {plain(text)!r}; there are: bad, {', '.join(known)}")
    bad = [each.value for each in Ending if not each.in_order]
    return tuple(ending for text in texts for ending in (bad if text == "bad" else [text]))


# ---- the four actions

async def _list(database: Database, wanted: Wanted, limit: int, zone: tzinfo) -> None:
    calls = [call async for call in _all(CallRecords(database), wanted, limit + 1)]
    if not calls:
        print("no such calls" if wanted != Wanted() else "no calls yet")
        return
    print(table([COLUMNS, *(_row(call, zone) for call in calls[:limit])]))
    if len(calls) > limit:
        print(f"There are more: --limit {limit * 5} shows them, --since 7d narrows them down.")


def _row(call: Call, zone: tzinfo) -> tuple[str, ...]:
    return (
        plain(call.call_sid), f"{datetime.fromtimestamp(call.started_at, zone):%a %Y-%m-%d %H:%M}",
        str(Caller(call.caller)) if call.caller else "withheld", _lasted(call), plain(call.ending) or "goes on",
        str(call.turns), _seconds(call.answer_p50_ms), _seconds(call.answer_max_ms), f"{call.usd:.3f}")


async def _show(database: Database, call: str, zone: tzinfo, *, as_json: bool) -> None:
    record, meetings = await _known(database, call)
    if as_json:
        for line in json.dumps(as_told(record, meetings, zone), indent=2, ensure_ascii=False).split("\n"):
            print(json_escaped(line))
        return
    print(facts(_facts(record, meetings, zone)))
    print()
    for line in conversation(record):
        print(line)
    for delivery in await DeliveryQueue(database).about(record.call.call_sid):
        print("\n" + facts([
            ("report", delivery.id), ("receiver", host(delivery.url)), ("state", delivery.state),
            ("attempts", delivery.attempts), ("due" if delivery.state == "pending" else "since", utc(delivery.next_at)),
            ("last error", delivery.last_error)]))


async def _export(
    database: Database, wanted: Wanted, limit: int | None, file: Path, zone: tzinfo, force: bool,
) -> None:
    if file.suffix not in (".jsonl", ".csv"):
        raise CannotDo(f"{file} must end in .jsonl, for everything, or in .csv, for figures only")
    records, told = CallRecords(database), []
    async for call in _all(records, wanted, limit):
        if found := await records.read_with_meetings(call.call_sid):
            told.append(as_told(*found, zone))
    if not told:
        raise CannotDo(f"there are no such calls, so {file} was not written")
    write_privately(file, (_csv(told) if file.suffix == ".csv" else _lines(told)).encode(), force=force)
    print(f"{len(told)} {'call' if len(told) == 1 else 'calls'} written to {file}")


async def _resend(database: Database, call: str, receivers: Sequence[str]) -> None:
    record, _ = await _known(database, call)
    revived = await DeliveryQueue(database).revive(
        record.call.call_sid, time.time(), lease_s=LEASE_S, of_calls=receivers)
    if not revived:
        raise CannotDo("no report of this call waits or was given up: nothing is sent again")
    print(f"{revived} {'report' if revived == 1 else 'reports'} of this call will be sent again by the running server "
          "within seconds.")


async def _all(records: CallRecords, wanted: Wanted, limit: int | None) -> AsyncIterator[Call]:
    """The newest first, `limit` at most."""
    count, before = 0, None
    while page := await records.newest(wanted, PAGE, before):
        for call in page:
            if limit is not None and count >= limit:
                return
            yield call
            count += 1
        before = page[-1].started_at, page[-1].call_sid


async def _known(database: Database, call: str) -> tuple[CallRecord, list[Meeting]]:
    """The call with this id, or the one that begins so. Raises CannotDo."""
    records = CallRecords(database)
    if found := await records.read_with_meetings(call):
        return found
    begin_so = await records.beginning(call, 2)
    if len(begin_so) == 1 and (found := await records.read_with_meetings(begin_so[0])):
        return found
    raise CannotDo(f"{'several calls begin with' if begin_so else 'there is no call'} {plain(call)}; "
                   "`python -m bridge calls` lists them")


# ---- writing

def _facts(record: CallRecord, meetings: Sequence[Meeting], zone: tzinfo) -> list[tuple[str, Any]]:
    call = record.call
    return [
        ("call", call.call_sid), ("began", f"{datetime.fromtimestamp(call.started_at, zone):%a %Y-%m-%d %H:%M:%S %z}"),
        ("caller", call.caller or "withheld"), ("called", call.called), ("agent", call.agent),
        ("answered by", call.answered_by), ("what came", described(record, meetings)),
        ("first sound", _seconds(call.first_audio_ms)),
        ("wait", f"{_seconds(call.answer_p50_ms)} usually, {_seconds(call.answer_max_ms)} at most"
         if call.answer_p50_ms is not None else ""),
        ("silence", f"{_seconds(call.silence_ms)} at most" if call.silence_ms is not None else ""),
        ("turns", f"{call.turns}, {call.interruptions} interruptions"), ("sessions", call.sessions),
        ("cost", f"{call.usd:.4f} USD"),
        ("tokens", ", ".join(f"{count} {kind}" for kind, count in call.tokens.items())),
        ("model", f"{call.model}, voice {call.voice}"), ("recording", call.recording),
    ]


def conversation(record: CallRecord) -> Iterator[str]:
    """A line for each turn: when, who, what, and how long it was waited for."""
    for turn in record.turns:
        who = {"function": "function", "event": "-", "keys": "keys"}.get(turn.kind, turn.by)
        at = f"{turn.at_ms // 60_000}:{turn.at_ms // 1000 % 60:02}"
        yield f"{at:>6}  {who:<9}  {plain(_said(turn))}{_waited(turn)}"


def _said(turn: Turn) -> str:
    match turn.kind:
        case "function":
            took = f" in {turn.data['seconds']:.2f} s" if "seconds" in turn.data else ""
            answer = json.dumps(turn.data["answer"], ensure_ascii=False) if "answer" in turn.data else ""
            status = turn.data.get("status", "no answer")
            return f"{turn.text} {turn.data.get('arguments', '')} -> {status}{took} {answer}"
        case "event":
            return " ".join([turn.text, *(f"({name}: {value})" for name, value in turn.data.items())])
        case "filler" if turn.data.get("recorded"):
            return f"(the recorded sentence {turn.text!r})"
    if turn.by == "caller" and not turn.text:
        return f"(not written down: {turn.data['unclear']})" if "unclear" in turn.data else "(not written down)"
    if turn.heard is None or turn.heard >= len(turn.text):
        return turn.text
    unheard = turn.text[turn.heard:].strip()
    cut = f"cut at {_seconds(turn.heard_ms)} of {_seconds(turn.sent_ms)}" if turn.was_cut else "not heard"
    return f"{turn.text[:turn.heard]} [{cut}, not heard: {unheard}]"


def _waited(turn: Turn) -> str:
    if turn.answer_ms is None:
        return ""
    first = f", first sound {_seconds(turn.first_ms)}" if turn.first_ms != turn.answer_ms else ""
    return f"   (waited {_seconds(turn.answer_ms)}{first})"


def _lasted(call: Call) -> str:
    if call.ended_at is None:
        return ""
    seconds = round(call.seconds)
    return f"{seconds // 60}:{seconds % 60:02}"


def _seconds(ms: int | None) -> str:
    return "" if ms is None else f"{ms / 1000:.2f} s"


def _lines(told: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in told)


def _csv(told: Sequence[dict[str, Any]]) -> str:
    """Figures only. A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    output = io.StringIO()
    writer = csv.writer(output)
    writer.writerow(CSV_COLUMNS)
    for each in told:
        writer.writerow([_cell(each[name]) for name in CSV_COLUMNS])
    return output.getvalue()


def _cell(value: Any) -> Any:
    """https://owasp.org/www-community/attacks/CSV_Injection: a name may begin with =. A number's + stays a number."""
    dangerous = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return "'" + value if dangerous and not re.fullmatch(r"\+\d+", value) else value
