"""The faults that `python -m bridge demo --fault NAME` rehearses, and how a call may end for its caller.

Pure, and without the simulators: the command line names them.
"""

from typing import NamedTuple

#: How a call that met a fault may end, and how the demo says it.
ENDINGS = {
    "went on": "the call went on to its proper end",
    "apology": "the caller heard an apology and a goodbye, and the call ended",
    "human": "the caller was passed on to a human",
    "message": "the caller was asked to leave a message",
    "silence": "the caller heard nothing more",
    "error": "Twilio could not go on with the call",
}
_FALLBACK = ("apology", "human", "message")


class Fault(NamedTuple):
    """`strikes`: at the start of the call, before the caller's question, when it is asked, or amid the answer."""

    what: str
    strikes: str
    #: Those of ENDINGS that the README promises.
    endings: tuple[str, ...]


FAULTS = {
    "model-drop": Fault(
        "the model's connection breaks in mid-sentence", "answer", ("went on", *_FALLBACK)),
    "model-refused": Fault(
        "the model refuses the key", "start", _FALLBACK),
    "model-silent": Fault(
        "the model's connection is dead, and only a missing pong shows it", "answer", ("went on", *_FALLBACK)),
    "model-slow-reconnect": Fault(
        "the model's connection breaks, and five attempts to connect again fail", "answer", ("went on", *_FALLBACK)),
    "session-expiry": Fault(
        "the model's session reaches its longest duration", "answer", ("went on", *_FALLBACK)),
    "rate-limit": Fault(
        "the answer fails by a rate limit, and the next attempt too", "question", ("went on", *_FALLBACK)),
    "phone-gap": Fault(
        "no sound of the caller arrives for four seconds", "asked", ("went on",)),
    "phone-drop": Fault(
        "the stream from Twilio breaks in mid-sentence", "answer", ("went on", *_FALLBACK)),
    "webhook-down": Fault(
        "the owner's webhook is down when a meeting is booked", "question", ("went on",)),
    "server-stop": Fault(
        "the server is told to stop (SIGTERM) in mid-sentence", "answer", ("went on", *_FALLBACK)),
}
