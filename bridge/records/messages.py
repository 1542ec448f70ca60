"""Messages that callers left: one is kept once, with its deliveries, however often Twilio tells of it."""

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
    """All messages. Everything raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, message: Message, news: Sequence[NewDelivery], due: float) -> bool:
        """Promises its deliveries, due at `due`, seconds since 1970.

        False for one that is kept already: then nothing is added, and what was never attempted is due by then at last.
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
        """In the order in which they were recorded, `limit` at most; those behind `after`, for the next page."""
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
    """False for one that is there: two processes may be told of one message at once."""
    new = postgresql.insert(messages) if connection.dialect.name == "postgresql" else sqlite.insert(messages)
    values = {**asdict(message), "recorded_at": message.recorded.timestamp()}
    del values["recorded"]
    added = new.values(values).on_conflict_do_nothing().returning(messages.c.id)
    return connection.scalar(added) is not None


def _message(row: Row[Any]) -> Message:
    values = row._asdict()
    return Message(recorded=datetime.fromtimestamp(values.pop("recorded_at"), UTC), **values)
