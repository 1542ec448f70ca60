"""The queue of deliveries, shared by any number of processes.

1. A pending delivery is due at `next_at`. Who claims it moves that moment to the end of a lease: it is not due again
   before, and it is due again if the claimer has died.
   What is promised may be claimed in the same transaction, for the attempt that follows at once.
2. Each claim is an attempt, and attempts are only ever counted up. What became of an attempt is written by its own
   number: one that was overtaken by a later attempt, because its lease had expired, writes nothing.
3. A receiver is told of one thing, such as a meeting, in order: news waits until what was promised before it is
   delivered or dead. Else it would hear of a change before the booking, and might refuse what it does not know, or end
   with what was corrected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import (
    Connection, Row, Select, and_, bindparam, case, exists, func, insert, literal, or_, select, update,
)

from bridge.records.database import Database
from bridge.records.news import About, NewDelivery
from bridge.records.tables import deliveries

#: News of one thing is so much later than the news before it at least, seconds: a clock may stand still or go back.
TICK_S = 1e-6

State = Literal["pending", "delivered", "dead", "undone"]
SETTLED: tuple[State, ...] = ("delivered", "dead", "undone")


@dataclass(frozen=True, slots=True)
class Delivery:
    """News of one thing on its way to one receiver, as it stood when it was read.

    `about_kind` and `about_id`: what it is the news of, a "meeting" or a "message". `url`: the receiver's address, the
    scheme of which says how it is reached. `state`: a dead letter may be sent again; what is undone may not, since it
    was refused and is true no more. Moments are seconds since 1970. `created_at`: when it was promised; `since`: since
    when it has been tried, which is later where it was sent again. `next_at`: when it is due, or its lease ends; when
    it was settled, if it is.
    `last_error`: what the last failed attempt met; `answer`: what the receiver said when it took or refused it.
    `refused`: it is dead because its receiver said no, and was not given up after days without an answer.
    """

    id: str
    about_kind: str
    about_id: str
    url: str
    type: str
    body: str
    created_at: float
    since: float
    attempts: int
    state: State
    next_at: float
    last_error: str
    answer: str
    refused: bool = False

    @property
    def about(self) -> About:
        return About(self.about_kind, self.about_id)


@dataclass(frozen=True, slots=True)
class Depth:
    """How many deliveries there are; `oldest`: since when the oldest pending one has been tried, or None."""

    pending: int
    delivered: int
    dead: int
    oldest: float | None


def promise(
    connection: Connection, about: About, news: Sequence[NewDelivery], now: float, *, due: float | None = None,
    first: bool = False,
) -> list[Delivery]:
    """Writes news down, in the transaction that it is news of; in the same order. It is due at `due`, else `now`.

    It is later than all news before it, whatever the clock says; and none of it is leased, to be sent at once, whose
    receiver still waits for what came before. `first`: nothing came before.
    """
    earlier = [] if first else connection.execute(_EARLIER, {"about": about.id}).all()
    waiting = {url for url, state, _ in earlier if state == "pending"}
    moment = max([now, *(created_at + TICK_S for _, _, created_at in earlier)])
    promised = []
    for each in news:
        lease_s = 0.0 if each.url in waiting else each.lease_s
        promised.append(Delivery(
            id=each.id, about_kind=about.kind, about_id=about.id, url=each.url, type=each.type, body=each.body,
            created_at=moment, since=now, attempts=1 if lease_s else 0, state="pending",
            next_at=(now if due is None else due) + lease_s, last_error="", answer=""))
    if promised:
        connection.execute(_ADD, [asdict(each) for each in promised])
    return promised


def hasten(connection: Connection, about: About, due: float) -> None:
    """What was never attempted of this news is due by then at last."""
    connection.execute(update(deliveries).where(
        deliveries.c.about_id == about.id, deliveries.c.state == "pending", deliveries.c.attempts == 0,
        deliveries.c.next_at > due).values(next_at=due))


def overtaken(connection: Connection, refused: Delivery) -> bool:
    """Whether its receiver has been promised later news of the same, which decides."""
    return bool(connection.scalar(select(exists().where(
        deliveries.c.about_id == refused.about_id, deliveries.c.url == refused.url,
        deliveries.c.created_at > refused.created_at, deliveries.c.state != "undone"))))


def undo(connection: Connection, refused: Delivery) -> None:
    """This news is true no more: no dead letter of it is sent again. In the transaction that makes it untrue.

    Nor is what the receiver had refused before, and this had overtaken.
    """
    refused_before = and_(
        deliveries.c.url == refused.url, deliveries.c.created_at < refused.created_at, deliveries.c.refused)
    connection.execute(update(deliveries).where(
        deliveries.c.about_id == refused.about_id, deliveries.c.state == "dead",
        or_(deliveries.c.created_at == refused.created_at, refused_before)).values(state="undone", refused=False))


_ADD = insert(deliveries)
_EARLIER = select(deliveries.c.url, deliveries.c.state, deliveries.c.created_at).where(
    deliveries.c.about_id == bindparam("about"))
_BEFORE = deliveries.alias("before")
#: Nothing that its receiver is to be told of the same thing was promised before it. What was is looked up by the
#: thing's id: were it asked for as "pending", SQLite would look through all that is, for each.
_NEXT = ~exists().where(
    _BEFORE.c.about_id == deliveries.c.about_id, _BEFORE.c.url == deliveries.c.url,
    _BEFORE.c.state.not_in(SETTLED), _BEFORE.c.created_at < deliveries.c.created_at)
#: What became of an attempt, unless a later one has overtaken it.
_BECAME = update(deliveries).where(
    deliveries.c.id == bindparam("delivery"), deliveries.c.attempts == bindparam("attempt"),
    deliveries.c.state == "pending")


class DeliveryQueue:
    """All deliveries. Everything raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, now: float, lease_s: float, limit: int, *, per_url: int = 10, only: Sequence[str] | None = None,
        under_way: Mapping[str, int] | None = None,
    ) -> list[Delivery]:
        """Up to `limit` deliveries that are due, the longest due first, leased to the claimer for `lease_s` seconds.

        At most `per_url` of each receiver, so that a slow one leaves room for others; fewer by what is `under_way`
        to it. `only`: none but these ids.
        """
        due = (deliveries.c.state == "pending") & (deliveries.c.next_at <= now)
        if only is not None:
            due &= deliveries.c.id.in_(only)
        room = case(
            {url: per_url - attempts for url, attempts in under_way.items()}, value=deliveries.c.url, else_=per_url,
        ) if under_way else literal(per_url)
        place = func.row_number().over(partition_by=deliveries.c.url, order_by=deliveries.c.next_at)
        ranked = select(deliveries.c.id, place.label("place"), room.label("room")).where(due, _NEXT).subquery()
        fair = select(ranked.c.id).where(ranked.c.place <= ranked.c.room)
        # `due` is asked for once more: under the lock, another process may have claimed it meanwhile. In a common
        # table expression, since PostgreSQL may run a plain subquery more often than once.
        chosen = (
            select(deliveries.c.id).where(due, deliveries.c.id.in_(fair)).order_by(deliveries.c.next_at).limit(limit)
            .with_for_update(skip_locked=True).cte("chosen"))
        claim = (
            update(deliveries).where(deliveries.c.id.in_(select(chosen.c.id)))
            .values(attempts=deliveries.c.attempts + 1, next_at=now + lease_s).returning(deliveries))

        def work(connection: Connection) -> list[Delivery]:
            return [_delivery(row) for row in connection.execute(claim)]
        return sorted(await self._database.write(work), key=lambda each: (each.created_at, each.id))

    # ---- what became of an attempt: False when a later one has overtaken it, or it was settled

    async def renew(self, delivery_id: str, until: float, attempts: int) -> bool:
        """The attempt goes on: its lease ends later."""
        return await self._after(delivery_id, attempts, next_at=until)

    async def delivered(self, delivery_id: str, now: float, answer: str, attempts: int) -> bool:
        return await self._after(delivery_id, attempts, state="delivered", next_at=now, answer=answer, last_error="")

    async def retry(self, delivery_id: str, at: float, error: str, attempts: int) -> bool:
        """It failed, and is due again at a later moment."""
        return await self._after(delivery_id, attempts, next_at=at, last_error=error)

    async def dead(
        self, delivery_id: str, now: float, error: str, attempts: int, answer: str = "", *, refused: bool = False,
    ) -> bool:
        """It failed for good: a dead letter. `refused`: the receiver said no; `answer`: in these words."""
        return await self._after(
            delivery_id, attempts, state="dead", next_at=now, last_error=error, answer=answer, refused=refused)

    async def revive(
        self, about_id: str | None, now: float, *, all: bool = False, lease_s: float = 0.0,
        receivers: Sequence[str] = (),
    ) -> int:
        """Makes due now what waits of one thing, such as a meeting, and its dead letters; how many that were.

        With `all`, what was delivered too. Without an id: of everything, but for what was refused. What is due
        within `lease_s` is under way and left alone; so is what later news that was delivered has overtaken.
        `receivers`: the addresses as they are set now; what was promised to another one goes to the one of these that
        has not been told, and to nobody where all have been.
        """
        def work(connection: Connection) -> int:
            revived = 0
            for each in _to_revive(connection, about_id, now, lease_s, all):
                url = _address(connection, each, receivers)
                due = each.state == "pending" and each.next_at <= now
                if url is None or due and url == each.url:
                    continue
                revived += connection.execute(update(deliveries).where(
                    deliveries.c.id == each.id, deliveries.c.attempts == each.attempts,
                    deliveries.c.state == each.state,
                ).values(state="pending", next_at=now, since=now, url=url, refused=False)).rowcount
            return revived
        return await self._database.write(work)

    # ---- looking

    async def get(self, delivery_id: str) -> Delivery | None:
        return next(iter(await self._list(select(deliveries).where(deliveries.c.id == delivery_id))), None)

    async def about(self, id: str) -> list[Delivery]:
        """The news of one thing, such as a meeting, in the order in which it was promised."""
        return await self._list(select(deliveries).where(deliveries.c.about_id == id))

    async def states(self) -> dict[str, dict[str, int]]:
        """How many deliveries of each state there are of everything there is news of, by its id."""
        kind = deliveries.c.about_id, deliveries.c.state
        query = select(*kind, func.count()).group_by(*kind)

        def work(connection: Connection) -> dict[str, dict[str, int]]:
            states: dict[str, dict[str, int]] = {}
            for id, state, count in connection.execute(query):
                states.setdefault(id, {})[state] = count
            return states
        return await self._database.read(work)

    async def next_due(self, now: float, *, but: Sequence[str] = ()) -> float | None:
        """When something can be claimed: `now`, or the moment at which the next one is due or its lease ends.

        `but`: apart from what goes to these urls.
        """
        query = select(func.min(deliveries.c.next_at)).where(deliveries.c.state == "pending", _NEXT)
        if but:
            query = query.where(deliveries.c.url.not_in(but))

        def work(connection: Connection) -> float | None:
            moment: float | None = connection.scalar(query)
            return moment
        moment = await self._database.read(work)
        return None if moment is None else max(moment, now)

    async def astray(self, receivers: Sequence[str]) -> int:
        """How many wait for an address that is none of these."""
        query = select(func.count()).where(deliveries.c.state == "pending", deliveries.c.url.not_in(receivers))

        def work(connection: Connection) -> int:
            return connection.scalar(query) or 0
        return await self._database.read(work)

    async def depth(self) -> Depth:
        query = select(deliveries.c.state, func.count(), func.min(deliveries.c.since)).group_by(deliveries.c.state)

        def work(connection: Connection) -> dict[str, tuple[int, float]]:
            return {state: (count, oldest) for state, count, oldest in connection.execute(query)}
        counts = await self._database.read(work)
        pending, oldest = counts.get("pending", (0, None))
        return Depth(pending, counts.get("delivered", (0, 0))[0], counts.get("dead", (0, 0))[0], oldest)

    async def _list(self, query: Select[Any]) -> list[Delivery]:
        ordered = query.order_by(deliveries.c.created_at, deliveries.c.id)

        def work(connection: Connection) -> list[Delivery]:
            return [_delivery(row) for row in connection.execute(ordered)]
        return await self._database.read(work)

    async def _after(self, delivery_id: str, attempts: int, **values: Any) -> bool:
        return await self._database.execute(
            _BECAME, {"delivery": delivery_id, "attempt": attempts, **values}) == 1


