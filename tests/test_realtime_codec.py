"""The Realtime API's events: ours as OpenAI's own package would write them, the server's as they are."""

import base64
import inspect
import json
from contextlib import suppress
from typing import Any, get_args

import pytest
from openai.types.realtime import RealtimeServerEvent

from bridge.meetings.declarations import CANCEL, CHECK, END_CALL, RESCHEDULE, SCHEDULE
from bridge.openai_side import realtime
from bridge.openai_side.realtime import AudioDelta, Malformed, parse
from tests.helpers import make_settings
from tests.vendor import check_client_event

VAD = make_settings().TURN_DETECTION


def setup(**changed: Any) -> bytes:
    return realtime.session_setup(**{
        "instructions": "You sell boats.", "voice": "marin", "tools": [SCHEDULE, RESCHEDULE, CANCEL, CHECK, END_CALL],
        "turn_detection": VAD, "transcription_model": "gpt-transcribe", "noise_reduction": "near_field"} | changed)


WRITTEN = {
    "append": realtime.append("//79"),
    "session_update": realtime.session_update("mine", {"instructions": "You sell boats."}),
    "session_setup": setup(),
    "listen": realtime.listen(VAD),
    "create_response": realtime.create_response("answer_1"),
    "cancel_response": realtime.cancel_response("resp_1"),
    "truncate": realtime.truncate("item_1", 1480),
    "delete_item": realtime.delete_item("item_1"),
    "function_output": realtime.function_output("call_1", {"status": "confirmed", "note": "Grüße \"\u2028"}),
    "create_response with instructions": realtime.create_response("greeting_1", "Say hello."),
    "session_setup of a protected greeting": setup(turn_detection=None),
    "session_setup with as little as possible": setup(tools=[], transcription_model="", noise_reduction=""),
    "session_setup with semantic_vad": setup(
        turn_detection=make_settings(TURN_DETECTION="semantic_vad,eagerness=low").TURN_DETECTION),
}


# ---- what the model is sent

@pytest.mark.parametrize("name", WRITTEN)
def test_what_we_send_is_what_openai_s_own_types_say(name: str) -> None:
    check_client_event(json.loads(WRITTEN[name]))


def test_everything_that_can_be_sent_is_checked_here() -> None:
    writers = {
        name for name, function in inspect.getmembers(realtime, inspect.isfunction)
        if function.__module__ == realtime.__name__ and inspect.signature(function).return_annotation is bytes}
    assert writers <= WRITTEN.keys()


def test_the_check_itself_would_notice() -> None:
    with pytest.raises(AssertionError):
        check_client_event(json.loads(realtime.append("")) | {"rate": 8000})
    with pytest.raises(AssertionError):
        check_client_event({"type": "session.update", "session": {"type": "realtime", "modalities": ["audio"]}})
    with pytest.raises(Exception, match="validation error"):
        check_client_event({"type": "conversation.item.truncate", "item_id": "item_1"})


