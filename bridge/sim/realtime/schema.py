"""Everything that the Realtime API accepts from a client: every event and every field, written out by hand.

Pure. A field that is not listed is refused, as the vendor does. `check` raises `Refused`, and the caller applies
nothing of that event. Left out on purpose: audio/pcma, MCP items and transcription sessions, which are not simulated.
Sources: https://developers.openai.com/api/reference/resources/realtime/client-events and .../guides/realtime-vad
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]      # (value, its path); raises Refused


class Refused(Exception):
    """A client event is answered with an `error` event. The connection stays open.

    `anonymous`: the vendor does not say which event it was. `kind`: the error's `type`.
    """

    def __init__(
        self, code: str, message: str, param: str | None = None, anonymous: bool = False,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.param, self.anonymous, self.kind = code, message, param, anonymous, kind


# -- checks of one field ---------------------------------------------------------------------------------

def _invalid(path: str, message: str) -> Refused:
    return Refused("invalid_value", message, path)


def _mistyped(path: str, expected: str, value: object) -> Refused:
    return _invalid(path, f"Invalid type for '{path}': expected {expected}, but got {value!r:.60} instead.")


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def anything(value: Any, path: str) -> None:
    """A field whose content is not simulated."""


def boolean(value: Any, path: str) -> None:
    if not isinstance(value, bool):
        raise _mistyped(path, "a boolean", value)


def mapping(value: Any, path: str) -> None:
    if not isinstance(value, dict):
        raise _mistyped(path, "an object", value)


def text(longest: int = 10**6, pattern: str = "") -> Check:
    """A string of at most `longest` characters that matches `pattern`."""
    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise _mistyped(path, "a string", value)
        if len(value) > longest or (pattern and not re.fullmatch(pattern, value)):
            raise _invalid(path, f"Invalid '{path}': {value!r:.60} has a wrong form or more than {longest} characters.")
    return check


def number(low: float, high: float = float("inf"), whole: bool = False) -> Check:
    """A number from `low` to `high`, both included."""
    def check(value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise _mistyped(path, "an integer" if whole else "a number", value)
        if not low <= value <= high:
            raise _invalid(path, f"Invalid '{path}': expected a value from {low} to {high}, but got {value}.")
    return check


def integer(low: int, high: float = float("inf")) -> Check:
    return number(low, high, whole=True)


def one_of(*values: Any) -> Check:
    def check(value: Any, path: str) -> None:
        if value not in values:
            supported = ", ".join(map(repr, values))
            raise _invalid(path, f"Invalid value: {value!r:.60}. Supported values are: {supported}.")
    return check


def nullable(check: Check) -> Check:
    return lambda value, path: None if value is None else check(value, path)


def words_or(words: tuple[str, ...], other: Check) -> Check:
    """One of these words, or a value of another type that passes `other`."""
    known = one_of(*words)
    return lambda value, path: (known if isinstance(value, str) else other)(value, path)


def list_of(check: Check) -> Check:
    def check_all(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise _mistyped(path, "an array", value)
        for index, item in enumerate(value):
            check(item, f"{path}[{index}]")
    return check_all


def fields(required: Mapping[str, Check] | None = None, optional: Mapping[str, Check] | None = None) -> Check:
    """An object with these fields and no others."""
    required = required or {}
    known = {**required, **(optional or {})}

    def check(value: Any, path: str) -> None:
        mapping(value, path)
        for name in value.keys() - known.keys():
            raise Refused("unknown_parameter", f"Unknown parameter: '{_below(path, name)}'.", _below(path, name))
        for name in required.keys() - value.keys():
            raise Refused("missing_required_parameter",
                          f"Missing required parameter: '{_below(path, name)}'.", _below(path, name))
        for name, item in value.items():
            known[name](item, _below(path, name))
    return check


def tagged(tag: str, shapes: Mapping[str, Check]) -> Check:
    """An object whose field `tag` names its shape, one of these."""
    known = one_of(*shapes)

    def check(value: Any, path: str) -> None:
        mapping(value, path)
        if tag not in value:
            raise Refused("missing_required_parameter",
                          f"Missing required parameter: '{_below(path, tag)}'.", _below(path, tag))
        known(value[tag], _below(path, tag))
        shapes[value[tag]](value, path)
    return check


# -- the session -----------------------------------------------------------------------------------------

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
TRANSCRIBERS = ("whisper-1", "gpt-transcribe", "gpt-live-transcribe", "gpt-4o-mini-transcribe",
                "gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize",
                "gpt-realtime-whisper")
#: Fields of the transcription, and the models that know them.
TRANSCRIBER_FIELDS = {
    "keywords": ("gpt-transcribe", "gpt-live-transcribe"),
    "languages": ("gpt-transcribe", "gpt-live-transcribe"),
    "delay": ("gpt-realtime-whisper",),
    "prompt": tuple(model for model in TRANSCRIBERS if model != "gpt-realtime-whisper"),
}
EFFORTS = one_of("minimal", "low", "medium", "high", "xhigh")

TYPE = {"type": anything}       # of a tagged shape: `tagged` has checked it
FORMAT = tagged("type", {
    "audio/pcm": fields({**TYPE, "rate": one_of(24000)}),
    "audio/pcmu": fields(TYPE),     # a `rate` is refused here, and required for audio/pcm
})
VOICE = words_or(VOICES, fields({"id": text(pattern="voice_.+")}))
TURN_DETECTION = tagged("type", {
    "server_vad": fields(TYPE, {
        "threshold": number(0, 1), "prefix_padding_ms": integer(0), "silence_duration_ms": integer(0),
        "idle_timeout_ms": nullable(integer(5000, 30000)),
        "create_response": boolean, "interrupt_response": boolean}),
    "semantic_vad": fields(TYPE, {
        "eagerness": one_of("low", "medium", "high", "auto"),
        "create_response": boolean, "interrupt_response": boolean}),
})
_TRANSCRIPTION = fields({"model": one_of(*TRANSCRIBERS)}, {
    "language": text(), "languages": list_of(text()), "keywords": list_of(text()), "prompt": text(),
    "delay": EFFORTS})


def transcription(value: Any, path: str) -> None:
    _TRANSCRIPTION(value, path)
    for name, models in TRANSCRIBER_FIELDS.items():
        if name in value and value["model"] not in models:
            raise _invalid(f"{path}.{name}", f"'{name}' is not supported with the model '{value['model']}'.")


NAME = text(64, r"[A-Za-z0-9_-]+")
TOOL = tagged("type", {
    "function": fields({**TYPE, "name": NAME}, {"description": text(), "parameters": mapping}),     # no `strict`
    "mcp": fields({**TYPE, "server_label": text()}, dict.fromkeys((
        "server_url", "server_description", "connector_id", "authorization", "headers", "allowed_tools",
        "allowed_callers", "require_approval", "defer_loading", "tunnel_id"), anything)),
})
TOOL_CHOICE = words_or(("auto", "none", "required"), tagged("type", {
    "function": fields({**TYPE, "name": NAME}),
    "mcp": fields({**TYPE, "server_label": text()}, {"name": text()}),
}))
#: The fields that `session.update` and `response.create` share.
COMMON: dict[str, Check] = {
    "instructions": text(), "output_modalities": one_of(["audio"], ["text"]),
    "max_output_tokens": words_or(("inf",), integer(1, 4096)), "tools": list_of(TOOL), "tool_choice": TOOL_CHOICE,
    "parallel_tool_calls": boolean, "reasoning": fields(optional={"effort": EFFORTS}),
    "prompt": nullable(fields({"id": text()}, {"version": text(), "variables": mapping})),
}
SESSION = fields({"type": one_of("realtime")}, {
    **COMMON,
    "model": text(),
    "include": nullable(list_of(one_of("item.input_audio_transcription.logprobs"))),
    "tracing": nullable(words_or(("auto",), fields(optional={
        "workflow_name": text(), "group_id": text(), "metadata": mapping}))),
    "truncation": words_or(("auto", "disabled"), fields(
        {"type": one_of("retention_ratio"), "retention_ratio": number(0, 1)},
        {"token_limits": fields(optional={"post_instructions": integer(0)})})),
    "audio": fields(optional={
        "input": fields(optional={
            "format": FORMAT, "transcription": nullable(transcription), "turn_detection": nullable(TURN_DETECTION),
            "noise_reduction": nullable(fields(
                {"type": one_of("near_field", "far_field")}, {"strength": number(0, 1)}))}),
        "output": fields(optional={"format": FORMAT, "voice": VOICE, "speed": number(0.25, 1.5)}),
    }),
})

# -- items and events ------------------------------------------------------------------------------------

ITEM_ID = text(32)
_ITEM = {"id": ITEM_ID, "object": one_of("realtime.item"), "status": one_of("completed", "incomplete", "in_progress")}


def _message(role: str, *parts: str) -> Check:
    """A message whose content has these kinds of parts. The assistant's audio cannot be created by a client."""
    shapes = {
        "input_text": fields({**TYPE, "text": text()}), "output_text": fields({**TYPE, "text": text()}),
        "input_audio": fields({**TYPE, "audio": text()}, {"transcript": text()}),
        "input_image": fields({**TYPE, "image_url": text()}, {"detail": one_of("auto", "low", "high")}),
    }
    content = list_of(tagged("type", {part: shapes[part] for part in parts}))
    return fields({**TYPE, "role": one_of(role), "content": content}, _ITEM)


