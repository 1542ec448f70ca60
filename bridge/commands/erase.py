"""`python -m bridge erase +15551234567`: removes a caller, for an owner whom the caller has asked.

It says what there is and asks before it removes it. `--yes` answers beforehand. It cannot remove what the webhook has
been told. Undelivered news would be lost: the command says so, and needs `--undelivered` beside `--yes`.
Exit codes: 0, the caller is removed or was unknown. 1, nothing was removed, and a line says why. 2, wrong arguments.
"""

import argparse
import asyncio
import re
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from types import MappingProxyType

from sqlalchemy import URL

from bridge.commands.asking import CannotDo, agreed
from bridge.recordings import shelf
from bridge.recordings.shelf import ShelfFailed
from bridge.records import sqlite_file
from bridge.records.database import DatabaseUnavailable, StoreFailed, open_database
from bridge.records.erasure import Erasure, Found
from bridge.twilio_side.caller import E164

_CALL_SID = re.compile("CA[0-9a-f]{32}")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `erase` to the program's commands."""
    parser = commands.add_parser("erase", help="remove a caller from database and recordings")
    parser.add_argument("caller", metavar="NUMBER", type=caller,
                        help="a number such as +15551234567; for a caller who hid it, the CallSid")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--undelivered", action="store_true", help="also news that your webhook has not been told yet")


def caller(text: str) -> str:
    if not E164.fullmatch(text) and not _CALL_SID.fullmatch(text):
        raise argparse.ArgumentTypeError("must be a phone number with + and the country's code, or a CallSid")
    return text


def run(options: argparse.Namespace, database_url: URL, store: Mapping[str, str] = MappingProxyType({})) -> int:
    """Does it, or says why not; the exit code. `store`: RECORDINGS_STORE."""
    try:
        asyncio.run(_run(options, database_url, store))
    except (CannotDo, DatabaseUnavailable) as problem:
        print(problem, file=sys.stderr)
        return 1
    except StoreFailed as reason:
        print(f"the database failed, and nothing was removed: {reason}", file=sys.stderr)
        return 1
    _empty_log(database_url)
    return 0


async def _run(options: argparse.Namespace, database_url: URL, store: Mapping[str, str]) -> None:
    async with open_database(database_url, create=False) as database:
        erasure = Erasure(database)
        found = await erasure.find(options.caller, time.time())
        if not found.anything:
            print("nothing is known of this caller")
            return
        _require_consent(options, found)
        await _remove_recordings(found.recordings, store)
        erased = await erasure.erase(options.caller, time.time())
    print(f"removed: {described(erased)}")
    for warning in warnings(erased):
        print(warning)


async def _remove_recordings(addresses: Sequence[str], store: Mapping[str, str]) -> None:
    """First of all: the database knows where they are. Raises CannotDo."""
    for count, address in enumerate(addresses):
        try:
            await shelf.remove(address, store)
        except ShelfFailed as reason:
            raise CannotDo(
                f"{counted(count, 'recording')} of {len(addresses)} removed, and nothing else: {address} could not be "
                f"removed ({reason}). Erase again.") from None


def _require_consent(options: argparse.Namespace, found: Found) -> None:
    """Asks the owner, unless `--yes` answers. Raises CannotDo if the answer is no, or news would be lost."""
    if found.untold and options.yes and not options.undelivered:
        raise CannotDo(
            f"nothing was removed: {counted(found.untold, 'delivery', 'deliveries')} of this caller would be lost. "
            "Wait until your webhook has taken them, send dead letters again with `python -m bridge meetings resend`, "
            "or add --undelivered.")
    if options.yes:
        return
    print(f"This will be removed: {described(found)}")
    for warning in warnings(found):
        print(warning)
    if not agreed("Remove it for good?"):
        raise CannotDo("nothing was removed")


def described(found: Found) -> str:
    return ", ".join([
        counted(found.meetings, "meeting"), counted(found.messages, "message"),
        counted(found.deliveries, "delivery", "deliveries"), counted(found.calls, "call"),
        counted(found.records, "record of a call", "records of calls"),
        counted(len(found.recordings), "recording of a call", "recordings of calls")])


def warnings(found: Found) -> list[str]:
    """What the owner should know about the removal, a sentence each."""
    return [warning for holds, warning in (
        (found.untold, f"{counted(found.untold, 'delivery', 'deliveries')} did not reach your webhook yet, which "
                       "will never hear of it."),
        (found.upcoming, f"{counted(found.upcoming, 'meeting')} still to come: your webhook is not told that it is "
                         "gone here."),
        (found.under_way, f"{counted(found.under_way, 'call')} under way: erase again when it is over."),
        (found.messages, "Recordings of messages stay in your Twilio console until you delete them there."),
    ) if holds]


def counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _empty_log(database_url: URL) -> None:
    """Empties SQLite's write-ahead log into the file. Removed data would stand in it for a while."""
    if database_url.get_backend_name() != "sqlite" or not database_url.database:
        return
    with suppress(sqlite3.Error), closing(sqlite_file.connect(database_url.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
