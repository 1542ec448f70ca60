"""What a call does, as TwiML: what follows the stream, whom it may dial, and what Twilio needs to carry it out."""

from collections.abc import Callable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from bridge.twilio_side import twiml
from bridge.twilio_side.caller import Caller
from bridge.twilio_side.twiml import APOLOGY, WORDS, Call, Fallback, FallbackKind

ORIGIN = "https://bridge.example.com"
OURS, PERSON = "+15550001111", "+15557770000"
CALL = Call(ORIGIN, Caller("+15551234567"), OURS, "CA" + "1" * 32)
HIDDEN = Call(ORIGIN, Caller("+266696687"), OURS, "CA" + "1" * 32)

PARAMETERS = twiml.stream_parameters(CALL)


def plan(kind: FallbackKind, number: str = "") -> Fallback:
    return Fallback(kind, WORDS[kind], "Thank you & goodbye.", "en-GB", number)


def document(text: str) -> Element:
    assert text.startswith("<?xml ")
    root = ElementTree.fromstring(text)
    assert root.tag == "Response"
    return root


def verbs(text: str) -> list[str]:
    return [verb.tag for verb in document(text)]


# ---- what follows a stream

def test_with_a_fallback_its_verbs_follow_and_nothing_is_fetched() -> None:
    root = document(twiml.stream(CALL, PARAMETERS, plan("apology")))
    assert [verb.tag for verb in root] == ["Connect", "Say", "Hangup"]
    assert root[0].attrib == {}, "no action: the next verb runs"
    assert (root[1].text, root[1].attrib) == (APOLOGY, {"language": "en-GB"})


def test_without_one_we_are_asked_and_asked_again() -> None:
    [connect] = document(twiml.stream(CALL, PARAMETERS, None))
    assert connect.attrib == {"action": f"{ORIGIN}/after-stream#rc=5&rp=ct,rt,5xx"}


@pytest.mark.parametrize(("resume", "more"), [(False, {}), (True, {"resume": "1"})])
def test_a_stream_knows_its_call_and_whether_the_caller_comes_back(resume: bool, more: dict[str, str]) -> None:
    [stream] = document(twiml.stream(CALL, twiml.stream_parameters(CALL, resume=resume), None)).iter("Stream")
    assert stream.attrib == {"url": "wss://bridge.example.com/media-stream/15551234567"}
    assert {each.attrib["name"]: each.attrib["value"] for each in stream} == {
        "caller": "+15551234567", "called": OURS, "call_sid": CALL.sid} | more


# ---- the fallbacks

@pytest.mark.parametrize(("kind", "after"), [
    ("apology", ["Say", "Hangup"]), ("human", ["Say", "Dial", "Say", "Hangup"]),
    ("message", ["Say", "Record", "Say", "Hangup"])])
def test_each_fallback_is_the_same_first_and_behind_a_stream(kind: FallbackKind, after: list[str]) -> None:
    assert verbs(twiml.in_place_of_the_assistant(plan(kind, PERSON), CALL)) == after
    assert verbs(twiml.stream(CALL, PARAMETERS, plan(kind, PERSON))) == ["Connect", *after]


def test_a_human_is_dialled_for_a_while_and_then_there_is_a_word() -> None:
    _, dial, goodbye, _ = document(twiml.in_place_of_the_assistant(plan("human", PERSON), CALL))
    assert dial.attrib == {"timeout": "20", "answerOnBridge": "true"}, "no action: the next verb runs"
    assert [(noun.tag, noun.text) for noun in dial] == [("Number", PERSON)]
    assert goodbye.text == "Thank you & goodbye."


def test_a_message_is_asked_for_with_a_tone_and_told_of_twice() -> None:
    _, record, goodbye, _ = document(twiml.in_place_of_the_assistant(plan("message"), CALL))
    told = f"{ORIGIN}/message-recorded?caller=15551234567#rc=5&rp=ct,rt,5xx"
    assert record.attrib == {
        "playBeep": "true", "maxLength": "180", "finishOnKey": "#", "action": told, "recordingStatusCallback": told}
    assert goodbye.text == "Thank you & goodbye."


# ---- who is shown as the caller

@pytest.mark.parametrize(("caller", "called", "shown"), [
    ("+15551234567", OURS, None),                    # the caller's own number, by Twilio itself
    ("anonymous", OURS, OURS), ("client:bob", OURS, OURS), ("+266696687", OURS, OURS), ("", OURS, OURS),
    ("anonymous", "sip:office@example.com", None), ("anonymous", "", None),
])
@pytest.mark.parametrize("make", [
    lambda call: twiml.transfer(PERSON, call),
    lambda call: twiml.in_place_of_the_assistant(plan("human", PERSON), call)], ids=["transfer", "fallback"])
def test_a_caller_without_a_number_is_shown_by_ours(
    make: Callable[[Call], str], caller: str, called: str, shown: str | None,
) -> None:
    [dial] = document(make(Call(ORIGIN, Caller(caller), called))).iter("Dial")
    assert dial.attrib.get("callerId") == shown


# ---- the rest

def test_a_transfer_dials_one_number_and_asks_what_comes_then() -> None:
    text = twiml.transfer(PERSON, CALL)
    [dial] = document(text)
    assert dial.attrib == {
        "timeout": "20", "answerOnBridge": "true", "action": f"{ORIGIN}/transfer-ended#rc=5&rp=ct,rt,5xx"}
    assert [noun.text for noun in dial] == [PERSON]
    assert len(text) < 4000, "what REST takes"


def test_who_is_to_try_again_waits_and_asks_anew() -> None:
    pause, redirect = document(twiml.try_again(CALL, "/incoming-call?tenant=1"))
    assert (pause.tag, pause.attrib) == ("Pause", {"length": "2"})
    assert (redirect.tag, redirect.text) == ("Redirect", f"{ORIGIN}/incoming-call?tenant=1#rc=5&rp=ct,rt,5xx")


def test_short_documents() -> None:
    assert verbs(twiml.hang_up()) == ["Hangup"]
    assert verbs(twiml.say_goodbye(plan("message"))) == ["Say", "Hangup"]
    assert [(verb.tag, verb.attrib) for verb in document(twiml.busy())] == [("Reject", {"reason": "busy"})]
