"""Messages that callers left. Each is kept once, with its deliveries, however often Twilio reports it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from bridge.meetings.message import Message
from bridge.records.database import Database
from bridge.records.deliveries import hasten, promise
from bridge.records.news import About, NewDelivery
from bridge.records.tables import messages


class Messages:
    """All messages. Every method raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, message: Message, news: Sequence[NewDelivery], due: float) -> bool:
        """Keeps a message and promises its deliveries, due at `due` (s since 1970).

        False: it is kept already, and nothing is added. Its deliveries without an attempt are then due at `due` at the
        latest.
        """
        def work(connection: Connection) -> bool:
            about = About("message", message.id)
            if _insert(connection, message):
                promise(connection, about, news, message.recorded.timestamp(), due=due, first=True)
                return True
            hasten(connection, about, due)
            return False
        return await self._database.write(work)

    async def find(self, message_id: str) -> Message | None:
        return next(iter(await self._list(select(messages).where(messages.c.id == message_id))), None)

    async def all(self, limit: int = 1000, after: Message | None = None) -> list[Message]:
        """Messages in the order of recording, `limit` at most. `after`: the last one of the page before."""
        query = select(messages).limit(limit)
        if after:
            query = query.where(
                tuple_(messages.c.recorded_at, messages.c.id) > (after.recorded.timestamp(), after.id))
        return await self._list(query)

    async def _list(self, query: Select[Any]) -> list[Message]:
        ordered = query.order_by(messages.c.recorded_at, messages.c.id)

        def work(connection: Connection) -> list[Message]:
            return [_message(row) for row in connection.execute(ordered)]
        return await self._database.read(work)


def _insert(connection: Connection, message: Message) -> bool:
    """Inserts a message. False: it is there already, as two processes may hear of one message at once."""
    new = postgresql.insert(messages) if connection.dialect.name == "postgresql" else sqlite.insert(messages)
    values = {**asdict(message), "recorded_at": message.recorded.timestamp()}
    del values["recorded"]
    added = new.values(values).on_conflict_do_nothing().returning(messages.c.id)
    return connection.scalar(added) is not None


def _message(row: Row[Any]) -> Message:
    values = row._asdict()
    return Message(recorded=datetime.fromtimestamp(values.pop("recorded_at"), UTC), **values)
