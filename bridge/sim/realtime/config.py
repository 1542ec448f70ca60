"""The session in force: its defaults at the beginning, and the changes of an accepted `session.update`.

Pure. Only the fields of an update change. Turn detection, transcription and the like are replaced as a whole, with the
vendor's defaults for what the update leaves out.
"""

import copy
from typing import Any

from bridge.sim.realtime.schema import Refused

PCM = {"type": "audio/pcm", "rate": 24000}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "server_vad": {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500, "idle_timeout_ms": None,
                   "create_response": True, "interrupt_response": True},
    "semantic_vad": {"eagerness": "auto", "create_response": True, "interrupt_response": True},
    "near_field": {"strength": 1.0}, "far_field": {"strength": 1.0},
}
#: The models without reasoning. They refuse `reasoning` and `parallel_tool_calls`.
WITHOUT_REASONING = frozenset({
    "gpt-realtime", "gpt-realtime-2025-08-28", "gpt-realtime-1.5", "gpt-realtime-mini",
    "gpt-realtime-mini-2025-10-06", "gpt-realtime-mini-2025-12-15"})


def default_session(session_id: str, model: str, expires_at: int) -> dict[str, Any]:
    """The session as `session.created` shows it. It does not suit a phone: 24 kHz PCM both ways."""
    reasoning = {} if model in WITHOUT_REASONING else {
        "reasoning": {"effort": "low"}, "parallel_tool_calls": True}
    return {
        "type": "realtime", "object": "realtime.session", "id": session_id, "model": model,
        "expires_at": expires_at, "output_modalities": ["audio"],
        "instructions": "You are a helpful, witty and friendly assistant.",
        "tools": [], "tool_choice": "auto", "max_output_tokens": "inf", "tracing": None, "truncation": "auto",
        "prompt": None, "include": None, **reasoning,
        "audio": {
            "input": {"format": dict(PCM), "transcription": None, "noise_reduction": None,
                      "turn_detection": _completed({"type": "server_vad"})},
            "output": {"format": dict(PCM), "voice": "marin", "speed": 1.0},
        },
    }


def updated(session: dict[str, Any], update: dict[str, Any], *, voice_locked: bool) -> dict[str, Any]:
    """The session after an update that fits the schema.

    Raises:
        Refused: it changes a field that cannot change any more. Nothing of it applies then.
    """
    check_unchangeable(session, update, "session", voice_locked=voice_locked)
    result = copy.deepcopy(session)
    for name, value in copy.deepcopy(update).items():
        if name != "audio":
            result[name] = value
            continue
        for leg, settings in value.items():
            result["audio"][leg].update({key: _completed(setting) for key, setting in settings.items()})
    return result


def check_unchangeable(session: dict[str, Any], update: dict[str, Any], path: str, *, voice_locked: bool) -> None:
    """Raises Refused for a change of the model, of a voice that was heard, or of tracing that runs.

    `update`: an update of the whole session, or the parameters of one response. `path` is its name.
    """
    model = session["model"]
    if update.get("model", model) != model:
        raise Refused("invalid_value", f"The model of a session cannot be changed from '{model}'.", f"{path}.model")
    if session["tracing"] and update.get("tracing", session["tracing"]) != session["tracing"]:
        raise Refused("invalid_value", "Tracing cannot be changed once it is enabled.", f"{path}.tracing")
    voice = update.get("audio", {}).get("output", {}).get("voice", session["audio"]["output"]["voice"])
    if voice_locked and voice != session["audio"]["output"]["voice"]:
        raise Refused("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.",
                      f"{path}.audio.output.voice")
    for name in {"reasoning", "parallel_tool_calls"} & update.keys():
        if model in WITHOUT_REASONING:
            raise Refused("invalid_value", f"'{name}' is not supported with the model '{model}'.", f"{path}.{name}")


def _completed(setting: Any) -> Any:
    """A setting with the defaults of its type."""
    if not isinstance(setting, dict):
        return setting
    return {**_DEFAULTS.get(setting.get("type", ""), {}), **setting}
