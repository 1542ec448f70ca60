"""The Realtime API's events: ours as OpenAI's own package would write them, the server's as they are."""

import base64
import inspect
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from openai.types.realtime import RealtimeServerEvent

from bridge.openai_side import realtime
from bridge.openai_side.realtime import AudioDelta, Malformed, parse
from bridge.tools import declarations
from bridge.tools.declarations import Terms
from bridge.tools.hand_over import hand_over
from bridge.tools.registry import Tools
from bridge.tools.tool import CallContext
from tests.stage.settings import make_settings
from tests.stage.vendor import check_client_event

VAD = make_settings().TURN_DETECTION
FUNCTIONS = [
    *(each(Terms()).named(each.__name__) for each in (
        declarations.schedule_meeting, declarations.reschedule_meeting, declarations.cancel_meeting,
        declarations.list_meetings, declarations.check_availability)),
    *Tools(hand_over(["sales", "support"])).for_call().declarations(CallContext(datetime.now(UTC)))]


def setup(**changed: Any) -> bytes:
    return realtime.session_setup(**{
        "instructions": "You sell boats.", "voice": "marin", "tools": FUNCTIONS,
        "turn_detection": VAD, "transcription_model": "gpt-transcribe", "noise_reduction": "near_field"} | changed)


WRITTEN = {
    "append": realtime.append(b"\xff\xfe\xfd"),
    "session_update": realtime.session_update("mine", {"instructions": "You sell boats."}),
    "session_setup": setup(),
    "listen": realtime.listen(VAD),
    "stop_listening": realtime.stop_listening(),
    "commit": realtime.commit(),
    "create_response": realtime.create_response("answer_1"),
    "cancel_response": realtime.cancel_response("resp_1"),
    "truncate": realtime.truncate("item_1", 1480),
    "delete_item": realtime.delete_item("item_1"),
    "function_output": realtime.function_output("call_1", {"status": "confirmed", "note": "Grüße \"\u2028"}),
    "user_text": realtime.user_text("I want to meet."),
    "system_text": realtime.system_text("The call goes on."),
    "assistant_text": realtime.assistant_text("Gladly!"),
    "function_call": realtime.function_call("item_4", "schedule_meeting", "call_1", '{"name":"Ada"}'),
    "user_text in its place": realtime.user_text("I want to meet.", "item_1", "root"),
    "system_text in its place": realtime.system_text("The call goes on.", "item_2", "item_1"),
    "assistant_text in its place": realtime.assistant_text("Gladly!", "item_3", "item_2"),
    "function_call in its place": realtime.function_call("item_4", "end_call", "call_1", "{}", "item_3"),
    "function_output in its place": realtime.function_output("call_1", {}, "item_5", "item_4"),
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
        if not name.startswith("_") and function.__module__ == realtime.__name__
        and inspect.signature(function).return_annotation is bytes}
    assert writers <= WRITTEN.keys()


def test_the_check_itself_would_notice() -> None:
    with pytest.raises(AssertionError):
        check_client_event(json.loads(realtime.append(b"\xff")) | {"rate": 8000})
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


@pytest.mark.parametrize(("message", "role", "kind"), [
    (realtime.user_text("Grüße", "item_2", "item_1"), "user", "input_text"),
    (realtime.system_text("Grüße", "item_2", "item_1"), "system", "input_text"),
    (realtime.assistant_text("Grüße", "item_2", "item_1"), "assistant", "output_text"),
])
def test_what_was_said_before_is_put_in_its_place(message: bytes, role: str, kind: str) -> None:
    event = json.loads(message)
    assert event["previous_item_id"] == "item_1"
    assert event["item"] == {
        "id": "item_2", "type": "message", "role": role, "content": [{"type": kind, "text": "Grüße"}]}


def test_without_a_place_it_stands_at_the_end_under_an_id_of_the_server_s() -> None:
    event = json.loads(realtime.user_text("Hello."))
    assert "previous_item_id" not in event
    assert "id" not in event["item"]


def test_a_call_and_its_output_go_together() -> None:
    call = json.loads(realtime.function_call("item_1", "end_call", "call_1", "{}"))["item"]
    output = json.loads(realtime.function_output("call_1", {"status": "ending"}, "item_2", "item_1"))
    assert call == {"id": "item_1", "type": "function_call", "name": "end_call", "call_id": "call_1", "arguments": "{}"}
    assert (output["item"]["id"], output["item"]["call_id"]) == ("item_2", call["call_id"])
    assert output["previous_item_id"] == call["id"]


def test_every_control_event_can_be_named_by_an_error() -> None:
    ids = {name: json.loads(event).get("event_id") for name, event in WRITTEN.items()}
    assert {name for name, event_id in ids.items() if not event_id} == {"append"}
    assert len({ids[name] for name in ("cancel_response", "truncate", "delete_item", "user_text in its place")}) == 4


