"""The databases that bookings are measured on: new and empty ones, gone afterwards."""

import base64
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from tests.load.server import NoServer

POSTGRES = ("postgres://", "postgresql://")


@contextmanager
def empty_database(server: str | None) -> Iterator[str]:
    """The address of an empty database: on the PostgreSQL at the address `server`, or a SQLite file without one.

    Whoever `server` names must be allowed to create databases; those that are there already are not touched.
    Raises NoServer.
    """
    if server is None:
        with tempfile.TemporaryDirectory() as place:
            yield f"sqlite:///{Path(place) / 'bridge.db'}"
        return
    url = make_url(server).set(drivername="postgresql")
    maintenance = url.render_as_string(hide_password=False)
    name = f"bridge_load_{secrets.token_hex(4)}"
    _run(maintenance, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        _run(maintenance, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _run(address: str, statement: sql.Composed) -> None:
    try:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)
    except psycopg.Error as error:
        raise NoServer(f"PostgreSQL: {error}") from None


def settings(database: str, receiver: str) -> dict[str, str]:
    """What a server needs to book there at the first call of the function, and to tell the receiver, signed."""
    return {
        "DATABASE_URL": database, "WEBHOOK_URL": receiver, "CONFIRM_MEETINGS": "0", "MEETING_MINUTES": "1",
        "WEBHOOK_SECRET": "whsec_" + base64.b64encode(bytes(24)).decode(), "ORGANIZER_EMAIL": "office@example.com",
    }
