"""A booked meeting is never lost and never made twice: real processes that are killed, and a real receiver."""

import asyncio
import json
import random
import signal
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from bridge.records.database import open_database, parse_url
from bridge.records.deliveries import DeliveryQueue
from bridge.sim.clock import Clock
from bridge.sim.demo import serving
from bridge.sim.phone import Phone
from bridge.sim.realtime import AFTERWARDS, Call, RealtimeServer, Turn
from bridge.twilio_side.twiml import APOLOGY
from tests.stage import program
from tests.stage.crash import COMMITTED, PATIENCE_S, TAKEN, Ask, Servers, Told, servers
from tests.stage.office import ACCOUNT, GREETING, TOKEN, Office, speech
from tests.stage.store import rows

#: A server lives for so long at most once it is open, seconds.
LIFE_S = 0.1
#: What takes seconds in a server takes a part of one here, so that many can be killed in the midst of it.
HASTE = {
    "bridge.delivery.outbox.LEASE_S": 0.5,
    "bridge.delivery.outbox.RENEW_S": 0.1,
    "bridge.delivery.outbox.POLL_S": 0.2,
    "bridge.delivery.outbox.LOOK_S": 0.05,
    "bridge.delivery.webhook.TIMEOUT_S": 0.3,
    "bridge.delivery.retries.FIRST_S": [0.05, 0.1, 0.2],
    "bridge.delivery.retries.LONGEST_S": 0.3,
    "bridge.tools.booking.ANSWER_S": 0.1,
}
#: Waiting as long as it takes: nothing here depends on how busy the machine is.
LEISURE = {
    "bridge.delivery.outbox.LEASE_S": PATIENCE_S,
    "bridge.delivery.webhook.TIMEOUT_S": PATIENCE_S,
    "bridge.tools.booking.ANSWER_S": PATIENCE_S,
}
FIRST = (datetime.now(UTC) + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)


def slot(number: int) -> str:
    return (FIRST + number * timedelta(minutes=30)).isoformat()


# ---- the owner's end

@dataclass(frozen=True)
class Sent:
    """A request of ours: when it came, and how it was treated."""

    delivery_id: str
    meeting_id: str
    body: str
    round: int
    treated: str


@dataclass
class Receiver:
    """It keeps the ids that it has seen, as receivers should, and files each meeting once."""

    origin: str = ""
    #: Without a source of chance it treats everything well.
    chance: random.Random | None = None
    #: While this is cleared, it takes a request and does nothing with it.
    working: asyncio.Event = field(default_factory=asyncio.Event)
    round: int = 0
    requests: list[Sent] = field(default_factory=list)
    #: The meetings in its diary, in order, and the ids by which it knows that it has them.
    filed: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        body, treated = await request.text(), self._treatment()
        sent = Sent(request.headers["webhook-id"], json.loads(body)["id"], body, self.round, treated)
        self.requests.append(sent)
        if treated == "silence":
            await self.working.wait()
        if treated in ("silence", "broken at once"):
            return self._broken(request)
        if treated == "overloaded":
            return web.Response(status=503)
        if sent.delivery_id not in self.ids:
            self.ids.add(sent.delivery_id)
            self.filed.append(sent.meeting_id)
        if self.chance:
            await asyncio.sleep(0.4 if treated == "too slow" else self.chance.uniform(0, 0.04))
        return self._broken(request) if treated == "broken afterwards" else web.json_response({"message": "Noted."})

    def _treatment(self) -> str:
        if not self.working.is_set():
            return "silence"
        kinds = {"well": 12, "overloaded": 2, "broken at once": 1, "broken afterwards": 2, "too slow": 1}
        return self.chance.choices([*kinds], [*kinds.values()])[0] if self.chance else "well"

    @staticmethod
    def _broken(request: web.Request) -> web.Response:
        if request.transport:
            request.transport.abort()
        return web.Response()


@asynccontextmanager
async def receiving(chance: random.Random | None = None) -> AsyncIterator[Receiver]:
    receiver, app = Receiver(chance=chance), web.Application()
    receiver.working.set()
    app.router.add_post("/meetings", receiver.take)
    async with serving(app) as receiver.origin:
        try:
            yield receiver
        finally:
            receiver.working.set()


def settings(database_url: str, receiver: Receiver) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url, "WEBHOOK_URL": f"{receiver.origin}/meetings", "CONFIRM_MEETINGS": "0",
        "OPENAI_API_KEY": "sk-simulated", "TWILIO_AUTH_TOKEN": TOKEN}


# ---- servers that are killed

