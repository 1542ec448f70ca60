"""The simulated phone against a small real server: what Twilio does, and what it will not put up with."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSCloseCode, web
from twilio.request_validator import RequestValidator

from bridge.sim.clock import Clock
from bridge.sim.phone import FRAME_BYTES, Phone, PhoneCall, PhoneError
from tests.stage.voice_server import SECOND, TOKEN, Socket, VoiceServer, close_at_once, document, greet, listen

PUBLIC = "https://bridge.example.com"


def kinds(call: PhoneCall, *wanted: str) -> list[tuple[str, str]]:
    return [(event.kind, event.name) for event in call.log if event.kind in wanted]


# The webhook

async def test_the_webhook_is_asked_like_twilio_does(server: VoiceServer, phone: Phone) -> None:
    call = await phone.dial("+15551234567", ForwardedFrom="+15559999999")
    request, form = server.asked[0]
    assert request.method == "POST"
    assert form["CallSid"] == call.sid and len(call.sid) == 34
    assert (form["CallStatus"], form["Direction"], form["From"], form["Caller"]) == (
        "ringing", "inbound", "+15551234567", "+15551234567")
    assert form["ForwardedFrom"] == "+15559999999"
    assert len(form) >= 20
    assert RequestValidator(TOKEN).validate(server.voice, form, request.headers["X-Twilio-Signature"])


async def test_get_puts_all_parameters_into_the_signed_query(server: VoiceServer, phone: Phone) -> None:
    call = await phone.dial(method="GET")
    request, form = server.asked[0]
    assert request.query["CallSid"] == call.sid and request.query["From"] == "+15557654321"
    assert not form
    url = str(server.http.make_url("/")).rstrip("/") + request.raw_path
    assert RequestValidator(TOKEN).validate(url, {}, request.headers["X-Twilio-Signature"])


async def test_without_a_token_nothing_is_signed(server: VoiceServer) -> None:
    async with Phone(server.voice, clock=Clock(20)) as phone:
        await phone.dial()
    assert "X-Twilio-Signature" not in server.asked[0][0].headers
    assert "X-Twilio-Signature" not in server.sockets[0].request.headers


def came_through_a_proxy(request: web.Request) -> bool:
    return (request.headers["Host"], request.headers["X-Forwarded-Proto"]) == ("bridge.example.com", "https")


async def test_a_public_origin_is_signed_and_the_requests_come_as_through_a_proxy(server: VoiceServer) -> None:
    server.answers["/voice"] = server.connect("wss://bridge.example.com/stream/1", "", ' action="/after"')
    server.talk = close_at_once
    async with Phone(server.voice + "?x=1", auth_token=TOKEN, signed_as=PUBLIC, clock=Clock(20)) as phone:
        await (await phone.dial()).until_over()
    validator = RequestValidator(TOKEN)
    for (request, form), url in zip(server.asked, ["/voice?x=1", "/after"], strict=True):
        assert came_through_a_proxy(request)
        assert validator.validate(PUBLIC + url, form, request.headers["X-Twilio-Signature"])
    upgrade = server.sockets[0].request
    assert came_through_a_proxy(upgrade)
    assert validator.validate("wss://bridge.example.com/stream/1", {}, upgrade.headers["X-Twilio-Signature"])


@pytest.mark.parametrize("answer, complaint", [
    (" <Response/>", "does not begin with the XML declaration"),
    ("!<?xml version='1.0'?><Response>", "is not XML"),
    ("!<?xml version='1.0'?><response/>", "not <Response>"),
    ("<say>hello</say>", "no verb <say>"),
    ("<Redirect/>", "leaves out the address"),
    ("<Say>hello</Say><Reject/>", "comes too late"),
    ("<Reject reason='tired'/>", "neither busy nor rejected"),
    ("<Connect/>", "exactly one <Stream>"),
    ("<Dial/>", "names nobody"),
    ("<Connect><Stream url='ws://127.0.0.1/x'/></Connect>", "31922"),
    ("<Connect><Stream url='wss://127.0.0.1/x' track='both_tracks'/></Connect>", "31941"),
    ("<Connect><Stream url='wss://127.0.0.1/x'><Parameter name='n'/></Stream></Connect>",
     "a name and a value"),
    (f"<Connect><Stream url='wss://127.0.0.1/x'><Parameter name='n' value='{'v' * 499}'/></Stream></Connect>",
     "500 characters"),
    ("<Redirect>/voice</Redirect>", "without an end"),
])
async def test_twiml_that_twilio_would_refuse(server: VoiceServer, phone: Phone, answer: str, complaint: str) -> None:
    server.answers["/voice"] = answer
    with pytest.raises(PhoneError, match=complaint):
        await phone.dial()


async def test_answers_that_twilio_would_refuse(server: VoiceServer, phone: Phone) -> None:
    server.status = 404
    with pytest.raises(PhoneError, match="answered 404"):
        await phone.dial()
    server.status, server.headers = 200, {"Content-Type": "text/plain"}
    with pytest.raises(PhoneError, match="Content-Type 'text/plain'"):
        await phone.dial()
    server.headers, server.chunked = {"Content-Type": "application/xml"}, True
    with pytest.raises(PhoneError, match="without Content-Length"):
        await phone.dial()
    await server.http.close()
    with pytest.raises(PhoneError, match="could not be asked"):
        await phone.dial()


# The stream

async def test_the_stream_is_introduced_as_documented(server: VoiceServer, phone: Phone) -> None:
    server.answers["/voice"] = server.connect(inside='<Parameter name="token" value="a&amp;b"/>')
    call = await phone.dial()
    await call.press("1#")
    await call.hang_up()
    told = server.sockets[0].told
    assert told[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert told[1] == {
        "event": "start", "sequenceNumber": "1", "streamSid": call.stream_sid,
        "start": {"accountSid": phone.account_sid, "streamSid": call.stream_sid, "callSid": call.sid,
                  "tracks": ["inbound"], "customParameters": {"token": "a&b"},
                  "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}}}
    assert [int(message["sequenceNumber"]) for message in told[1:]] == list(range(1, len(told)))
    media = [message["media"] for message in told if message["event"] == "media"]
    assert [frame["chunk"] for frame in media] == [str(number + 1) for number in range(len(media))]
    assert [frame["timestamp"] for frame in media] == [str(number * 20) for number in range(len(media))]
    assert base64.b64decode(media[0]["payload"]) == b"\xff" * 160
    assert [message["dtmf"] for message in told if message["event"] == "dtmf"] == [
        {"track": "inbound_track", "digit": "1"}, {"track": "inbound_track", "digit": "#"}]
    assert told[-1] == {"event": "stop", "sequenceNumber": str(len(told) - 1), "streamSid": call.stream_sid,
                        "stop": {"accountSid": phone.account_sid, "callSid": call.sid}}


async def test_the_upgrade_is_signed_for_the_wss_url_and_its_query_is_dropped(
    server: VoiceServer, phone: Phone,
) -> None:
    server.answers["/voice"] = server.connect(server.stream_url + "?token=x")
    await phone.dial()
    request = server.sockets[0].request
    assert request.raw_path == "/stream/+15550001111"
    signature = request.headers["X-Twilio-Signature"]
    assert RequestValidator(TOKEN).validate(server.stream_url, {}, signature)
    assert not RequestValidator(TOKEN).validate(server.stream_url.replace("wss", "https"), {}, signature)


async def test_a_relative_stream_url_is_dialled(server: VoiceServer, phone: Phone) -> None:
    server.answers["/voice"] = server.connect("/stream/here")
    await phone.dial()
    assert server.sockets[0].request.path == "/stream/here"


async def test_a_refused_upgrade_goes_on_with_the_next_verb(server: VoiceServer, phone: Phone) -> None:
    server.refusal, server.after = 403, "<Say>Sorry</Say>"
    call = await phone.dial()
    await call.until_over()
    assert (call.stream_error, call.close_code, call.spoken) == (403, None, ["Sorry"])


async def test_marks_come_back_only_when_played(server: VoiceServer, phone: Phone) -> None:
    server.talk = greet(lambda s: s.mark("nothing before"), lambda s: s.media(SECOND),
                        lambda s: s.mark("one"), lambda s: s.media(SECOND), lambda s: s.mark("two"))
    call = await phone.dial()
    await call.until_speaking()
    assert kinds(call, "mark_back") == [("mark_back", "nothing before")]
    await call.until_heard(2000)
    await call.hang_up()
    assert call.played == SECOND * 2
    assert kinds(call, "mark", "mark_back") == [
        ("mark", "nothing before"), ("mark_back", "nothing before"), ("mark", "one"), ("mark", "two"),
        ("mark_back", "one"), ("mark_back", "two")]
    told = server.sockets[0].told
    marks = [number for number, message in enumerate(told) if message["event"] == "mark"]
    assert [told[number]["mark"]["name"] for number in marks] == ["nothing before", "one", "two"]
    between = [message for message in told[marks[1]:marks[2]] if message["event"] == "media"]
    assert len(between) >= 1000 / 20


async def test_clear_drops_the_audio_and_returns_every_mark(server: VoiceServer, phone: Phone) -> None:
    cleared = asyncio.Event()

    async def talk(socket: Socket) -> None:
        await socket.start()
        for name in ("one", "two"):
            await socket.media(SECOND * 10)
            await socket.mark(name)
        await socket.next_of("dtmf")
        await socket.clear()
        assert [(await socket.next_of("mark"))["mark"]["name"] for _ in range(2)] == ["one", "two"]
        cleared.set()
        await socket.media(b"\x01" * 320)
        await listen(socket)

    server.talk = talk
    call = await phone.dial()
    await call.until_heard(200)
    await call.press("1")
    await cleared.wait()
    [clear] = [event for event in call.log if event.kind == "clear"]
    assert clear.bytes > 0
    await call.until_speaking(clear.at_ms)
    await call.until_quiet()
    await call.hang_up()
    assert call.played == (SECOND * 20)[:-clear.bytes] + b"\x01" * 320
    caller, assistant = call.recording()
    assert len(caller) == len(assistant)
    assert assistant.replace(b"\xff", b"") == call.played


async def test_odd_sizes_are_played_to_the_byte_and_align_with_the_callers_side(
    server: VoiceServer, phone: Phone,
) -> None:
    server.talk = greet(lambda s: s.media(SECOND[:250]), lambda s: s.mark("odd"),
                        lambda s: s.media(SECOND[250:303]))
    call = await phone.dial()
    await call.say(b"\x22" * 200)
    await call.until_heard(303 / 8)
    await call.until_quiet()
    caller, assistant = call.recording()
    assert call.played == SECOND[:303]
    assert caller.strip(b"\xff") == b"\x22" * 200
    assert len(caller) == len(assistant) and len(caller) % FRAME_BYTES == 0


async def test_late_marks_are_late_and_in_order(server: VoiceServer, phone: Phone) -> None:
    phone.late_marks_ms = 100
    server.talk = greet(lambda s: s.media(SECOND[:160]), lambda s: s.mark("one"), lambda s: s.mark("two"))
    call = await phone.dial()
    await call.until_heard(20)
    await call.until_logged("mark_back", "two")
    [played] = [event.at_ms for event in call.log if event.kind == "played"]
    backs = [event for event in call.log if event.kind == "mark_back"]
    assert [event.name for event in backs] == ["one", "two"]
    assert all(event.at_ms >= played + 99 for event in backs)


@pytest.mark.parametrize("message, warning", [
    ("{", "31951 not JSON"),
    ("[]", "31951 unknown event None"),
    ({"event": "start", "streamSid": "THIS"}, "31951 unknown event 'start'"),
    ({"event": "clear", "streamSid": "THIS", "sequenceNumber": "1"}, "31951 extra sequenceNumber"),
    ({"event": "clear"}, "31951 missing streamSid"),
    ({"event": "clear", "streamSid": "MZ1"}, "31951 not this stream's streamSid"),
    ({"event": "media", "streamSid": "THIS"}, "31951 missing media"),
    ({"event": "media", "streamSid": "THIS", "media": "AA=="}, "31951 not an object"),
    ({"event": "media", "streamSid": "THIS", "media": {"payload": "AA==", "track": "outbound"}},
     "31951 extra track"),
    ({"event": "media", "streamSid": "THIS", "media": {"payload": "&&&"}},
     "31951 media.payload is not a base64"),
    ({"event": "media", "streamSid": "THIS", "media": {"payload": 1}}, "31951 media.payload is not a base64"),
    ({"event": "mark", "streamSid": "THIS", "mark": {"name": 7}}, "31951 mark.name is not a string"),
    (b"\x00\x01", "31950 a binary frame of 2 bytes"),
])
async def test_what_twilio_does_not_understand_is_warned_about_and_ignored(
        server: VoiceServer, phone: Phone, message: Any, warning: str) -> None:
    async def send(socket: Socket) -> None:
        if isinstance(message, bytes):
            await socket.ws.send_bytes(message)
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            await socket.ws.send_str(text.replace("THIS", socket.stream_sid))

    server.talk = greet(lambda s: s.media(SECOND[:160]), send, lambda s: s.media(SECOND[160:320]))
    call = await phone.dial()
    await call.until_heard(40)
    assert call.played == SECOND[:320]
    [warned] = call.warnings
    assert warned.startswith(warning)


async def test_both_tracks_carry_what_is_played(server: VoiceServer, phone: Phone) -> None:
    phone.both_tracks = True
    server.talk = greet(lambda s: s.media(SECOND[:320]))
    call = await phone.dial()
    await call.until_heard(40)
    await call.hang_up()
    frames = [message["media"] for message in server.sockets[0].told if message["event"] == "media"]
    outbound = b"".join(base64.b64decode(f["payload"]) for f in frames if f["track"] == "outbound")
    assert outbound.replace(b"\xff", b"") == SECOND[:320]


async def test_when_speech_begins_and_ends(server: VoiceServer, phone: Phone) -> None:
    server.talk = greet(lambda s: s.media(SECOND[:800]), lambda s: s.next_of("dtmf"),
                        lambda s: s.media(SECOND[:80]))
    call = await phone.dial()
    first = await call.until_speaking()
    await call.until_heard(100)
    await call.until_quiet()
    await call.press("1")
    second = await call.until_speaking((await call.until_logged("played")).at_ms)
    assert [(event.kind, event.bytes) for event in call.log if event.kind == "played"][0] == ("played", 800)
    assert second > first


async def test_a_wait_in_vain_says_what_it_waited_for(server: VoiceServer, phone: Phone) -> None:
    call = await phone.dial()
    with pytest.raises(TimeoutError, match="in vain for 40 ms heard"):
        await call.until_heard(40, timeout=0.01)
    await call.hang_up()
    with pytest.raises(PhoneError, match="over before 40 ms heard"):
        await call.until_heard(40)
    with pytest.raises(PhoneError, match="no stream"):
        await call.say(b"\x00")
    await call.hang_up()


# Endings

@pytest.mark.parametrize("action", ["", ' action="/after"'])
async def test_verbs_after_connect_run_when_the_server_closes(server: VoiceServer, phone: Phone, action: str) -> None:
    async def close(socket: Socket) -> None:
        await socket.start()
        await socket.ws.close(code=WSCloseCode.GOING_AWAY)

    server.answers["/voice"] = server.connect(attributes=action) + "<Say>After</Say>"
    server.answers["/after"] = "<Say>Action</Say>"
    server.talk = close
    call = await phone.dial()
    await call.until_over()
    assert (call.close_code, call.spoken) == (1001, ["Action" if action else "After"])


async def test_verbs_after_connect_run_when_the_server_vanishes(server: VoiceServer, phone: Phone) -> None:
    async def vanish(socket: Socket) -> None:
        await socket.start()
        assert socket.request.transport
        socket.request.transport.abort()

    server.after, server.talk = "<Say>Sorry</Say>", vanish
    call = await phone.dial()
    await call.until_over()
    assert (call.close_code, call.spoken) == (1006, ["Sorry"])


async def test_verbs_after_connect_run_when_the_line_drops(server: VoiceServer, phone: Phone) -> None:
    ended = asyncio.Event()

    async def talk(socket: Socket) -> None:
        try:
            await listen(socket)
        finally:
            ended.set()

    server.after, server.talk = "<Say>Sorry</Say>", talk
    call = await phone.dial()
    call.drop()
    await call.until_over()
    await ended.wait()
    assert (call.close_code, call.spoken) == (1006, ["Sorry"])
    assert server.sockets[0].told[-1]["event"] != "stop"
    assert server.sockets[0].ws.close_code in (None, 1006)      # no close frame came


@pytest.mark.parametrize("end", [PhoneCall.hang_up, PhoneCall.complete])
async def test_no_verb_runs_when_the_caller_is_gone(
        server: VoiceServer, phone: Phone, end: Callable[[PhoneCall], Awaitable[None]]) -> None:
    server.answers["/voice"] = server.connect(attributes=' action="/after"') + "<Say>never</Say>"
    call = await phone.dial()
    await end(call)
    assert (call.spoken, call.close_code, call.over) == ([], 1000, True)
    assert server.sockets[0].told[-1]["event"] == "stop"
    assert [request.path for request, _ in server.asked] == ["/voice"]


async def test_new_twiml_from_rest_replaces_the_old(server: VoiceServer, phone: Phone) -> None:
    server.after = "<Say>never</Say>"
    call = await phone.dial()
    await call.update(document("<Dial>+1777</Dial>"))
    await call.until_over()
    assert (call.spoken, call.dialled) == ([], ["+1777"])
    assert server.sockets[0].told[-1]["event"] == "stop"
    with pytest.raises(PhoneError, match="21220"):
        await call.update(document(""))


async def test_a_stream_can_be_opened_again_and_is_a_new_one(server: VoiceServer, phone: Phone) -> None:
    server.after, server.talk = "<Redirect>/voice2</Redirect>", close_at_once
    server.answers["/voice2"] = server.connect()
    call = await phone.dial()
    await call.until_over()
    assert len({socket.told[1]["streamSid"] for socket in server.sockets}) == 2
    assert {socket.told[1]["start"]["callSid"] for socket in server.sockets} == {call.sid}


async def test_the_streams_status_is_told(server: VoiceServer, phone: Phone) -> None:
    server.answers["/voice"] = (
        f'<Connect><Stream url="{server.stream_url}" name="bridge" '
        f'statusCallback="{server.http.make_url("/status")}"/></Connect>')
    call = await phone.dial()
    await call.hang_up()
    told = [form for request, form in server.asked if request.path == "/status"]
    assert [form["StreamEvent"] for form in told] == ["stream-started", "stream-stopped"]
    assert {(form["StreamName"], form["StreamSid"]) for form in told} == {("bridge", call.stream_sid)}


async def test_leaving_the_phone_ends_its_calls(server: VoiceServer) -> None:
    async with Phone(server.voice, clock=Clock(20)) as phone:
        call = await phone.dial()
    assert call.over
