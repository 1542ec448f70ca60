"""The events of the Realtime API (GA), both directions, and the session's set-up.

Pure. The server's events are decoded into the structs below. A kind that is not listed is ignored. A field without a
default steers the call, and an event without it is malformed. A field with a default only informs, and is skipped if it
cannot be read (bridge/reading.py). Audio stays base64 text as it came. Beta names are not accepted: the beta is
switched off.
Source: https://developers.openai.com/api/docs/guides/realtime-websocket and the API reference's event tables.
"""

from typing import Annotated, Any

import msgspec

from bridge import reading
from bridge.openai_side import errors

#: The only audio format of a phone: mu-law, 8000 Hz, mono. It has no `rate` field.
PCMU = "audio/pcmu"

#: The ids of our session.update events. An error about one names its id.
SET_UP, LISTEN, STOP_LISTENING = "set_up", "listen", "stop_listening"

#: Prefixes of the ids of our other control events. The id of the response or item follows.
CANCEL, TRUNCATE, DELETE, ITEM = "cancel_", "truncate_", "delete_", "item_"

#: Error codes for a cut beyond what the item holds. Older servers give no code at all.
_BEYOND = (None, "invalid_value")


#: Raised by `parse` for an event that does not hold what its own `type` promises.
Malformed = reading.Malformed

#: A count of tokens or seconds. Some servers write fractions. Impossible values are skipped.
Count = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class Format(msgspec.Struct):
    type: str = ""


class AudioLeg(msgspec.Struct):
    format: Format | None = None
    turn_detection: Any = None           # None: it is off. Any value: it is on


class Audio(msgspec.Struct):
    input: AudioLeg | None = None
    output: AudioLeg | None = None


class Session(msgspec.Struct):
    """A session's configuration as the server echoes it. Ask it before any audio passes (`speaks_pcmu`)."""

    audio: Audio | None = None
    expires_at: Count | None = None      # when the server ends it (s since 1970)

    def speaks_otherwise(self) -> bool:
        """Whether it names another format for either direction. A server may leave out what has not changed."""
        legs = (self.audio.input, self.audio.output) if self.audio else ()
        return any(leg and leg.format and leg.format.type not in ("", PCMU) for leg in legs)

    def speaks_pcmu(self) -> bool:
        """Whether both directions are mu-law. The caller hears anything else as loud static."""
        legs = (self.audio.input, self.audio.output) if self.audio else (None,)
        return all(leg and leg.format and leg.format.type == PCMU for leg in legs)

    @property
    def listens(self) -> bool:
        """Whether the server finds the caller's turns by itself."""
        return bool(self.audio and self.audio.input and self.audio.input.turn_detection)


class SessionCreated(msgspec.Struct, tag="session.created"):
    session: Session


class SessionUpdated(msgspec.Struct, tag="session.updated"):
    """The whole session in force. It is the only proof that an update was applied."""

    session: Session


class SpeechStarted(msgspec.Struct, tag="input_audio_buffer.speech_started"):
    """The caller began to speak. The server has cancelled a response under way by itself."""

    item_id: str = ""                    # the caller's words will become this item


class SpeechStopped(msgspec.Struct, tag="input_audio_buffer.speech_stopped"):
    """The caller's turn ended. The server answers it by itself."""

    item_id: str = ""
    audio_end_ms: int = 0                # where in the appended audio the turn ended (ms), its silence included


class Item(msgspec.Struct):
    id: str = ""
    type: str = ""
    status: str = ""
    name: str = ""
    call_id: str = ""
    arguments: str = ""
    role: str = ""


class ItemAdded(msgspec.Struct, tag="conversation.item.added"):
    """An item was put into the conversation. A response that starts later sees it."""

    item: Item
    previous_item_id: str | None = None  # the item before it


class OutputItemDone(msgspec.Struct, tag="response.output_item.done"):
    """One item of a response is complete (`item.status` completed) or was cut off (incomplete)."""

    item: Item
    response_id: str = ""


