"""What can go wrong with the simulated Realtime server, one fault after another."""

import asyncio
import json

import aiohttp
import pytest
from openai.types import Model

from bridge.sim.clock import Clock
from bridge.sim.realtime import Faults, Line, RealtimeServer, Turn
from tests.stage.realtime_client import PCMU, PHONE, SILENCE, Client, connected, line, open_socket, speech


async def closing(client: Client) -> int | None:
    """Read to the end of the connection; its close code."""
    async for message in client.socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            client.events.append(json.loads(message.data))
    return client.socket.close_code


@pytest.mark.parametrize("faults, code", [
    (Faults(drop_after_deltas=2), 1006), (Faults(close_after_deltas=(2, 1011)), 1011)])
async def test_the_connection_ends_amid_an_answer(faults: Faults, code: int) -> None:
    async with connected(Turn((line(ms=60000),)), faults=faults, speed=1) as client:
        await client.send("response.create")
        assert await closing(client) == code
        assert [e["type"] for e in client.session.sent].count("response.output_audio.delta") == 2
        await client.session.until(lambda: client.session.closed)


@pytest.mark.parametrize("event", ["session.updated", "response.create", "response.created"])
async def test_the_connection_ends_right_after_an_event(event: str) -> None:
    async with connected(Turn((line(),)), update=None, faults=Faults(drop_after=event)) as client:
        await client.send("session.update", session=PHONE)
        await client.send("response.create")
        assert await closing(client) == 1006
        seen = client.session.sent if event != "response.create" else client.session.received
        assert seen[-1]["type"] == event


async def test_a_line_that_is_held_up_delivers_everything_later_and_in_order() -> None:
    async with connected(Turn((line(),))) as client:
        client.session.hold_up()
        await client.socket.ping()
        await client.send("response.create")
        await client.send("response.cancel")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.session.until_received("response.create")
        assert client.session.pings == 0
        client.session.let_through()
        assert (await client.until("response.done"))["response"]["status"] == "cancelled"
        assert client.session.pings == 1


async def test_it_may_say_another_end_than_it_has() -> None:
    async with connected(faults=Faults(says_expires_at=1800)) as client:
        assert client.session.config["expires_at"] == 1800 and not client.session.closed


async def test_an_error_may_follow_the_upgrade() -> None:
    async with connected(update=None, faults=Faults(error_after_created="invalid_model")) as client:
        assert await closing(client) == 1000
        assert [e["type"] for e in client.events] == ["session.created", "error"]
        assert client.events[1]["error"]["code"] == "invalid_model"


async def test_a_session_expires() -> None:
    async with connected(faults=Faults(expire_after_ms=1000)) as client:
        assert await closing(client) == 1001
        assert client.events[-1]["error"]["code"] == "session_expired"


async def test_the_wrong_format_is_echoed_and_used() -> None:
    async with connected(update=None, faults=Faults(wrong_format=True)) as client:
        await client.send("session.update", session=PHONE)
        echoed = (await client.until("session.updated"))["session"]["audio"]
        assert (echoed["input"]["format"], echoed["output"]["format"]["type"]) == (PCMU, "audio/pcm")


async def test_a_response_fails_silently() -> None:
    async with connected(Turn((line(),)), faults=Faults(fail_responses=1)) as client:
        await client.send("response.create")
        failed = (await client.until("response.done"))["response"]
        assert (failed["status"], failed["status_details"]["error"]["code"]) == ("failed", "rate_limit_exceeded")
        assert client.session.errors == []
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["output"]


async def test_a_response_fails_for_the_reason_and_in_the_words_that_are_wanted() -> None:
    faults = Faults(fail_responses=1, failure=("insufficient_quota", "No credit."))
    async with connected(Turn((line(),)), faults=faults) as client:
        await client.send("response.create")
        failed = (await client.until("response.done"))["response"]["status_details"]["error"]
        assert failed == {"type": "insufficient_quota", "code": "insufficient_quota", "message": "No credit."}


