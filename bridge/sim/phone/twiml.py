"""The TwiML that this phone understands, and how strictly.

Pure. https://www.twilio.com/docs/voice/twiml
"""

from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from bridge.sim.phone.event import PhoneError

VERBS = {"Say", "Pause", "Hangup", "Reject", "Redirect", "Dial", "Connect"}
ANSWERING = VERBS - {"Redirect", "Pause"}


def parsed(source: str, twiml: str) -> Element:
    """The <Response> of a TwiML document. Raises PhoneError when it is none, or has a verb unknown here."""
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
    return document


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