def test_audio_passes_as_it_is() -> None:
    audio = bytes(range(256))
    assert json.loads(realtime.append(audio)) == {
        "type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


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
    assert event == realtime.OutputItemDone(response_id="resp_1", item=realtime.Item(
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


def test_a_response_tells_what_it_costs() -> None:
    event = parse(json.dumps({"type": "response.done", "event_id": "event_1", "response": {
        "id": "resp_1", "status": "completed", "usage": {
            "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
            "input_token_details": {
                "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0}},
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91, "reasoning_tokens": 5}}}}))
    assert isinstance(event, realtime.ResponseDone)
    assert event.response.usage == realtime.Usage(
        253, 132, 121, realtime.InputTokens(119, 13, 0, 64, realtime.Tokens(64, 0, 0)), realtime.Tokens(30, 91))


@pytest.mark.parametrize("usage", [
    {}, {"total_tokens": None}, {"input_tokens": 5}, {"input_token_details": None}, {"input_token_details": {}},
    {"input_token_details": {"cached_tokens": 3, "cached_tokens_details": None}}, {"output_token_details": {}},
])
def test_it_may_leave_out_any_of_that(usage: dict[str, Any]) -> None:
    event = parse(json.dumps({"type": "response.done", "response": {"id": "resp_1", "usage": usage}}))
    assert isinstance(event, realtime.ResponseDone)
    assert event.response.usage is not None


def test_what_was_said_is_known_by_its_item() -> None:
    place = {"event_id": "event_1", "response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    name = "response.output_audio_transcript"
    assert parse(json.dumps({"type": f"{name}.delta", **place, "delta": " we"})) == realtime.TranscriptDelta(
        "resp_1", "item_1", " we")
    assert parse(json.dumps({"type": f"{name}.done", **place, "transcript": "Yes, we"})) == realtime.TranscriptDone(
        "resp_1", "item_1", "Yes, we")


@pytest.mark.parametrize(("usage", "expected"), [
    (None, None),
    ({"type": "duration", "seconds": 2.8}, realtime.TranscriptionUsage("duration", 2.8)),
    ({"type": "tokens", "input_tokens": 14, "output_tokens": 9, "total_tokens": 23,
      "input_token_details": {"audio_tokens": 14, "text_tokens": 0}},
     realtime.TranscriptionUsage("tokens", None, 14, 9, 23, realtime.Tokens(0, 14))),
])
def test_what_the_caller_said_comes_with_its_price(
    usage: object, expected: realtime.TranscriptionUsage | None,
) -> None:
    event = parse(json.dumps({
        "type": "conversation.item.input_audio_transcription.completed", "event_id": "event_1", "item_id": "item_1",
        "content_index": 0, "transcript": "Hello?", "languages": [{"code": "en"}], "usage": usage}))
    assert event == realtime.Transcribed("item_1", "Hello?", expected)


def test_a_turn_is_known_by_the_item_that_it_becomes() -> None:
    assert parse(json.dumps({
        "type": "input_audio_buffer.speech_started", "event_id": "event_1", "audio_start_ms": 300, "item_id": "item_1",
    })) == realtime.SpeechStarted("item_1")
    assert parse(json.dumps({
        "type": "input_audio_buffer.speech_stopped", "event_id": "event_1", "audio_end_ms": 2880, "item_id": "item_1",
    })) == realtime.SpeechStopped("item_1", 2880)


@pytest.mark.parametrize(("role", "content"), [
    ("user", [{"type": "input_audio", "transcript": None}]),
    ("assistant", [{"type": "output_audio", "transcript": "Hello."}, {"type": "output_text", "text": "Bye."}]),
    ("assistant", []),
])
def test_an_item_stands_behind_another_whatever_it_says(role: str, content: list[object]) -> None:
    event = parse(json.dumps({
        "type": "conversation.item.added", "event_id": "event_1", "previous_item_id": "item_1", "item": {
            "id": "item_2", "type": "message", "status": "completed", "role": role, "content": content}}))
    assert isinstance(event, realtime.ItemAdded)
    assert (event.previous_item_id, event.item.role) == ("item_1", role)


@pytest.mark.parametrize("expires_at", [1795608000, None])
def test_a_session_says_when_it_ends(expires_at: int | None) -> None:
    event = parse(json.dumps({"type": "session.created", "session": {"audio": {}, "expires_at": expires_at}}))
    assert isinstance(event, realtime.SessionCreated)
    assert event.session.expires_at == expires_at


@pytest.mark.parametrize(("code", "kind", "fatal", "benign"), [
    ("invalid_api_key", "invalid_request_error", True, False),
    ("session_expired", "invalid_request_error", False, False),
    (None, "insufficient_quota", True, False),
    ("rate_limit_exceeded", "invalid_request_error", False, False),
    ("item_retrieve_invalid_item_id", "invalid_request_error", False, True),
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


@pytest.mark.parametrize(("code", "benign"), [
    ("invalid_value", True), (None, True), ("unknown_parameter", False), ("invalid_api_key", False)])
@pytest.mark.parametrize("ours", [
    realtime.truncate("item_1", 9999), realtime.delete_item("item_1"), realtime.cancel_response("resp_1")])
def test_a_cut_that_came_too_late_is_nothing(ours: bytes, code: str | None, benign: bool) -> None:
    event_id = json.loads(ours)["event_id"]
    assert realtime.ErrorDetails("invalid_request_error", code, "", event_id).benign is benign


@pytest.mark.parametrize("event_id", [None, realtime.SET_UP, realtime.LISTEN, "answer_1"])
def test_the_same_about_anything_else_is_a_fault(event_id: str | None) -> None:
    assert not realtime.ErrorDetails("invalid_request_error", "invalid_value", "", event_id).benign


@pytest.mark.parametrize(("code", "kind", "back_off"), [
    ("rate_limit_exceeded", "invalid_request_error", True), ("inference_rate_limit_exceeded", None, True),
    (None, "rate_limit_exceeded", True), ("insufficient_quota", "insufficient_quota", False), (None, None, False)])
def test_too_much_at_once_is_asked_for_again_after_a_pause(code: str | None, kind: str | None, back_off: bool) -> None:
    assert realtime.ErrorDetails(kind, code).back_off is back_off


@pytest.mark.parametrize("kind", [
    "rate_limits.updated", "response.output_text.delta", "conversation.item.done",
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
