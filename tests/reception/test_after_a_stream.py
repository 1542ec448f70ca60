"""What a call does next: after its stream, after a transfer, after a recording."""

import pytest

from bridge import keys
from bridge.records.endings import Ending
from tests.stage.webhooks import ACCOUNT, CALL, PUBLIC, TOKEN, Open, ask, signature, stream, verbs


async def test_after_a_stream_of_which_nothing_is_known_the_caller_gets_the_fallback(open_bridge: Open) -> None:
    client = await open_bridge(FALLBACK="human", FALLBACK_NUMBER="+15557770000")
    assert verbs(await ask(client, "/after-stream")) == ["Say", "Dial", "Say", "Hangup"]


@pytest.mark.parametrize(("ending", "after"), [
    (Ending.ASSISTANT_ENDED, ["Hangup"]), (Ending.SERVER_STOPPING, ["Hangup"]),
    (Ending.MODEL_FAILED, ["Say", "Hangup"]), (Ending.PHONE_LOST, ["Say", "Hangup"]),
    (Ending.INTERNAL_ERROR, ["Say", "Hangup"])])
async def test_after_a_stream_that_ended_in_order_there_is_silence(
    open_bridge: Open, ending: Ending, after: list[str],
) -> None:
    client = await open_bridge()
    assert client.app
    client.app[keys.ADMISSION].opened(CALL["CallSid"], CALL["From"])
    client.app[keys.ADMISSION].closed(CALL["CallSid"], ending)
    assert verbs(await ask(client, "/after-stream")) == after


async def test_nobody_hears_what_follows_a_call_that_is_over(open_bridge: Open) -> None:
    client = await open_bridge(FALLBACK="human", FALLBACK_NUMBER="+15557770000")
    for path in ("/after-stream", "/transfer-ended"):
        assert verbs(await ask(client, path, CallStatus="completed")) == ["Hangup"]


@pytest.mark.parametrize("status", ["completed", "answered"])
async def test_after_a_talk_with_a_person_the_call_is_over(open_bridge: Open, status: str) -> None:
    assert verbs(await ask(await open_bridge(), "/transfer-ended", DialCallStatus=status)) == ["Hangup"]


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled", ""])
async def test_where_nobody_answered_the_caller_comes_back(open_bridge: Open, status: str) -> None:
    client = await open_bridge(PUBLIC_URL=PUBLIC)
    address, parameters = stream(await ask(client, "/transfer-ended", DialCallStatus=status))
    assert address == "wss://bridge.example.com/media-stream/15551234567"
    assert parameters == {
        "caller": "+15551234567", "called": "+15557654321", "call_sid": CALL["CallSid"], "resume": "1"}


async def test_what_is_no_recording_is_refused(open_bridge: Open) -> None:
    client = await open_bridge()
    answer = await client.post("/message-recorded", data=CALL | {"RecordingSid": "RE1"})
    assert (answer.status, await answer.text()) == (400, "RecordingSid is none.\n")


async def test_a_message_that_nobody_is_to_be_told_of_is_named_in_the_log(
    open_bridge: Open, caplog: pytest.LogCaptureFixture,
) -> None:
    sid = "RE" + "a" * 32
    recorded = {"RecordingSid": sid, "RecordingDuration": "12",
                "RecordingUrl": f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Recordings/{sid}"}
    client = await open_bridge()
    assert verbs(await ask(client, "/message-recorded", **recorded)) == ["Say", "Hangup"]
    assert f"MESSAGE {sid} IS ONLY IN TWILIO'S CONSOLE: there is no WEBHOOK_URL" in caplog.text
    assert (await client.post("/message-recorded", data=recorded | {"RecordingStatus": "completed"})).status == 503
    assert (await client.post("/message-recorded", data={"RecordingStatus": "absent"})).status == 204


@pytest.mark.parametrize("path", ["/after-stream", "/transfer-ended", "/message-recorded"])
async def test_only_twilio_is_told_what_comes_next(open_bridge: Open, path: str) -> None:
    client = await open_bridge(TWILIO_AUTH_TOKEN=TOKEN, PUBLIC_URL=PUBLIC)
    form = CALL | {"CallStatus": "completed", "RecordingStatus": "absent"}
    for wrong in ({}, signature(f"{PUBLIC}/incoming-call", form), signature(f"{PUBLIC}{path}?caller=2", form)):
        assert (await client.post(f"{path}?caller=1", data=form, headers=wrong)).status == 403
        assert (await client.get(f"{path}?caller=1", params=form, headers=wrong)).status == 403
    rightly = signature(f"{PUBLIC}{path}?caller=1", form)
    assert (await client.post(f"{path}?caller=1", data=form, headers=rightly)).status in (200, 204)
    query = "caller=1&CallStatus=completed&RecordingStatus=absent"
    assert (await client.get(f"{path}?{query}", headers=signature(f"{PUBLIC}{path}?{query}"))).status in (200, 204)
