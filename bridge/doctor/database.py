"""Whether the database can be written, is up to date, and is nobody else's to read. Nothing in it is changed."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import sqlalchemy
from sqlalchemy import URL, NullPool, text

from bridge.doctor.finding import Finding
from bridge.records import schema, sqlite_file

#: How long it may take to connect, seconds.
CONNECT_S = 3
_VERSION = "SELECT version_num FROM alembic_version"
_LAST_CALL = "SELECT max(admitted_at) FROM calls WHERE process <> ''"


@dataclass(frozen=True, slots=True)
class State:
    """What a database is like. `kind`: for people. `problem`: why it cannot be written, "" where it can.

    `reached`: whether it answered at all. `age`: "none" where it has none of our tables. `mode`: of a file that others
    may open, else 0. `last_call_at`: when the newest call was admitted that had a stream, seconds since 1970.
    """

    kind: str
    problem: str = ""
    age: Literal["current", "older", "newer", "none"] = "current"
    mode: int = 0
    there: bool = True
    reached: bool = True
    last_call_at: float | None = None


def look(url: URL) -> State:
    """Blocks for some seconds at most."""
    return _sqlite(os.path.abspath(url.database or "")) if url.get_backend_name() == "sqlite" else _postgresql(url)


def judged(state: State) -> list[Finding]:
    if not state.there:
        if state.problem:
            return [_failure(state, "Set DATABASE_URL to a file in a folder that the server may write to.")]
        return [Finding("database", "ok", f"{state.kind} is not there yet: the server makes it at its first start.")]
    if not state.reached:
        return [_failure(state, "Check DATABASE_URL, and that the database's server runs.")]
    if state.problem:
        return [_failure(state, "Make it writable for the user of the server, or set DATABASE_URL to another one.")]
    if state.age == "newer":
        return [Finding("database", "failure", f"{state.kind} was made by a newer version of bridge.",
                        "Install that version again, or set DATABASE_URL to another database.")]
    if state.mode:
        return [Finding(
            "database", "warning", f"{state.kind} can be opened by other users of this machine (mode "
            f"{state.mode | 0o600:o}), and holds names and numbers.", "chmod 600 it, and its -wal and -shm.")]
    note = {"current": "is writable and up to date", "none": "is writable, and empty yet",
            "older": "is writable; the server brings it up to date at its next start"}[state.age]
    return [Finding("database", "ok", f"{state.kind} {note}.")]


def _failure(state: State, do: str) -> Finding:
    return Finding("database", "failure", f"{state.kind} cannot be written: {state.problem}.", do)


def _sqlite(path: str) -> State:
    kind = f"SQLite, {path},"
    if not os.path.exists(path):
        folder = os.path.dirname(path)
        writable = os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
        return State(kind, "" if writable else f"nothing can be made in the folder {folder}", there=False)
    try:
        with closing(sqlite_file.connect(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")        # the lock of who writes, and nothing is written
            try:
                known = connection.execute(
                    "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
                [version] = connection.execute(_VERSION).fetchone() if known else [None]
                age = schema.age(version) if version else "none"
                [last] = connection.execute(_LAST_CALL).fetchone() if age == "current" else [None]
            finally:
                connection.execute("ROLLBACK")
        mode = os.stat(path).st_mode & 0o077 if os.name == "posix" else 0
        return State(kind, age=age, mode=mode, last_call_at=last)
    except (sqlite3.Error, OSError) as error:
        return State(kind, getattr(error, "strerror", None) or str(error))


def _postgresql(url: URL) -> State:
    kind = f"PostgreSQL, {url.render_as_string(hide_password=True).partition('://')[2]},"
    arguments = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_S}
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=arguments, hide_parameters=True)
    try:
        with engine.connect() as connection:
            connection.execute(text("SET statement_timeout = '3s'"))
            read_only = connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on"
            version = connection.scalar(text(_VERSION)) if schema.is_there(connection) else None
            age = schema.age(version) if version else "none"
            last = connection.scalar(text(_LAST_CALL)) if age == "current" else None
            allowed = version is None or connection.scalar(text(
                "SELECT has_table_privilege('calls', 'INSERT') AND has_table_privilege('meetings', 'UPDATE')"))
    except sqlalchemy.exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        return State(kind, (str(cause).strip().splitlines() or [type(cause).__name__])[0], reached=False)
    finally:
        engine.dispose()
    problem = "it is read-only" if read_only else "" if allowed else "its user may not write to the tables"
    return State(kind, problem, age, last_call_at=last)
