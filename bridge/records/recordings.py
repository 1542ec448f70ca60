"""Which calls were recorded, where to, and how loud both sides are: two columns of the calls' records."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from bridge.records.database import Database
from bridge.records.tables import call_records

#: Calls of one transaction of a sweep.
PORTION = 200


class Recordings:
    """The recordings that stand in calls' records. Everything raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, call_sid: str, address: str, levels: bytes) -> bool:
        """A recording of this call is finished. Returns whether the call has a record.

        The record holds the levels of the call's first stream.
        """
        def work(connection: Connection) -> bool:
            noted = _addresses(connection, call_sid)
            if noted is None:
                return False
            addresses = noted if address in noted else [*noted, address]
            more = {"levels": levels} if address == addresses[0] else {}
            _set(connection, call_sid, addresses, **more)
            return True
        return await self._database.write(work)

    async def forget(self, call_sid: str, address: str) -> None:
        """There is no such recording of this call."""
        def work(connection: Connection) -> None:
            _set(connection, call_sid, [each for each in _addresses(connection, call_sid) or () if each != address])
        await self._database.write(work)

    async def old(self, before: float) -> dict[str, list[str]]:
        """The recordings of calls that were over before this moment, by CallSid, a portion of them."""
        query = select(call_records.c.call_sid, call_records.c.recording).where(
            call_records.c.ended_at < before, call_records.c.recording != "").limit(PORTION)

        def work(connection: Connection) -> dict[str, list[str]]:
            return {row.call_sid: row.recording.split("\n") for row in connection.execute(query)}
        return await self._database.read(work)

    async def removed(self, call_sids: Sequence[str]) -> None:
        """The recordings of these calls are gone."""
        gone = update(call_records).where(call_records.c.call_sid.in_(call_sids)).values(recording="", levels=None)
        await self._database.execute(gone)


def _addresses(connection: Connection, call_sid: str) -> list[str] | None:
    """None: the call has no record."""
    query = select(call_records.c.recording).where(call_records.c.call_sid == call_sid).with_for_update()
    text = connection.scalar(query)
    return None if text is None else [*filter(None, text.split("\n"))]


def _set(connection: Connection, call_sid: str, addresses: Sequence[str], **more: bytes) -> None:
    connection.execute(update(call_records).where(call_records.c.call_sid == call_sid).values(
        recording="\n".join(addresses), **more))
