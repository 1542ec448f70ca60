"""The verbs that the simulated phone runs, and how strictly it reads them."""


import pytest
from aiohttp import web

from bridge.sim.phone import Phone, PhoneError
from tests.stage.voice_server import SECOND, VoiceServer, close_at_once, document


async def test_verbs_run_in_order(server: VoiceServer, phone: Phone) -> None:
    server.answers["/voice"] = ("<Say>One &amp; two</Say><Pause length='1'/><Dial>+1555</Dial>"
                                "<Redirect>/more?x=1</Redirect><Say>never</Say>")
    server.answers["/more"] = "<Dial action='/dialled'><Number>+1666</Number></Dial><Say>never</Say>"
    server.answers["/dialled"] = "<Say>Bye</Say><Hangup/><Say>never</Say>"
    call = await phone.dial()
    await call.until_over()
    assert call.spoken == ["One & two", "Bye"]
    assert call.dialled == ["+1555", "+1666"]
    assert call.stream_sid == ""
    assert [request.path for request, _ in server.asked] == ["/voice", "/more", "/dialled"]
    assert server.asked[1][1]["CallStatus"] == "in-progress"
    assert server.asked[2][1]["DialCallStatus"] == "completed"
    assert "Bye" in call.twiml


async def test_a_rejected_call_is_over(server: VoiceServer, phone: Phone) -> None:
    server.answers["/voice"] = "<Reject reason='busy'/>"
    call = await phone.dial()
    assert (call.rejected, call.over) == ("busy", True)


async def test_hanging_up_ends_a_pause(server: VoiceServer, phone: Phone) -> None:
    server.after = "<Pause length='4000'/><Say>never</Say>"
    server.talk = close_at_once
    call = await phone.dial()
    await call.until_logged("Pause")
    await call.hang_up()
    assert call.spoken == []


@pytest.mark.parametrize("verb", [
    "<Say speed='2'>x</Say>", "<Pause length='0'/>", "<Hangup reason='x'/>", "<Redirect method='PUT'>/x</Redirect>",
    "<Dial timeout='0'>+15551234567</Dial>", "<Dial timeout='601'>+15551234567</Dial>",
    "<Dial answerOnBridge='yes'>+15551234567</Dial>", "<Dial timelimit='60'>+15551234567</Dial>",
    "<Dial><Client>ann</Client></Dial>", "<Dial><Number colour='red'>+15551234567</Number></Dial>",
    "<Record action='/r' maxLength='0'/>", "<Record action='/r' playBeep='no'/>", "<Record action='/r' timeout='-1'/>",
    "<Record action='/r' finishOnKey='any'/>", "<Record action='/r' recordingStatusCallbackEvent='done'/>",
    "<Play digits='x'/>", "<Connect><Stream url='wss://127.0.0.1/x' secret='x'/></Connect>",
])
async def test_what_twilio_knows_nothing_of_is_refused(server: VoiceServer, phone: Phone, verb: str) -> None:
    server.answers["/voice"] = verb
    with pytest.raises(PhoneError, match="12200"):
        await phone.dial()


# Dial

async def test_each_dial_ends_as_the_test_says(server: VoiceServer, phone: Phone) -> None:
    phone.dial_statuses, phone.dial_status = ["busy", "no-answer"], "failed"
    server.answers["/voice"] = "<Dial timeout='20' answerOnBridge='true' action='/two'>+15550002222</Dial>"
    server.answers["/two"] = "<Dial timeLimit='60' callerId='+15557654321' action='/three'>+15550003333</Dial>"
    server.answers["/three"] = f"<Dial callerId='{phone.to}' action='/end'><Number>+15550004444</Number></Dial>"
    server.answers["/end"] = "<Hangup/>"
    call = await phone.dial()
    assert call.dialled == ["+15550002222", "+15550003333", "+15550004444"]
    assert [form["DialCallStatus"] for _, form in server.asked[1:]] == ["busy", "no-answer", "failed"]
    assert all("DialCallDuration" not in form for _, form in server.asked)


