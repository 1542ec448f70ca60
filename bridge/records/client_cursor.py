"""PostgreSQL's cursor, as the connections of this server use it."""

from typing import Any

import psycopg


class ClientCursor(psycopg.ClientCursor[Any]):
    """Puts values into the statement itself, so that several statements can go in one message (statement.py).

    Of their results the last one's counts. The driver quotes the values, as libpq does.
    """

    def execute(self, query: Any, params: Any = None, **more: Any) -> "ClientCursor":
        super().execute(query, params, **more)
        while self.nextset():
            pass
        return self