def _to_revive(
    connection: Connection, about_id: str | None, now: float, lease_s: float, all: bool,
) -> list[Delivery]:
    """What may be due now, in the order in which it was promised."""
    later = deliveries.alias()
    overtaken = exists().where(
        later.c.about_id == deliveries.c.about_id, later.c.url == deliveries.c.url,
        later.c.created_at > deliveries.c.created_at, later.c.state == "delivered")
    waiting = (deliveries.c.state == "pending") & or_(deliveries.c.next_at > now + lease_s, deliveries.c.next_at <= now)
    settled = deliveries.c.state.in_(("dead", "delivered") if all else ("dead",)) & ~overtaken
    query = select(deliveries).where(waiting | settled).order_by(deliveries.c.created_at, deliveries.c.id)
    if about_id is not None:
        query = query.where(deliveries.c.about_id == about_id)
    found = [_delivery(row) for row in connection.execute(query)]
    return [each for each in found if about_id is not None or not each.refused]


def _address(connection: Connection, delivery: Delivery, receivers: Sequence[str]) -> str | None:
    """Where a delivery goes by the settings of now; None: whoever should be told has been."""
    if not receivers or delivery.url in receivers:
        return delivery.url
    told = {*connection.scalars(select(deliveries.c.url).where(
        deliveries.c.about_id == delivery.about_id, deliveries.c.created_at == delivery.created_at))}
    return next((each for each in receivers if each not in told), None)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._asdict())
