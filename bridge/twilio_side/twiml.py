"""What a call does, as TwiML.

Pure. Source: https://www.twilio.com/docs/voice/twiml/stream

What follows <Connect> runs whenever the stream ends: on purpose, and when this server crashes or is restarted.
With REST credentials a call that ends well is completed by REST, so what follows can be the apology for one that
does not. Without them nothing but silence may follow, or every caller would hear the apology after the goodbye;
the apology is then played into the stream by the server, while it lives (call/session.py).
"""

from twilio.twiml.voice_response import Connect, Parameter, Stream, VoiceResponse

from bridge.twilio_side.caller import Caller

APOLOGY = (
    "I am sorry, we have a technical problem right now. Please call again in a few minutes. Goodbye."
)
#: How long a caller waits before the webhook is asked again, seconds. Before a call is answered, a pause is ringing.
TRY_AGAIN_S = 2
#: Twilio takes less than 500 characters for a parameter's name and value together.
PARAMETER_CHARACTERS = 400


def stream(origin: str, caller: Caller, called: str, call_sid: str, *, apologise: bool) -> str:
    """Connects the call to the stream at `origin` (https://host), then ends it."""
    response = VoiceResponse()
    connect = Connect()
    address = f"wss://{origin.partition('://')[2]}/media-stream/{caller.path}"
    connect.append(_with_parameters(Stream(url=address), caller=caller.name, called=called, call_sid=call_sid))
    response.append(connect)
    if apologise:
        response.say(APOLOGY)
    response.hangup()
    return str(response)


def busy() -> str:
    """Does not answer the call: the caller hears a busy tone, and nobody pays."""
    response = VoiceResponse()
    response.reject(reason="busy")
    return str(response)


def try_again(address: str, method: str) -> str:
    """Leaves the call ringing for a moment, then asks `address` again: soon another process answers there."""
    response = VoiceResponse()
    response.pause(length=TRY_AGAIN_S)
    response.redirect(address, method=method)
    return str(response)


def _with_parameters(stream: Stream, **parameters: str) -> Stream:
    """What the stream's `start` message does not carry by itself."""
    for name, value in parameters.items():
        # Control characters have no place in XML, not even escaped.
        printable = "".join(character for character in value if character.isprintable())
        stream.append(Parameter(name=name, value=printable[:PARAMETER_CHARACTERS]))
    return stream