class ErrorDetails(msgspec.Struct):
    """The server's error. `event_id` is that of our event that caused it, if the server says so."""

    type: str | None = None
    code: str | None = None
    message: str = ""
    event_id: str | None = None

    @property
    def fatal(self) -> bool:
        """Whether trying again is of no use, even on a new connection."""
        return errors.is_fatal(self.code, self.type)

    @property
    def benign(self) -> bool:
        """Whether nothing is wrong: two events crossed on the way."""
        ours = self.event_id or ""
        return self.code in errors.BENIGN or self.code in _BEYOND and ours.startswith((TRUNCATE, DELETE, CANCEL))

    @property
    def back_off(self) -> bool:
        """Whether a rate limit was met. The same request may work after a pause."""
        return self.code in errors.BACK_OFF or self.type in errors.BACK_OFF

    @property
    def already_active(self) -> bool:
        """Whether we asked for a response while another one was under way."""
        return self.code == errors.ALREADY_ACTIVE

    @property
    def wait_s(self) -> float | None:
        """How long the server says to wait before another try (s). None: it does not say."""
        return errors.named_wait_s(self.message)

    def __str__(self) -> str:
        """For the log: the code, the server's words, and what to do."""
        return errors.told(self.code, self.type, self.message)


class StatusDetails(msgspec.Struct):
    reason: str | None = None
    error: ErrorDetails | None = None


class Tokens(msgspec.Struct):
    """Tokens by kind. None: there are none of this kind, or the server does not say."""

    text_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class InputTokens(Tokens):
    """Tokens of the input. The cached ones are counted among the others too."""

    cached_tokens: Count | None = None
    cached_tokens_details: Tokens | None = None


class Usage(msgspec.Struct):
    """The usage that a response is billed for."""

    total_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_token_details: InputTokens | None = None
    output_token_details: Tokens | None = None

    def counts(self) -> dict[tuple[str, str], int]:
        """The tokens by direction and kind, such as ("input", "audio"). The cached ones are among the input too."""
        read = self.input_token_details or InputTokens()
        parts = {"input": read, "cached": read.cached_tokens_details, "output": self.output_token_details}
        return {
            (direction, kind): int(getattr(tokens, f"{kind}_tokens") or 0)
            for direction, tokens in parts.items() if tokens for kind in ("text", "audio")}


class TranscriptionUsage(msgspec.Struct):
    """The usage that a transcription is billed for: `seconds` of audio (type duration) or tokens (type tokens)."""

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
    """A piece of one item's speech: base64 of mu-law, of any length."""

    response_id: str
    item_id: str
    delta: str

    @property
    def size(self) -> int:
        """How much audio the base64 text holds (bytes)."""
        return base64_size(self.delta)


class TranscriptDelta(msgspec.Struct, tag="response.output_audio_transcript.delta", gc=False):
    """A few words of an item's speech. They come ahead of their audio."""

    response_id: str
    item_id: str
    delta: str


class TranscriptDone(msgspec.Struct, tag="response.output_audio_transcript.done", gc=False):
    """All words of an item's speech, even if it was cut off: what was said, not what was heard."""

    response_id: str
    item_id: str
    transcript: str


class Transcribed(msgspec.Struct, tag="conversation.item.input_audio_transcription.completed"):
    """The transcription of a caller's turn. It comes late: before, during or after the answer."""

    item_id: str
    transcript: str = ""                 # "": nothing was understood
    usage: TranscriptionUsage | None = None


class TranscriptionFailed(msgspec.Struct, tag="conversation.item.input_audio_transcription.failed"):
    """What the caller said could not be written down. The model has heard it all the same."""

    item_id: str
    error: "ErrorDetails | None" = None


class Error(msgspec.Struct, tag="error"):
    error: ErrorDetails


Event = (
    SessionCreated | SessionUpdated | SpeechStarted | SpeechStopped | ItemAdded | OutputItemDone
    | ResponseCreated | ResponseDone | AudioDelta | TranscriptDelta | TranscriptDone | Transcribed
    | TranscriptionFailed | Error
)


#: parse(message) returns the event in one text frame, or None for a kind that we do not act on. Raises Malformed.
parse = reading.Reader[Event](Event, "the model").read


