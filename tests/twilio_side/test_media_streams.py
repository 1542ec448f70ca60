"""The messages of a Media Streams websocket: Twilio's are read, ours carry exactly the documented keys."""

import json
from contextlib import suppress
from typing import Any

import pytest

from bridge.twilio_side import media_streams
from bridge.twilio_side.media_streams import (
    Connected, Dtmf, DtmfBody, Event, Malformed, Mark, MarkBody, Media, MediaBody, MediaFormat, Start, Stop, parse,
)

STREAM, CALL, ACCOUNT = "MZ" + "0a" * 16, "CA" + "1b" * 16, "AC" + "2c" * 16


def start(**changed: object) -> dict[str, Any]:
    """A start message as documented, with changes to its body; None leaves a key out."""
    body = {
        "accountSid": ACCOUNT, "streamSid": STREAM, "callSid": CALL, "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"caller": "+15551234567"},
    } | changed
    return {"event": "start", "sequenceNumber": "1", "streamSid": STREAM,
            "start": {name: value for name, value in body.items() if value is not None}}


MEDIA = {"event": "media", "sequenceNumber": "4", "streamSid": STREAM,
         "media": {"track": "inbound", "chunk": "2", "timestamp": "5", "payload": "//79"}}


# ---- what Twilio sends

@pytest.mark.parametrize(("message", "event"), [
    ({"event": "connected", "protocol": "Call", "version": "1.0.0"}, Connected()),
    (MEDIA, Media(MediaBody(b"\xff\xfe\xfd", "inbound", 5))),
    ({"event": "mark", "sequenceNumber": "4", "streamSid": STREAM, "mark": {"name": "my label"}},
     Mark(MarkBody("my label"))),
    ({"event": "stop", "sequenceNumber": "5", "streamSid": STREAM, "stop": {"accountSid": ACCOUNT, "callSid": CALL}},
     Stop()),
])
def test_the_documented_messages_are_understood(message: dict[str, Any], event: Event) -> None:
    assert parse(json.dumps(message).encode()) == event
    assert parse(json.dumps(message)) == event


def test_the_start_says_which_call_this_is() -> None:
    event = parse(json.dumps(start()))
    assert isinstance(event, Start)
    assert (event.start.stream_sid, event.start.call_sid, event.start.account_sid) == (STREAM, CALL, ACCOUNT)
    assert event.start.media_format == MediaFormat("audio/x-mulaw", 8000, 1)
    assert event.start.custom_parameters == {"caller": "+15551234567"}


def test_another_encoding_is_read_as_it_is() -> None:
    other = {"encoding": "audio/x-l16", "sampleRate": "16000", "channels": "1"}
    event = parse(json.dumps(start(mediaFormat=other)))
    assert isinstance(event, Start)
    assert event.start.media_format == MediaFormat("audio/x-l16", 16000, 1)


def test_a_start_without_parameters_is_a_start() -> None:
    event = parse(json.dumps(start(customParameters=None, tracks=None)))
    assert isinstance(event, Start)
    assert event.start.custom_parameters == {}


@pytest.mark.parametrize("timestamp", ["120", 120])
def test_a_number_may_come_as_text_or_as_a_number(timestamp: object) -> None:
    event = parse(json.dumps(MEDIA | {"media": {"payload": "/w==", "track": "inbound", "timestamp": timestamp}}))
    assert event == Media(MediaBody(b"\xff", "inbound", 120))


def test_the_keys_may_come_in_any_order_and_with_others_between() -> None:
    message = dict(reversed((MEDIA | {"new": {"event": "stop", "list": [1, {"x": None}]}}).items()))
    assert parse(json.dumps(message, indent=1)) == Media(MediaBody(b"\xff\xfe\xfd", "inbound", 5))


def test_the_outbound_track_is_told_apart() -> None:
    event = parse(json.dumps(MEDIA | {"media": {"payload": "//79", "track": "outbound"}}))
    assert isinstance(event, Media) and event.media.track == "outbound"


@pytest.mark.parametrize("digit", [*"0123456789*#ABCD"])
def test_a_key_is_one_of_those_a_telephone_has(digit: str) -> None:
    message = {"event": "dtmf", "streamSid": STREAM, "sequenceNumber": "5",
               "dtmf": {"track": "inbound_track", "digit": digit}}
    assert parse(json.dumps(message)) == Dtmf(DtmfBody(digit))


