"""Fields of the wrong shape, in every place of every event of both vendors: strict where it steers, else lenient."""

import copy
import json
import logging
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.openai_side import prices, realtime
from bridge.reading import Malformed, Reader
from bridge.twilio_side import media_streams
from bridge.twilio_side.media_streams import Media, MediaBody

FORMATS = {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad"}},
           "output": {"format": {"type": "audio/pcmu"}, "turn_detection": False}}
SESSION = {"audio": FORMATS, "expires_at": 1795608000}
TOKENS = {"text_tokens": 64, "audio_tokens": 13, "image_tokens": 0}
ITEM = {"id": "item_1", "type": "function_call", "status": "completed", "name": "end_call", "call_id": "call_1",
        "arguments": "{}", "role": "assistant"}
RESPONSE = {
    "id": "resp_1", "status": "failed", "metadata": {"request": "answer_1"},
    "status_details": {"reason": "content_filter", "error": {
        "type": "server_error", "code": "internal", "message": "Sorry.", "event_id": "answer_1"}},
    "usage": {
        "total_tokens": 253, "input_tokens": 132, "output_tokens": 121, "output_token_details": TOKENS,
        "input_token_details": {**TOKENS, "cached_tokens": 64, "cached_tokens_details": TOKENS}}}
PLACE = {"response_id": "resp_1", "item_id": "item_1"}
#: Every event that the model acts on, with every field that we know.
MODEL: list[dict[str, Any]] = [
    {"type": "session.created", "session": SESSION},
    {"type": "session.updated", "session": SESSION},
    {"type": "input_audio_buffer.speech_started", "item_id": "item_1"},
    {"type": "input_audio_buffer.speech_stopped", "item_id": "item_1", "audio_end_ms": 2880},
    {"type": "conversation.item.added", "item": ITEM, "previous_item_id": "item_0"},
    {"type": "response.output_item.done", "response_id": "resp_1", "item": ITEM},
    {"type": "response.created", "response": RESPONSE},
    {"type": "response.done", "response": RESPONSE},
    {"type": "response.output_audio.delta", **PLACE, "delta": "//79"},
    {"type": "response.output_audio_transcript.delta", **PLACE, "delta": " we"},
    {"type": "response.output_audio_transcript.done", **PLACE, "transcript": "Yes, we"},
    {"type": "conversation.item.input_audio_transcription.completed", "item_id": "item_1", "transcript": "Hello?",
     "usage": {"type": "tokens", "seconds": 2.5, "input_tokens": 14, "output_tokens": 9, "total_tokens": 23,
               "input_token_details": TOKENS}},
    {"type": "conversation.item.input_audio_transcription.failed", "item_id": "item_1", "error": {
        "type": "transcription_error", "code": "audio_unintelligible", "message": "So it is.", "event_id": "answer_1"}},
    {"type": "error", "error": {
        "type": "invalid_request_error", "code": "invalid_value", "message": "So it is.", "event_id": "answer_1"}},
]
STREAM, CALL = "MZ" + "0a" * 16, "CA" + "1b" * 16
PHONE: list[dict[str, Any]] = [
    {"event": "connected"}, {"event": "stop"},
    {"event": "start", "start": {
        "streamSid": STREAM, "callSid": CALL, "accountSid": "AC" + "2c" * 16,
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"caller": "+15551234567"}}},
    {"event": "media", "media": {"track": "inbound", "timestamp": 5, "payload": "//79"}},
    {"event": "mark", "mark": {"name": "7"}},
    {"event": "dtmf", "dtmf": {"digit": "1"}},
]
#: What a call cannot be steered without. All else only informs.
STEERS = {
    "session.created.session", "session.updated.session", "conversation.item.added.item",
    "response.output_item.done.item", "response.created.response", "response.created.response.id",
    "response.done.response", "response.done.response.id", "error.error",
    *(f"response.output_audio.delta.{field}" for field in ("response_id", "item_id", "delta")),
    *(f"response.output_audio_transcript.delta.{field}" for field in ("response_id", "item_id", "delta")),
    *(f"response.output_audio_transcript.done.{field}" for field in ("response_id", "item_id", "transcript")),
    "conversation.item.input_audio_transcription.completed.item_id",
    "conversation.item.input_audio_transcription.failed.item_id",
    "start.start", "start.start.streamSid", "start.start.callSid", "media.media", "media.media.payload", "mark.mark",
    "mark.mark.name", "dtmf.dtmf", "dtmf.dtmf.digit",
}
#: Read for no more than whether anything stands there, and passed on as they are.
ANY = ("turn_detection", "request", "caller")
ODD: dict[type, tuple[object, ...]] = {
    str: (7, 1.5, True, [], {}, ["//79"]), int: ("soon", True, [], {}, -1, 1e300), float: ("nan", True, [], {}, -0.5),
    dict: (7, "soon", True, [], [{}]),
}

Path = tuple[str, ...]


def places(event: dict[str, Any], before: Path = ()) -> Iterator[Path]:
    """Where a field stands, at any depth; not the tag."""
    for name, value in event.items():
        if name not in ANY and (before or name not in ("type", "event")):
            yield (*before, name)
        if isinstance(value, dict) and name not in ANY:
            yield from places(value, (*before, name))


def with_(event: dict[str, Any], path: Path, value: object) -> dict[str, Any]:
    """The event with another value there, or without any when that is `...`."""
    changed = copy.deepcopy(event)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return changed