CREATED = {
    "message": tagged("role", {
        "system": _message("system", "input_text"),
        "user": _message("user", "input_text", "input_audio", "input_image"),
        "assistant": _message("assistant", "output_text"),
    }),
    "function_call": fields({**TYPE, "name": NAME, "arguments": text()}, {**_ITEM, "call_id": text(32)}),
    "function_call_output": fields({**TYPE, "call_id": text(32), "output": text()}, _ITEM),
}
_REFERENCE = {"item_reference": fields({**TYPE, "id": text()})}


def _metadata(value: Any, path: str) -> None:
    mapping(value, path)
    if len(value) > 16:
        raise _invalid(path, f"Invalid '{path}': at most 16 pairs.")
    for name, item in value.items():
        text(64)(name, path)
        text(512)(item, _below(path, name))


RESPONSE = fields(optional={
    **COMMON, "conversation": one_of("auto", "none"), "metadata": nullable(_metadata),
    "input": list_of(tagged("type", CREATED | _REFERENCE)),
    "audio": fields(optional={"output": fields(optional={"format": FORMAT, "voice": VOICE})}),
})


def _event(required: Mapping[str, Check] | None = None, optional: Mapping[str, Check] | None = None) -> Check:
    return fields({**TYPE, **(required or {})}, {"event_id": text(512), **(optional or {})})


#: Every event that a client may send over a WebSocket (`output_audio_buffer.clear` is for WebRTC and SIP).
EVENTS = {
    "session.update": _event({"session": SESSION}),
    "input_audio_buffer.append": _event({"audio": text(20 * 2**20)}),   # 15 MiB as base64
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "conversation.item.create": _event({"item": tagged("type", CREATED)}, {"previous_item_id": nullable(text())}),
    "conversation.item.truncate": _event(
        {"item_id": text(), "content_index": one_of(0), "audio_end_ms": integer(0)}),
    "conversation.item.delete": _event({"item_id": text()}),
    "conversation.item.retrieve": _event({"item_id": text()}),
    "response.create": _event(optional={"response": RESPONSE}),
    "response.cancel": _event(optional={"response_id": text()}),
}
_CHECK = tagged("type", EVENTS)


def check(event: Any) -> None:
    """Raises `Refused` unless a client may send this event."""
    if not isinstance(event, dict):
        raise Refused("invalid_event", "The event is not a JSON object.")
    if event.get("type") == "output_audio_buffer.clear":
        raise Refused("invalid_event", "output_audio_buffer.clear is only for WebRTC and SIP connections.", "type")
    _CHECK(event, "")
