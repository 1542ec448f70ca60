"""`python -m bridge backup FILE`: copies a SQLite database while the server uses it.

A copy by `cp` lacks the newest meetings, which stand in the write-ahead log. No file is overwritten, and only its owner
can read FILE. Exit codes: 0, FILE is a whole database. 1, there is no FILE, and a line says why.
"""

import argparse
import os
import shlex
import sqlite3
import sys
from contextlib import closing

from sqlalchemy import URL

from bridge.records import sqlite_file
from bridge.records.database import NONE_THERE, NOTHING_OF_OURS


class NoBackup(Exception):
    """No backup was made. The message is one line for the person who asked."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `backup` to the program's commands."""
    parser = commands.add_parser("backup", help="copy the database to a file, while the server runs")
    parser.add_argument("file", metavar="FILE", help="a file that is not there yet")


def run(options: argparse.Namespace, database_url: URL) -> int:
    """Makes the backup, or says why not. Returns the exit code."""
    try:
        meetings = _back_up(database_url, options.file)
    except NoBackup as problem:
        print(f"no backup was made: {problem}", file=sys.stderr)
        return 1
    print(f"{options.file} is a copy of {os.path.abspath(database_url.database or '')}, "
          f"with {meetings} {'meeting' if meetings == 1 else 'meetings'}")
    return 0


def _back_up(url: URL, file: str) -> int:
    """Copies the database and returns the number of meetings in the copy. Raises NoBackup."""
    if url.get_backend_name() != "sqlite":
        raise NoBackup("PostgreSQL has a program for it: "
                       f'pg_dump --format=custom --file={shlex.quote(file)} "$DATABASE_URL". On Heroku: '
                       "heroku pg:backups:capture")
    source = os.path.abspath(url.database or "")
    if not os.path.exists(source):
        raise NoBackup(f"{source}: {NONE_THERE}")
    try:
        with closing(sqlite_file.connect(source)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
                raise NoBackup(f"{source}: {NOTHING_OF_OURS}")
        sqlite_file.back_up(source, file)
        with closing(sqlite_file.connect(file)) as connection:
            meetings: int = connection.execute("SELECT count(*) FROM meetings").fetchone()[0]
        return meetings
    except FileExistsError:
        raise NoBackup(f"{file} is there already, and is not overwritten. Name another file") from None
    except OSError as error:
        raise NoBackup(f"{file} cannot be written: {error.strerror}") from None
    except sqlite_file.Damaged as problem:
        raise NoBackup(f"{source} is damaged ({problem}). Keep the last good backup; what can be read of the file is "
                       "written to another one by SQLite's program: sqlite3 FILE .recover") from None
    except sqlite3.Error as error:
        raise NoBackup(f"{source} could not be copied: {error}") from None
