"""The events of the Realtime API (GA), both directions, and the session's set-up.

Pure. What the server sends is decoded into the structs below; a kind that is not listed is ignored. Audio stays
the base64 text it came as. Beta names are not accepted: the beta is switched off.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket and the API reference's event tables.
"""

from typing import Any, get_args

import msgspec

#: The only audio format a phone understands: mu-law, 8000 Hz, mono, without a `rate` field.
PCMU = "audio/pcmu"

#: The ids of our updates of the session, as an error about one names it.
SET_UP, LISTEN = "set_up", "listen"

#: Error codes (or types) after which the session is of no use.
FATAL = frozenset({
    "invalid_api_key", "insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached",
    "account_deactivated", "model_not_found", "invalid_model", "beta_api_shape_disabled", "session_expired",
})
ALREADY_ACTIVE = "conversation_already_has_active_response"
#: Errors that two events crossing on the way can cause: nothing is wrong.
BENIGN = frozenset({
    "response_cancel_not_active", ALREADY_ACTIVE, "item_truncate_invalid_item_id",
    "item_delete_invalid_item_id", "unsupported_content_type", "input_audio_buffer_commit_empty",
})


class Malformed(ValueError):
    """An event that is not what its own `type` promises."""


class Format(msgspec.Struct):
    type: str = ""


class AudioLeg(msgspec.Struct):
    format: Format | None = None
    turn_detection: dict[str, Any] | None = None


class Audio(msgspec.Struct):
    input: AudioLeg | None = None
    output: AudioLeg | None = None


class Session(msgspec.Struct):
    audio: Audio | None = None

    def speaks_pcmu(self) -> bool:
        """Whether both directions are mu-law, as a phone needs; anything else is heard as loud static."""
        legs = (self.audio.input, self.audio.output) if self.audio else (None,)
        return all(leg and leg.format and leg.format.type == PCMU for leg in legs)

    @property
    def listens(self) -> bool:
        """Whether the server finds the caller's turns by itself."""
        return bool(self.audio and self.audio.input and self.audio.input.turn_detection)


class SessionCreated(msgspec.Struct, tag="session.created"):
    session: Session


class SessionUpdated(msgspec.Struct, tag="session.updated"):
    """The whole session in force; the only proof that an update was applied."""

    session: Session


class SpeechStarted(msgspec.Struct, tag="input_audio_buffer.speech_started"):
    """The caller began to speak; a response under way has been cancelled by the server."""


class SpeechStopped(msgspec.Struct, tag="input_audio_buffer.speech_stopped"):
    """The caller's turn ended; the server answers it by itself."""


class Item(msgspec.Struct):
    id: str = ""
    type: str = ""
    status: str = ""
    name: str = ""
    call_id: str = ""
    arguments: str = ""


class ItemAdded(msgspec.Struct, tag="conversation.item.added"):
    """An item stands in the conversation: a response that starts later sees it."""

    item: Item


class OutputItemDone(msgspec.Struct, tag="response.output_item.done"):
    """One item of a response is complete (`item.status` completed) or was cut off (incomplete)."""

    response_id: str
    item: Item


class ErrorDetails(msgspec.Struct):
    type: str | None = None
    code: str | None = None
    message: str = ""
    event_id: str | None = None

    @property
    def fatal(self) -> bool:
        return self.code in FATAL or self.type in FATAL

    @property
    def benign(self) -> bool:
        return self.code in BENIGN


class StatusDetails(msgspec.Struct):
    reason: str | None = None
    error: ErrorDetails | None = None


class Response(msgspec.Struct):
    id: str
    status: str = ""
    status_details: StatusDetails | None = None
    metadata: dict[str, str] | None = None


class ResponseCreated(msgspec.Struct, tag="response.created"):
    response: Response


class ResponseDone(msgspec.Struct, tag="response.done"):
    response: Response


class AudioDelta(msgspec.Struct, tag="response.output_audio.delta", gc=False):
    """Some speech of one item: base64 mu-law of any length."""

    response_id: str
    item_id: str
    delta: str

    @property
    def size(self) -> int:
        """Bytes of audio in the base64 text."""
        return base64_size(self.delta)


