"""The queue of deliveries, shared by any number of processes.

1. A pending delivery is due at `next_at`. A claim moves that moment to the end of a lease, when the delivery is due
   again if the claimer has died. A delivery may be claimed in the transaction that promises it, for an attempt at once.
2. Each claim is an attempt, and attempts are only counted up. A result is written by its attempt's number. If the lease
   had expired and a later attempt has begun, the earlier one writes nothing.
3. A receiver gets the news of one thing, such as a meeting, in order. News waits until the news before it is delivered
   or dead. Otherwise a receiver could hear of a change before the booking and refuse it, or end with an outdated
   version.
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

#: The least time between two pieces of news of one thing (s). A clock may stand still or go back.
TICK_S = 1e-6

State = Literal["pending", "delivered", "dead", "undone"]
SETTLED: tuple[State, ...] = ("delivered", "dead", "undone")


@dataclass(frozen=True, slots=True)
class Delivery:
    """News of one thing on its way to one receiver, as it stood when it was read. Moments are seconds since 1970.

    - `about_kind`, `about_id`: the thing that it is the news of, a "meeting" or a "message".
    - `url`: the receiver's address. Its scheme says how the receiver is reached.
    - `created_at`: when it was promised. `since`: when the tries began, or began anew.
    - `state`: a "dead" letter may be sent again. An "undone" one may not: it was refused and is not true any more.
    - `next_at`: when it is due or its lease ends, or when it was settled.
    - `last_error`: what the last failed attempt met. `answer`: the receiver's words when it took or refused it.
    - `refused`: it is dead because its receiver said no. Otherwise it was given up after days.
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
    """How many deliveries there are. `oldest`: the earliest `since` of the pending ones (s since 1970), or None."""

    pending: int
    delivered: int
    dead: int
    oldest: float | None


def promise(
    connection: Connection, about: About, news: Sequence[NewDelivery], now: float, *, due: float | None = None,
    first: bool = False,
) -> list[Delivery]:
    """Writes news down, in the transaction of the change itself. Returns the deliveries in the same order.

    They are due at `due`, else at `now`. They count as later than all earlier news of the thing, whatever the clock
    says. A delivery is not leased while earlier news waits for the same receiver. `first`: there is no earlier news.
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
    """Makes the deliveries of this news that were never attempted due at `due` at the latest."""
    connection.execute(update(deliveries).where(
        deliveries.c.about_id == about.id, deliveries.c.state == "pending", deliveries.c.attempts == 0,
        deliveries.c.next_at > due).values(next_at=due))


def overtaken(connection: Connection, refused: Delivery) -> bool:
    """Whether later news of the same thing was promised to this receiver. Then the later news decides."""
    return bool(connection.scalar(select(exists().where(
        deliveries.c.about_id == refused.about_id, deliveries.c.url == refused.url,
        deliveries.c.created_at > refused.created_at, deliveries.c.state != "undone"))))


def undo(connection: Connection, refused: Delivery) -> None:
    """Marks news that is not true any more, so that no dead letter of it is sent again.

    To be called in the transaction that makes the news untrue. Earlier news that this receiver refused is marked too.
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
#: No earlier news of the same thing still waits for this receiver. The earlier news is looked up by the thing's id.
#: With a condition on "pending", SQLite would go through all pending deliveries for each one.
_NEXT = ~exists().where(
    _BEFORE.c.about_id == deliveries.c.about_id, _BEFORE.c.url == deliveries.c.url,
    _BEFORE.c.state.not_in(SETTLED), _BEFORE.c.created_at < deliveries.c.created_at)
#: Writes the result of an attempt, unless a later attempt has overtaken it.
_BECAME = update(deliveries).where(
    deliveries.c.id == bindparam("delivery"), deliveries.c.attempts == bindparam("attempt"),
    deliveries.c.state == "pending")


