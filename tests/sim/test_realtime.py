"""The simulated Realtime server: sessions, turns and interruptions."""

import base64
import json
import time

import aiohttp
import pytest

from bridge.sim.clock import Clock
from bridge.sim.realtime import Call, Faults, Line, RealtimeServer, RealtimeSession, Turn
from tests.stage.realtime_client import (
    PCMU, PHONE, SILENCE, TONE, VAD, Client, Event, connected, line, open_socket, speech)


# -- connecting ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("headers, query, status", [
    ({}, "?model=m", 401),
    ({"Authorization": "Bearer wrong"}, "?model=m", 401),
    ({"Authorization": "sk-simulated"}, "?model=m", 401),
    ({"Authorization": "Bearer sk-simulated"}, "", 400),
])
async def test_an_upgrade_without_key_or_model_is_refused(headers: dict[str, str], query: str, status: int) -> None:
    async with RealtimeServer() as server, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await http.ws_connect(server.url + query, headers=headers)
        assert (refusal.value.status, server.refused, server.connections) == (status, 1, 0)


async def test_azures_header_and_address_are_served() -> None:
    async with RealtimeServer() as server, aiohttp.ClientSession() as http:
        url = server.url.replace("/v1/", "/openai/v1/") + "?model=m"
        async with http.ws_connect(url, headers={"api-key": server.key}) as socket:
            assert (await socket.receive_json())["type"] == "session.created"


async def test_a_session_says_when_it_expires_by_the_walls_clock() -> None:
    before = time.time()
    async with connected(update=None) as client:
        hour = 3600 / client.session.clock.speed
        assert int(before + hour) <= (await client.next())["session"]["expires_at"] <= time.time() + hour


async def test_the_beta_header_is_refused_after_the_upgrade() -> None:
    async with RealtimeServer() as server, aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {server.key}", "OpenAI-Beta": "realtime=v1"}
        async with http.ws_connect(f"{server.url}?model=m", headers=headers) as socket:
            error = await socket.receive_json()
            assert error["error"]["code"] == "beta_api_shape_disabled"
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 4000


async def test_a_session_begins_with_the_vendors_defaults() -> None:
    async with connected(update=None) as client:
        session = (await client.next())["session"]
        assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
        assert session["audio"]["input"]["transcription"] is None
        assert session["model"] == "gpt-realtime-2.1" and session["expires_at"] > 1_700_000_000


# -- a turn ----------------------------------------------------------------------------------------------

async def test_a_turn_of_the_caller_has_the_recorded_order() -> None:
    async with connected(Turn((line(),), caller="Hello?")) as client:
        await client.append(SILENCE * 700 + speech(600))
        done = await client.until("response.done")
        assert client.kinds() == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        started, stopped, committed, added = client.events[:4]
        assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (400, 1600)
        assert started["item_id"] == stopped["item_id"] == committed["item_id"] == added["item"]["id"]
        assert client.session.items[started["item_id"]].audio_ms == 1200
        assert done["response"]["status"] == "completed"
        assert done["response"]["usage"]["output_token_details"]["audio_tokens"] == 20
        said = [e for e in client.events if e["type"].endswith("transcription.completed")]
        assert (said[0]["transcript"], said[0]["item_id"]) == ("Hello?", started["item_id"])
        assert client.session.errors == []


async def test_deltas_are_about_a_quarter_second_and_make_up_the_line() -> None:
    async with connected(Turn((line("One two three four five six seven", 3001),)), speed=0) as client:
        await client.send("response.create", response={"metadata": {"purpose": "greeting"}})
        done = await client.until("response.done")
        deltas = [base64.b64decode(e["delta"]) for e in client.events if e["type"] == "response.output_audio.delta"]
        assert b"".join(deltas) == TONE * 3001
        assert all(1496 <= len(delta) <= 2200 and len(delta) % 160 for delta in deltas[:-1])
        words = "".join(e["delta"] for e in client.events if e["type"] == "response.output_audio_transcript.delta")
        item = done["response"]["output"][0]
        assert words == item["content"][0]["transcript"] == "One two three four five six seven"
        assert client.session.items[item["id"]].audio_ms == 3001
        assert done["response"]["metadata"] == {"purpose": "greeting"}


async def test_deltas_come_faster_than_they_play() -> None:
    async with connected(Turn((line(ms=4000),)), speed=2) as client:
        await client.send("response.create")
        await client.until("response.done")
        at = {kind: ms for ms, kind, detail in client.session.log}
        assert at["response_done"] - at["session_updated"] >= 2000


async def test_a_script_that_is_used_up_still_answers_with_a_sound() -> None:
    async with connected(Turn((line(),))) as client:
        for count in (1, 2, 3):
            await client.send("response.create")
            done = (await client.until("response.done"))["response"]
            assert done["status"] == "completed" and len(client.session.items) == count
        [item] = done["output"]
        assert item["content"][0]["transcript"] == "Mm-hm."
        assert client.session.items[item["id"]].audio_ms == 300


