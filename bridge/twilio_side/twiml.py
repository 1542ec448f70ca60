"""TwiML: the documents that tell Twilio what a call does next.

Pure. Sources: https://www.twilio.com/docs/voice/twiml/stream and the pages beside it, of <Connect>, <Dial>, <Record>.

The verbs behind <Connect> run whenever the stream ends: on purpose, and when this server crashes or is killed. So they
are the fallback, which a caller gets in place of the assistant. Nobody must hear it after a goodbye.
- With REST credentials the fallback's verbs stand behind <Connect>, and no server is needed to fetch them. A call that
  ended in order is completed by REST before its stream is closed.
- Without REST credentials Twilio fetches <Connect>'s action, /after-stream, from any server process that lives then. If
  the call ended in order, that answers with a hang-up, otherwise with the fallback's verbs.
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
#: How long a caller waits before Twilio asks the webhook again (s). Before a call is answered, a pause is ringing.
TRY_AGAIN_S = 2
#: Replaces the apology when MAX_DAY_USD is used up: nothing is broken, and a few minutes would not help.
NO_MORE_TODAY = "I am sorry, our assistant takes no more calls today. Please call again tomorrow. Goodbye."
LEAVE_A_MESSAGE = (
    "I am sorry, our assistant cannot speak with you right now. Please leave a message after the tone. Press the pound "
    "key when you are done."
)
PUTTING_THROUGH = (
    "I am sorry, our assistant cannot speak with you right now. I am putting you through to a person."
)
#: The first words of each fallback, unless FALLBACK_MESSAGE replaces them.
WORDS: dict[FallbackKind, str] = {"apology": APOLOGY, "message": LEAVE_A_MESSAGE, "human": PUTTING_THROUGH}

#: How long a dialled phone rings, and how long a message may be (s).
RING_S, MESSAGE_S = 20, 180
#: The longest value of a stream's parameter (characters). Twilio takes less than 500 for name and value together.
PARAMETER_CHARACTERS = 400
#: A connection override, appended to an address. While our server restarts, Twilio asks again up to five times, within
#: its 15 s. https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
ASK_AGAIN = "#rc=5&rp=ct,rt,5xx"


@dataclass(frozen=True, slots=True)
class Call:
    """A call as Twilio describes it in a webhook. `called` is our number.

    `origin` is the address under which Twilio reaches us: https://host, and the path that a proxy takes off.
    """

    origin: str
    caller: Caller
    called: str = ""
    sid: str = ""
    account: str = ""

    def address(self, path: str) -> str:
        """The whole address of one of our webhooks, for Twilio to ask what comes next."""
        return f"{self.origin}{path}{ASK_AGAIN}"

    @property
    def caller_id(self) -> str | None:
        """The number that a dialled person sees: ours if the caller has none. None: the caller's own."""
        own = Caller(self.called).number
        return own if own and not self.caller.number else None


@dataclass(frozen=True, slots=True)
class Fallback:
    """What a caller gets in place of the assistant. `words` come first. `goodbye` is true however the rest went.

    `number`: the person to dial, for kind "human".
    """

    kind: FallbackKind
    words: str
    goodbye: str
    language: str
    number: str = ""


# ---- whole documents

def stream_parameters(call: Call, *, resume: bool = False) -> dict[str, str]:
    """The parameters of a stream: what its `start` message does not carry by itself, as it will arrive there.

    `resume`: the caller comes back to a conversation.
    """
    parameters = {"caller": call.caller.name, "called": call.called, "call_sid": call.sid}
    # XML allows no control characters, not even escaped ones.
    printable = {name: "".join(each for each in value if each.isprintable()) for name, value in parameters.items()}
    cut = {name: value[:PARAMETER_CHARACTERS] for name, value in printable.items()}
    return cut | ({"resume": "1"} if resume else {})


def stream(call: Call, parameters: Mapping[str, str], fallback: Fallback | None) -> str:
    """Connects the call to a stream, then to the fallback. Fallback None: Twilio asks /after-stream what comes then."""
    response = VoiceResponse()
    connect = Connect() if fallback else Connect(action=call.address("/after-stream"))
    address = f"wss://{call.origin.partition('://')[2]}/media-stream/{call.caller.path}"
    connect.append(_with_parameters(Stream(url=address), parameters))
    response.append(connect)
    if fallback:
        _add_fallback(response, fallback, call)
    return str(response)


def in_place_of_the_assistant(fallback: Fallback, call: Call) -> str:
    """The fallback and nothing else, for a call that the assistant cannot serve."""
    response = VoiceResponse()
    _add_fallback(response, fallback, call)
    return str(response)


def transfer(number: str, call: Call) -> str:
    """Puts the caller through to a person. Twilio asks /transfer-ended what comes then."""
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
    """Leaves the call ringing for a moment, then has Twilio ask `path` again. Another process may answer by then."""
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
        # If nothing was said, the next verb follows. Otherwise the answer to `action` follows. Without `action` Twilio
        # would fetch this document again.
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
