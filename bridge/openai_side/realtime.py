"""The events of the Realtime API (GA), both directions, and the session's set-up.

Pure. What the server sends is decoded into the structs below; a kind that is not listed is ignored. A field without a
default steers the call, and an event without it is malformed. A field with a default only informs: one that cannot be
read is left out (bridge/reading.py). Audio stays the base64 text it came as. Beta names are not accepted: the beta is
switched off.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket and the API reference's event tables.
"""

from typing import Annotated, Any

import msgspec

from bridge import reading
from bridge.openai_side import errors

#: The only audio format a phone understands: mu-law, 8000 Hz, mono, without a `rate` field.
PCMU = "audio/pcmu"

#: The ids of our updates of the session, as an error about one names it.
SET_UP, LISTEN, STOP_LISTENING = "set_up", "listen", "stop_listening"

#: How the ids of our other control events begin, before the id of what they are about.
CANCEL, TRUNCATE, DELETE, ITEM = "cancel_", "truncate_", "delete_", "item_"

#: What is wrong with a cut that asks for more than the item holds; older servers give no code at all.
_BEYOND = (None, "invalid_value")


#: An event that is not what its own `type` promises.
Malformed = reading.Malformed

#: How many tokens or seconds: what cannot be a count is no count. Some servers write fractions.
Count = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class Format(msgspec.Struct):
    type: str = ""


class AudioLeg(msgspec.Struct):
    format: Format | None = None
    turn_detection: Any = None           # whatever it holds, it is on; None: it is off


class Audio(msgspec.Struct):
    input: AudioLeg | None = None
    output: AudioLeg | None = None


class Session(msgspec.Struct):
    audio: Audio | None = None
    expires_at: Count | None = None      # seconds since the epoch

    def speaks_otherwise(self) -> bool:
        """Whether it names another format for a direction. A server may leave out what has not changed."""
        legs = (self.audio.input, self.audio.output) if self.audio else ()
        return any(leg and leg.format and leg.format.type not in ("", PCMU) for leg in legs)

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

    item_id: str = ""                    # what is said will become this item


class SpeechStopped(msgspec.Struct, tag="input_audio_buffer.speech_stopped"):
    """The caller's turn ended; the server answers it by itself."""

    item_id: str = ""
    audio_end_ms: int = 0                # of the audio that was appended, its silence included


class Item(msgspec.Struct):
    id: str = ""
    type: str = ""
    status: str = ""
    name: str = ""
    call_id: str = ""
    arguments: str = ""
    role: str = ""


class ItemAdded(msgspec.Struct, tag="conversation.item.added"):
    """An item stands in the conversation: a response that starts later sees it."""

    item: Item
    previous_item_id: str | None = None  # what it stands behind


class OutputItemDone(msgspec.Struct, tag="response.output_item.done"):
    """One item of a response is complete (`item.status` completed) or was cut off (incomplete)."""

    item: Item
    response_id: str = ""


class ErrorDetails(msgspec.Struct):
    type: str | None = None
    code: str | None = None
    message: str = ""
    event_id: str | None = None

    @property
    def fatal(self) -> bool:
        """Whether trying again is of no use, on a new connection either."""
        return errors.is_fatal(self.code, self.type)

    @property
    def benign(self) -> bool:
        """Whether nothing is wrong: somebody was faster."""
        ours = self.event_id or ""
        return self.code in errors.BENIGN or self.code in _BEYOND and ours.startswith((TRUNCATE, DELETE, CANCEL))

    @property
    def back_off(self) -> bool:
        """Whether it was too much at once, and may work after a pause."""
        return self.code in errors.BACK_OFF or self.type in errors.BACK_OFF

    @property
    def already_active(self) -> bool:
        """Whether a response was asked for while one was under way."""
        return self.code == errors.ALREADY_ACTIVE

    @property
    def wait_s(self) -> float | None:
        """How long the server says to wait before the same is asked for again, seconds."""
        return errors.named_wait_s(self.message)

    def __str__(self) -> str:
        """A line of the log: the code, the server's words, and what to do."""
        return errors.told(self.code, self.type, self.message)


class StatusDetails(msgspec.Struct):
    reason: str | None = None
    error: ErrorDetails | None = None


class Tokens(msgspec.Struct):
    """Tokens by kind; a kind that is not named has none, or the server does not say."""

    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class InputTokens(Tokens):
    """What was read; the cached ones are among the others."""

    cached_tokens: Count | None = None
    cached_tokens_details: Tokens | None = None


class Usage(msgspec.Struct):
    """What a response is billed for."""

    total_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_token_details: InputTokens | None = None
    output_token_details: Tokens | None = None

    def counts(self) -> dict[tuple[str, str], int]:
        """How many tokens of each direction and kind, ("input", "audio"); the cached ones are among the input."""
        read = self.input_token_details or InputTokens()
        parts = {"input": read, "cached": read.cached_tokens_details, "output": self.output_token_details}
        return {
            (direction, kind): int(getattr(tokens, f"{kind}_tokens") or 0)
            for direction, tokens in parts.items() if tokens for kind in ("text", "audio")}


class TranscriptionUsage(msgspec.Struct):
    """What a transcription is billed for: `seconds` of audio (type duration) or tokens (type tokens)."""

    type: str = ""
    seconds: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    input_token_details: Tokens | None = None


