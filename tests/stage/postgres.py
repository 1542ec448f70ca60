"""A real PostgreSQL of the tests' own: a cluster in a temporary folder, for this machine only, removed afterwards."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bridge.records.tables import metadata

#: Options that trade safety, which these data do not need, for speed.
OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60", "shared_buffers=16MB",
           "autovacuum=off", "listen_addresses=127.0.0.1")
START_S = 30
#: The databases are made in memory if so many bytes are free there.
MEMORY = Path("/dev/shm")
ENOUGH = 2 ** 30


def installed() -> bool:
    return shutil.which("initdb") is not None and shutil.which("postgres") is not None


@dataclass
class Cluster:
    """A running server, which trusts everybody on this machine. `process` is its first process."""

    port: int
    process: "subprocess.Popen[bytes]"

    def url(self, database: str) -> str:
        return f"postgres://bridge@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """Makes a new database, a copy of `template`, and drops it at the end. Yields its name."""
        with new_database(self.url("postgres"), template) as name:
            yield name

    def run(self, statement: str, database: str = "postgres") -> list[Any]:
        return run(self.url(database), statement)


@contextmanager
def new_database(server: str, template: str = "template1") -> Iterator[str]:
    """Makes a new database on the PostgreSQL at this address, and drops it at the end. Yields its name.

    It is a copy of `template`. The address's user must be allowed to create databases. Raises psycopg.Error.
    """
    name = f"bridge_test_{secrets.token_hex(4)}"
    run(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield name
    finally:
        run(server, f"DROP DATABASE {name} WITH (FORCE)")


def run(address: str, statement: str) -> list[Any]:
    """Runs a statement outside of any transaction, and returns its rows."""
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def empty(address: str) -> None:
    """Takes all rows out of a database's tables; it keeps the tables and their version."""
    run(address, "; ".join([f"SET lock_timeout = '{START_S}s'", *(
        f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))]))


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Starts a server, and stops it at the end."""
    # Not pytest's own folder: other users may not enter it, and its path is too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=MEMORY if _roomy(MEMORY) else None))
    as_user = _other_user(folder)
    try:
        # Run from a folder that every user may enter.
        subprocess.run(
            ["initdb", "--pgdata", folder / "data", "--auth", "trust", "--username", "bridge", "--encoding", "UTF8",
             "--locale", "C", "--no-sync"], cwd="/", check=True, stdout=subprocess.DEVNULL, **as_user)
        port = _free_port()
        options = [word for option in (*OPTIONS, f"port={port}", f"unix_socket_directories={folder}")
                   for word in ("-c", option)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["postgres", "-D", folder / "data", *options], cwd="/", stdout=log, stderr=log, **as_user)
        try:
            server = Cluster(port, process)
            _wait(server, folder / "log")
            yield server
        finally:
            process.send_signal(signal.SIGINT)          # "fast": it waits for no client
            process.wait(START_S)
    finally:
        shutil.rmtree(folder)


def _roomy(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ENOUGH


def _other_user(folder: Path) -> dict[str, Any]:
    """The arguments that make a subprocess run as another user, because PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = next(user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _wait(server: Cluster, log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            server.run("SELECT 1")
            return
        except psycopg.OperationalError:
            if server.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
