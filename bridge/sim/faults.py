"""The faults that can be made on purpose in a call, and how the call may then end for its caller.

`python -m bridge demo --fault NAME` rehearses those that strike at a certain moment (rehearsal.py). The benchmark makes
nearly all of them in many calls at once (tests/load/faults.py).

Pure, and imports no simulator, because the command line lists the faults.
"""

from typing import NamedTuple

#: The ways in which a call with a fault may end, and how the demo says it.
ENDINGS = {
    "went on": "the call went on to its proper end",
    "apology": "the caller heard an apology and a goodbye, and the call ended",
    "human": "the caller was passed on to a human",
    "message": "the caller was asked to leave a message",
    "silence": "the caller heard nothing more",
    "error": "Twilio could not go on with the call",
}
FALLBACK = ("apology", "human", "message")
EITHER = ("went on", *FALLBACK)


class Fault(NamedTuple):
    """One fault. `endings`: those of ENDINGS that the README promises.

    `strikes`: the moment in the demo: "start" of the call, before the "question", when it is "asked", or amid the
    "answer". "" if the demo does not rehearse it.
    """

    what: str
    endings: tuple[str, ...] = EITHER
    strikes: str = ""


FAULTS = {
    "model-drop": Fault("the model's connection breaks in mid-sentence", strikes="answer"),
    "model-refused": Fault("the model refuses the key", FALLBACK, strikes="start"),
    "model-silent": Fault(
        "the model's connection is dead, and only a missing pong shows it", strikes="answer"),
    "model-slow-reconnect": Fault(
        "the model's connection breaks, and attempts to connect again fail", strikes="answer"),
    "session-expiry": Fault("the model's session reaches its longest duration", strikes="answer"),
    "rate-limit": Fault("an answer is refused by a rate limit", strikes="question"),
    "phone-gap": Fault("no sound of the caller arrives for some seconds", ("went on",), strikes="asked"),
    "phone-drop": Fault("the stream from Twilio breaks in mid-sentence", strikes="answer"),
    "webhook-down": Fault("the owner's webhook is down when a meeting is booked", ("went on",), strikes="question"),
    "server-stop": Fault("the server is told to stop (SIGTERM) in mid-sentence", strikes="answer"),
    "model-closes-1001": Fault("the model closes the connection: it goes away"),
    "model-closes-1011": Fault("the model closes the connection: an error of its own"),
    "model-closes-1012": Fault("the model closes the connection: it restarts"),
    "model-closes-1013": Fault("the model closes the connection: it asks to try again later"),
    "model-deaf": Fault("the model stops reading"),
    "response-failed": Fault("the model begins an answer, and says that it failed"),
    "phone-deaf": Fault("the phone stops reading"),
    "caller-hangs-up": Fault("the caller hangs up, and calls again", ("went on",)),
    "webhook-repeated": Fault("Twilio asks the voice webhook again in mid-call", ("went on",)),
}
REHEARSED = {name: fault for name, fault in FAULTS.items() if fault.strikes}