class Callers:
    """What callers ask for, round after round."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._asked: list[tuple[str, str]] = []

    def of_round(self, number: int) -> list[Ask]:
        """Three new slots; one has a rival, and one is asked for twice; two from before are asked for again."""
        slots = [slot(3 * number + each) for each in range(3)]
        new = [(self._caller(number, each), start) for each, start in enumerate(slots)]
        wanted = [*new, (self._caller(number, 3), slots[0]), new[1]]
        if self._asked:
            wanted.append(self._chance.choice(self._asked[-20:]))                # by the same caller, in a new call
            wanted.append((self._caller(number, 4), self._chance.choice(self._asked[-20:])[1]))
        self._asked += wanted
        return [Ask(caller, start, f"CA{number:08}{place:024}", self._chance.uniform(0, LIFE_S / 2))
                for place, (caller, start) in enumerate(wanted)]

    @staticmethod
    def _caller(number: int, place: int) -> str:
        return f"+1555{number:04}{place:03}"


@dataclass
class Kills:
    """How many meetings met a kill where it hurts.

    `unsent`: between the commit and the first request; `unwritten`: between a request that was treated well and the
    note of it.
    """

    unsent: int = 0
    unwritten: int = 0


def aimed(number: int) -> str:
    """When this round's server kills itself, in two of ten rounds: chance alone finds those moments too rarely."""
    return {4: COMMITTED, 9: TAKEN}.get(number % 10, "")


async def kill_servers(rounds: int, database_url: str, seed: int) -> None:
    """Kills as many servers, most at random moments, lets a last one live, and checks what was promised."""
    chance = random.Random(seed)
    callers = Callers(chance)
    untrue: list[Told] = []
    async with receiving(random.Random(seed)) as receiver:
        def on_told(told: Told) -> None:
            if told.status == "confirmed" and told.meeting_id not in receiver.filed:
                untrue.append(told)

        async with servers(HASTE, on_told, **settings(database_url, receiver)) as running:
            for number in range(rounds):
                receiver.round = number
                dies = aimed(number)
                server = await running.start(callers.of_round(number), dies)
                running.go(server)
                await asyncio.sleep(0 if dies else chance.uniform(0, LIFE_S))
                assert await running.end(server, None if dies else signal.SIGKILL) == -signal.SIGKILL
            receiver.round = rounds
            last = await running.start(callers.of_round(rounds))
            running.go(last)
            await running.answered(last)
            await until_all_is_delivered(database_url)
            assert await running.end(last, signal.SIGTERM) == 0
    assert untrue == []
    await check(database_url, receiver, running)
    found = kills(receiver)
    print(found)
    assert min(found.unsent, found.unwritten) >= rounds // 10


async def until_all_is_delivered(database_url: str) -> None:
    async with asyncio.timeout(PATIENCE_S), open_database(parse_url(database_url)) as database:
        while (await DeliveryQueue(database).depth()).pending:
            await asyncio.sleep(0.02)


async def check(database_url: str, receiver: Receiver, running: Servers) -> None:
    async with open_database(parse_url(database_url)) as database:
        booked = {row.id: row for row in await rows(database, "meetings")}
        deliveries = await rows(database, "deliveries")

    # The books: no slot has two meetings, and each meeting has one piece of news, which was delivered.
    assert {row.status for row in booked.values()} == {"booked"}
    owners = {row.start_at: row.caller for row in booked.values()}
    assert len(owners) == len(booked)
    assert Counter(row.about_id for row in deliveries) == Counter({*booked})
    assert {row.state for row in deliveries} == {"delivered"}

    # The receiver: a meeting has one id and one body over all attempts, an id has one meeting, and each is filed once.
    ids, bodies, meetings = defaultdict(set), defaultdict(set), defaultdict(set)
    for sent in receiver.requests:
        ids[sent.meeting_id].add(sent.delivery_id)
        bodies[sent.meeting_id].add(sent.body)
        meetings[sent.delivery_id].add(sent.meeting_id)
    assert {len(each) for found in (ids, bodies, meetings) for each in found.values()} == {1}
    assert {row.id for row in deliveries} == {*meetings}
    assert Counter(receiver.filed) == Counter({*booked})

    # The model: what it was told is so, and who asked twice was told of the same meeting.
    ids_of = {(row.caller, row.start_at): row.id for row in booked.values()}
    for told in running.told:
        start = int(datetime.fromisoformat(told.ask.start).timestamp())
        owner = owners.get(start, "nobody")
        if told.status == "refused":
            assert "not free" in told.message and owner != told.ask.caller, told
        else:
            assert told.status in ("confirmed", "recorded") and owner == told.ask.caller, told
            assert told.meeting_id == ids_of[told.ask.caller, start], told


def kills(receiver: Receiver) -> Kills:
    came: dict[str, list[Sent]] = defaultdict(list)
    for sent in receiver.requests:
        came[sent.delivery_id].append(sent)
    found = Kills()
    for each in came.values():
        promised, first, last = int(json.loads(each[0].body)["call_sid"][2:10]), each[0].round, each[-1].round
        found.unsent += first > promised
        found.unwritten += any(sent.treated == "well" and sent.round < last for sent in each)
    return found