def test_a_session_is_set_up_as_a_phone_call() -> None:
    session = json.loads(setup())["session"]
    assert session["type"] == "realtime"
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["format"] == session["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    assert session["audio"]["input"]["turn_detection"] == VAD
    assert session["audio"]["input"]["transcription"] == {"model": "gpt-transcribe"}
    assert session["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
    assert session["audio"]["output"]["voice"] == "marin"


def test_while_the_greeting_is_protected_turns_are_not_detected() -> None:
    hearing = json.loads(setup(turn_detection=None))["session"]["audio"]["input"]
    assert hearing["turn_detection"] is None


def test_what_is_switched_off_is_not_mentioned() -> None:
    hearing = json.loads(setup(transcription_model="", noise_reduction=""))["session"]["audio"]["input"]
    assert hearing.keys() == {"format", "turn_detection"}


def test_listening_changes_nothing_but_turn_detection() -> None:
    assert json.loads(realtime.listen(VAD))["session"] == {
        "type": "realtime", "audio": {"input": {"turn_detection": VAD}}}


def test_a_request_is_known_again_by_its_id() -> None:
    event = json.loads(realtime.create_response("answer_7"))
    assert event["event_id"] == event["response"]["metadata"]["request"] == "answer_7"
    assert event["response"].keys() == {"metadata"}


def test_a_response_with_instructions_of_its_own_calls_no_function() -> None:
    response = json.loads(realtime.create_response("greeting_1", "Say hello."))["response"]
    assert (response["instructions"], response["tool_choice"]) == ("Say hello.", "none")


def test_a_function_s_answer_is_json_within_json() -> None:
    output = {"status": "confirmed", "message": 'Grüße, "Ada"\n'}
    item = json.loads(realtime.function_output("call_1", output))["item"]
    assert (item["type"], item["call_id"]) == ("function_call_output", "call_1")
    assert json.loads(item["output"]) == output


def test_audio_passes_as_it_is() -> None:
    payload = "".join(map(chr, range(0x20, 0x7F))) + "\u2028\n"
    assert json.loads(realtime.append(payload)) == {"type": "input_audio_buffer.append", "audio": payload}


# ---- what the server sends

DELTA = {
    "type": "response.output_audio.delta", "event_id": "event_1", "response_id": "resp_1", "item_id": "item_1",
    "output_index": 0, "content_index": 0, "delta": "//79"}


def test_speech_comes_with_its_item_and_its_response() -> None:
    assert parse(json.dumps(DELTA).encode()) == AudioDelta("resp_1", "item_1", "//79")
    assert parse(json.dumps(DELTA)) == AudioDelta("resp_1", "item_1", "//79")


def test_the_keys_may_come_in_any_order_and_with_others_between() -> None:
    event = dict(reversed((DELTA | {"new": {"type": "error", "list": [1, {"x": None}]}}).items()))
    assert parse(json.dumps(event, indent=1)) == AudioDelta("resp_1", "item_1", "//79")


@pytest.mark.parametrize("size", [*range(12), 159, 160, 161, 1998, 2000])
def test_the_size_of_audio_is_known_without_opening_it(size: int) -> None:
    assert AudioDelta("resp_1", "item_1", base64.b64encode(bytes(size)).decode()).size == size


def session(kind: str, audio: object) -> bytes:
    return json.dumps({"type": kind, "event_id": "event_1", "session": {
        "type": "realtime", "object": "realtime.session", "id": "sess_1", "audio": audio, "tracing": None}}).encode()


PCMU = {"format": {"type": "audio/pcmu"}}
PCM = {"format": {"type": "audio/pcm", "rate": 24000}}


@pytest.mark.parametrize("kind", ["session.created", "session.updated"])
@pytest.mark.parametrize(("audio", "fits"), [
    ({"input": PCMU, "output": PCMU | {"voice": "marin"}}, True),
    ({"input": PCMU, "output": PCM}, False),
    ({"input": PCM, "output": PCMU}, False),
    ({"input": {"format": {"type": "audio/pcma"}}, "output": PCMU}, False),
    ({"input": PCMU}, False),
    ({"input": PCMU, "output": {}}, False),
    ({"input": {"format": None}, "output": PCMU}, False),
    ({"input": {"format": {}}, "output": PCMU}, False),
    ({}, False),
    (None, False),
])
def test_only_mu_law_both_ways_is_fit_for_a_phone(kind: str, audio: object, fits: bool) -> None:
    event = parse(session(kind, audio))
    assert isinstance(event, realtime.SessionCreated | realtime.SessionUpdated)
    assert event.session.speaks_pcmu() is fits


def test_a_session_of_the_beta_is_not_fit_for_a_phone() -> None:
    event = parse(json.dumps({"type": "session.updated", "session": {
        "input_audio_format": "g711_ulaw", "output_audio_format": "g711_ulaw"}}))
    assert isinstance(event, realtime.SessionUpdated)
    assert not event.session.speaks_pcmu()


def test_a_function_call_is_complete_or_cut_off() -> None:
    item = {"id": "item_1", "object": "realtime.item", "type": "function_call", "status": "completed",
            "name": "schedule_meeting", "call_id": "call_1", "arguments": '{"name":"Ada"}'}
    event = parse(json.dumps({
        "type": "response.output_item.done", "event_id": "event_1", "response_id": "resp_1", "output_index": 0,
        "item": item}))
    assert event == realtime.OutputItemDone("resp_1", realtime.Item(
        "item_1", "function_call", "completed", "schedule_meeting", "call_1", '{"name":"Ada"}'))


def test_a_response_tells_how_it_ended_and_who_asked_for_it() -> None:
    event = parse(json.dumps({"type": "response.done", "event_id": "event_1", "response": {
        "object": "realtime.response", "id": "resp_1", "status": "failed", "output": [], "usage": None,
        "metadata": {"request": "answer_1"},
        "status_details": {"type": "failed", "error": {"type": "server_error", "code": None}}}}))
    assert isinstance(event, realtime.ResponseDone)
    assert (event.response.id, event.response.status) == ("resp_1", "failed")
    assert event.response.metadata == {"request": "answer_1"}
    assert event.response.status_details and event.response.status_details.error == realtime.ErrorDetails(
        type="server_error")


def test_a_response_that_nobody_asked_for_has_no_metadata() -> None:
    event = parse(json.dumps({"type": "response.created", "response": {
        "id": "resp_1", "status": "in_progress", "status_details": None, "metadata": None, "output": []}}))
    assert event == realtime.ResponseCreated(realtime.Response("resp_1", "in_progress"))


@pytest.mark.parametrize(("code", "kind", "fatal", "benign"), [
    ("invalid_api_key", "invalid_request_error", True, False),
    ("session_expired", "invalid_request_error", True, False),
    (None, "insufficient_quota", True, False),
    ("response_cancel_not_active", "invalid_request_error", False, True),
    ("conversation_already_has_active_response", "invalid_request_error", False, True),
    ("invalid_value", "invalid_request_error", False, False),
    (None, "server_error", False, False),
])
def test_an_error_ends_the_session_or_is_nothing_or_is_worth_a_line(
    code: str | None, kind: str, fatal: bool, benign: bool,
) -> None:
    event = parse(json.dumps({"type": "error", "event_id": "event_1", "error": {
        "type": kind, "code": code, "message": "So it is.", "param": None, "event_id": None}}))
    assert isinstance(event, realtime.Error)
    assert (event.error.fatal, event.error.benign, event.error.message) == (fatal, benign, "So it is.")


@pytest.mark.parametrize("kind", [
    "rate_limits.updated", "response.output_audio_transcript.delta", "conversation.item.done",
    "input_audio_buffer.committed", "response.content_part.done", "weather", "",
    "response.audio.delta", "conversation.item.created",     # the beta's
])
def test_what_we_do_not_act_on_is_ignored(kind: str) -> None:
    assert parse(json.dumps({"type": kind, "event_id": "event_1", "delta": "//79"})) is None


@pytest.mark.parametrize("message", [
    b"", b"{", b"[]", b"null", b"{}", b'{"type":7}', b"\xff\xfe", b'{"type":"error"}', b'{"type":"error","error":[]}',
    b'{"type":"response.output_audio.delta"}',
    b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i","delta":7}',
    b'{"type":"response.output_audio.delta","response_id":"r","item_id":null,"delta":""}',
    b'{"type":"response.created","response":{}}', b'{"type":"session.updated","session":null}',
    b'{"type":"error","error":{}}{"type":"error","error":{}}',
])
def test_what_is_no_event_is_malformed(message: bytes) -> None:
    with pytest.raises(Malformed):
        parse(message)


@pytest.mark.parametrize("kind", ["response.created", "weather"])
def test_an_event_of_brackets_within_brackets_is_malformed_at_worst(kind: str) -> None:
    with suppress(Malformed):
        parse(f'{{"type":"{kind}","response":{{"id":"resp_1"}},"x":{"[" * 20_000}{"]" * 20_000}}}')


def test_every_event_we_act_on_is_one_the_vendor_sends() -> None:
    union, *_ = get_args(RealtimeServerEvent)
    theirs = {kind for event in get_args(union) for kind in get_args(event.model_fields["type"].annotation)}
    ours = {event.__struct_config__.tag for event in get_args(realtime.Event)}
    assert ours <= theirs
