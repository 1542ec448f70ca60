"""A statement that writes one row and returns it, prepared once: one way to the server and back, its lock included.

For what stands between a ringing telephone and its first word. Two things make it quick:

1. The SQL of each database is compiled once. To put a statement together and to look up its text costs as much as to
   carry it out.
2. Its commit does not wait for the disk. A killed process loses nothing by that. A power cut may lose what was written
   in its last second, so this is for what is worth nothing after a restart of the machine: who was let in, not what was
   promised.

Twice in a row it does the same, as everything here (database.py, rule 2): who writes one sees to that.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import Connection, Dialect, Row, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import dialect as psycopg_dialect
from sqlalchemy.dialects.sqlite.pysqlite import dialect as pysqlite_dialect
from sqlalchemy.sql.dml import ReturningInsert

Insert: TypeAlias = postgresql.Insert | sqlite.Insert
Returning: TypeAlias = ReturningInsert[Any]

PSYCOPG: Dialect = psycopg_dialect()     # type: ignore[no-untyped-call]
#: `true`: for the implicit transaction that several statements of one message are, and no longer.
_BEGIN = "SELECT set_config('synchronous_commit', 'off', true){lock}; "


class QuickStatement:
    """`build` makes the statement of the insertion into `table` it is given; its parameters are bindparams.

    `lock`: a number of one's own, of which one such statement, or one transaction, is carried out at a time.
    """

    def __init__(self, table: Table, build: Callable[[Any], Returning], lock: int = 0) -> None:
        begin = _BEGIN.format(lock=f", pg_advisory_xact_lock({lock:d})" if lock else "")
        self._compiled = {
            "sqlite": _compiled(build(sqlite.insert(table)), pysqlite_dialect(paramstyle="named")),
            "postgresql": _compiled(build(postgresql.insert(table)), PSYCOPG, begin),
        }

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Row[Any] | None:
        """The row that it returns, or None where it wrote nothing."""
        sql, constants = self._compiled[connection.dialect.name]
        return connection.exec_driver_sql(sql, {**constants, **values}).first()


def _compiled(statement: Returning, dialect: Dialect, begin: str = "") -> tuple[str, dict[str, Any]]:
    """The statement's text, and the values that stand in it already."""
    compiled = statement.compile(dialect=dialect)
    return begin + str(compiled), dict(compiled.params)
