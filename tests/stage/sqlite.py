"""SQLite databases with their tables, without the time that it takes to bring each through all versions of them."""

import asyncio
import threading
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from bridge.records import sqlite_file
from bridge.records.database import open_database, parse_url


def new_database(folder: Path | str) -> str:
    """The address of a database in this folder, made as the server makes it, its tables empty and up to date."""
    path = Path(folder) / "bridge.db"
    if not path.exists():                            # what a test has put there itself is left as it is
        sqlite_file.prepare(str(path), create=True)
        path.write_bytes(_with_tables())
    return f"sqlite:///{path}"


@cache
def _with_tables() -> bytes:
    """What a server leaves that has made a database and ended; one does so once in a process."""
    async def serve(path: str) -> None:
        async with open_database(parse_url(f"sqlite:///{path}")):
            pass
    with TemporaryDirectory() as folder:
        path = f"{folder}/bridge.db"
        # In a thread of its own: whoever asks may run an event loop.
        thread = threading.Thread(target=lambda: asyncio.run(serve(path)))
        thread.start()
        thread.join()
        return Path(path).read_bytes()
