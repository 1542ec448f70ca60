"""The command line: `python -m bridge` serves; `python -m bridge demo` plays a call without any account."""

import argparse
import asyncio
import io
import os
import sys
from datetime import date
from pathlib import Path

from bridge import __version__
from bridge.commands import backup, erase
from bridge.commands import meetings as command
from bridge.commands import password as console
from bridge.loop.event_loop import event_loop
from bridge.server import serve
from bridge.settings import BadSettings, doubts, load, load_one
from bridge.sim.faults import REHEARSED

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
    commands.add_parser("serve", help="answer calls (the default)")
    demo = commands.add_parser(
        "demo", help="hear a whole call, without any account or network",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="faults:\n" + "\n".join(f"  {name:<22}{fault.what}" for name, fault in REHEARSED.items()))
    demo.add_argument("--fast", action="store_true", help="faster than real time")
    demo.add_argument("--wav", type=Path, default=Path("bridge-demo.wav"), help="where the recording goes")
    demo.add_argument("--fault", choices=REHEARSED, metavar="NAME", help="rehearse a fault, one of those listed below")
    command.add_parser(commands)
    erase.add_parser(commands)
    backup.add_parser(commands)
    console.add_parser(commands)
    options = parser.parse_args(arguments)
    try:
        if options.command == "demo":
            return play(options.wav, fast=options.fast, fault=options.fault)
        if options.command == "hash-password":
            return console.run()
        if options.command == "meetings":
            names = ["DATABASE_URL", *(["WEBHOOK_URL"] if options.action == "resend" else [])]
            return command.run(options, *(load_one(name, os.environ, Path(".env")) for name in names),
                               zone=load_one("TIMEZONE", os.environ, Path(".env")))
        if options.command == "erase":
            return erase.run(options, load_one("DATABASE_URL", os.environ, Path(".env")))
        if options.command == "backup":
            return backup.run(options, load_one("DATABASE_URL", os.environ, Path(".env")))
        settings = load(os.environ, Path(".env"))
        return serve(settings, doubts(settings, os.environ, Path(".env"), today=date.today()))
    except BadSettings as problems:
        print(f"bridge cannot start:\n{problems}\nbridge/SETTINGS.md lists all settings.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:                        # who asked for the end knows why
        print(file=sys.stderr)
        return INTERRUPTED


def play(wav: Path, *, fast: bool, fault: str | None) -> int:
    """Plays the demo, or a call in which one thing breaks. Imported here: a server needs no simulators."""
    from bridge.sim.demo import run
    from bridge.sim.rehearsal import rehearse
    try:
        # Now rather than after the call; a new file is its owner's alone.
        os.close(os.open(wav, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    except OSError as error:
        print(f"{wav} cannot be written: {error.strerror}. Name another file with --wav.", file=sys.stderr)
        return 1
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")     # a terminal that knows no “ is no reason to stop
    try:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            return runner.run(rehearse(fault, wav, fast=fast) if fault else run(wav, fast=fast))
    finally:
        if not wav.stat().st_size:
            wav.unlink()


if __name__ == "__main__":
    sys.exit(main())
