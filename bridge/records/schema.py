"""Brings a database's tables up to this version, from any earlier one."""

import logging
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, func, inspect, select

#: The advisory lock of upgrades. Any number will do that nothing else in the database uses.
UPGRADE_LOCK = 7_261_940_517


class FromTheFuture(Exception):
    """The database belongs to a newer version of the bridge."""


def is_there(connection: Connection) -> bool:
    """Whether the database has tables of any version."""
    return inspect(connection).has_table("alembic_version")


def upgrade(connection: Connection, version: str = "head") -> None:
    """Runs the missing `migrations` up to a version, within the connection's transaction: all of them or none.

    If several processes start at once, one of them does it. The others wait, and find nothing left to do. On SQLite,
    BEGIN IMMEDIATE sees to that. Raises FromTheFuture, and SQLAlchemy's errors.
    """
    if connection.dialect.name == "postgresql":
        # A large table may take long to alter, so the usual time limits are lifted here.
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