def check_file(database_url: str) -> None:
    with closing(sqlite3.connect(parse_url(database_url).database or "")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_what_was_promised_survives_ten_crashes(database_url: str) -> None:
    await kill_servers(10, database_url, seed=10)


@pytest.mark.slow
async def test_what_was_promised_survives_two_hundred_crashes_on_sqlite(sqlite_url: str) -> None:
    await kill_servers(200, sqlite_url, seed=200)
    check_file(sqlite_url)


@pytest.mark.slow
async def test_what_was_promised_survives_fifty_crashes_on_postgresql(postgresql_url: str) -> None:
    await kill_servers(50, postgresql_url, seed=50)


async def test_a_correction_outlives_the_server_that_was_killed_before_it_was_sent(database_url: str) -> None:
    """It is told after the booking, once, and asked for again it is no news."""
    def ask(number: int, email: str) -> list[Ask]:
        return [Ask("+15550000001", slot(0), f"CA{number:032}", email=email)]

    async with receiving() as receiver, servers(HASTE, **settings(database_url, receiver)) as running:
        receiver.working.clear()                     # it takes the booking, and says nothing to it
        for number, (email, dies) in enumerate([
            ("ada@example.com", ""), ("ada@example.org", COMMITTED), ("ada@example.org", "")]
        ):
            server = await running.start(ask(number, email), dies)
            running.go(server)
            if dies:
                assert await running.end(server) == -signal.SIGKILL
                receiver.working.set()
            else:
                await running.answered(server)
                if email == "ada@example.org":
                    await until_all_is_delivered(database_url)
                await running.end(server, signal.SIGTERM)
    assert {told.status for told in running.told} <= {"recorded", "confirmed"}
    assert len({told.meeting_id for told in running.told}) == 1
    bodies = [json.loads(sent.body) for sent in receiver.requests]
    versions = [body["sequence"] for body in bodies]
    assert versions == sorted(versions), "the booking first"
    assert {(body["sequence"], body["type"], body["email"]) for body in bodies} == {
        (0, "meeting.booked", "ada@example.com"), (1, "meeting.updated", "ada@example.org")}
    assert len(receiver.ids) == len(receiver.filed) == 2


# ---- servers side by side

async def test_two_servers_on_one_postgresql_book_a_slot_once_and_deliver_a_meeting_once(postgresql_url: str) -> None:
    def asks(server: int) -> list[Ask]:
        """Fifty callers who race for one slot, and twenty others, half of them for a slot that both servers offer."""
        wanted = [(each, 0) for each in range(50)] + [(50 + each, 1 + each + server * 10) for each in range(20)]
        return [Ask(f"+1555{server:03}{caller:04}", slot(number), f"CA{server:016}{caller:016}")
                for caller, number in wanted]

    async with receiving() as receiver, servers(LEISURE, **settings(postgresql_url, receiver)) as running:
        both = await asyncio.gather(*(running.start(asks(server)) for server in range(2)))
        for server in both:
            running.go(server)
        await asyncio.gather(*(running.answered(server) for server in both))
        assert [await running.end(server, signal.SIGTERM) for server in both] == [0, 0]
    await check(postgresql_url, receiver, running)
    race = Counter(told.status for told in running.told if told.ask.start == slot(0))
    assert race == {"confirmed": 1, "refused": 99}
    assert Counter(told.status for told in running.told) == {"confirmed": 31, "refused": 109}
    assert len(receiver.requests) == 31


# ---- a whole call

@pytest.mark.slow
async def test_a_meeting_of_a_call_outlives_the_server_that_took_it(tmp_path: Path, sqlite_url: str) -> None:
    clock = Clock(10)
    turns = iter([GREETING, Turn((Call("schedule_meeting", {
        "name": "Ada", "email": "ada@example.com", "datetime": slot(0), "description": "A tooth"}),))])
    async with (
        RealtimeServer(lambda session: next(turns, AFTERWARDS), clock=clock) as model, receiving() as receiver,
    ):
        environ = settings(sqlite_url, receiver) | {
            "OPENAI_API_KEY": model.key, "OPENAI_REALTIME_URL": model.url, "TWILIO_ACCOUNT_SID": ACCOUNT}
        receiver.working.clear()
        async with program.serving(tmp_path, **environ) as server:
            webhook = f"{server.origin}/incoming-call"
            async with Phone(webhook, account_sid=ACCOUNT, auth_token=TOKEN, clock=clock) as phone:
                world = Office(web.Application(), server.origin, model)
                world.phone = phone
                call = await world.greeted()
                await call.say(speech(600))
                created = await model.sessions[0].until_received("conversation.item.create")
                server.process.kill()
                await server.process.wait()
                await call.until_over()
                assert call.spoken == [APOLOGY]
        output = json.loads(created["item"]["output"])
        assert output["status"] == "recorded" and receiver.filed == []
        receiver.working.set()
        async with asyncio.timeout(10), program.serving(tmp_path, **environ):
            while not receiver.filed:
                await asyncio.sleep(0.01)
    assert receiver.filed == [output["meeting_id"]]
    assert len({sent.delivery_id for sent in receiver.requests}) == 1
    check_file(sqlite_url)
