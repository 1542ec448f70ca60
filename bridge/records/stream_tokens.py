"""The tokens of streams that were shown: each is taken once, by whichever process comes first."""

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from bridge.records.database import Database
from bridge.records.tables import stream_tokens

#: How long a token is remembered after nobody takes it any more, seconds: clocks differ.
KEPT_S = 600


class StreamTokens:
    """Moments are seconds since 1970. Raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, nonce: str, taken_by: str, expires: float) -> bool:
        """Whether this attempt, which has a name of its own, is the first. A transaction may run twice."""
        def work(connection: Connection) -> bool:
            new = postgresql.insert(stream_tokens) if connection.dialect.name == "postgresql" else sqlite.insert(
                stream_tokens)
            row = {"nonce": nonce, "taken_by": taken_by, "expires_at": expires}
            connection.execute(new.on_conflict_do_nothing(), row)
            first: str | None = connection.scalar(
                select(stream_tokens.c.taken_by).where(stream_tokens.c.nonce == nonce))
            return first == taken_by
        return await self._database.write(work)

    async def sweep(self, now: float) -> None:
        """Forgets those that expired."""
        await self._database.execute(delete(stream_tokens).where(stream_tokens.c.expires_at < now - KEPT_S))
