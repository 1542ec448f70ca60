"""The messages of a Media Streams websocket, both directions.

Pure. What Twilio sends is decoded into the structs below; a kind that is not listed is ignored, so that
Twilio may add some. A field without a default steers the call, and a message without it is malformed. A field with a
default only informs: one that cannot be read is left out (bridge/reading.py). What we send carries exactly the
documented keys: Twilio refuses extra ones (31951).
Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from typing import Annotated

import msgspec

from bridge import reading

#: Mu-law at 8000 Hz, one channel: the only encoding a stream carries.
BYTES_PER_MS = 8
ENCODING = "audio/x-mulaw"


#: A message that is not what its own `event` promises.
Malformed = reading.Malformed


class Connected(msgspec.Struct, tag="connected", tag_field="event"):
    """The first message; it identifies nothing yet."""


class MediaFormat(msgspec.Struct, rename="camel"):
    encoding: str = ENCODING
    sample_rate: int = 8000
    channels: int = 1


# Checked because they go into our own messages, log lines and REST addresses.
StreamSid = Annotated[str, msgspec.Meta(pattern="^MZ[0-9a-f]{32}\\Z")]
CallSid = Annotated[str, msgspec.Meta(pattern="^CA[0-9a-f]{32}\\Z")]


class StartBody(msgspec.Struct, rename="camel"):
    stream_sid: StreamSid
    call_sid: CallSid
    account_sid: str = ""
    media_format: MediaFormat = msgspec.field(default_factory=MediaFormat)
    custom_parameters: dict[str, str] = {}


class Start(msgspec.Struct, tag="start", tag_field="event"):
    """Comes once, before any audio: which call this stream belongs to."""

    start: StartBody


class MediaBody(msgspec.Struct, gc=False):
    """`payload` is read from its base64 as the bytes that it stands for: what is no base64 is malformed."""

    payload: Annotated[bytes, msgspec.Meta(min_length=1)]
    track: str = "inbound"
    timestamp: int | None = None


class Media(msgspec.Struct, tag="media", tag_field="event", gc=False):
    """20 ms of the caller: 160 bytes, `timestamp` in ms since the stream began, if it says so."""

    media: MediaBody


class MarkBody(msgspec.Struct, gc=False):
    name: str


class Mark(msgspec.Struct, tag="mark", tag_field="event", gc=False):
    """One of our marks came back: what was queued before it was played, or dropped by `clear`."""

    mark: MarkBody


class DtmfBody(msgspec.Struct, gc=False):
    digit: Annotated[str, msgspec.Meta(pattern="^[0-9*#A-D]\\Z")]


class Dtmf(msgspec.Struct, tag="dtmf", tag_field="event", gc=False):
    """The caller pressed a key."""

    dtmf: DtmfBody


class Stop(msgspec.Struct, tag="stop", tag_field="event"):
    """The stream is over: the call ended, or other TwiML took its place."""


Event = Connected | Start | Media | Mark | Dtmf | Stop


#: parse(message): the event in one text frame, None for a kind we do not act on. Raises Malformed.
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
    """Audio for the caller: base64 of mu-law of any length, played after what is queued already."""
    return _encode(_Media(stream_sid, _Payload(payload)))


def mark(stream_sid: str, name: str) -> bytes:
    """A mark, which comes back when everything before it was played or dropped."""
    return _encode(_Mark(stream_sid, MarkBody(name)))


def clear(stream_sid: str) -> bytes:
    """Drops what is queued; every mark that is still out comes back at once."""
    return _encode(_Clear(stream_sid))