async def test_a_callable_script_sees_what_was_asked() -> None:
    def script(session: RealtimeSession) -> Turn:
        return Turn((Line(session.asked["metadata"]["say"]),))
    async with RealtimeServer(script, clock=Clock(speed=50)) as server, aiohttp.ClientSession() as http:
        async with open_socket(http, server) as socket:
            client = await Client(socket, await server.until_session()).ready()
            await client.send("response.create", response={
                "conversation": "none", "output_modalities": ["text"], "metadata": {"say": "Short."}})
            done = (await client.until("response.done"))["response"]
            assert done["output"][0]["content"] == [{"type": "output_text", "text": "Short."}]
            assert done["conversation_id"] is None and client.session.items == {}
            assert "conversation.item.added" not in client.kinds()


async def test_without_pcmu_the_answer_is_24_khz_pcm() -> None:
    update = {"type": "realtime", "instructions": "Be brief."}
    async with connected(Turn((line(ms=500),)), update=update) as client:
        await client.send("response.create")
        await client.until("response.done")
        deltas = [base64.b64decode(e["delta"]) for e in client.events if e["type"] == "response.output_audio.delta"]
        assert len(b"".join(deltas)) == 500 * 48
        [item] = client.session.items.values()
        assert item.audio_ms == 500


# -- barge-in --------------------------------------------------------------------------------------------

async def test_speech_cancels_the_response_and_late_deltas_still_come() -> None:
    async with connected(Turn((line(ms=60000),)), speed=0.1, faults=Faults(late_deltas=2)) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        client.events.clear()
        await client.append(speech(300, 0))
        await client.until("input_audio_buffer.speech_started")
        client.events.clear()
        done = (await client.until("response.done"))["response"]
        assert client.kinds()[-6:] == [
            "response.output_audio.done", "response.output_audio_transcript.done", "response.content_part.done",
            "conversation.item.done", "response.output_item.done", "response.done"]
        assert [e["type"] for e in client.events].count("response.output_audio.delta") == 2
        assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert (done["status"], done["output"][0]["status"]) == ("cancelled", "incomplete")


async def test_a_response_asked_for_while_the_caller_speaks_goes_on() -> None:
    async with connected(Turn((line(ms=300),))) as client:
        await client.append(speech(300, 0))
        await client.until("input_audio_buffer.speech_started")
        await client.send("response.create")
        await client.append(speech(300, 0))
        assert (await client.until("response.done"))["response"]["status"] == "completed"


