"""What Twilio tells of a recording: what is believed, and what is not."""

from typing import Any

import pytest

from bridge.twilio_side.recording import NotARecording, Recording, parse

SID, CALL = "RE" + "a1" * 16, "CA" + "b2" * 16
URL = f"https://api.twilio.com/2010-04-01/Accounts/AC{'0' * 32}/Recordings/{SID}"
TOLD = {"RecordingSid": SID, "RecordingUrl": URL, "RecordingDuration": "12", "CallSid": CALL}


def read(api: str = "https://api.twilio.com", **changed: Any) -> Recording | None:
    return parse({name: value for name, value in (TOLD | changed).items() if value is not None}, api)


def test_the_action_tells_of_a_recording_that_is_not_ready() -> None:
    assert read(Digits="hangup") == Recording(SID, URL, 12, CALL, ready=False)


def test_the_callback_tells_of_one_that_is() -> None:
    assert read(RecordingStatus="completed") == Recording(SID, URL, 12, CALL, ready=True)


@pytest.mark.parametrize("changed", [
    {"RecordingStatus": "absent", "RecordingUrl": "", "RecordingDuration": "-1"},
    {"RecordingStatus": "absent", "RecordingUrl": None, "RecordingDuration": None, "RecordingSid": None},
    {"RecordingStatus": "in-progress"}, {"RecordingDuration": "0"}])
def test_where_nothing_was_said_there_is_no_message(changed: dict[str, Any]) -> None:
    assert read(**changed) is None


@pytest.mark.parametrize("host", ["api.twilio.com", "api.dublin.ie1.twilio.com"])
def test_twilio_has_several_hosts(host: str) -> None:
    url = URL.replace("api.twilio.com", host)
    assert read(RecordingUrl=url) == Recording(SID, url, 12, CALL, ready=False)


def test_another_place_of_the_rest_api_is_as_good() -> None:
    url = URL.replace("https://api.twilio.com", "http://127.0.0.1:8000")
    assert read("http://127.0.0.1:8000", RecordingUrl=url) == Recording(SID, url, 12, CALL, ready=False)
    with pytest.raises(NotARecording):
        read(RecordingUrl=url)


@pytest.mark.parametrize("url", [
    "", "javascript:alert(1)", "file:///etc/passwd", URL.replace("https", "http"), URL.replace("https", "ftp"),
    URL.replace("api.twilio.com", "evil.example"), URL.replace("api.twilio.com", "twilio.com.evil.example"),
    URL.replace("api.twilio.com", "eviltwilio.com"), URL.replace("api.twilio.com", "api.twilio.com@evil.example"),
    URL.replace("api.twilio.com", "evil.example/.twilio.com"), URL.replace("api.twilio.com", "api.twilio.com:1"),
    URL + "?x=1", URL + "#x", URL + "/..", URL + "\n", URL.replace(SID, "RE" + "0" * 32), URL.replace("AC0", "AC/"),
])
def test_no_other_address_is_passed_on(url: str) -> None:
    with pytest.raises(NotARecording) as problem:
        read(RecordingUrl=url)
    assert str(problem.value) == "RecordingUrl is not where Twilio keeps this recording"


@pytest.mark.parametrize("changed", [
    {"RecordingSid": None}, {"RecordingSid": ""}, {"RecordingSid": "RE1"}, {"RecordingSid": SID + "\n"},
    {"RecordingSid": "RE" + "٣" * 32}, {"RecordingDuration": "x"}, {"RecordingDuration": "-1"},
    {"RecordingDuration": "1" * 99}, {"RecordingDuration": "٣"}])
def test_what_is_no_recording_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(NotARecording):
        read(**changed)


def test_a_call_that_is_none_is_not_believed() -> None:
    assert read(CallSid="<x>") == Recording(SID, URL, 12, "", ready=False)