@pytest.mark.parametrize("verb, complaint", [
    ("<Dial>reception</Dial>", "13223"), ("<Dial>0155512345</Dial>", "13223"),
    ("<Dial callerId='+15559990000'>+15550002222</Dial>", "13214"),
])
async def test_twilio_dials_only_what_it_may(server: VoiceServer, phone: Phone, verb: str, complaint: str) -> None:
    server.answers["/voice"] = verb
    with pytest.raises(PhoneError, match=complaint):
        await phone.dial()


async def test_a_dial_cannot_end_in_a_way_that_twilio_has_not(server: VoiceServer, phone: Phone) -> None:
    phone.dial_status, server.answers["/voice"] = "no_answer", "<Dial>+15550002222</Dial>"
    with pytest.raises(PhoneError, match="No <Dial> ends as 'no_answer'"):
        await phone.dial()


async def test_a_dialled_human_stays_until_it_hangs_up(server: VoiceServer, phone: Phone) -> None:
    phone.dial_statuses = ["answered"]
    server.after, server.talk = "<Dial action='/dialled'>+15550002222</Dial>", close_at_once
    server.answers["/dialled"] = "<Say>Back again.</Say>"
    call = await phone.dial()
    with pytest.raises(PhoneError, match="No dialled human"):
        call.human_hangs_up()
    await call.until_logged("human")
    assert not call.over
    call.human_hangs_up()
    await call.until_over()
    assert (call.spoken, server.asked[-1][1]["DialCallStatus"]) == (["Back again."], "completed")
    assert server.asked[-1][1]["DialCallDuration"].isdecimal()


async def test_a_caller_may_leave_a_dialled_human(server: VoiceServer, phone: Phone) -> None:
    phone.dial_status = "answered"
    server.after, server.talk = "<Dial action='/dialled'>+15550002222</Dial>", close_at_once
    call = await phone.dial()
    await call.until_logged("human")
    await call.hang_up()
    assert "/dialled" not in [request.path for request, _ in server.asked]


# Record

RECORD = ("<Record action='/recorded' maxLength='{longest}' timeout='{pause}' recordingStatusCallback='/status' "
          "recordingStatusCallbackEvent='in-progress completed absent'/><Say>Nothing was said.</Say>")


@pytest.fixture
def recording(server: VoiceServer) -> VoiceServer:
    """A server that has the caller leave a message, once its stream has ended."""
    server.after, server.talk = RECORD.format(longest=600, pause=200), close_at_once
    server.answers["/recorded"] = "<Say>Thank you.</Say>"
    return server


def told(server: VoiceServer, path: str) -> list[dict[str, str]]:
    return [dict(form) for request, form in server.asked if request.path == path]


async def test_a_message_is_recorded_and_told(recording: VoiceServer, phone: Phone) -> None:
    call = await phone.dial()
    await call.until_logged("beep")
    await call.say(SECOND)
    await call.say(SECOND[:4000])
    await call.press("#")
    await call.until_over()
    [kept] = call.recorded
    assert (kept.audio, call.spoken) == (SECOND + SECOND[:4000], ["Thank you."])
    [action] = told(recording, "/recorded")
    assert action.items() >= {
        "RecordingUrl": kept.url, "RecordingSid": kept.sid, "RecordingDuration": "2", "Digits": "#",
        "CallSid": call.sid, "CallStatus": "in-progress", "From": "+15557654321"}.items()
    assert kept.url.endswith(f"/Accounts/{phone.account_sid}/Recordings/{kept.sid}") and kept.sid.startswith("RE")
    begun, completed = sorted(told(recording, "/status"), key=lambda form: len(form))
    assert begun == {"AccountSid": phone.account_sid, "CallSid": call.sid, "RecordingStatus": "in-progress"}
    assert completed["RecordingStatus"] == "completed" and completed["RecordingSource"] == "RecordVerb"
    assert "From" not in completed