class Error(msgspec.Struct, tag="error"):
    error: ErrorDetails


Event = (
    SessionCreated | SessionUpdated | SpeechStarted | SpeechStopped | ItemAdded | OutputItemDone
    | ResponseCreated | ResponseDone | AudioDelta | Error
)


class _Kind(msgspec.Struct):
    type: str


_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
#: msgspec's ways to say that it cannot read something.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_kind_decoder = msgspec.json.Decoder(_Kind)
_KINDS = {kind.__struct_config__.tag for kind in get_args(Event)}


def parse(message: bytes | str) -> Event | None:
    """The event in one text frame; None for a kind we do not act on. Raises Malformed."""
    try:
        return _decoder.decode(message)
    except _UNREADABLE as error:
        problem = str(error)
    try:
        kind = _kind_decoder.decode(message).type
    except _UNREADABLE:
        raise Malformed(problem) from None
    if kind in _KINDS:
        raise Malformed(f"{kind}: {problem}")
    return None


def base64_size(text: str) -> int:
    """Bytes that a padded base64 text stands for."""
    return len(text) * 3 // 4 - text.count("=", -2)


_encode = msgspec.json.Encoder().encode


class _Append(msgspec.Struct, tag="input_audio_buffer.append", gc=False):
    audio: str


def append(payload: str) -> bytes:
    """A frame of the caller's audio, base64 mu-law; it is never acknowledged."""
    return _encode(_Append(payload))


def session_update(event_id: str, session: dict[str, Any]) -> bytes:
    """Sets the fields that `session` has and leaves the others; answered by session.updated."""
    return _encode({"type": "session.update", "event_id": event_id, "session": {"type": "realtime", **session}})


def session_setup(
    *, instructions: str, voice: str, tools: list[dict[str, Any]], turn_detection: dict[str, Any] | None,
    transcription_model: str = "", noise_reduction: str = "",
) -> bytes:
    """The session.update that makes a new session a phone call."""
    hearing: dict[str, Any] = {"format": {"type": PCMU}, "turn_detection": turn_detection}
    if transcription_model:
        hearing["transcription"] = {"model": transcription_model}
    if noise_reduction:
        hearing["noise_reduction"] = {"type": noise_reduction}
    return session_update(SET_UP, {
        "output_modalities": ["audio"],
        "instructions": instructions,
        "tools": tools,
        "tool_choice": "auto",
        "audio": {"input": hearing, "output": {"format": {"type": PCMU}, "voice": voice}},
    })


def listen(turn_detection: dict[str, Any]) -> bytes:
    """Switches turn detection on, and touches nothing else."""
    return session_update(LISTEN, {"audio": {"input": {"turn_detection": turn_detection}}})


def create_response(event_id: str, instructions: str | None = None) -> bytes:
    """Asks for a response; `event_id` comes back in an error about it and in response.metadata.request.

    `instructions` replace the session's for this response, which then calls no function.
    """
    response: dict[str, Any] = {"metadata": {"request": event_id}}
    if instructions is not None:
        response.update(instructions=instructions, tool_choice="none")
    return _encode({"type": "response.create", "event_id": event_id, "response": response})


def cancel_response(response_id: str) -> bytes:
    return _encode({"type": "response.cancel", "response_id": response_id})


def truncate(item_id: str, heard_ms: int) -> bytes:
    """The caller heard `heard_ms` of this item and no more; the rest leaves the model's memory."""
    return _encode({
        "type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": heard_ms,
    })


def delete_item(item_id: str) -> bytes:
    return _encode({"type": "conversation.item.delete", "item_id": item_id})


def function_output(call_id: str, output: dict[str, Any]) -> bytes:
    """What a function answers, as JSON text."""
    item = {"type": "function_call_output", "call_id": call_id, "output": _encode(output).decode()}
    return _encode({"type": "conversation.item.create", "item": item})
