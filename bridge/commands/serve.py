"""`python -m bridge`, or `python -m bridge serve`: answer calls until a signal; with `--tunnel` from this machine."""

import argparse
import os
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

from bridge.commands import tunnel
from bridge.commands.asking import CannotDo
from bridge.program import command
from bridge.server import serve
from bridge.settings import BadSettings, doubts, load
from bridge.twilio_side.account import TwilioFailed
from bridge.twilio_side.pointing import CannotPoint


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    tunnel.add_arguments(commands.add_parser("serve", help="answer calls (the default)"))


def run(options: argparse.Namespace) -> int:
    """The exit code: 0, or 1 when the server cannot start. Raises BadSettings."""
    program, number = getattr(options, "tunnel", None), getattr(options, "number", None)
    if number and program is None:
        raise BadSettings("--number needs --tunnel. To lead a number to this server for good: "
                          + command("number", "set", number))
    settings = load(os.environ, Path(".env"))
    try:
        beside = None if program is None else tunnel.beside(settings, program, number)
    except (CannotDo, CannotPoint, TwilioFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    if beside:
        settings = replace(settings, PUBLIC_URL="")  # it is the tunnel's from now on
    return serve(settings, doubts(settings, os.environ, Path(".env"), today=date.today()), beside)
