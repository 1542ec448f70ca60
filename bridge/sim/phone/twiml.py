"""The TwiML that this phone understands, read strictly.

Pure. https://www.twilio.com/docs/voice/twiml
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bridge.sim.phone.event import PhoneError

Check = Callable[[str], object]
"""Whether an attribute may have that value."""


def _any(value: str) -> bool:
    return True


def _number(low: int, high: int) -> Check:
    return lambda value: value.isdecimal() and low <= int(value) <= high


def _word(*words: str) -> Check:
    return lambda value: value in words


def _words(*words: str) -> Check:
    """Some of these words, separated by spaces."""
    return lambda value: value and set(value.split(" ")) <= set(words)


def _form(pattern: str) -> Check:
    return lambda value: re.fullmatch(pattern, value)


_TRUTH, _METHOD = _word("true", "false"), _word("GET", "POST")
_TRIM = _word("trim-silence", "do-not-trim")
_ACTION = {"action": _any, "method": _METHOD}
_RECORDED = {
    "trim": _TRIM, "recordingStatusCallback": _any, "recordingStatusCallbackMethod": _METHOD,
    "recordingStatusCallbackEvent": _words("in-progress", "completed", "absent")}
_ATTRIBUTES: dict[str, dict[str, Check]] = {
    "Response": {},
    "Say": {"voice": _any, "language": _any, "loop": _number(0, 1000)},
    "Play": {"loop": _number(0, 1000), "digits": _form("[0-9wW*#]+")},
    "Pause": {"length": _number(1, 14400)},
    "Hangup": {},
    "Reject": {"reason": _any},         # checked when the verb runs
    "Redirect": {"method": _METHOD},
    "Record": _ACTION | _RECORDED | {
        "timeout": _number(1, 14400), "finishOnKey": _form("[0-9*#]*"), "maxLength": _number(1, 14400),
        "playBeep": _TRUTH, "transcribe": _TRUTH, "transcribeCallback": _any},
    "Dial": _ACTION | _RECORDED | {
        "timeout": _number(1, 600), "timeLimit": _number(1, 86400), "callerId": _any, "answerOnBridge": _TRUTH,
        "hangupOnStar": _TRUTH, "sequential": _TRUTH, "ringTone": _any, "referUrl": _any, "referMethod": _METHOD,
        "record": _word("do-not-record", "record-from-answer", "record-from-ringing", "record-from-answer-dual",
                        "record-from-ringing-dual"),
        "recordingTrack": _word("both", "inbound", "outbound")},
    "Number": {
        "sendDigits": _form("[0-9wW*#]+"), "url": _any, "method": _METHOD, "statusCallback": _any,
        "statusCallbackMethod": _METHOD,
        "statusCallbackEvent": _words("initiated", "ringing", "answered", "completed")},
    "Connect": _ACTION,
    "Stream": {"url": _any, "name": _any, "track": _any, "statusCallback": _any, "statusCallbackMethod": _METHOD},
    "Parameter": {"name": _any, "value": _any},
}
VERBS = {"Say", "Play", "Pause", "Hangup", "Reject", "Redirect", "Record", "Dial", "Connect"}
ANSWERING = VERBS - {"Redirect", "Pause"}
_INSIDE = {"Dial": {"Number"}, "Connect": {"Stream"}, "Stream": {"Parameter"}}


def parsed(source: str, twiml: str) -> Element:
    """The <Response> of a TwiML document. Raises PhoneError if it is none, or has an unknown verb or attribute."""
    if not twiml.startswith("<?xml"):
        raise PhoneError(f"12100: {source}'s answer does not begin with the XML declaration: {twiml[:80]!r}.")
    try:
        document = ElementTree.fromstring(twiml.encode())
    except ElementTree.ParseError as error:
        raise PhoneError(f"12100: the answer of {source} is not XML: {error}.") from error
    if document.tag != "Response":
        raise PhoneError(f"12100: the root of {source}'s answer is <{document.tag}>, not <Response>.")
    for verb in document:
        if verb.tag not in VERBS:
            raise PhoneError(f"12200: this phone knows no verb <{verb.tag}> ({source}).")
        _check(verb)
    return document


def _check(element: Element) -> None:
    """Raises PhoneError for an attribute or an element that Twilio does not know there."""
    known = _ATTRIBUTES[element.tag]
    for name, value in element.attrib.items():
        if name not in known or not known[name](value):
            raise PhoneError(f'12200: <{element.tag} {name}="{value}"> is nothing that Twilio knows.')
    if element.tag == "Say":            # it may hold SSML, a language of its own
        return
    for part in element:
        if part.tag not in _INSIDE.get(element.tag, ()):
            raise PhoneError(f"12200: <{element.tag}> cannot hold a <{part.tag}> (this phone knows none there).")
        _check(part)


def dialled(verb: Element, own_numbers: set[str]) -> list[str]:
    """The numbers that a <Dial> names. Raises PhoneError for one that Twilio would not dial."""
    numbers = [(noun.text or "").strip() for noun in verb] or [(verb.text or "").strip()]
    if not all(numbers):
        raise PhoneError("<Dial> names nobody to dial.")
    for number in numbers:
        if not re.fullmatch(r"\+[1-9]\d{2,14}", number):
            raise PhoneError(f"13223: <Dial> of {number!r}, which is no telephone number.")
    if verb.get("callerId", "") not in own_numbers | {""}:
        raise PhoneError(f"13214: <Dial callerId={verb.get('callerId')!r}> shows a number that is neither the "
                         "caller's nor one of this account.")
    return numbers


def stream_url(noun: Element, url: str) -> str:
    """The wss:// address to dial for <Stream>, without the query, which Twilio drops."""
    if noun.get("track", "inbound_track") != "inbound_track":
        raise PhoneError("31941: inside <Connect> a <Stream> has only the inbound_track.")
    parts = urlsplit(url)._replace(query="", fragment="")
    if not urlsplit(noun.get("url", "")).scheme:
        parts = parts._replace(scheme="wss")
    if parts.scheme != "wss" or not parts.hostname:
        raise PhoneError(f"31922: a <Stream> needs a wss:// address, not {url!r}.")
    return parts.geturl()


def custom_parameters(noun: Element) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for parameter in noun:
        name, value = parameter.get("name"), parameter.get("value")
        if parameter.tag != "Parameter" or not name or value is None:
            raise PhoneError("<Stream> may hold only <Parameter>, each with a name and a value.")
        if len(name) + len(value) >= 500:
            raise PhoneError(f"<Parameter> {name!r} and its value have 500 characters or more.")
        parameters[name] = value
    return parameters
