"""The outbox: hands over each delivery until its receiver has taken it.

Every delivery is in the database before anybody is told of it. The outbox only works through the database.

1. A due delivery is claimed for LEASE_S. The lease is renewed while an attempt lasts, so that no other process takes
   the delivery meanwhile. If this process dies, the delivery is due again soon after.
2. Each attempt is a task of its own. At most PER_RECEIVER attempts at one receiver are claimed at a time, so that a
   slow receiver holds up only itself. A waiting call's own attempt comes on top.
3. retries.py decides what follows from an attempt, and the result is written down. If the database does not take the
   result, that is tried again, and nothing else is claimed meanwhile. If the database never takes it, the delivery is
   handed over once more under the same id. That is why receivers keep ids.
4. The database is asked when a delivery is known to become due, after `wake`, and every POLL_S for other processes'.
5. Only `stop` cancels database work. A task that has waited long enough goes on, and the work ends by itself.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from bridge.delivery.answer import Answer
from bridge.delivery.delivery_log import DeliveryLog
from bridge.delivery.receivers import Receiver
from bridge.delivery.retries import Dead, Decision, Delivered, RetryAt, decide
from bridge.records.database import StoreFailed
from bridge.records.deliveries import Delivery, DeliveryQueue

log = logging.getLogger(__name__)

#: How long a claimed delivery is ours, and how often the lease is renewed (s). A restart resumes within 10 s.
LEASE_S, RENEW_S = 8.0, 2.0
#: How often the database is asked without a reason, and how soon again if another process was faster (s).
POLL_S, AGAIN_S = 5.0, 0.05
#: How long to wait before a result is written again that the database did not take (s).
REWRITE_S = 1.0
#: How often a waiting call checks whether another process has delivered (s).
LOOK_S = 0.5
#: How long attempts under way may still take when the server stops (s).
STOP_S = 5.0
#: The most attempts under way, to all receivers together and to one of them.
LIMIT, PER_RECEIVER = 256, 8

Rest = Callable[[asyncio.Event, float], Awaitable[None]]


async def until(event: asyncio.Event, seconds: float) -> None:
    """Waits until the event is set, for `seconds` at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Outbox:
    """Hands over due deliveries, from `run` to `stop`. An application has one.

    `receiver` is handed every delivery, whatever its address (receivers.ByScheme). `clock` gives seconds since 1970.
    `rest` waits for an event, for so many seconds at most. `jitter` is random from 0 to 1.
    """

    def __init__(
        self, queue: DeliveryQueue, receiver: Receiver, *, clock: Callable[[], float] = time.time,
        rest: Rest = until, jitter: Callable[[], float] = random.random,
    ) -> None:
        self._queue, self._receiver = queue, receiver
        self._clock, self._rest, self._jitter = clock, rest, jitter
        self._stopping = False
        self._woken = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        #: The deliveries that are being attempted, and the ids of those whose result the database has not taken yet.
        self._under_way: set[Delivery] = set()
        self._unwritten: set[str] = set()
        self._followers: set[_Follower] = set()
        self._log = DeliveryLog()

    @property
    def under_way(self) -> int:
        """How many deliveries are being attempted. An attempt counts until its result is written down."""
        return len(self._under_way)

    def wake(self) -> None:
        """To be called when a delivery was committed that is due now."""
        self._woken.set()

    def promised(self, news: Sequence[Delivery]) -> None:
        """To be called with deliveries that were just committed here. Those leased to us are attempted at once."""
        ours = [each for each in news if each.attempts]
        self._start(ours)
        if len(ours) < len(news):
            self.wake()

    # ---- the application's task

    async def run(self) -> None:
        """The application's task: delivers until `stop`. It survives every failure of the database."""
        while not self._stopping:
            self._woken.clear()
            try:
                pause = await self._round()
            except StoreFailed as reason:
                log.error("deliveries wait, because the database failed: %(reason)s", {"reason": str(reason)})
                pause = POLL_S
            except Exception:
                log.exception("deliveries wait, because of a fault")
                pause = POLL_S
            if pause and not self._stopping:
                await self._rest(self._woken, pause)

    async def stop(self, seconds: float | None = None) -> None:
        """Ends `run`. Attempts under way get so many seconds, else STOP_S. The others are due when their lease ends."""
        self._stopping = True
        self.wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S if seconds is None else seconds):
                while self._tasks:                   # a task that ends may have begun another
                    await asyncio.wait(self._tasks)
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    async def _round(self) -> float:
        """Starts due deliveries. Returns how long to rest then (s)."""
        if self._unwritten:
            return REWRITE_S
        if self.under_way >= LIMIT:
            return POLL_S                            # an attempt that ends wakes us
        attempts = self._attempts()
        if self._start(await self._queue.claim(
                self._clock(), LEASE_S, LIMIT - self.under_way, per_url=PER_RECEIVER, under_way=attempts)):
            return 0.0
        now = self._clock()
        full = [url for url, count in attempts.items() if count >= PER_RECEIVER]
        due = await self._queue.next_due(now, but=full)
        return POLL_S if due is None else min(max(due - now, AGAIN_S), POLL_S)

    def _attempts(self) -> Counter[str]:
        """How many attempts are under way to each receiver."""
        return Counter(each.url for each in self._under_way)

    def _start(self, claimed: Sequence[Delivery]) -> bool:
        """Starts an attempt at each delivery. False: there were none, or the outbox is stopping."""
        if self._stopping:                           # it stopped during the claim: nobody waits for the attempts
            return False
        for delivery in claimed:
            self._under_way.add(delivery)
            self._spawn(self._attempt(delivery))
        return bool(claimed)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a delivery met a fault. It is due again when its lease ends", exc_info=error)

    # ---- one attempt

    async def _attempt(self, delivery: Delivery) -> None:
        try:
            answer = await self._hand_over(delivery)
            decision = decide(answer, delivery.attempts, delivery.since, self._clock(), self._jitter())
            if await self._write_down(delivery, answer, decision):
                heard = any(each.acts_on_no and delivery.id in each.undecided for each in self._followers)
                self._log.tell(delivery, answer, decision, self._clock(), heard=heard)
                for follower in self._followers:
                    follower.hear(_after(delivery, answer, decision))
            if isinstance(decision, RetryAt):
                self.wake()                          # it is due before the next look at the database
        finally:
            self._leave(delivery)

    async def _hand_over(self, delivery: Delivery) -> Answer:
        """Hands a delivery to its receiver, and keeps the lease meanwhile. Returns the answer."""
        over = asyncio.Event()
        renewing = self._spawn(self._renew(delivery, over))
        try:
            return await self._receiver.hand_over(delivery)
        except Exception:
            log.exception("an attempt at delivery %(delivery)s failed", {"delivery": delivery.id})
            return Answer(problem="could not be asked, because of a fault of ours")
        finally:
            over.set()
            await renewing                           # so that no renewal comes after the result

    def _leave(self, delivery: Delivery) -> None:
        """Makes room for other deliveries, and wakes `run` if any may have waited for it."""
        if self.under_way >= LIMIT or self._attempts()[delivery.url] >= PER_RECEIVER:
            self.wake()
        self._under_way.discard(delivery)

    async def _renew(self, delivery: Delivery, over: asyncio.Event) -> None:
        """Renews an attempt's lease until the attempt is over."""
        while True:
            await until(over, RENEW_S)
            if over.is_set():
                return
            try:
                await self._queue.renew(delivery.id, self._clock() + LEASE_S, delivery.attempts)
            except StoreFailed as reason:
                log.warning("the lease of delivery %(delivery)s could not be renewed: %(reason)s",
                            {"delivery": delivery.id, "reason": str(reason)})

    async def _write_down(self, delivery: Delivery, answer: Answer, decision: Decision) -> bool:
        """Writes a result until the database takes it. False: it came too late, and another attempt has begun."""
        while True:
            try:
                taken = await self._write(delivery, answer, decision)
            except StoreFailed as reason:
                self._unwritten.add(delivery.id)
                log.error("the result of delivery %(delivery)s could not be written down: %(reason)s",
                          {"delivery": delivery.id, "reason": str(reason)})
                await asyncio.sleep(REWRITE_S)
            else:
                self._unwritten.discard(delivery.id)
                return taken

    async def _write(self, delivery: Delivery, answer: Answer, decision: Decision) -> bool:
        match decision:
            case Delivered():
                return await self._queue.delivered(delivery.id, self._clock(), answer.message, delivery.attempts)
            case RetryAt(at):
                return await self._queue.retry(delivery.id, at, answer.problem, delivery.attempts)
            case Dead(refused):
                return await self._queue.dead(
                    delivery.id, self._clock(), answer.problem, delivery.attempts, answer.message, refused=refused)

    # ---- a call that waits for the receiver

    async def settle(
        self, delivery_ids: Sequence[str], seconds: float, *, acts_on_no: bool = False,
    ) -> list[Delivery]:
        """Tries these deliveries now, and waits until each is delivered or dead, for `seconds` at most.

        Used while a caller waits for an answer. Returns the deliveries as they stand then. One that the database did
        not show in that time is missing. It raises nothing. `acts_on_no`: the waiting call acts on a no, so that
        nothing is left for the owner to do.
        """
        follower = _Follower(delivery_ids, acts_on_no)
        self._followers.add(follower)
        following = self._spawn(self._follow(follower))
        try:
            await asyncio.wait({following}, timeout=seconds)
        finally:
            self._followers.discard(follower)
            follower.over.set()
        return [follower.found[each] for each in delivery_ids if each in follower.found]

    async def _follow(self, follower: "_Follower") -> None:
        """Tries deliveries that are not under way here, and checks now and then whether another process delivered."""
        ids = follower.ids
        if {*ids} <= {each.id for each in self._under_way}:
            await until(follower.over, LOOK_S)
        untried = True
        while not follower.over.is_set():
            try:
                if untried:                          # earlier news of the same meeting may have to go first
                    untried = not self._start(await self._queue.claim(self._clock(), LEASE_S, len(ids), only=ids))
                for each in follower.undecided:
                    if delivery := await self._queue.get(each):
                        follower.hear(delivery)
            except StoreFailed as reason:
                log.error("a call waits for deliveries, but the database failed: %(reason)s", {"reason": str(reason)})
            await until(follower.over, LOOK_S)


class _Follower:
    """A waiting call's view of its deliveries. `over` is set when all are decided, or the call waits no longer."""

    def __init__(self, ids: Sequence[str], acts_on_no: bool) -> None:
        self.ids, self.found, self.over = ids, dict[str, Delivery](), asyncio.Event()
        self.acts_on_no = acts_on_no
        self._end_if_decided()

    @property
    def undecided(self) -> list[str]:
        return [each for each in self.ids if each not in self.found or self.found[each].state == "pending"]

    def hear(self, delivery: Delivery) -> None:
        if delivery.id in self.undecided:            # a late read does not undo a decision
            self.found[delivery.id] = delivery
            self._end_if_decided()

    def _end_if_decided(self) -> None:
        if not self.undecided:
            self.over.set()


def _after(delivery: Delivery, answer: Answer, decision: Decision) -> Delivery:
    """A delivery as it stands once the result of its attempt is written down."""
    match decision:
        case Delivered():
            return replace(delivery, state="delivered", answer=answer.message, last_error="")
        case RetryAt(at):
            return replace(delivery, next_at=at, last_error=answer.problem)
        case Dead(refused):
            return replace(
                delivery, state="dead", refused=refused, answer=answer.message, last_error=answer.problem)
