"""The command line: `python -m bridge` serves, and `python -m bridge demo` plays a call without any account."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from bridge import __version__
from bridge.program import command

#: The exit code of a command that Ctrl-C ended: 128 and the signal's number, as in shells.
INTERRUPTED = 130

try:                                                 # seconds on a small machine: enough for a Ctrl-C
    from bridge.commands import backup, calls, demo, doctor, erase, init, meetings, number, password, serve, tunnel
    from bridge.settings import BadSettings, load_one
    from bridge.twilio_side.rest import Credentials
except ModuleNotFoundError as missing:
    if (missing.name or "bridge").startswith("bridge"):
        raise
    sys.exit(f"bridge needs the package {missing.name}, which {sys.executable} does not have. Install all packages in "
             "the project's folder: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt . "
             "Then run: .venv/bin/python -m bridge")
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns the exit code: 0, 1 if it failed, 2 if the settings are wrong, or INTERRUPTED."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:                          # `| head` has closed the pipe: the flush at exit must not fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:                        # the person who pressed Ctrl-C knows why
        print(file=sys.stderr)
        return INTERRUPTED


def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bridge", description="An AI that answers phone calls.")
    parser.add_argument("--version", action="version", version=__version__)
    tunnel.add_arguments(parser)
    commands = parser.add_subparsers(dest="command")
    for each in (init, serve, number, doctor, demo, calls, meetings, erase, backup, password):
        each.add_parser(commands)
    options = parser.parse_args(arguments)
    if options.command not in (None, "serve") and hasattr(options, "tunnel"):
        parser.error(f"--tunnel is for the server, not for {options.command}")
    try:
        if options.command == "demo":
            return demo.run(options)
        if options.command == "init":
            return init.run(options)
        if options.command == "doctor":
            return doctor.run(options)
        if options.command == "hash-password":
            return password.run()
        if options.command == "number":
            credentials = Credentials(
                setting("TWILIO_API_URL"), setting("TWILIO_ACCOUNT_SID"), setting("TWILIO_AUTH_TOKEN"))
            return number.run(options, credentials, setting("PUBLIC_URL"))
        if options.command == "meetings":
            again = options.action == "resend"
            return meetings.run(
                options, setting("DATABASE_URL"), setting("WEBHOOK_URL") if again else (),
                of_calls=setting("CALL_WEBHOOK_URL") if again else (), zone=setting("TIMEZONE"))
        if options.command == "calls":
            receivers = setting("CALL_WEBHOOK_URL") if options.action == "resend" else ()
            return calls.run(options, setting("DATABASE_URL"), receivers, zone=setting("TIMEZONE"))
        if options.command == "erase":
            return erase.run(options, setting("DATABASE_URL"), setting("RECORDINGS_STORE"))
        if options.command == "backup":
            return backup.run(options, setting("DATABASE_URL"))
        return serve.run(options)
    except BadSettings as problems:
        print(f"bridge cannot start:\n{problems}\nbridge/SETTINGS.md lists all settings. `{command('init')}` asks for "
              "those that a call needs.", file=sys.stderr)
        return 2


def setting(name: str) -> Any:
    """One setting, for a command that needs no other. Raises BadSettings."""
    return load_one(name, os.environ, Path(".env"))


if __name__ == "__main__":
    sys.exit(main())