@pytest.mark.parametrize("message", [
    {"event": "weather", "rain": True}, {"event": ""}, {"event": "MEDIA"},
])
def test_what_we_do_not_act_on_is_ignored(message: dict[str, Any]) -> None:
    assert parse(json.dumps(message)) is None


@pytest.mark.parametrize("message", [
    b"", b"{", b"[]", b"null", b"7", b"{}", b'{"event":null}', b'{"event":7}', b"\xff\xfe", b'{"event":"media"}',
    b'{"event":"media","media":{}}', b'{"event":"media","media":{"payload":7}}',
    b'{"event":"media","media":{"payload":null}}', b'{"event":"media","media":[]}',
    b'{"event":"mark"}',
    b'{"event":"mark","mark":{"name":7}}', b'{"event":"start"}', b'{"event":"start","start":{}}',
    b'{"event":"stop"}{"event":"stop"}', b'{"event":"dtmf","dtmf":{"digit":"12"}}',
    b'{"event":"dtmf","dtmf":{"digit":"x"}}', b'{"event":"dtmf"}',
])
def test_what_is_no_message_is_malformed(message: bytes) -> None:
    with pytest.raises(Malformed):
        parse(message)


@pytest.mark.parametrize("payload", ["", "/", "///", "////*", "////=", "//==\n", "\n////", "//-_", "=", "böse", "{}"])
def test_a_payload_that_is_no_base64_is_malformed(payload: str) -> None:
    with pytest.raises(Malformed, match="^media: "):
        parse(json.dumps(MEDIA | {"media": {"payload": payload, "track": "inbound", "timestamp": "5"}}))


@pytest.mark.parametrize("event", ["media", "weather"])
def test_a_message_of_brackets_within_brackets_is_malformed_at_worst(event: str) -> None:
    with suppress(Malformed):
        parse(f'{{"event":"{event}","media":{{"payload":""}},"x":{"[" * 20_000}{"]" * 20_000}}}')


@pytest.mark.parametrize("changed", [
    {"streamSid": None}, {"callSid": None}, {"streamSid": ""}, {"streamSid": CALL}, {"callSid": STREAM},
    {"callSid": CALL + "/../x"}, {"callSid": CALL + "\n"}, {"streamSid": STREAM + "\n"}, {"callSid": "x" + CALL},
    {"callSid": "CA" + "G" * 32},
])
def test_a_start_that_names_no_call_is_malformed(changed: dict[str, object]) -> None:
    with pytest.raises(Malformed, match="start"):
        parse(json.dumps(start(**changed)))


@pytest.mark.parametrize("changed", [{"customParameters": {"caller": 7}}, {"customParameters": []}])
def test_a_start_whose_parameters_cannot_be_read_shows_no_token(changed: dict[str, object]) -> None:
    event = parse(json.dumps(start(**changed)))
    assert isinstance(event, Start) and event.start.custom_parameters == {}


def test_audio_whose_time_cannot_be_read_is_heard() -> None:
    message = {"event": "media", "media": {"payload": "//79", "timestamp": "soon"}}
    assert parse(json.dumps(message)) == Media(media_streams.MediaBody(b"\xff\xfe\xfd"))


def test_what_is_malformed_is_named_but_not_repeated() -> None:
    with pytest.raises(Malformed, match="^mark: ") as malformed:
        parse('{"event":"mark","mark":{"name":{"secret":1}}}')
    assert "secret" not in str(malformed.value)


# ---- what Twilio is sent

@pytest.mark.parametrize(("message", "written"), [
    (media_streams.media(STREAM, "//79"), {"event": "media", "streamSid": STREAM, "media": {"payload": "//79"}}),
    (media_streams.mark(STREAM, "7"), {"event": "mark", "streamSid": STREAM, "mark": {"name": "7"}}),
    (media_streams.clear(STREAM), {"event": "clear", "streamSid": STREAM}),
])
def test_what_we_send_has_exactly_the_documented_keys(message: bytes, written: dict[str, Any]) -> None:
    assert json.loads(message) == written


def test_a_payload_passes_as_it_is() -> None:
    payload = "".join(map(chr, range(0x20, 0x7F))) + "\u2028\n"
    assert json.loads(media_streams.media(STREAM, payload))["media"]["payload"] == payload
