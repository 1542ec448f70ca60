"""The cost of the model by day, one sum for all processes that share the database."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from bridge.records.database import Database
from bridge.records.tables import spending


class Spending:
    """Sums in US dollars, by a day's name such as 2026-11-28. Every method raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, day: str, usd: float) -> float:
        """Adds an amount to a day. Returns the day's sum for all processes, with that amount."""
        def work(connection: Connection) -> float:
            if usd:
                on_postgresql = connection.dialect.name == "postgresql"
                new = postgresql.insert(spending) if on_postgresql else sqlite.insert(spending)
                connection.execute(new.values(day=day, usd=usd).on_conflict_do_update(
                    index_elements=[spending.c.day], set_={"usd": spending.c.usd + new.excluded.usd}))
            return connection.scalar(select(spending.c.usd).where(spending.c.day == day)) or 0.0
        return await self._database.write(work)