def base64_size(text: str) -> int:
    """How many bytes a padded base64 text stands for."""
    return len(text) * 3 // 4 - text.count("=", -2)


_encode = msgspec.json.Encoder().encode


class _Append(msgspec.Struct, tag="input_audio_buffer.append", gc=False):
    audio: bytes                         # base64 in the message


def append(payload: bytes) -> bytes:
    """A frame of the caller's audio, mu-law. The server never acknowledges it."""
    return _encode(_Append(payload))


def session_update(event_id: str, session: dict[str, Any]) -> bytes:
    """Changes the fields that `session` holds and leaves the others. The server answers with session.updated."""
    return _encode({"type": "session.update", "event_id": event_id, "session": {"type": "realtime", **session}})


def session_setup(
    *, instructions: str, voice: str, tools: list[dict[str, Any]], turn_detection: dict[str, Any] | None,
    transcription_model: str = "", noise_reduction: str = "",
) -> bytes:
    """The session.update that sets a new session up for a phone call. `turn_detection` None: it does not listen yet."""
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
    """Switches turn detection on, and changes nothing else."""
    return session_update(LISTEN, {"audio": {"input": {"turn_detection": turn_detection}}})


def stop_listening() -> bytes:
    """Switches turn detection off. The caller's speech then makes no turn, and stops no response."""
    return session_update(STOP_LISTENING, {"audio": {"input": {"turn_detection": None}}})


def commit() -> bytes:
    """Ends the caller's turn: all appended audio becomes an item. The server gives no response by itself."""
    return _encode({"type": "input_audio_buffer.commit", "event_id": "commit"})


def create_response(event_id: str, instructions: str | None = None) -> bytes:
    """Asks for a response. `event_id` comes back in an error about it, and in response.metadata.request.

    `instructions` replace the session's for this response. It calls no function then.
    """
    response: dict[str, Any] = {"metadata": {"request": event_id}}
    if instructions is not None:
        response.update(instructions=instructions, tool_choice="none")
    return _encode({"type": "response.create", "event_id": event_id, "response": response})


def cancel_response(response_id: str) -> bytes:
    return _encode({"type": "response.cancel", "event_id": CANCEL + response_id, "response_id": response_id})


def truncate(item_id: str, heard_ms: int) -> bytes:
    """Tells that the caller heard `heard_ms` of this item and no more. The rest leaves the model's memory."""
    return _encode({
        "type": "conversation.item.truncate", "event_id": TRUNCATE + item_id, "item_id": item_id,
        "content_index": 0, "audio_end_ms": heard_ms,
    })


def delete_item(item_id: str) -> bytes:
    return _encode({"type": "conversation.item.delete", "event_id": DELETE + item_id, "item_id": item_id})


# ---- items: put into the conversation, also to tell a new session what was said before
# `item_id` is the new item's id, 32 characters at most. "": the server gives one. `after` is the item before it.
# "root": the new item comes first. "": it comes last. Only text can be put in, and no such item can be truncated.

def user_text(text: str, item_id: str = "", after: str = "") -> bytes:
    """An item with the caller's words or deeds, as text."""
    return _message("user", "input_text", text, item_id, after)


def system_text(text: str, item_id: str = "", after: str = "") -> bytes:
    """An item with a note to the model."""
    return _message("system", "input_text", text, item_id, after)


def assistant_text(text: str, item_id: str = "", after: str = "") -> bytes:
    """An item with the assistant's earlier words. Their audio cannot be put back."""
    return _message("assistant", "output_text", text, item_id, after)


def function_call(item_id: str, name: str, call_id: str, arguments: str, after: str = "") -> bytes:
    """An item with an earlier function call of the model. Its output must follow. `arguments` is JSON text."""
    return _create({"type": "function_call", "name": name, "call_id": call_id, "arguments": arguments}, item_id, after)


def function_output(call_id: str, output: dict[str, Any], item_id: str = "", after: str = "") -> bytes:
    """An item with a function's output, as JSON text."""
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