async def test_without_interrupt_response_the_turn_cannot_be_answered_while_one_runs() -> None:
    update = {**PHONE, "audio": {**PHONE["audio"], "input": {
        "format": PCMU, "turn_detection": VAD | {"interrupt_response": False}}}}
    async with connected(Turn((line(ms=60000),)), update=update, speed=0.1) as client:
        await client.send("response.create")
        await client.append(speech(300))
        error = (await client.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", None)


async def test_without_create_response_the_client_asks() -> None:
    update = {**PHONE, "audio": {**PHONE["audio"], "input": {
        "format": PCMU, "turn_detection": VAD | {"create_response": False},
        "transcription": {"model": "gpt-4o-transcribe"}}}}
    async with connected(Turn((line(),), caller="Is anybody there?"), update=update) as client:
        await client.append(speech(300))
        await client.until("conversation.item.done")
        await client.send("response.create")
        said = await client.until("conversation.item.input_audio_transcription.completed")
        assert said["transcript"] == "Is anybody there?" and said["usage"]["type"] == "tokens"


async def test_truncation_takes_the_words_away() -> None:
    async with connected(Turn((line(ms=1000),))) as client:
        await client.send("response.create")
        item_id = (await client.until("response.done"))["response"]["output"][0]["id"]
        error = await client.refused(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1001)
        assert error["code"] == "invalid_value" and "1000ms is already shorter than 1001ms" in error["message"]
        await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
        assert (await client.until("conversation.item.truncated"))["audio_end_ms"] == 0
        item = client.session.items[item_id]
        assert (item.truncated_ms, item.audio_ms, item.transcript) == (0, 1000, line().text)
        await client.send("conversation.item.retrieve", item_id=item_id)
        assert "transcript" not in (await client.until("conversation.item.retrieved"))["item"]["content"][0]
        again = await client.refused("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0)
        assert again["code"] == "invalid_value"


# -- other client events ---------------------------------------------------------------------------------

@pytest.mark.parametrize("kind, fields, code", [
    ("response.stop", {}, "invalid_value"),
    ("output_audio_buffer.clear", {}, "invalid_event"),
    ("response.cancel", {}, "response_cancel_not_active"),
    ("response.cancel", {"response_id": "resp_unknown"}, "response_cancel_not_active"),
    ("response.cancel", {"reason": "bored"}, "unknown_parameter"),
    ("response.create", {"response": {"modalities": ["audio"]}}, "unknown_parameter"),
    ("response.create", {"response": {"metadata": {"a": 1}}}, "invalid_value"),
    ("response.create", {"response": {"input": [{"type": "item_reference", "id": "none"}]}}, "invalid_value"),
    ("input_audio_buffer.append", {"audio": "not base64!"}, "invalid_value"),
    ("input_audio_buffer.append", {}, "missing_required_parameter"),
    ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty"),
    ("conversation.item.truncate", {"item_id": "x", "content_index": 0}, "missing_required_parameter"),
    ("conversation.item.truncate", {"item_id": "x", "content_index": 0, "audio_end_ms": 1.5}, "invalid_value"),
    ("conversation.item.truncate", {"item_id": "x", "content_index": 0, "audio_end_ms": 1},
     "item_truncate_invalid_item_id"),
    ("conversation.item.delete", {"item_id": "x"}, "item_delete_invalid_item_id"),
    ("conversation.item.retrieve", {"item_id": "x"}, "item_retrieve_invalid_item_id"),
    ("conversation.item.create", {"item": {"type": "function_call_output", "call_id": "no", "output": "{}"}},
     "invalid_tool_call_id"),
    ("conversation.item.create", {"item": {"type": "function_call_output", "call_id": "no", "output": {}}},
     "invalid_value"),
    ("conversation.item.create", {"item": {"type": "message", "role": "assistant", "content": [
        {"type": "text", "text": "Hi"}]}}, "invalid_value"),
    ("conversation.item.create", {"item": {"type": "message", "role": "user", "content": []},
                                  "previous_item_id": "x"}, "invalid_value"),
])
async def test_a_wrong_event_is_refused(kind: str, fields: Event, code: str) -> None:
    async with connected() as client:
        assert (await client.refused(kind, **fields))["code"] == code


@pytest.mark.parametrize("text", ["nonsense", "[]", "7"])
async def test_what_is_no_event_is_refused(text: str) -> None:
    async with connected() as client:
        await client.socket.send_str(text)
        assert (await client.until("error"))["error"]["code"] == "invalid_event"


async def test_only_one_response_at_a_time() -> None:
    async with connected(Turn((line(ms=60000),)), speed=0.1) as client:
        await client.send("response.create")
        active = (await client.until("response.created"))["response"]["id"]
        error = await client.refused("response.create")
        assert error["code"] == "conversation_already_has_active_response"
        assert f"active response in progress: {active}" in error["message"]
        await client.send("response.cancel", response_id=active)
        done = (await client.until("response.done"))["response"]
        assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}


async def test_function_calls_are_answered_once() -> None:
    turn = Turn((Call("lookup", {"name": "Ada"}), Call("lookup", '{"broken": ')))
    async with connected(turn) as client:
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
        assert client.kinds()[1:7] == [
            "response.output_item.added", "conversation.item.added", "response.function_call_arguments.delta",
            "response.function_call_arguments.done", "conversation.item.done", "response.output_item.done"]
        first, second = done["output"]
        assert json.loads(first["arguments"]) == {"name": "Ada"} and second["arguments"] == '{"broken": '
        output = {"type": "function_call_output", "call_id": first["call_id"], "output": "{}"}
        await client.send("conversation.item.create", item=output)
        await client.until("conversation.item.done")
        assert (await client.refused("conversation.item.create", item=output))["code"] == "invalid_tool_call_id"


async def test_a_cancelled_call_is_incomplete() -> None:
    async with connected(Turn((Call("lookup", {"name": "Ada Lovelace"}),)), speed=0.01) as client:
        await client.send("response.create")
        await client.until("response.function_call_arguments.delta")
        await client.send("response.cancel")
        item = (await client.until("response.output_item.done"))["item"]
        assert item["status"] == "incomplete"
        with pytest.raises(ValueError):
            json.loads(item["arguments"])


async def test_the_buffer_is_committed_or_cleared_by_hand() -> None:
    update = {**PHONE, "audio": {"input": {"format": PCMU, "turn_detection": None}, "output": {"format": PCMU}}}
    async with connected(update=update) as client:
        await client.append(speech(500))
        await client.send("input_audio_buffer.clear")
        await client.until("input_audio_buffer.cleared")
        assert (await client.refused("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"
        await client.append(SILENCE * 100)
        await client.send("input_audio_buffer.commit")
        item_id = (await client.until("input_audio_buffer.committed"))["item_id"]
        await client.until("conversation.item.done")
        assert client.session.items[item_id].audio_ms == 100
        assert "input_audio_buffer.speech_started" not in client.kinds()
        assert client.session.appended == speech(500) + SILENCE * 100


async def test_a_long_silence_is_answered() -> None:
    update = {**PHONE, "audio": {**PHONE["audio"], "input": {
        "format": PCMU, "turn_detection": VAD | {"idle_timeout_ms": 5000}}}}
    async with connected(Turn((line(ms=200),)), Turn((line("Are you still there?"),)), update=update) as client:
        await client.send("response.create")
        await client.until("response.done")
        await client.append(SILENCE * 200)
        assert (await client.until("input_audio_buffer.timeout_triggered"))["audio_end_ms"] == 200
        await client.until("response.done")
        assert client.session.log[-1][1:] == ("response_done", {"status": "completed"})