class Response(msgspec.Struct):
    id: str
    status: str = ""
    status_details: StatusDetails | None = None
    metadata: dict[str, Any] | None = None
    usage: Usage | None = None


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


class TranscriptDelta(msgspec.Struct, tag="response.output_audio_transcript.delta", gc=False):
    """Some words of an item's speech; they come ahead of their audio."""

    response_id: str
    item_id: str
    delta: str


class TranscriptDone(msgspec.Struct, tag="response.output_audio_transcript.done", gc=False):
    """All words of an item's speech, also of one that was cut off: what was said, not what was heard."""

    response_id: str
    item_id: str
    transcript: str


class Transcribed(msgspec.Struct, tag="conversation.item.input_audio_transcription.completed"):
    """What the caller said; it comes late, before, amid or after the answer."""

    item_id: str
    transcript: str = ""                 # nothing: it was not understood
    usage: TranscriptionUsage | None = None


class Error(msgspec.Struct, tag="error"):
    error: ErrorDetails


Event = (
    SessionCreated | SessionUpdated | SpeechStarted | SpeechStopped | ItemAdded | OutputItemDone
    | ResponseCreated | ResponseDone | AudioDelta | TranscriptDelta | TranscriptDone | Transcribed | Error
)


#: parse(message): the event in one text frame, None for a kind we do not act on. Raises Malformed.
parse = reading.Reader[Event](Event, "the model").read


def base64_size(text: str) -> int:
    """Bytes that a padded base64 text stands for."""
    return len(text) * 3 // 4 - text.count("=", -2)


_encode = msgspec.json.Encoder().encode


class _Append(msgspec.Struct, tag="input_audio_buffer.append", gc=False):
    audio: bytes                         # base64 in the message


def append(payload: bytes) -> bytes:
    """A frame of the caller's audio, mu-law; it is never acknowledged."""
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


def stop_listening() -> bytes:
    """Switches turn detection off: what the caller says is no turn, and stops no response."""
    return session_update(STOP_LISTENING, {"audio": {"input": {"turn_detection": None}}})


def commit() -> bytes:
    """Ends the caller's turn: all audio that was appended becomes an item. No response is given by itself."""
    return _encode({"type": "input_audio_buffer.commit", "event_id": "commit"})


def create_response(event_id: str, instructions: str | None = None) -> bytes:
    """Asks for a response; `event_id` comes back in an error about it and in response.metadata.request.

    `instructions` replace the session's for this response, which then calls no function.
    """
    response: dict[str, Any] = {"metadata": {"request": event_id}}
    if instructions is not None:
        response.update(instructions=instructions, tool_choice="none")
    return _encode({"type": "response.create", "event_id": event_id, "response": response})


def cancel_response(response_id: str) -> bytes:
    return _encode({"type": "response.cancel", "event_id": CANCEL + response_id, "response_id": response_id})


def truncate(item_id: str, heard_ms: int) -> bytes:
    """The caller heard `heard_ms` of this item and no more; the rest leaves the model's memory."""
    return _encode({
        "type": "conversation.item.truncate", "event_id": TRUNCATE + item_id, "item_id": item_id,
        "content_index": 0, "audio_end_ms": heard_ms,
    })


def delete_item(item_id: str) -> bytes:
    return _encode({"type": "conversation.item.delete", "event_id": DELETE + item_id, "item_id": item_id})


# ---- items: what is put into the conversation, also to tell a new session what was said before
# `item_id` names the new item, 32 characters at most; without it the server does. `after` is the item it is to stand
# behind, "root" the front; without it that is the end. Nothing but text can be put in: none of it can be truncated.

def user_text(text: str, item_id: str = "", after: str = "") -> bytes:
    """What the caller said or did, as text."""
    return _message("user", "input_text", text, item_id, after)


def system_text(text: str, item_id: str = "", after: str = "") -> bytes:
    """A note to the model."""
    return _message("system", "input_text", text, item_id, after)


def assistant_text(text: str, item_id: str = "", after: str = "") -> bytes:
    """What the assistant said before; its audio cannot be put back."""
    return _message("assistant", "output_text", text, item_id, after)


def function_call(item_id: str, name: str, call_id: str, arguments: str, after: str = "") -> bytes:
    """A function that the model called before; its output must follow. `arguments` is JSON text."""
    return _create({"type": "function_call", "name": name, "call_id": call_id, "arguments": arguments}, item_id, after)


def function_output(call_id: str, output: dict[str, Any], item_id: str = "", after: str = "") -> bytes:
    """What a function answers, as JSON text."""
    item = {"type": "function_call_output", "call_id": call_id, "output": _encode(output).decode()}
    return _create(item, item_id, after)


def _message(role: str, kind: str, text: str, item_id: str, after: str) -> bytes:
    return _create({"type": "message", "role": role, "content": [{"type": kind, "text": text}]}, item_id, after)


def _create(item: dict[str, Any], item_id: str, after: str) -> bytes:
    event_id = ITEM + (item_id or item.get("call_id") or item["role"])
    event: dict[str, Any] = {"type": "conversation.item.create", "event_id": event_id, "item": item}
    if item_id:
        item["id"] = item_id
    if after:
        event["previous_item_id"] = after
    return _encode(event)
