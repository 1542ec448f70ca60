"""The messages of a Media Streams websocket, both directions.

Pure. Twilio's messages are decoded into the structs below. A kind that is not listed is ignored, so that Twilio may add
some. A field without a default steers the call, and a message without it is malformed. A field with a default only
informs, and is skipped if it cannot be read (bridge/reading.py). Our messages carry exactly the documented keys,
because Twilio refuses extra ones (error 31951).
Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from typing import Annotated

import msgspec

from bridge import reading

#: A stream carries one encoding only: mu-law at 8000 Hz, one channel, a byte per sample.
BYTES_PER_MS = 8
ENCODING = "audio/x-mulaw"


#: Raised by `parse` for a message that does not hold what its own `event` promises.
Malformed = reading.Malformed


class Connected(msgspec.Struct, tag="connected", tag_field="event"):
    """The first message of a stream. It does not say which call this is."""


class MediaFormat(msgspec.Struct, rename="camel"):
    encoding: str = ENCODING
    sample_rate: int = 8000
    channels: int = 1


# These ids are checked because they go into our own messages, log lines and REST addresses.
StreamSid = Annotated[str, msgspec.Meta(pattern="^MZ[0-9a-f]{32}\\Z")]
CallSid = Annotated[str, msgspec.Meta(pattern="^CA[0-9a-f]{32}\\Z")]


class StartBody(msgspec.Struct, rename="camel"):
    """What a stream says of itself. `custom_parameters` are the <Parameter>s of our TwiML."""

    stream_sid: StreamSid
    call_sid: CallSid
    account_sid: str = ""
    media_format: MediaFormat = msgspec.field(default_factory=MediaFormat)
    custom_parameters: dict[str, str] = {}


class Start(msgspec.Struct, tag="start", tag_field="event"):
    """Comes once, before any audio, and names the stream's call."""

    start: StartBody


class MediaBody(msgspec.Struct, gc=False):
    """A frame. `payload` is decoded from base64 to bytes of mu-law. Anything but base64 is malformed.

    `timestamp`: ms since the stream began. None: Twilio did not say.
    """

    payload: Annotated[bytes, msgspec.Meta(min_length=1)]
    track: str = "inbound"
    timestamp: int | None = None


class Media(msgspec.Struct, tag="media", tag_field="event", gc=False):
    """A frame of the caller's audio, 20 ms (160 bytes) as a rule."""

    media: MediaBody


class MarkBody(msgspec.Struct, gc=False):
    name: str


class Mark(msgspec.Struct, tag="mark", tag_field="event", gc=False):
    """One of our marks came back: the audio queued before it was played, or dropped by `clear`."""

    mark: MarkBody


class DtmfBody(msgspec.Struct, gc=False):
    digit: Annotated[str, msgspec.Meta(pattern="^[0-9*#A-D]\\Z")]


class Dtmf(msgspec.Struct, tag="dtmf", tag_field="event", gc=False):
    """The caller pressed a key."""

    dtmf: DtmfBody


class Stop(msgspec.Struct, tag="stop", tag_field="event"):
    """The stream is over: the call ended, or other TwiML took the stream's place."""


Event = Connected | Start | Media | Mark | Dtmf | Stop


#: parse(message) returns the event in one text frame, or None for a kind that we do not act on. Raises Malformed.
parse = reading.Reader[Event](Event, "the phone", numbers_as_text=True).read


class _Payload(msgspec.Struct, gc=False):
    payload: str


class _Media(msgspec.Struct, tag="media", tag_field="event", rename="camel", gc=False):
    stream_sid: str
    media: _Payload


class _Mark(msgspec.Struct, tag="mark", tag_field="event", rename="camel", gc=False):
    stream_sid: str
    mark: MarkBody


class _Clear(msgspec.Struct, tag="clear", tag_field="event", rename="camel", gc=False):
    stream_sid: str


_encode = msgspec.json.Encoder().encode


def media(stream_sid: str, payload: str) -> bytes:
    """Audio for the caller: base64 of mu-law of any length. It plays after the audio that is queued already."""
    return _encode(_Media(stream_sid, _Payload(payload)))


def mark(stream_sid: str, name: str) -> bytes:
    """A mark. It comes back when everything before it was played or dropped."""
    return _encode(_Mark(stream_sid, MarkBody(name)))


def clear(stream_sid: str) -> bytes:
    """Drops the queued audio. Every mark that is still out comes back at once."""
    return _encode(_Clear(stream_sid))
