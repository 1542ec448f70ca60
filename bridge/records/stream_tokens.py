"""The tokens that streams have shown. Each is taken once, by the first process that comes."""

from sqlalchemy import bindparam, delete

from bridge.records.database import Database
from bridge.records.statement import QuickStatement
from bridge.records.tables import stream_tokens

#: How long a token is remembered after it has expired (s). Clocks differ.
KEPT_S = 600

# A row that is there already stays as it is: to write its own value into it is what makes it be returned.
_TAKE = QuickStatement(stream_tokens, lambda insert: insert.values(
    nonce=bindparam("nonce"), taken_by=bindparam("taken_by"), expires_at=bindparam("expires_at"),
).on_conflict_do_update(
    index_elements=[stream_tokens.c.nonce], set_={"taken_by": stream_tokens.c.taken_by},
).returning(stream_tokens.c.taken_by))


class StreamTokens:
    """All shown tokens. Moments are seconds since 1970. Every method raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, nonce: str, taken_by: str, expires: float) -> bool:
        """Takes a token. True: this attempt is the first.

        `taken_by` is the attempt's own name, because the transaction may run twice.
        """
        row = await self._database.quick(_TAKE, {"nonce": nonce, "taken_by": taken_by, "expires_at": expires})
        return row is not None and row.taken_by == taken_by

    async def sweep(self, now: float) -> None:
        """Forgets tokens that expired KEPT_S ago."""
        await self._database.execute(delete(stream_tokens).where(stream_tokens.c.expires_at < now - KEPT_S))
