"""What Twilio does when somebody calls: it asks the voice webhook, and reads the TwiML."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import ClientSession

from bridge.sim.phone import signature
from bridge.sim.phone.twiml import custom_parameters, parsed, stream_url
from tests.load.phone import ACCOUNT_SID
from tests.load.server import HOST


@dataclass(frozen=True)
class Answer:
    """The stream's path, and its parameters; `verbs`: all that the call is told to do, the stream with them."""

    path: str
    parameters: dict[str, str]
    verbs: tuple[str, ...]

    @property
    def connects(self) -> bool:
        return bool(self.path)

    @property
    def afterwards(self) -> tuple[str, ...]:
        """What the caller gets when the stream has ended, besides the end of the call."""
        return tuple(verb for verb in self.verbs if verb not in ("Connect", "Hangup"))


def caller_number(number: int) -> str:
    return f"+1555{number:07d}"


async def ring(http: ClientSession, port: int, caller: str, call_sid: str, token: str = "") -> Answer:
    """Ask the webhook of the server at `port`; with a `token` it is signed.

    Raises aiohttp.ClientError and TimeoutError, PhoneError where Twilio would not take the answer.
    """
    form = {
        "CallSid": call_sid, "AccountSid": ACCOUNT_SID, "ApiVersion": "2010-04-01", "From": caller, "Caller": caller,
        "To": "+15550009999", "Called": "+15550009999", "CallStatus": "ringing", "Direction": "inbound",
    }
    address = f"http://{HOST}:{port}/incoming-call"
    headers = {signature.HEADER: signature.sign(token, address, form)} if token else {}
    async with http.post(address, data=form, headers=headers) as response:
        response.raise_for_status()
        document = parsed(address, await response.text())
    verbs = tuple(verb.tag for verb in document)
    stream = document.find("./Connect/Stream")
    if stream is None:
        return Answer("", {}, verbs)
    return Answer(urlsplit(stream_url(stream, stream.get("url", ""))).path, custom_parameters(stream), verbs)
