"""The set-up of the two databases, and how a transaction runs while the event loop goes on with the audio.

The set-up makes sure that committed data stays and that nobody waits for ever.

A transaction is a plain function of a connection. It runs in a thread, which is handed the whole function at once. A
driver that hands over each statement, or runs in the event loop itself, costs the loop several times as much, and
callers hear that.

Both drivers are set to autocommit, and a transaction begins where the code says so. Reading, or a single statement,
needs none. To begin and to commit would be two more round trips to the server.
"""

import asyncio
import os
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Literal, TypeVar

import sqlalchemy
from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection

from bridge.loop.yielding import yield_core
from bridge.records import sqlite_file
from bridge.records.sqlite_file import WAIT_S

#: The connections to the database, and the threads that use them.
CONNECTIONS = 5
#: How soon a computing thread gives way to the event loop (s). Python's own 5 ms are a quarter of a frame of audio.
#: With much less than this the threads would only change places.
SWITCH_S = 0.0001

#: When a transaction may give way: it has a connection, has made a statement, has run it, is to commit, has ended.
_BETWEEN_STEPS = ("checkout", "before_cursor_execute", "after_cursor_execute", "commit", "checkin")

#: What is done: something is read; one statement writes, which is a transaction by itself, and "quick" is one whose
#: commit does not wait for the disk (statement.py); or a whole transaction.
Kind = Literal["reading", "statement", "quick", "transaction"]

T = TypeVar("T")
Work = Callable[[Connection], T]


class Engine:
    """A database, and the threads in which its transactions run. `sync_engine` is SQLAlchemy's engine."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self.sync_engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        self._watch = sqlite_file.Watch(engine.url.database or "") if self._sqlite else None
        # SQLite has one writer at a time. The writers of this process wait here in order of arrival.
        self._turn: AbstractAsyncContextManager[object] = (
            asyncio.Lock() if self._sqlite else nullcontext())
        self._threads = ThreadPoolExecutor(CONNECTIONS, "database")
        sys.setswitchinterval(SWITCH_S)

    async def run(self, work: Work[T], kind: Kind, lock: int = 0) -> T:
        """Runs `work` and returns its result. If this is cancelled, it ends soon, and a transaction keeps nothing.

        `lock`: transactions with the same number run one at a time.
        """
        transaction = _Transaction(
            self.sync_engine, self._begin(lock) if kind == "transaction" else "", work, self._watch,
            waits_for_disk=kind != "quick")
        async with nullcontext() if kind == "reading" else self._turn:
            running = asyncio.get_running_loop().run_in_executor(self._threads, transaction.run)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                transaction.interrupt()
                await asyncio.wait({running})        # it may hold a lock until then
                running.exception()
                raise

    def _begin(self, lock: int) -> str:
        if self._sqlite:                             # SQLite has one lock. A transaction that reads first may not get
            return "BEGIN IMMEDIATE"                 # it later (SQLITE_BUSY), so it takes it at the beginning
        return f"BEGIN; SELECT pg_advisory_xact_lock({lock:d})" if lock else "BEGIN"

    async def dispose(self) -> None:
        """Closes all connections. New ones are opened when they are needed."""
        # SQLite's last connection writes the log back into the file, which takes a while.
        await asyncio.get_running_loop().run_in_executor(self._threads, self.sync_engine.dispose)
        if self._watch:
            self._watch.closed()


class _Transaction:
    """The work of one transaction. It runs in a thread, and may be interrupted from another one."""

    def __init__(
        self, engine: sqlalchemy.Engine, begin: str, work: Work[Any], watch: sqlite_file.Watch | None, *,
        waits_for_disk: bool,
    ) -> None:
        self._engine, self._begin, self._work, self._watch = engine, begin, work, watch
        self._waits_for_disk = waits_for_disk
        self._lock = threading.Lock()
        self._connection: Any = None
        self._was_cut = False

    def run(self) -> Any:
        """Returns the work's result, once it is committed. Raises FileGone if the file is not in its place any more."""
        if self._watch:
            self._watch.check(opened=False)
        result = self._carry_out()
        if self._watch:
            self._watch.check(opened=True)
        return result

    def _carry_out(self) -> Any:
        with self._engine.connect() as connection:
            self._connection = connection.connection.dbapi_connection
            try:
                with self._commits(), connection.begin():    # says nothing to an autocommitting driver
                    if self._begin:
                        connection.exec_driver_sql(self._begin)
                    return self._work(connection)
            finally:
                with self._lock:                     # from here on the connection may be another transaction's
                    self._connection = None
                if self._was_cut:
                    connection.invalidate()

    @contextmanager
    def _commits(self) -> Iterator[None]:
        """How what is done is committed; PostgreSQL is told so with the statement."""
        if self._waits_for_disk or not isinstance(self._connection, sqlite3.Connection):
            yield
            return
        line = self._connection
        line.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            line.execute("PRAGMA synchronous = FULL")

    def interrupt(self) -> None:
        with self._lock:
            if isinstance(self._connection, sqlite3.Connection):
                self._connection.interrupt()
            elif self._connection and not self._connection.closed:
                self._was_cut = True
                _cut(self._connection.fileno())


