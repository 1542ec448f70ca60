"""`python -m bridge number`: where the account's numbers lead their callers, and leading one to this server.

`set` shows what is and what will be, asks, sets it, reads back what Twilio has kept, and prints the command that undoes
it. `restore` leads back what a `--tunnel` that was killed has left. Exit codes: 0, it is done; 1, it is not, for the
reason that is said; 2, wrong arguments or settings.
"""

import argparse
import re
import sys
from pathlib import Path

from bridge import setting_values
from bridge.commands.asking import CannotDo, agreed
from bridge.commands.terminal import plain, table
from bridge.program import command
from bridge.tunnel import leftovers
from bridge.twilio_side import pointing
from bridge.twilio_side.account import Account, Number, TwilioFailed
from bridge.twilio_side.pointing import CannotPoint
from bridge.twilio_side.rest import Credentials

COLUMNS = ("NUMBER", "NAME", "CALLS GO TO", "FALLBACK", "STATUS CALLBACK")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `number` to the program's commands."""
    parser = commands.add_parser("number", help="see where your numbers lead, and lead one here")
    actions = parser.add_subparsers(dest="action", metavar="list|set|restore")
    actions.add_parser("list", help="the account's numbers, and where each leads (the default)")
    one = actions.add_parser("set", help="lead a number to this server")
    one.add_argument("number", metavar="NUMBER", type=phone_number, help="such as +15551234567")
    one.add_argument("--url", type=origin, help="the server's public https address; else PUBLIC_URL")
    one.add_argument("--yes", action="store_true", help="do not ask")
    one.add_argument("--detach", action="store_true", help="take it from its trunk or application")
    exact = one.add_argument_group("instead of leading it here, to undo", "set these and nothing else")
    for field in pointing.FIELDS:
        exact.add_argument(f"--{field.replace('_', '-')}", metavar="TEXT", help=argparse.SUPPRESS
                           if field.endswith("_method") else f"Twilio's {field}; empty: none")
    actions.add_parser("restore", help="lead back what a --tunnel that was killed has left")


def phone_number(text: str) -> str:
    """As people write it, with blanks, dashes and brackets. Raises ArgumentTypeError."""
    try:
        return setting_values.phone_number(re.sub(r"[\s().-]", "", text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, such as +15551234567") from None


def origin(text: str) -> str:
    """As PUBLIC_URL; with /incoming-call behind it, it is known what is meant."""
    try:
        return setting_values.public_url(text.removesuffix(pointing.INCOMING))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace, credentials: Credentials, public_url: str) -> int:
    """Does what the command line says; the exit code. `public_url`: PUBLIC_URL, or ""."""
    try:
        if not credentials.sid or not credentials.token:
            raise CannotDo(f"TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set. `{command('init')}` asks for them")
        account = Account(credentials)
        match options.action:
            case "set":
                _set(account, options, public_url)
            case "restore":
                _restore(account)
            case _:
                _list(account, public_url)
    except (CannotDo, CannotPoint, TwilioFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


# ---- list

def _list(account: Account, public_url: str) -> None:
    numbers = account.numbers()
    if not numbers:
        print("the account has no number: buy one with voice in the Twilio console")
        return
    print(table([COLUMNS, *(_row(account, each, public_url) for each in numbers)]))
    for record in leftovers.read(Path.cwd()):
        if any(each.sid == record.sid and each.voice_url in record.voice_urls for each in numbers):
            print(f"{record.phone_number} leads to a tunnel that was opened in this folder. Once that has ended, this "
                  f"leads it to {record.before.get('voice_url') or 'nowhere'} again, as before: "
                  f"{command('number', 'restore')}")


def _row(account: Account, number: Number, public_url: str) -> tuple[str, ...]:
    leads = pointing.leads_to(number)
    if number.voice_application_sid:
        leads += f", at {account.application_url(number.voice_application_sid) or 'no voice URL'}"
    elif not number.overridden_by and public_url and number.voice_url == public_url + pointing.INCOMING:
        leads += " (this server)"
    elif not number.overridden_by and pointing.is_passing(number.voice_url):
        leads += " (a tunnel, while its program runs)"
    return tuple(map(plain, (number.phone_number, number.friendly_name, leads, number.voice_fallback_url or "none",
                             number.status_callback or "none")))


# ---- set

def _set(account: Account, options: argparse.Namespace, public_url: str) -> None:
    number = found(account, options.number)
    exact = {field: given for field in pointing.FIELDS if (given := getattr(options, field)) is not None}
    if exact:
        wanted = exact | ({"voice_application_sid": "", "trunk_sid": ""} if options.detach else {})
    else:
        here = options.url or public_url
        if not here:
            raise CannotDo("where to lead it is not known: give --url with the server's public https address, or set "
                           "PUBLIC_URL")
        pointing.require_reachable(here)
        wanted = pointing.to_this_server(here, number)
    pointing.require_callable(number, detach=options.detach or "voice_application_sid" in exact or "trunk_sid" in exact)
    changes = pointing.changes(number, wanted)
    if not changes:
        print(f"{number.phone_number} is set so already: calls go to {pointing.leads_to(number)}")
        return
    print(f"{number.phone_number} {plain(number.friendly_name)}".strip())
    print(table([("", "NOW", "THEN"), *((f"  {each.field}", plain(each.before) or "none", plain(each.after) or "none")
                                        for each in changes)]))
    if not options.yes:
        if not agreed("Set it?"):
            raise CannotDo("nothing was changed")
        if account.number(number.sid) != number:     # the answer may have taken an hour
            raise CannotDo(f"{number.phone_number} was changed meanwhile, and stays as it is: look at it once more")
    account.change(number.sid, **{each.field: each.after for each in changes if each.after or each.before})
    _read_back(account, number, changes)
    undo = [f"--{field.replace('_', '-')}={value}" for field, value in pointing.undoing(number, wanted).items()]
    print(f"To undo it: {command('number', 'set', number.phone_number, '--yes', *undo)}")


def found(account: Account, phone_number: str) -> Number:
    """The account's number. Raises CannotDo, and TwilioFailed."""
    if number := account.find(phone_number):
        return number
    others = [each.phone_number for each in account.numbers()]
    raise CannotDo(f"the account has no {phone_number}; it has {', '.join(others[:10]) or 'no number at all'}")


def _read_back(account: Account, before: Number, changes: list[pointing.Change]) -> None:
    """What Twilio has kept. Raises CannotDo."""
    kept = account.number(before.sid)
    lost = [each for each in changes if getattr(kept, each.field) != each.after]
    if lost:
        raise CannotDo("Twilio has not kept everything: " + "; ".join(
            f"{each.field} is {getattr(kept, each.field) or 'none'}" for each in lost))
    if kept.overridden_by and not before.overridden_by and "sid" not in "".join(each.field for each in changes):
        raise CannotDo(f"{kept.phone_number} was given to {kept.overridden_by} meanwhile, and its voice URL counts for "
                       "nothing")
    print(f"Twilio has kept it: calls to {kept.phone_number} go to {pointing.leads_to(kept)}")


# ---- restore

def _restore(account: Account) -> None:
    records = leftovers.read(Path.cwd())
    if not records:
        print("no tunnel has left anything to restore in this folder")
    for record in records:
        if leftovers.lead_back(account, Path.cwd(), record):
            print(f"{record.phone_number}: calls go to {pointing.leads_to(account.number(record.sid))}")
        else:
            print(f"{record.phone_number} does not lead to the tunnel any more, and stays as it is")
