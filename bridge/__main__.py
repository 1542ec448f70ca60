"""The command line: `python -m bridge` serves; `python -m bridge demo` plays a call without any account."""

import argparse
import asyncio
import errno
import io
import logging
import os
import socket
import sys
from pathlib import Path

from aiohttp import web

from bridge import __version__, log
from bridge.app import create_app
from bridge.meetings import command
from bridge.records.database import DatabaseUnavailable
from bridge.settings import BadSettings, Settings, load, load_one
from bridge.sim.faults import FAULTS

#: Heroku kills 30 s after SIGTERM; calls are closed at once, and a booking under way may need this long, seconds.
SHUTDOWN_S = 20
#: Longer than Heroku's router keeps a connection (90 s), so that it never uses one that was just closed, seconds.
KEEPALIVE_S = 95


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; the process's exit code: 0, 1 when it failed, 2 when it was set up wrongly."""
    parser = argparse.ArgumentParser(prog="python -m bridge", description="An AI that answers phone calls.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="answer calls (the default)")
    demo = commands.add_parser(
        "demo", help="hear a whole call, without any account or network",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="faults:\n" + "\n".join(f"  {name:<22}{fault.what}" for name, fault in FAULTS.items()))
    demo.add_argument("--fast", action="store_true", help="faster than real time")
    demo.add_argument("--wav", type=Path, default=Path("bridge-demo.wav"), help="where the recording goes")
    demo.add_argument("--fault", choices=FAULTS, metavar="NAME", help="rehearse a fault, one of those listed below")
    command.add_parser(commands)
    options = parser.parse_args(arguments)
    if options.command == "demo":
        return play(options.wav, fast=options.fast, fault=options.fault)
    try:
        if options.command == "meetings":
            return command.run(options, load_one("DATABASE_URL", os.environ, Path(".env")))
        return serve(load(os.environ, Path(".env")))
    except BadSettings as problems:
        print(f"bridge cannot start:\n{problems}\nThe README lists all settings.", file=sys.stderr)
        return 2


def serve(settings: Settings) -> int:
    """Serves until it is told to stop."""
    log.set_up(settings.LOG_LEVEL, settings.LOG_FORMAT)
    try:
        listening = listen(settings)
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno and error.errno in errno.errorcode else str(error)
        print(f"bridge cannot listen on HOST={settings.HOST} PORT={settings.PORT}: {problem}. "
              "Set PORT to one that no other program uses, and HOST to an address of this machine.", file=sys.stderr)
        return 1
    try:
        web.run_app(
            create_app(settings), sock=listening, loop=event_loop(), access_log=None, shutdown_timeout=SHUTDOWN_S,
            keepalive_timeout=KEEPALIVE_S, print=lambda *_: announce(settings, listening))
    except DatabaseUnavailable as problem:
        print(f"bridge cannot start: {problem}", file=sys.stderr)
        return 1
    return 0


def listen(settings: Settings) -> socket.socket:
    """The socket calls come in through. Raises OSError."""
    ipv6 = ":" in settings.HOST
    return socket.create_server(
        (settings.HOST, settings.PORT), family=socket.AF_INET6 if ipv6 else socket.AF_INET,
        dualstack_ipv6=ipv6 and socket.has_dualstack_ipv6())


def announce(settings: Settings, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    logging.getLogger("bridge").info(
        "bridge %s listens on %s port %s; Twilio's voice URL is %s/incoming-call",
        __version__, host, port, settings.PUBLIC_URL or "https://<your host>")


def event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, a tenth faster on audio, where it can be installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def play(wav: Path, *, fast: bool, fault: str | None) -> int:
    """Plays the demo, or a call in which one thing breaks. Imported here: a server needs no simulators."""
    from bridge.sim.demo import run
    from bridge.sim.rehearsal import rehearse
    try:
        wav.open("ab").close()                       # now rather than after the call
    except OSError as error:
        print(f"{wav} cannot be written: {error.strerror}. Name another file with --wav.", file=sys.stderr)
        return 1
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")     # a terminal that knows no “ is no reason to stop
    try:
        with asyncio.Runner(loop_factory=event_loop) as runner:
            return runner.run(rehearse(fault, wav, fast=fast) if fault else run(wav, fast=fast))
    except KeyboardInterrupt:
        return 130
    finally:
        if not wav.stat().st_size:
            wav.unlink()


if __name__ == "__main__":
    sys.exit(main())