def _cut(line: int) -> None:
    """Ends every wait for the server at this socket, even if the server does not answer at all."""
    with suppress(OSError), socket.socket(fileno=os.dup(line)) as connected:
        connected.shutdown(socket.SHUT_RDWR)


def create_engine(url: URL) -> Engine:
    """The engine for a URL of database.parse_url. No connection is opened yet."""
    return Engine(_sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url))


def _engine(url: URL, **more: Any) -> sqlalchemy.Engine:
    # Parameters hold callers' words and numbers. These must not stand in the text of an error.
    engine = sqlalchemy.create_engine(
        url, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=WAIT_S, hide_parameters=True, **more)
    for moment in _BETWEEN_STEPS:
        event.listen(engine, moment, lambda *_: yield_core())
    return engine


# ---- SQLite

class _Cursor(sqlite3.Cursor):
    """Closes a failed statement at once, in the connection's own thread.

    Otherwise the garbage collector closes it in the event loop's thread, and waits there until the connection is at
    rest. All calls would be silent for as long as another program holds the lock.
    """

    def execute(self, sql: str, parameters: Any = ()) -> "_Cursor":
        try:
            return super().execute(sql, parameters)
        except BaseException:
            self.close()
            raise

    def executemany(self, sql: str, parameters: Any) -> "_Cursor":
        try:
            return super().executemany(sql, parameters)
        except BaseException:
            self.close()
            raise


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def close(self) -> None:
        """Releases the lock too. After a cancelled statement SQLite keeps it until that statement is collected."""
        if self.in_transaction:
            self.rollback()
        super().close()


def _sqlite(url: URL) -> sqlalchemy.Engine:
    engine = _engine(url, creator=partial(sqlite_file.connect, url.database or "", _Connection))

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: object) -> None:
        _execute(connection, "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON")
    return engine


# ---- PostgreSQL

def _postgresql(url: URL) -> sqlalchemy.Engine:
    from bridge.records.client_cursor import ClientCursor      # its driver takes a while, which SQLite need not pay
    defaults = {
        "application_name": "bridge", "connect_timeout": WAIT_S,
        # For a server that vanishes without a sign. Seconds, but milliseconds for the last one.
        "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 10_000,
    }
    engine = _engine(url, connect_args={
        "autocommit": True, "cursor_factory": ClientCursor,
        # Poolers that share connections between clients lose prepared statements.
        "prepare_threshold": None,
        **{name: value for name, value in defaults.items() if name not in url.query},
    })

    @event.listens_for(engine, "connect")
    def prepare(connection: DBAPIConnection, _: object) -> None:
        # By SET, not as start-up options, which those poolers refuse. The last one ends a transaction whose client's
        # machine has died.
        _execute(connection, f"SET lock_timeout = '{WAIT_S}s'; SET statement_timeout = '{2 * WAIT_S}s'; "
                             f"SET idle_in_transaction_session_timeout = '{2 * WAIT_S}s'")
    return engine


def _execute(connection: DBAPIConnection, *statements: str) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
