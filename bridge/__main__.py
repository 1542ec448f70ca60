"""The command line: `python -m bridge` serves; `python -m bridge demo` plays a call without any account."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from bridge import __version__
from bridge.commands import backup, demo, erase, meetings, password, serve
from bridge.settings import BadSettings, load_one

#: The exit code of a command that Ctrl-C has ended, as shells have it.
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; the process's exit code: 0, 1 when it failed, 2 when it was set up wrongly, INTERRUPTED."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:                          # `| head` has seen enough, and nothing more is said at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bridge", description="An AI that answers phone calls.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command")
    for each in (serve, demo, meetings, erase, backup, password):
        each.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        if options.command == "demo":
            return demo.run(options)
        if options.command == "hash-password":
            return password.run()
        if options.command == "meetings":
            receivers = setting("WEBHOOK_URL") if options.action == "resend" else ()
            return meetings.run(options, setting("DATABASE_URL"), receivers, zone=setting("TIMEZONE"))
        if options.command == "erase":
            return erase.run(options, setting("DATABASE_URL"), setting("RECORDINGS_STORE"))
        if options.command == "backup":
            return backup.run(options, setting("DATABASE_URL"))
        return serve.run()
    except BadSettings as problems:
        print(f"bridge cannot start:\n{problems}\nbridge/SETTINGS.md lists all settings.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:                        # who asked for the end knows why
        print(file=sys.stderr)
        return INTERRUPTED


def setting(name: str) -> Any:
    """One setting, for a command that needs no other. Raises BadSettings."""
    return load_one(name, os.environ, Path(".env"))


if __name__ == "__main__":
    sys.exit(main())
