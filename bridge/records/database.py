"""The one store: a SQLite file, or PostgreSQL.

1. `write` takes a function of a connection and runs it in one transaction: all of it is kept, or nothing. `execute`
   takes one statement, which is a transaction by itself. In `read` each statement sees what is committed by then.
2. The function may run twice, if the connection is lost under it. The first run may have been kept. So the function
   must look before it writes.
3. On SQLite there is one writer at a time: in this process they take turns, among processes SQLite locks. The function
   runs in another thread, so it must not touch anything that changes.
4. Every error of the database becomes StoreFailed, with a short reason, within a bounded time.
5. Work that was begun is brought to its end, even if the call that waits for it is over.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy.exc
from sqlalchemy import URL, Connection, Delete, Row, Update, make_url
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError

from bridge.records import engines, schema, sqlite_file
from bridge.records.engines import Engine, Kind, T, Work
from bridge.records.statement import QuickStatement

#: How long a transaction may take, waiting included (s).
TRANSACTION_S = 10.0
#: How long bringing the tables up to date may take, waiting for another process included (s).
UPGRADE_S = 120.0

#: Why a command cannot use a database.
NONE_THERE = (
    "there is no such file. Go to the server's folder, or set DATABASE_URL as the server has it, with the file's whole "
    "path")
NOTHING_OF_OURS = "it has none of bridge's tables. Set DATABASE_URL as the server has it"

_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",            # as Heroku writes it
    "postgresql": "postgresql+psycopg",
}


class StoreFailed(Exception):
    """The database did not do the work (full, locked, read-only, gone ...). The message is a short reason."""


class CannotBeHeld(StoreFailed):
    """It can hold no such value, and trying again is of no use: another StoreFailed may pass."""


class DatabaseUnavailable(Exception):
    """The database cannot be opened. The message is one line that says which and why, without its password."""


def parse_url(text: str) -> URL:
    """Reads DATABASE_URL, such as `sqlite:///bridge.db` or `postgres://user:password@host/name`.

    Raises ValueError. Its message is the end of a sentence that begins with the setting's name.
    """
    try:
        url = make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise ValueError("must be the URL of a database") from None
    scheme = url.drivername if url.drivername not in _DRIVERS.values() else url.get_backend_name()
    if scheme not in _DRIVERS:
        raise ValueError("must begin with sqlite:/// or postgres://")
    if scheme == "sqlite":
        _check_sqlite(url)
    elif not url.database:
        raise ValueError("must name a database behind the host")
    elif {"password", "sslpassword"} & set(url.query):
        raise ValueError("must have its password before the @, where it is kept out of messages")
    return url.set(drivername=_DRIVERS[scheme])


def _check_sqlite(url: URL) -> None:
    if url.host or not url.database or url.database.startswith((":memory:", "file:")):
        raise ValueError("must name a file behind sqlite:///")
    if url.query:
        raise ValueError("must have nothing behind the file's name")


class Database:
    """An open database, made by `open_database`. Its methods may be called from any task."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: The search for damage in a SQLite file. None: there is none.
        self.check: sqlite_file.Check | None = None
        self._running: set[asyncio.Task[Any]] = set()

    async def read(self, work: Work[T]) -> T:
        """Runs `work`, which must only read, and returns its result. Raises StoreFailed."""
        return await self._run(work, TRANSACTION_S, "reading")

    async def execute(self, statement: Update | Delete, values: Mapping[str, Any] | None = None) -> int:
        """Carries out one statement, and returns how many rows it changed, once that is committed.

        Raises StoreFailed if it was not carried out, as far as can be known. If the answer was lost or came too late,
        it may have been all the same. A statement that runs a second time for that reason returns 0.
        """
        def work(connection: Connection) -> int:
            return connection.execute(statement, values).rowcount
        return await self._run(work, TRANSACTION_S, "statement")

    async def quick(self, statement: QuickStatement, values: Mapping[str, Any]) -> Row[Any] | None:
        """The row that a statement writes and returns, or None; a power cut may undo it (statement.py).

        Raises StoreFailed, as `execute` does.
        """
        return await self._run(lambda connection: statement.run(connection, values), TRANSACTION_S, "quick")

    async def write(self, work: Work[T], lock: int = 0) -> T:
        """Runs `work` in a transaction. Returns its result once that is committed. If it raises, nothing is written.

        `lock`: a number of your own. Transactions with the same number run one at a time, in all processes together.
        Raises StoreFailed if nothing was written, as far as can be known. A commit whose answer was lost twice may
        still have been kept.
        """
        return await self._run(work, TRANSACTION_S, "transaction", lock)

    async def upgrade(self) -> None:
        """Brings the tables up to date. Raises StoreFailed, schema.FromTheFuture."""
        await self._run(schema.upgrade, UPGRADE_S, "transaction")

    async def finish(self) -> None:
        """Waits until no work is under way, whether or not anybody waits for its result."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self, work: Work[T], seconds: float, kind: Kind, lock: int = 0) -> T:
        """Runs the work as a task of its own. If its waiter is cancelled, the driver still ends its statement.

        Stopping work at a server that does not answer may take seconds more. Nobody waits for that.
        """
        task = asyncio.create_task(_bounded(self._engine, work, seconds, kind, lock))
        self._running.add(task)
        task.add_done_callback(self._done)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise StoreFailed(_late(seconds))
        return task.result()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()                         # marks it as retrieved: the waiter, if any, has it already


def overwrite(connection: Connection) -> None:
    """What this transaction removes is overwritten with zeros. SQLite would leave it readable in the file."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete = ON")


