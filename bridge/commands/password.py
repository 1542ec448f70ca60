"""`python -m bridge hash-password`: prints ADMIN_PASSWORD_HASH. It asks for the password, which is no argument."""

import argparse
import getpass
import sys

from bridge.console.passwords import hashed, parse_password


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser("hash-password", help="make ADMIN_PASSWORD_HASH of a password")


def run() -> int:
    """Asks for a password and prints its hash. Returns the exit code: 0, or 1 for a password that will not do."""
    try:
        password = parse_password(_asked())
    except ValueError as problem:
        print(f"the password {problem}", file=sys.stderr)
        return 1
    print(f"ADMIN_PASSWORD_HASH={hashed(password)}")
    return 0


def _asked() -> str:
    """The password: from the terminal, twice and unseen, or the first line of standard input. Raises ValueError."""
    try:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\r\n")
        password, again = getpass.getpass("Password: "), getpass.getpass("Once more: ")
    except EOFError:
        raise ValueError("was not given") from None
    except UnicodeError:
        raise ValueError("is not UTF-8") from None
    if again != password:
        raise ValueError("was not the same the second time")
    return password
