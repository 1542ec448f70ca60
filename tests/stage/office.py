"""Everything around a call, for a test: the real application, a strict phone, a strict model, an owner's webhook.

On leaving it checks what must hold for any call: no message that Twilio or OpenAI would refuse, no
call or task left behind.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from bridge import keys
from bridge.app import create_app
from bridge.call.timing import Timing
from bridge.settings import load
from bridge.sim.clock import Clock
from bridge.sim.demo import serving
from bridge.sim.owner import Owner
from bridge.sim.phone import Phone, PhoneCall
from bridge.sim.realtime import AFTERWARDS, Faults, Line, RealtimeServer, RealtimeSession, Turn
from bridge.sim.twilio_rest import TwilioRest
from tests.stage import sqlite
from tests.stage.settings import UNSIGNED
from tests.stage.vendor import check_client_event

ACCOUNT = "AC" + "0" * 32
TOKEN = "simulated-auth-token"


def speech(ms: int, seed: int = 0) -> bytes:
    """Loud mu-law that differs in every byte, so that lost, doubled or moved audio can be seen."""
    loud = [code for code in range(256) if code & 0x7F < 0x40]
    return bytes(random.Random(seed).choices(loud, k=ms * 8))


def line(ms: int, seed: int = 1) -> Line:
    return Line(f"{ms} ms of speech.", speech(ms, seed))


#: The model's next turn, or a function that makes it when its time has come.
Scripted = Turn | Callable[[RealtimeSession], Turn]
GREETING_AUDIO = speech(600, seed=99)
GREETING = Turn((Line("600 ms of speech.", GREETING_AUDIO),))


@dataclass
class Office:
    app: web.Application
    origin: str
    model: RealtimeServer
    phone: Phone = field(init=False)
    twilio: TwilioRest = field(default_factory=lambda: TwilioRest(ACCOUNT, TOKEN))
    meetings: list[dict[str, Any]] = field(default_factory=list)
    #: The statuses of the webhook's first answers, in order. Further ones are 204.
    answers: list[int] = field(default_factory=list)
    #: The webhook does not answer while this is cleared.
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    #: The codes of errors that this test provokes on purpose.
    errors_expected: list[str] = field(default_factory=list)

    @property
    def session(self) -> RealtimeSession:
        """The model's first session."""
        return self.model.sessions[0]

    @property
    def rest(self) -> list[tuple[str, dict[str, str]]]:
        """The requests to Twilio's REST API: path and form."""
        return [(asked.path, asked.form) for asked in self.twilio.asked]

    async def greeted(self, **parameters: str) -> PhoneCall:
        """A call whose greeting has been heard. The model now listens to the caller."""
        call = await self.phone.dial(**parameters)
        await call.until_speaking()
        await call.until_quiet()
        session = await self.model.until_session()
        await session.until(lambda: session.config["audio"]["input"]["turn_detection"])
        return call

    async def closed(self, timeout: float = 10) -> None:
        """Waits until the server has let go of every call."""
        async with asyncio.timeout(timeout):
            while self.app[keys.CALLS]:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def office(
    *turns: Scripted, faults: Faults = Faults(), clock_speed: float = 10, webhook: bool = True, rest: bool = False,
    delta_speed: float = 8.0, greeting: Turn = GREETING, settings: Mapping[str, str] = {}, timing: Timing = Timing(),
    **environ: str,
) -> AsyncIterator[Office]:
    """A server with these settings. Its model says `turns` after its greeting."""
    before = asyncio.all_tasks()
    clock = Clock(clock_speed)
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(
            RealtimeServer(_script([greeting, *turns]), clock=clock, faults=faults, speed=delta_speed))
        owner = Owner()
        world = Office(
            web.Application(), "", model, meetings=owner.meetings, answers=owner.answers, may_answer=owner.may_answer)
        await stack.enter_async_context(world.twilio)
        outside = await stack.enter_async_context(serving(owner.app()))
        ours = {
            "OPENAI_API_KEY": model.key, "OPENAI_REALTIME_URL": model.url, "TWILIO_AUTH_TOKEN": TOKEN, **UNSIGNED,
            "DATABASE_URL": sqlite.new_database(stack.enter_context(TemporaryDirectory())),
            # The phone has one number for all its calls.
            "CONFIRM_MEETINGS": "0", "MAX_CALLS_PER_CALLER": "0", "CALLS_PER_HOUR_PER_CALLER": "0",
            "MAX_MESSAGES_PER_S": "0"}               # the phone's time passes faster than ours
        if webhook:
            ours["WEBHOOK_URL"] = f"{outside}/meetings"
        if rest:
            ours |= {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_API_URL": world.twilio.url}
        world.app = create_app(load(ours | dict(settings) | environ), timing)
        world.origin = await stack.enter_async_context(serving(world.app))
        world.phone = await stack.enter_async_context(
            Phone(f"{world.origin}/incoming-call", account_sid=ACCOUNT, auth_token=TOKEN, clock=clock))
        world.twilio.phones.append(world.phone)
        yield world
        await asyncio.gather(*(call.hang_up() for call in world.phone.calls if not call.over))
        await world.closed()
        _check(world)
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert not left, left


async def amid_an_answer(world: Office) -> PhoneCall:
    """A call in which the caller has asked, and the model is amid its answer."""
    call = await world.greeted()
    await call.say(speech(600))
    await call.until_speaking(after_ms=world.phone.clock.ms())
    await call.until_heard(call.heard_ms + 1000)
    return call


def told(session: RealtimeSession) -> list[str]:
    """The texts that a session was given, in order."""
    items = [event["item"] for event in session.received if event["type"] == "conversation.item.create"]
    return [item["content"][0]["text"] for item in items if item["type"] == "message"]


def _script(turns: Sequence[Scripted]) -> Callable[[RealtimeSession], Turn]:
    """A script in which each session begins at the first turn. A turn that is a function is called in its time."""
    places: Counter[str] = Counter()

    def next_turn(session: RealtimeSession) -> Turn:
        place = places[session.id]
        places[session.id] += 1
        turn = turns[place] if place < len(turns) else AFTERWARDS
        return turn(session) if callable(turn) else turn
    return next_turn


def _check(world: Office) -> None:
    for call in world.phone.calls:
        assert call.warnings == []
    for session in world.model.sessions:
        for event in session.received:
            check_client_event(event)
        errors = [error["error"]["code"] for error in session.errors]
        assert [code for code in errors if code not in world.errors_expected] == [], session.errors