async def _bounded(engine: Engine, work: Work[T], seconds: float, kind: Kind, lock: int) -> T:
    """Raises StoreFailed for what the database raises, and when it took too long."""
    try:
        async with asyncio.timeout(seconds):
            return await _transaction(engine, work, kind, lock)
    except TimeoutError:
        raise StoreFailed(_late(seconds)) from None
    except (DataError, UnicodeError) as error:
        raise CannotBeHeld(_reason(error)) from None
    except (SQLAlchemyError, OSError) as error:
        raise StoreFailed(_reason(error)) from None


def _late(seconds: float) -> str:
    return f"it did not answer within {seconds:g} s"


async def _transaction(engine: Engine, work: Work[T], kind: Kind, lock: int) -> T:
    try:
        return await engine.run(work, kind, lock)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    # The server was restarted, or has closed an idle connection. A new connection may do.
    return await engine.run(work, kind, lock)


def _reason(error: Exception) -> str:
    """The first line of the database's message. The later lines may hold a row's values."""
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return "all connections to it are busy"
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]


@asynccontextmanager
async def open_database(url: URL, *, create: bool = True) -> AsyncIterator[Database]:
    """Opens the database at a URL of `parse_url`, with its tables up to date. Raises DatabaseUnavailable.

    `create`, for the server: a missing database is made, and a SQLite file is searched for damage. Commands do without.
    In a wrong folder they would make an empty database and say that all is well.
    """
    engine = engines.create_engine(url)
    try:
        database = Database(engine)
        await _prepare(url, database, create)
        try:
            yield database
        finally:
            await database.finish()
    finally:
        await engine.dispose()


async def _prepare(url: URL, database: Database, create: bool) -> None:
    try:
        if url.database and url.get_backend_name() == "sqlite":
            if not create and not os.path.exists(url.database):
                raise _unavailable(url, NONE_THERE)
            await asyncio.to_thread(sqlite_file.prepare, url.database, create=create)
            if create:
                database.check = sqlite_file.Check(url.database)
                if found := await database.check.wait():
                    raise _unavailable(url, sqlite_file.DAMAGED % found)
        if not create and not await database.read(schema.is_there):
            raise _unavailable(url, NOTHING_OF_OURS)
        await database.upgrade()
    except OSError as error:
        raise _unavailable(url, error.strerror or str(error)) from None
    except sqlite3.Error as error:
        raise _unavailable(
            url, sqlite_file.DAMAGED % error if sqlite_file.is_corrupt(error) else str(error)) from None
    except (StoreFailed, schema.FromTheFuture) as error:
        raise _unavailable(url, str(error)) from None


def _unavailable(url: URL, reason: str) -> DatabaseUnavailable:
    sqlite = url.get_backend_name() == "sqlite"
    name = os.path.abspath(url.database or "") if sqlite else url.render_as_string(hide_password=True)
    return DatabaseUnavailable(f"the database {name} cannot be used: {reason}")