class DeliveryQueue:
    """All deliveries. Moments are seconds since 1970. Every method raises StoreFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, now: float, lease_s: float, limit: int, *, per_url: int = 10, only: Sequence[str] | None = None,
        under_way: Mapping[str, int] | None = None,
    ) -> list[Delivery]:
        """Leases up to `limit` due deliveries to the claimer for `lease_s` seconds, the longest due first.

        For each receiver it takes `per_url` at most, less the attempts `under_way` to it, so that a slow receiver
        leaves room for others. `only`: no deliveries but these ids.
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
        # `due` is checked once more under the lock, because another process may have claimed the delivery meanwhile.
        # It stands in a common table expression, because PostgreSQL may run a plain subquery more than once.
        chosen = (
            select(deliveries.c.id).where(due, deliveries.c.id.in_(fair)).order_by(deliveries.c.next_at).limit(limit)
            .with_for_update(skip_locked=True).cte("chosen"))
        claim = (
            update(deliveries).where(deliveries.c.id.in_(select(chosen.c.id)))
            .values(attempts=deliveries.c.attempts + 1, next_at=now + lease_s).returning(deliveries))

        def work(connection: Connection) -> list[Delivery]:
            return [_delivery(row) for row in connection.execute(claim)]
        return sorted(await self._database.write(work), key=lambda each: (each.created_at, each.id))

    # ---- the result of an attempt. False: a later attempt has overtaken it, or the delivery was settled

    async def renew(self, delivery_id: str, until: float, attempts: int) -> bool:
        """The attempt goes on: its lease ends at `until`."""
        return await self._after(delivery_id, attempts, next_at=until)

    async def delivered(self, delivery_id: str, now: float, answer: str, attempts: int) -> bool:
        return await self._after(delivery_id, attempts, state="delivered", next_at=now, answer=answer, last_error="")

    async def retry(self, delivery_id: str, at: float, error: str, attempts: int) -> bool:
        """The attempt failed. The delivery is due again at `at`."""
        return await self._after(delivery_id, attempts, next_at=at, last_error=error)

    async def dead(
        self, delivery_id: str, now: float, error: str, attempts: int, answer: str = "", *, refused: bool = False,
    ) -> bool:
        """The delivery failed for good: a dead letter. `refused`: the receiver said no, with `answer` as its words."""
        return await self._after(
            delivery_id, attempts, state="dead", next_at=now, last_error=error, answer=answer, refused=refused)

    async def revive(
        self, about_id: str | None, now: float, *, all: bool = False, lease_s: float = 0.0,
        receivers: Sequence[str] = (), of_calls: Sequence[str] = (),
    ) -> int:
        """Makes the waiting deliveries and dead letters of one thing, such as a meeting, due now. Returns how many.

        `about_id` None: those of everything, except refused ones. `all`: delivered ones too. A delivery that is due
        within `lease_s` seconds is under way and left alone. So is one that later, delivered news has overtaken.
        `receivers`: the addresses in the settings of now. A delivery to another address goes to the first of these that
        was not told of the news. If all of them were told, it is left alone. `of_calls`: the same for reports of calls.
        """
        def work(connection: Connection) -> int:
            revived = 0
            for each in _to_revive(connection, about_id, now, lease_s, all):
                url = _address(connection, each, of_calls if each.about_kind == "call" else receivers)
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
        """The deliveries about one thing, such as a meeting, in the order in which they were promised."""
        return await self._list(select(deliveries).where(deliveries.c.about_id == id))

    async def states(self) -> dict[str, dict[str, int]]:
        """How many deliveries of each state there are, by the id of the thing that they are about."""
        kind = deliveries.c.about_id, deliveries.c.state
        query = select(*kind, func.count()).group_by(*kind)

        def work(connection: Connection) -> dict[str, dict[str, int]]:
            states: dict[str, dict[str, int]] = {}
            for id, state, count in connection.execute(query):
                states.setdefault(id, {})[state] = count
            return states
        return await self._database.read(work)

    async def next_due(self, now: float, *, but: Sequence[str] = ()) -> float | None:
        """When a delivery can be claimed: `now`, or when the next one is due or its lease ends. None: nothing waits.

        `but`: deliveries to these addresses do not count.
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
        """How many deliveries wait for an address that is none of these."""
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
    """The deliveries that `revive` may make due, in the order in which they were promised."""
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
    """Where a delivery goes by the settings of now. None: every receiver was told of the news already."""
    if not receivers or delivery.url in receivers:
        return delivery.url
    told = {*connection.scalars(select(deliveries.c.url).where(
        deliveries.c.about_id == delivery.about_id, deliveries.c.created_at == delivery.created_at))}
    return next((each for each in receivers if each not in told), None)


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._asdict())
