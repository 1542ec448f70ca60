"""How this program is called, for the command lines that it prints."""

import shlex
import sys
from pathlib import Path


def program() -> str:
    """Such as `.venv/bin/python -m bridge`: what can be typed in this folder."""
    python = Path(sys.executable)
    here = Path.cwd()
    return f"{shlex.quote(str(python.relative_to(here) if python.is_relative_to(here) else python))} -m bridge"


def command(*words: str) -> str:
    """A whole command line, quoted for a shell."""
    return " ".join(filter(None, (program(), shlex.join(words))))
