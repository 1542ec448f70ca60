"""`python -m bridge --tunnel`: the server, a tunnel to it, and a number that leads there while it runs.

What cannot work is said before anything is started: no program, no such number, a number that belongs to a trunk.
Exit codes: those of the server; 1 also when there is no tunnel, or no more.
"""

import argparse
import logging
import os
from pathlib import Path
from typing import NamedTuple

from bridge import composition
from bridge.commands.asking import CannotDo
from bridge.commands.number import found, phone_number
from bridge.program import command
from bridge.server import Beside, Served
from bridge.settings import BadSettings, Settings
from bridge.settings_checks import FOR_ANYBODY
from bridge.tunnel import leftovers, programs
from bridge.tunnel.keeper import Keeper, Lead
from bridge.tunnel.reach import Prober
from bridge.twilio_side import pointing
from bridge.twilio_side.account import Account, Number

log = logging.getLogger(__name__)

#: How long Twilio may take to lead a number back at the end, seconds: there is not much time.
TIMEOUT_S = 2.5
#: The first program that is there.
ANY = "any"


class Note(NamedTuple):
    """What is to be said of a number."""

    sid: str
    phone_number: str
    what: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For a parser of `serve`."""
    parser.add_argument(
        "--tunnel", nargs="?", const=ANY, choices=(ANY, *programs.NAMES), metavar="PROGRAM", default=argparse.SUPPRESS,
        help="open a tunnel to this machine, by cloudflared or ngrok")
    parser.add_argument(
        "--number", type=phone_number, default=argparse.SUPPRESS,
        help="with --tunnel: the number that leads here meanwhile")


def beside(settings: Settings, program: str, phone_number: str | None) -> Beside:
    """The tunnel, and the number if one is given. Raises BadSettings, CannotDo, CannotPoint and TwilioFailed."""
    if not settings.TWILIO_AUTH_TOKEN and settings.ALLOW_UNSIGNED != FOR_ANYBODY:
        raise BadSettings("TWILIO_AUTH_TOKEN must be set with --tunnel: without it anybody in the world could open "
                          "calls at your expense")
    try:
        which, file = programs.found("" if program == ANY else program, os.environ.get("PATH", ""))
    except programs.NoProgram as problem:
        raise CannotDo(str(problem)) from None
    credentials = composition.credentials(settings)
    if phone_number and not credentials:
        raise BadSettings("TWILIO_ACCOUNT_SID must be set with --number: it stands in the Twilio console")
    folder, lead = Path.cwd(), None
    notes = list[Note]()
    if credentials:
        account = Account(credentials)
        number = found(account, phone_number) if phone_number else None
        notes = _left_over(account, folder, number)
        if number:
            pointing.require_callable(number)
            if pointing.is_passing(number.voice_url) and not any(each.sid == number.sid for each in notes):
                notes.append(Note(
                    number.sid, number.phone_number, "leads to a tunnel already. Where it led before that is not known "
                    "here, so it leads to that tunnel again at the end"))
            lead = Lead(Account(credentials, timeout_s=TIMEOUT_S), number, folder)
    keeper = Keeper(which, file, Prober(settings.TWILIO_AUTH_TOKEN, settings.TWILIO_ACCOUNT_SID), lead)

    async def run(served: Served) -> str:
        for note in notes:                     # now that there is a log
            log.warning("%(number)s %(what)s", {"number": note.phone_number, "what": note.what})
        if lead is None:
            log.info("no --number was given. To lead yours to the tunnel, with its address: %(command)s",
                     {"command": command("number", "set", "YOUR_NUMBER", "--url", "ADDRESS")})
        return await keeper.run(served)
    return run


def _left_over(account: Account, folder: Path, number: Number | None) -> list[Note]:
    """What is to be said of numbers that a tunnel which was killed has left; what is settled is forgotten."""
    notes = list[Note]()
    for record in leftovers.read(folder):
        ours = number is not None and number.sid == record.sid
        if leftovers.still_leads(account, folder, record):
            notes.append(Note(
                record.sid, record.phone_number, "was left leading to a tunnel that was killed: " + (
                    "at the end of this run it leads where it led before" if ours else
                    "to lead it back: " + command("number", "restore"))))
    return notes