async def test_nonsense_and_unknown_events_come_between() -> None:
    faults = Faults(malformed=True, unknown_events=True)
    async with RealtimeServer(clock=Clock(speed=50), faults=faults) as server, aiohttp.ClientSession() as http:
        async with open_socket(http, server) as socket:
            await socket.send_json({"type": "session.update", "session": PHONE})
            texts = [await socket.receive_str() for _ in range(5)]
            kinds = [json.loads(text)["type"] for text in texts[:3]]
            assert kinds == ["session.weather", "session.created", "session.updated"]
            assert "x_unknown" in texts[1] and isinstance(json.loads(texts[4]), list)
            with pytest.raises(ValueError):
                json.loads(texts[3])


async def test_a_handshake_may_be_refused_or_never_answered() -> None:
    async with RealtimeServer(faults=Faults(refuse_status=429)) as server, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
            await open_socket(http, server)
        server.faults = Faults(hang_handshake=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await open_socket(http, server)
        server.faults = Faults()
        async with open_socket(http, server) as socket:
            assert (await socket.receive_json())["type"] == "session.created"


async def test_a_server_that_stops_says_so() -> None:
    server = RealtimeServer([Turn((line(ms=60000),))], clock=Clock(speed=50), speed=0.1)
    async with aiohttp.ClientSession() as http:
        async with server:
            socket = await open_socket(http, server)
            client = await Client(socket, await server.until_session()).ready()
            await client.send("response.create")
            await client.until("response.output_audio.delta")
            ended = asyncio.create_task(closing(client))
        assert await ended == 1001 and client.session.closed


async def test_a_session_may_never_be_created() -> None:
    async with connected(update=None, faults=Faults(never_created=True)) as client:
        await client.send("session.update", session=PHONE)
        await client.session.until_received("session.update")
        assert client.session.sent == []


async def test_tests_can_inject_events_and_demos_can_listen() -> None:
    heard: list[str] = []
    async with connected() as client:
        client.session.server.listener = lambda session, kind, detail: heard.append(kind)
        await client.session.send({"type": "rate_limits.updated", "event_id": "e", "rate_limits": []})
        assert (await client.next())["event_id"] == "e"
        await client.socket.close(code=1000)
        await client.session.until(lambda: client.session.closed)
        assert (client.session.close_code, heard) == (1000, ["closed"])


# -- a live connection, broken at any moment ---------------------------------------------------------------

@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 1013, 4000])
async def test_a_test_may_close_a_session_at_any_moment(code: int) -> None:
    async with connected(Turn((line(ms=60000),)), speed=1) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        client.session.close(code)
        client.session.close(1000)          # it is closed by then
        assert await closing(client) == code
        await client.session.until(lambda: client.session.closed)
        client.session.close(1006)
        await client.session.send({"type": "too late"})
        assert client.session.sent[-1]["type"] != "too late"


async def test_the_connection_may_be_reset() -> None:
    async with connected(Turn((line(ms=60000),)), speed=1) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        client.session.reset()
        while (message := await client.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass                                     # what was under way
        assert message.type in (aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSED)
        assert client.socket.close_code == 1006
        await client.session.until(lambda: client.session.closed)


async def test_a_client_that_reads_nothing_does_not_keep_its_connection() -> None:
    async with connected(Turn((Line("A long story.", SILENCE * 1_000_000),)), speed=0, delta_ms=100_000) as client:
        await client.send("response.create")
        await client.session.until_sent("response.done")
        client.session.close(1006)
        await client.session.until(lambda: client.session.closed)


async def test_a_live_session_answers_pings_and_a_silent_one_does_not() -> None:
    async with RealtimeServer([Turn((line(ms=60000),))], clock=Clock(speed=50), speed=1) as server:
        async with aiohttp.ClientSession() as http:
            headers = {"Authorization": f"Bearer {server.key}"}
            address = f"{server.url}?model=gpt-realtime-2.1"
            async with http.ws_connect(address, headers=headers, autoping=False) as socket:
                client = await Client(socket, await server.until_session()).ready()
                await socket.ping(b"there?")
                assert (await socket.receive()).type is aiohttp.WSMsgType.PONG
                client.session.go_silent()
                await socket.ping(b"there?")
                await client.send("response.create")
                with pytest.raises(TimeoutError):
                    await socket.receive(timeout=0.05)
                assert "response.create" not in [event["type"] for event in client.session.received]
                client.session.close(1006)
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSED


async def test_a_half_open_connection_is_noticed_by_a_missing_pong() -> None:
    faults = Faults(silent_after_deltas=2)
    async with RealtimeServer([Turn((line(ms=60000),))], clock=Clock(speed=50), faults=faults) as server:
        async with aiohttp.ClientSession() as http:
            headers = {"Authorization": f"Bearer {server.key}"}
            address = f"{server.url}?model=gpt-realtime-2.1"
            async with http.ws_connect(address, headers=headers, heartbeat=0.2) as socket:
                client = await Client(socket, await server.until_session()).ready()
                await client.send("response.create")
                assert await closing(client) == 1006
                assert [e["type"] for e in client.events].count("response.output_audio.delta") == 2
                await client.session.until(lambda: client.session.closed)


async def test_a_silent_server_answers_no_goodbye() -> None:
    async with connected() as client:
        client.session.go_silent()
        client.socket._timeout = aiohttp.ClientWSTimeout(ws_close=0.05)
        await client.socket.close()
        assert client.socket.close_code == 1006
        await client.session.until(lambda: client.session.closed)


async def test_the_next_connections_may_be_refused() -> None:
    async with RealtimeServer() as server, aiohttp.ClientSession() as http:
        server.refuse(2, 429)
        for _ in range(2):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="429"):
                await open_socket(http, server)
        async with open_socket(http, server) as socket:
            assert (await socket.receive_json())["type"] == "session.created"
        assert (server.refused, server.connections) == (2, 1)