async def test_a_pause_ends_a_message(recording: VoiceServer, phone: Phone) -> None:
    recording.after = RECORD.format(longest=600, pause=2)
    call = await phone.dial()
    await call.until_logged("beep")
    await call.say(SECOND[:4000])
    await call.until_over()
    assert "Digits" not in told(recording, "/recorded")[0]


async def test_a_message_that_is_too_long_is_cut(recording: VoiceServer, phone: Phone) -> None:
    recording.after = RECORD.format(longest=3, pause=200)
    call = await phone.dial()
    await call.until_logged("beep")
    await call.say(SECOND * 5)
    await call.until_over()
    assert 2 * 8000 < len(call.recorded[0].audio) <= 3 * 8000, "three seconds from the beep on"
    assert call.recorded[0].audio == (SECOND * 5)[:len(call.recorded[0].audio)]


async def test_a_message_of_a_caller_who_hangs_up_is_kept_and_told(recording: VoiceServer, phone: Phone) -> None:
    call = await phone.dial()
    await call.until_logged("beep")
    await call.say(SECOND)
    await call.hang_up()
    [action] = told(recording, "/recorded")
    assert (action["Digits"], action["CallStatus"], call.spoken) == ("hangup", "completed", [])


async def test_without_a_word_the_next_verb_runs(recording: VoiceServer, phone: Phone) -> None:
    recording.after = RECORD.format(longest=600, pause=2)
    call = await phone.dial()
    await call.until_over()
    assert (call.recorded, call.spoken, told(recording, "/recorded")) == ([], ["Nothing was said."], [])
    assert {form["RecordingStatus"] for form in told(recording, "/status")} == {"in-progress", "absent"}


async def test_new_twiml_ends_a_message_without_its_action(recording: VoiceServer, phone: Phone) -> None:
    call = await phone.dial()
    await call.until_logged("beep")
    await call.say(SECOND)
    await call.update(document("<Say>Sorry to interrupt.</Say>"))
    await call.until_over()
    assert (call.spoken, told(recording, "/recorded"), len(call.recorded)) == (["Sorry to interrupt."], [], 1)


async def test_a_record_without_action_is_a_loop(server: VoiceServer, phone: Phone) -> None:
    server.answers["/voice"] = "<Record/>"
    with pytest.raises(PhoneError, match="is a loop"):
        await phone.dial()


# Play

async def test_a_clip_is_fetched_and_must_be_sound(server: VoiceServer, phone: Phone) -> None:
    server.clips["/hello.wav"] = web.Response(body=b"RIFF", content_type="audio/wav")
    server.answers["/voice"] = "<Play>/hello.wav</Play><Play digits='ww1'/><Play>/page</Play>"
    with pytest.raises(PhoneError, match="it is no sound"):
        await phone.dial()
    assert [call.clips for call in phone.calls] == [[str(server.http.make_url("/hello.wav"))]]


# A server that is killed, and a webhook that is asked again

async def test_what_a_killed_server_should_say_next_is_an_error(server: VoiceServer, phone: Phone) -> None:
    server.after, server.talk = "<Redirect>/next</Redirect>", close_at_once
    server.answers["/next"] = "!"
    server.gone = {"/next"}
    call = await phone.dial()
    with pytest.raises(PhoneError, match="11200"):
        await call.until_over()


async def test_a_webhook_may_be_asked_more_than_once(server: VoiceServer, phone: Phone) -> None:
    phone.repeated_webhooks = 2
    call = await phone.dial()
    assert [form["CallSid"] for _, form in server.asked] == [call.sid] * 3
    assert len({request.headers["I-Twilio-Idempotency-Token"] for request, _ in server.asked}) == 1
    assert len(server.sockets) == 1
