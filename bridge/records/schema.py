"""Brings a database up to the tables of this version, whatever version it comes from."""

import logging
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, func, inspect, select

#: Any number that nothing else in the database uses as an advisory lock.
UPGRADE_LOCK = 7_261_940_517


class FromTheFuture(Exception):
    """The database belongs to a newer version of the bridge."""


def is_there(connection: Connection) -> bool:
    """Whether the database has tables of any version."""
    return inspect(connection).has_table("alembic_version")


def upgrade(connection: Connection, version: str = "head") -> None:
    """Runs what is missing of `migrations` up to a version, within the connection's transaction: all of it or nothing.

    Of several processes that start at once one does it; the others wait, and find nothing left to do. SQLite's
    BEGIN IMMEDIATE sees to that by itself. Raises FromTheFuture, and what SQLAlchemy raises.
    """
    if connection.dialect.name == "postgresql":
        # A large table may take long to alter: the limits of everyday work are lifted here.
        connection.execute(select(func.set_config("lock_timeout", "0", True)))
        connection.execute(select(func.set_config("statement_timeout", "0", True)))
        connection.execute(select(func.pg_advisory_xact_lock(UPGRADE_LOCK)))
    logging.getLogger("alembic").setLevel(logging.WARNING)      # it tells of its own set-up at every start
    config = _config(connection=connection)
    try:
        command.upgrade(config, version)
    except CommandError as error:
        raise FromTheFuture("it was made by a newer version of bridge") from error


def age(version: str) -> Literal["current", "older", "newer"]:
    """What the version that stands in a database is to this program; nothing is read or changed."""
    scripts = ScriptDirectory.from_config(_config())
    if version == scripts.get_current_head():
        return "current"
    return "older" if version in {each.revision for each in scripts.walk_revisions()} else "newer"


def _config(**attributes: Connection) -> Config:
    config = Config(attributes=dict(attributes))
    config.set_main_option("script_location", "bridge.records:migrations")
    config.set_main_option("path_separator", "os")
    return config
