"""Calls that break, to the end: what their callers get in the assistant's place, and who is told."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from bridge import keys
from bridge.sim.phone import Phone
from bridge.sim.process import Server, running
from bridge.sim.realtime import Call, Faults, Turn
from bridge.twilio_side import twiml
from bridge.twilio_side.caller import Caller
from bridge.twilio_side.twiml import APOLOGY, LEAVE_A_MESSAGE, PUTTING_THROUGH
from tests.office import ACCOUNT, TOKEN, Office, line, speech
from tests.office import office as any_office

PERSON = "+15557770000"
GOODBYE = "Thank you. Goodbye."

office = partial(any_office, clock_speed=20, FALLBACK_GOODBYE=GOODBYE)
NO_MODEL = Faults(refuse_status=403)                 # which is not tried again


async def told(world: Office, count: int = 1) -> None:
    """Until the owner's webhook has had so many bodies."""
    async with asyncio.timeout(10):
        while len(world.meetings) < count:
            await asyncio.sleep(0.005)


# ---- with and without REST credentials

@pytest.mark.parametrize("rest", [False, True])
async def test_a_broken_call_gets_the_apology_and_a_good_one_silence(rest: bool) -> None:
    farewell = Turn((line(300), Call("end_call", {"reason": "done"})))
    async with office(farewell, rest=rest) as world:
        good, broken = await asyncio.gather(world.greeted(), world.phone.dial())
        await good.say(speech(600))
        await good.until_over()
        broken.drop()
        await broken.until_over()
        assert (good.spoken, broken.spoken) == ([], [APOLOGY])
        assert [form for _, form in world.rest] == [{"Status": "completed"}] * rest


@pytest.mark.parametrize("rest", [False, True])
async def test_a_human_is_dialled(rest: bool) -> None:
    async with office(faults=NO_MODEL, rest=rest, FALLBACK="human", FALLBACK_NUMBER=PERSON) as world:
        world.phone.dial_status = "no-answer"
        call = await world.phone.dial("anonymous")
        await call.until_over()
        assert call.spoken == [PUTTING_THROUGH, GOODBYE]
        assert call.dialled == [PERSON]


async def test_the_words_are_the_owner_s() -> None:
    words = {"FALLBACK_MESSAGE": "Es tut uns leid. Auf Wiederhören.", "FALLBACK_LANGUAGE": "de-DE"}
    async with office(faults=NO_MODEL, rest=True, **words) as world:
        call = await world.phone.dial()
        await call.until_over()
        assert call.spoken == [words["FALLBACK_MESSAGE"]]
        assert 'language="de-DE"' in call.twiml


# ---- a message

@pytest.mark.parametrize("rest", [False, True])
async def test_a_message_reaches_the_webhook_once(rest: bool) -> None:
    async with office(faults=NO_MODEL, rest=rest, FALLBACK="message", TIMEZONE="Asia/Dhaka") as world:
        call = await world.phone.dial()
        await call.until_logged("beep")
        await call.say(speech(3000))
        await call.press("#")
        await call.until_over()                      # which waits for the status callback too
        assert call.spoken == [LEAVE_A_MESSAGE, GOODBYE]
        await told(world)
        [recording], [body] = call.recorded, world.meetings
        assert (body["type"], body["id"], body["recording_sid"]) == ("message.recorded", recording.sid, recording.sid)
        assert (body["recording_url"], body["duration_seconds"]) == (recording.url, int(recording.seconds))
        assert (body["phone_number"], body["call_sid"]) == ("+15557654321", call.sid)
        assert body["datetime"].endswith("+06:00")


async def test_a_caller_who_hangs_up_after_the_message_has_left_it() -> None:
    async with office(faults=NO_MODEL, FALLBACK="message") as world:
        call = await world.phone.dial("anonymous")
        await call.until_logged("beep")
        await call.say(speech(1000))
        await call.hang_up()
        await told(world)
        assert world.meetings[0]["phone_number"] == ""


async def test_a_caller_who_says_nothing_is_told_goodbye() -> None:
    async with office(faults=NO_MODEL, FALLBACK="message") as world:
        call = await world.phone.dial()
        await call.until_over()
        assert call.spoken == [LEAVE_A_MESSAGE, GOODBYE]
        assert (call.recorded, world.meetings) == ([], [])


# ---- a transfer

def document(world: Office) -> str:
    """What the call is given by REST."""
    return twiml.transfer(PERSON, twiml.Call(world.origin, Caller("+15557654321"), "+15550001111"))


async def test_a_transfer_that_is_answered_ends_the_call_with_the_talk() -> None:
    async with office(rest=True) as world:
        call = await world.greeted()
        world.phone.dial_status = "answered"
        await call.update(document(world))
        await call.until_logged("human")
        call.human_hangs_up()
        await call.until_over()
        assert (call.dialled, call.spoken, world.rest) == ([PERSON], [], [])
        assert len(world.model.sessions) == 1


async def test_after_a_transfer_that_nobody_answers_the_caller_is_back_at_the_assistant() -> None:
    async with office(rest=True) as world:
        call = await world.greeted()
        world.phone.dial_status = "no-answer"
        await call.update(document(world))
        async with asyncio.timeout(10):
            while len(world.model.sessions) < 2:
                await asyncio.sleep(0.005)
        assert call.custom_parameters["resume"] == "1"
        assert call.custom_parameters["caller"] == "+15557654321"
        await call.hang_up()


# ---- a server that is killed

@pytest.mark.parametrize("rest", [False, pytest.param(True, marks=pytest.mark.slow)])
async def test_a_caller_whose_server_is_killed_is_served_all_the_same(rest: bool, tmp_path: Path) -> None:
    """With REST credentials by the verbs that Twilio has already, without them by the next process."""
    async with office(rest=rest) as world, another_process(world, tmp_path) as server:
        router = Router(server.port)
        async with router.listening() as origin, Phone(
                f"{origin}/incoming-call", account_sid=ACCOUNT, auth_token=TOKEN, clock=world.phone.clock) as phone:
            call = await phone.dial()
            await call.until_speaking()
            router.port = None if rest else int(world.origin.rpartition(":")[2])
            router.close_the_first()
            await server.kill()
            await call.until_over()
            assert call.close_code == 1006
            assert call.spoken == [APOLOGY]


@asynccontextmanager
async def another_process(world: Office, folder: Path) -> AsyncIterator[Server]:
    """A server with the office's model in a process of its own."""
    settings = {
        "OPENAI_API_KEY": world.model.key, "OPENAI_REALTIME_URL": world.model.url, "TWILIO_AUTH_TOKEN": TOKEN,
        "HOST": "127.0.0.1", "PORT": "0",
        "TWILIO_ACCOUNT_SID": world.app[keys.SETTINGS].TWILIO_ACCOUNT_SID, "TWILIO_API_URL": world.twilio.url}
    async with running(folder, os.environ | settings) as server:
        yield server


class Router:
    """What stands before several processes, as a host's router does; `port` is where connections go."""

    def __init__(self, port: int | None) -> None:
        self.port = port
        self._clients: list[asyncio.StreamWriter] = []

    def close_the_first(self) -> None:
        """The webhook's connection, kept alive: nobody may take it for one to the next process."""
        self._clients[0].close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._carry, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self.port, "nobody is to be asked"
        self._clients.append(writer)
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        await asyncio.gather(_pass(reader, back), _pass(there, writer))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