# -- responses that do not come ----------------------------------------------------------------------------

async def test_a_rate_limit_is_an_error_that_names_the_request() -> None:
    async with connected(Turn((line(),)), faults=Faults(limit_responses=2)) as client:
        for number in "12":
            await client.send("response.create", event_id=number)
            error = (await client.until("error"))["error"]
            assert (error["type"], error["code"], error["event_id"]) == ("requests", "rate_limit_exceeded", number)
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["output"]


async def test_a_response_may_be_created_and_never_come() -> None:
    async with connected(Turn((line(),)), faults=Faults(mute_responses=1)) as client:
        await client.send("response.create")
        mute = (await client.until("response.created"))["response"]["id"]
        assert (await client.refused("response.create"))["code"] == "conversation_already_has_active_response"
        await client.send("response.cancel", response_id=mute)
        assert (await client.until("response.done"))["response"]["status"] == "cancelled"
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["output"]
        assert client.kinds().count("response.output_item.added") == 1


async def test_a_turn_of_the_caller_may_stay_without_an_answer() -> None:
    async with connected(Turn((line(),), caller="Hello?"), faults=Faults(ignore_turns=1)) as client:
        await client.append(speech(300))
        await client.until("conversation.item.done")
        await client.append(speech(300))
        await client.until("response.done")
        assert client.kinds().count("input_audio_buffer.committed") == 2
        assert client.kinds().count("response.created") == 1


async def test_responses_may_be_empty_once_the_script_is_used_up() -> None:
    async with connected(Turn((line(),)), faults=Faults(empty_when_used_up=True)) as client:
        await client.send("response.create")
        assert (await client.until("response.done"))["response"]["output"]
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        assert (done["status"], done["output"]) == ("completed", [])


@pytest.mark.parametrize("faults, model, code", [
    (Faults(refuse_session="insufficient_quota"), "gpt-realtime-2.1", "insufficient_quota"),
    (Faults(), "gpt-realtime-99", "model_not_found")])
async def test_a_session_may_be_refused_in_the_place_of_its_creation(faults: Faults, model: str, code: str) -> None:
    async with connected(faults=faults, update=None, model=model) as client:
        assert await closing(client) == 1000
        assert [event["error"]["code"] for event in client.events] == [code]


async def test_models_are_listed_with_their_ends_for_whoever_has_a_key() -> None:
    async with RealtimeServer() as server, aiohttp.ClientSession() as http:
        address = server.url.replace("ws://", "http://").replace("/realtime", "/models")
        async with http.get(address, headers={"Authorization": f"Bearer {server.key}"}) as answer:
            models = {each["id"]: Model.model_validate(each) for each in (await answer.json())["data"]}
        async with http.get(address) as refusal:
            assert refusal.status == 401
    assert models["gpt-realtime-2.1"].shutdown_date is None
    assert models["gpt-realtime"].shutdown_date == "2027-01-20"
