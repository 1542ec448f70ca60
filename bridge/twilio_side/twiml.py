"""What a call does, as TwiML.

Pure. Sources: https://www.twilio.com/docs/voice/twiml/stream and the pages beside it, of <Connect>, <Dial>, <Record>.

What follows <Connect> happens whenever the stream ends: on purpose, and when this server crashes or is killed. So it is
the fallback: what a caller gets in the assistant's place. Nobody shall hear it after a goodbye.
- With REST credentials its verbs stand behind <Connect>, and need nobody to be fetched from; a call that ended in order
  is completed by REST before its stream is closed.
- Without them Twilio asks for <Connect>'s action, /after-stream, at whichever server process lives then. It answers
  with silence when the call ended in order, and with the same verbs otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from twilio.twiml.voice_response import Connect, Dial, Parameter, Stream, VoiceResponse

from bridge.twilio_side.caller import Caller

FallbackKind = Literal["apology", "message", "human"]

APOLOGY = (
    "I am sorry, we have a technical problem right now. Please call again in a few minutes. Goodbye."
)
#: How long a caller waits before the webhook is asked again, seconds. Before a call is answered, a pause is ringing.
TRY_AGAIN_S = 2
#: In place of an apology when MAX_DAY_USD is used up: nothing is broken, and a few minutes would not help.
NO_MORE_TODAY = "I am sorry, our assistant takes no more calls today. Please call again tomorrow. Goodbye."
LEAVE_A_MESSAGE = (
    "I am sorry, our assistant cannot speak with you right now. Please leave a message after the tone. Press the pound "
    "key when you are done."
)
PUTTING_THROUGH = (
    "I am sorry, our assistant cannot speak with you right now. I am putting you through to a person."
)
#: What a caller is told first, unless FALLBACK_MESSAGE says otherwise.
WORDS: dict[FallbackKind, str] = {"apology": APOLOGY, "message": LEAVE_A_MESSAGE, "human": PUTTING_THROUGH}

#: How long a phone rings, and how long a message may be, seconds.
RING_S, MESSAGE_S = 20, 180
#: Twilio takes less than 500 characters for a parameter's name and value together.
PARAMETER_CHARACTERS = 400
#: A connection override: an address that is asked while its server restarts is asked again, within Twilio's 15 s.
#: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
ASK_AGAIN = "#rc=5&rp=ct,rt,5xx"


@dataclass(frozen=True, slots=True)
class Call:
    """A call as Twilio tells of it. `called` is our number.

    `origin` is where Twilio reaches us, https://host, and the path that a proxy takes off.
    """

    origin: str
    caller: Caller
    called: str = ""
    sid: str = ""
    account: str = ""

    def address(self, path: str) -> str:
        """Where Twilio is to ask what comes next."""
        return f"{self.origin}{path}{ASK_AGAIN}"

    @property
    def caller_id(self) -> str | None:
        """What a person who is dialled is shown: None for the caller's number, ours for a caller without one."""
        own = Caller(self.called).number
        return own if own and not self.caller.number else None


@dataclass(frozen=True, slots=True)
class Fallback:
    """What a caller gets in the assistant's place. `words` come first; `goodbye` is true however the rest went."""

    kind: FallbackKind
    words: str
    goodbye: str
    language: str
    number: str = ""


# ---- whole documents

def stream_parameters(call: Call, *, resume: bool = False) -> dict[str, str]:
    """What a stream's `start` message does not carry by itself, as it will arrive there.

    `resume`: the caller comes back to a conversation.
    """
    parameters = {"caller": call.caller.name, "called": call.called, "call_sid": call.sid}
    # Control characters have no place in XML, not even escaped.
    printable = {name: "".join(each for each in value if each.isprintable()) for name, value in parameters.items()}
    cut = {name: value[:PARAMETER_CHARACTERS] for name, value in printable.items()}
    return cut | ({"resume": "1"} if resume else {})


def stream(call: Call, parameters: Mapping[str, str], fallback: Fallback | None) -> str:
    """Connects the call to a stream, then to the fallback; None: what comes then is asked at /after-stream."""
    response = VoiceResponse()
    connect = Connect() if fallback else Connect(action=call.address("/after-stream"))
    address = f"wss://{call.origin.partition('://')[2]}/media-stream/{call.caller.path}"
    connect.append(_with_parameters(Stream(url=address), parameters))
    response.append(connect)
    if fallback:
        _add_fallback(response, fallback, call)
    return str(response)


def in_place_of_the_assistant(fallback: Fallback, call: Call) -> str:
    """The fallback and nothing else."""
    response = VoiceResponse()
    _add_fallback(response, fallback, call)
    return str(response)


def transfer(number: str, call: Call) -> str:
    """Puts the caller through to a person; /transfer-ended is asked what comes then."""
    response = VoiceResponse()
    response.append(_dial(number, call, action=call.address("/transfer-ended")))
    return str(response)


def say_goodbye(fallback: Fallback) -> str:
    response = VoiceResponse()
    response.say(fallback.goodbye, language=fallback.language)
    response.hangup()
    return str(response)


def hang_up() -> str:
    response = VoiceResponse()
    response.hangup()
    return str(response)


def busy() -> str:
    """Does not answer the call: the caller hears a busy tone, and nobody pays."""
    response = VoiceResponse()
    response.reject(reason="busy")
    return str(response)


def not_in_service() -> str:
    """Does not answer the call: the caller hears that the number is not in service, and nobody pays."""
    response = VoiceResponse()
    response.reject(reason="rejected")
    return str(response)


def try_again(call: Call, path: str) -> str:
    """Leaves the call ringing for a moment, then has Twilio ask again: soon another process answers there."""
    response = VoiceResponse()
    response.pause(length=TRY_AGAIN_S)
    response.redirect(call.address(path), method="POST")
    return str(response)


# ---- parts of them

def _add_fallback(response: VoiceResponse, fallback: Fallback, call: Call) -> None:
    response.say(fallback.words, language=fallback.language)
    if fallback.kind == "human":
        response.append(_dial(fallback.number, call))
        response.say(fallback.goodbye, language=fallback.language)
    elif fallback.kind == "message":
        recorded = call.address(f"/message-recorded?caller={call.caller.path}")
        # Where nothing was said the next verb follows, else what `action` answers. Without `action` Twilio would ask
        # for this document again.
        response.record(
            action=recorded, recording_status_callback=recorded, max_length=MESSAGE_S, finish_on_key="#",
            play_beep=True)
        response.say(fallback.goodbye, language=fallback.language)
    response.hangup()


def _dial(number: str, call: Call, action: str | None = None) -> Dial:
    dial = Dial(timeout=RING_S, answer_on_bridge=True, caller_id=call.caller_id, action=action)
    dial.number(number)
    return dial


def _with_parameters(stream: Stream, parameters: Mapping[str, str]) -> Stream:
    for name, value in parameters.items():
        stream.append(Parameter(name=name, value=value))
    return stream
