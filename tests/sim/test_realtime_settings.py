"""The simulated Realtime server's session.update: what a session can be told, and what is refused."""

import json
from typing import Any

import pytest

from bridge.sim.realtime import Turn
from tests.stage.realtime_client import PCMU, PHONE, Event, connected, line


def audio_in(**settings: Any) -> Event:
    return {"audio": {"input": settings}}


def audio_out(**settings: Any) -> Event:
    return {"audio": {"output": settings}}


@pytest.mark.parametrize("session, code, param", [
    ({"type": None}, "missing_required_parameter", "session.type"),
    ({"type": "transcription"}, "invalid_value", "session.type"),
    ({"model": "gpt-realtime"}, "invalid_value", "session.model"),
    ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
    ({"input_audio_format": "g711_ulaw"}, "unknown_parameter", "session.input_audio_format"),
    ({"instructions": 7}, "invalid_value", "session.instructions"),
    ({"output_modalities": ["audio", "text"]}, "invalid_value", "session.output_modalities"),
    ({"max_output_tokens": 4097}, "invalid_value", "session.max_output_tokens"),
    ({"max_output_tokens": "many"}, "invalid_value", "session.max_output_tokens"),
    ({"parallel_tool_calls": 1}, "invalid_value", "session.parallel_tool_calls"),
    ({"reasoning": {"effort": "huge"}}, "invalid_value", "session.reasoning.effort"),
    ({"truncation": {"type": "retention_ratio", "retention_ratio": 2}}, "invalid_value",
     "session.truncation.retention_ratio"),
    ({"include": ["everything"]}, "invalid_value", "session.include[0]"),
    ({"tools": [{"type": "function", "name": "f", "strict": True}]}, "unknown_parameter", "session.tools[0].strict"),
    ({"tools": [{"type": "function", "function": {}, "name": "f"}]}, "unknown_parameter",
     "session.tools[0].function"),
    ({"tools": [{"name": "f"}]}, "missing_required_parameter", "session.tools[0].type"),
    ({"tools": [{"type": "function", "name": "no spaces"}]}, "invalid_value", "session.tools[0].name"),
    ({"tool_choice": "always"}, "invalid_value", "session.tool_choice"),
    ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "session.tool_choice.name"),
    (audio_in(format="pcmu"), "invalid_value", "session.audio.input.format"),
    (audio_in(format={"type": "audio/pcmu", "rate": 8000}), "unknown_parameter", "session.audio.input.format.rate"),
    (audio_out(format={"type": "audio/pcm"}), "missing_required_parameter", "session.audio.output.format.rate"),
    (audio_out(format={"type": "audio/pcm", "rate": 8000}), "invalid_value", "session.audio.output.format.rate"),
    (audio_out(voice="robot"), "invalid_value", "session.audio.output.voice"),
    (audio_out(speed=2), "invalid_value", "session.audio.output.speed"),
    (audio_out(turn_detection=None), "unknown_parameter", "session.audio.output.turn_detection"),
    (audio_in(turn_detection={"type": "server_vad", "threshold": 1.5}), "invalid_value",
     "session.audio.input.turn_detection.threshold"),
    (audio_in(turn_detection={"type": "server_vad", "eagerness": "low"}), "unknown_parameter",
     "session.audio.input.turn_detection.eagerness"),
    (audio_in(turn_detection={"type": "semantic_vad", "threshold": 0.5}), "unknown_parameter",
     "session.audio.input.turn_detection.threshold"),
    (audio_in(turn_detection={"threshold": 0.5}), "missing_required_parameter",
     "session.audio.input.turn_detection.type"),
    (audio_in(turn_detection={"type": "server_vad", "idle_timeout_ms": 100}), "invalid_value",
     "session.audio.input.turn_detection.idle_timeout_ms"),
    (audio_in(noise_reduction={"type": "wind"}), "invalid_value", "session.audio.input.noise_reduction.type"),
    (audio_in(transcription={"model": "gpt-4o-transcribe", "keywords": ["Acme"]}), "invalid_value",
     "session.audio.input.transcription.keywords"),
    (audio_in(transcription={"model": "whisper-1", "languages": ["en"]}), "invalid_value",
     "session.audio.input.transcription.languages"),
    (audio_in(transcription={"model": "unheard-of"}), "invalid_value", "session.audio.input.transcription.model"),
])
async def test_a_wrong_session_update_is_refused_and_nothing_of_it_applies(
    session: Event, code: str, param: str,
) -> None:
    async with connected(update=None) as client:
        before = json.dumps(client.session.config)
        update = {"type": "realtime", "tool_choice": "none", **session}
        if update["type"] is None:
            del update["type"]
        error = await client.refused("session.update", session=update)
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        assert json.dumps(client.session.config) == before


async def test_an_update_changes_only_what_it_names() -> None:
    async with connected() as client:
        await client.send("session.update", session={"type": "realtime", **audio_in(turn_detection=None)})
        session = (await client.until("session.updated"))["session"]
        assert session["audio"]["input"]["turn_detection"] is None
        assert session["audio"]["input"]["transcription"] == {"model": "gpt-transcribe"}
        assert session["audio"]["output"]["format"] == PCMU
        assert session["instructions"] == "Be brief."
        assert client.session.errors == []


async def test_everything_the_reference_names_is_accepted() -> None:
    update = {
        "type": "realtime", "output_modalities": ["audio"], "instructions": "", "max_output_tokens": 1024,
        "parallel_tool_calls": False, "reasoning": {"effort": "low"}, "tool_choice": "auto", "tracing": None,
        "include": ["item.input_audio_transcription.logprobs"], "tools": PHONE["tools"],
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 8000}},
        "audio": {"input": {
            "format": PCMU, "noise_reduction": {"type": "near_field", "strength": 1.0},
            "transcription": {"model": "gpt-transcribe", "languages": ["en"], "keywords": ["Acme"]},
            "turn_detection": {
                "type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500,
                "idle_timeout_ms": 8000, "create_response": True, "interrupt_response": True}},
            "output": {"format": PCMU, "voice": "marin", "speed": 1.0}}}
    async with connected(update=update) as client:
        assert client.session.config.items() >= {k: v for k, v in update.items() if k != "audio"}.items()
        assert client.session.config["audio"] == update["audio"]


async def test_the_voice_is_locked_once_it_was_heard() -> None:
    async with connected(Turn((line(),))) as client:
        await client.send("response.create")
        await client.until("response.done")
        assert (await client.refused("session.update", session={"type": "realtime", **audio_out(voice="ash")}))[
            "code"] == "cannot_update_voice"
        await client.send("session.update", session={"type": "realtime", **audio_out(voice="cedar")})
        await client.until("session.updated")


async def test_reasoning_is_refused_by_a_model_without_it() -> None:
    async with connected(update=None, model="gpt-realtime") as client:
        error = await client.refused("session.update", session={"type": "realtime", "reasoning": {"effort": "low"}})
        assert error["param"] == "session.reasoning"
