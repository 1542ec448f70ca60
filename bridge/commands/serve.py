"""`python -m bridge`, or `python -m bridge serve`: answers calls until a signal."""

import argparse
import os
from datetime import date
from pathlib import Path

from bridge.server import serve
from bridge.settings import doubts, load


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser("serve", help="answer calls (the default)")


def run() -> int:
    """Serves until a signal. Returns the exit code: 0, or 1 if the server cannot start. Raises BadSettings."""
    settings = load(os.environ, Path(".env"))
    return serve(settings, doubts(settings, os.environ, Path(".env"), today=date.today()))