def at(event: dict[str, Any], path: Path) -> object:
    inner: Any = event
    for name in path:
        inner = inner[name]
    return inner


def parse(event: dict[str, Any]) -> realtime.Event | media_streams.Event | None:
    text = json.dumps(event)
    return realtime.parse(text) if "type" in event else media_streams.parse(text)


def named(event: dict[str, Any], path: Path) -> str:
    return ".".join((event.get("type") or event["event"], *path))


EVERYWHERE = [pytest.param(event, path, id=named(event, path)) for event in MODEL + PHONE for path in places(event)]


def test_every_event_and_every_field_that_is_known_is_here() -> None:
    assert {event["type"] for event in MODEL} == {kind.__struct_config__.tag for kind in get_args(realtime.Event)}
    assert {event["event"] for event in PHONE} == {kind.__struct_config__.tag for kind in get_args(media_streams.Event)}
    for event in MODEL + PHONE:
        union = realtime.Event if "type" in event else media_streams.Event
        [kind] = [kind for kind in get_args(union) if kind.__struct_config__.tag in event.values()]
        for path, required in fields(kind, (str(kind.__struct_config__.tag),)):
            assert at(event, path[1:]) is not None
            assert not required or ".".join(path) in STEERS, path


def fields(kind: type[msgspec.Struct], before: Path) -> Iterator[tuple[Path, bool]]:
    for field in msgspec.structs.fields(kind):
        yield (*before, field.encode_name), field.required
        for inner in get_args(field.type) or (field.type,):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from fields(inner, (*before, field.encode_name))


@pytest.mark.parametrize(("event", "path"), EVERYWHERE)
def test_a_field_of_the_wrong_shape_is_left_out_unless_it_steers(event: dict[str, Any], path: Path) -> None:
    for odd in (*ODD[type(at(event, path))], None, ...):
        if named(event, path) in STEERS:
            with pytest.raises(Malformed):
                parse(with_(event, path, odd))
        elif path[-1] in ("sampleRate", "channels", "timestamp", "audio_end_ms") and odd in (-1, True):
            continue                                 # a number after all
        else:
            assert parse(with_(event, path, odd)) == parse(with_(event, path, ...))


@given(st.sampled_from(MODEL + PHONE), st.data())
def test_any_number_of_odd_fields_costs_an_event_only_what_steers(event: dict[str, Any], data: st.DataObject) -> None:
    changed, steers = event, False
    for path in data.draw(st.lists(st.sampled_from(list(places(event)) or [()]), max_size=4)):
        try:
            changed = with_(changed, path, data.draw(st.sampled_from(ODD[type(at(event, path))])))
            steers = steers or named(event, path) in STEERS
        except (KeyError, TypeError, IndexError):
            continue                                 # what it stands in is odd already
    try:
        assert parse(changed) is not None
    except Malformed:
        assert steers


# ---- what is read all the same

@pytest.mark.parametrize("tokens", [132, 132.0, "132", 132.4])
def test_tokens_are_counted_however_they_are_written(tokens: object) -> None:
    event = realtime.parse(json.dumps({"type": "response.done", "response": {
        "id": "r", "usage": {"input_tokens": tokens, "output_tokens": None, "total_tokens": []}}}))
    assert isinstance(event, realtime.ResponseDone) and event.response.usage
    dearest = prices.DEAREST
    assert prices.cost(event.response.usage, dearest) == pytest.approx(132 * dearest.audio_in / 1e6, rel=0.01)


def test_metadata_that_others_have_written_into_is_still_ours() -> None:
    event = realtime.parse(json.dumps({"type": "response.created", "response": {
        "id": "r", "metadata": {"request": "answer_1", "shard": 7}}}))
    assert isinstance(event, realtime.ResponseCreated) and event.response.metadata
    assert event.response.metadata["request"] == "answer_1"


def test_what_the_server_says_of_turn_detection_counts_whatever_its_shape() -> None:
    event = realtime.parse(json.dumps(with_(MODEL[1], ("session", "audio", "input", "turn_detection"), "server_vad")))
    assert isinstance(event, realtime.SessionUpdated) and event.session.listens


# ---- the log

class _Inner(msgspec.Struct):
    count: int | None = None


class _News(msgspec.Struct, tag="news"):
    id: str
    inner: _Inner | None = None
    text: str = ""


class _Other(msgspec.Struct, tag="other"):
    pass


def test_a_field_that_is_left_out_is_said_once_and_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader[_News | _Other](_News | _Other, "the model")
    for number in range(3):
        read = reader.read(json.dumps({"type": "news", "id": "n", "inner": {"count": f"secret {number}"}, "text": "t"}))
        assert read == _News("n", _Inner(), "t")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "the model" in record.getMessage() and "news.inner.count" in record.getMessage()
    assert "secret" not in record.getMessage()


def test_null_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    reader = Reader[_News | _Other](_News | _Other, "the model")
    assert reader.read('{"type":"news","id":"n","text":null,"inner":null}') == _News("n")
    assert not caplog.records


def test_a_phone_s_odd_time_does_not_keep_its_audio_back() -> None:
    message = {"event": "media", "media": {"track": 7, "timestamp": "soon", "payload": "//79"}}
    assert media_streams.parse(json.dumps(message)) == Media(MediaBody(b"\xff\xfe\xfd"))
