"""Questions to the person at the terminal; from a pipe, one line answers one question."""

import getpass
import signal
import sys


class CannotDo(Exception):
    """What is asked cannot be done: one line for the person who asked."""


def at_terminal() -> bool:
    """Whether somebody is there who can be asked once more."""
    return sys.stdin.isatty()


def answered(prompt: str, *, secret: bool = False) -> str:
    """What the person says, without blanks around it; a secret is not shown. Raises CannotDo where nobody says it."""
    try:
        if at_terminal():
            return (getpass.getpass(prompt) if secret else input(prompt)).strip()
        if line := sys.stdin.readline():
            return line.strip()
    except EOFError:
        print()
    except UnicodeError:
        raise CannotDo("the answer is not UTF-8") from None
    raise CannotDo("there was no answer to: " + prompt.partition(" [")[0].strip().rstrip(":"))


def agreed(question: str) -> bool:
    """Whether the person says yes; nobody there is a no. Raises KeyboardInterrupt at the first Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)    # asyncio's waits for the event loop
    try:
        return input(f"{question} (yes/no) ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
    finally:
        signal.signal(signal.SIGINT, before)
