"""The tokens that streams have shown. Each is taken once, by the first process that comes."""

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from bridge.records.database import Database
from bridge.records.tables import stream_tokens

#: How long a token is remembered after it has expired (s). Clocks differ.
KEPT_S = 600


class StreamTokens:
    """All shown tokens. Moments are seconds since 1970. Every method raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, nonce: str, taken_by: str, expires: float) -> bool:
        """Takes a token. True: this attempt is the first.

        `taken_by` is the attempt's own name, because the transaction may run twice.
        """
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
        """Forgets tokens that expired KEPT_S ago."""
        await self._database.execute(delete(stream_tokens).where(stream_tokens.c.expires_at < now - KEPT_S))
