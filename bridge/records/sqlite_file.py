"""The file of a SQLite database: it is made, watched while in use, searched for damage, and copied.

An open file may be removed or replaced. SQLite goes on with the open one, and everything in it is lost with the
process. So every access checks that the name still leads to the same file, and to the same write-ahead log.
"""

import asyncio
import logging
import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

log = logging.getLogger(__name__)

#: How long one connection waits for another's lock (s).
WAIT_S = 5
#: How long the start waits while a file is searched for damage (s). SQLite reads some 500 MB in that time. A busy
#: office's year takes 50 MB. A longer search goes on beside the calls.
CHECK_S = 3.0

DAMAGED = "it is damaged (%s). Keep the file, and put a backup in its place: see Backups in the README"
#: SQLite's error codes for a damaged file.
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class FileGone(OSError):
    """The database's file is not where it was. Data written to the open file is lost at the end of the process."""


def prepare(path: str, *, create: bool) -> None:
    """Sets a SQLite file to write-ahead logging. Raises OSError, sqlite3.Error.

    `create`: a missing file is made, which only its owner can read.
    """
    try:
        if create:
            # Only a file that was just made may be closed here. Closing any other drops this process's locks on it.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            log.info("a new database was made: %(path)s", {"path": os.path.abspath(path)})
    except FileExistsError:
        pass
    _warn_if_shown(path)
    with closing(connect(path)) as connection:
        [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError("its file system allows no write-ahead log")


def connect(path: str, factory: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """A connection to an existing file, autocommitting, for any thread. Raises sqlite3.Error."""
    return sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=WAIT_S,
        check_same_thread=False, factory=factory)


def _warn_if_shown(path: str) -> None:
    """Warns if others may read the file. SQLite gives its -wal and -shm files the same rights."""
    if os.name == "posix" and (mode := os.stat(path).st_mode & 0o077):
        log.warning(
            "the database %(path)s can be opened by other users of this machine (its mode is %(mode)s), and holds "
            "names and numbers: chmod 600 it, and its -wal and -shm", {"path": path, "mode": f"{mode | 0o600:o}"})


# ---- while it is in use

class Watch:
    """Watches whether a file is still the one that was opened."""

    def __init__(self, path: str) -> None:
        self._path, self._log = os.path.abspath(path), f"{os.path.abspath(path)}-wal"
        self._known: dict[str, tuple[int, int]] = {}
        self._gone = False

    def check(self, *, opened: bool) -> None:
        """Raises FileGone if the file was removed or replaced. `opened`: there is a connection, and so a log file."""
        with_log = opened or self._log in self._known
        if self._is_same(self._path) and (not with_log or self._is_same(self._log)):
            self._gone = False
            return
        if not self._gone:                           # one line, not one for every failed access
            self._gone = True
            log.error("THE DATABASE %(path)s WAS REMOVED OR REPLACED under the running server, and nothing is written "
                      "any more: put the file back that was there, or start the server anew", {"path": self._path})
        raise FileGone("its file was removed or replaced under the running server")

    def closed(self) -> None:
        """All connections are closed, and SQLite has removed the log. The next connection makes another one."""
        self._known.pop(self._log, None)

    def _is_same(self, path: str) -> bool:
        try:
            status = os.stat(path)
        except OSError:
            return path not in self._known
        found = status.st_dev, status.st_ino
        return self._known.setdefault(path, found) == found


# ---- damage

def damage(connection: sqlite3.Connection) -> str:
    """What SQLite finds wrong with its file, in a few words. "": nothing. Raises sqlite3.Error."""
    try:
        [found] = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        if not is_corrupt(error):
            raise
        return str(error)
    return "" if found == "ok" else str(found).strip().splitlines()[-1]


def is_corrupt(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


class Check:
    """Searches a file for damage in a thread of its own, for which nobody has to wait. `found`: as `damage` returns."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.found = ""
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._late = False
        threading.Thread(target=self._run, name="quick_check", daemon=True).start()

    async def wait(self) -> str:
        """Returns the damage found within CHECK_S. Damage found later is an ERROR in the log, and stays in `found`."""
        try:
            async with asyncio.timeout(CHECK_S):
                await self._over.wait()
        except TimeoutError:
            if not self._over.is_set():
                self._late = True
                log.info("the database %(path)s is large: the search for damage goes on while calls are taken",
                         {"path": self._path})
        return self.found

    def _run(self) -> None:
        try:
            with closing(connect(self._path)) as connection:
                found = damage(connection)
        except sqlite3.Error:                        # the file is busy or gone, and the next access tells so
            found = ""
        with suppress(RuntimeError):                 # the loop is closed
            self._loop.call_soon_threadsafe(self._tell, found)

    def _tell(self, found: str) -> None:
        self.found = found
        self._over.set()
        if found and self._late:
            log.error("the database %(path)s cannot be trusted: %(problem)s",
                      {"path": self._path, "problem": DAMAGED % found})


# ---- a copy

def back_up(source: str, target: str) -> None:
    """Copies a database, up to its newest commit, into a new file with mode 0600. The database may be in use.

    Raises FileExistsError, OSError, sqlite3.Error, Damaged. Then there is no copy.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        with closing(connect(source)) as origin, closing(connect(target)) as copy:
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")         # so that one file holds everything
            if found := damage(copy):
                raise Damaged(found)
        _write_through(target)
    except BaseException:
        for each in (target, f"{target}-journal", f"{target}-wal", f"{target}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(each)
        raise


class Damaged(Exception):
    """A file is damaged. The message says what is wrong, in a few words."""


def _write_through(path: str) -> None:
    """Makes sure that the file's bytes and its name are on disk."""
    for each, flags in ((path, os.O_RDWR), (os.path.dirname(os.path.abspath(path)), os.O_RDONLY)):
        if os.name != "posix" and flags == os.O_RDONLY:
            continue                                 # Windows opens no folders
        opened = os.open(each, flags)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
