"""How Twilio's requests are answered: what the reception is told once, when the server starts."""

from dataclasses import dataclass

from bridge.reception.blocklist import Blocklist
from bridge.records.calls import Limits
from bridge.twilio_side.signature import Keys
from bridge.twilio_side.twiml import Fallback


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who is let in, and what a caller gets whom the assistant cannot serve."""

    keys: Keys                           # none: whoever asks is answered
    account_sid: str                     # "": calls of any account are taken
    api: str                             # where Twilio's REST API keeps recordings, besides twilio.com
    ends_by_rest: bool                   # calls are completed by REST, so that what follows a stream is a fallback
    limits: Limits
    blocked: Blocklist | None
    fallback: Fallback
    used_up: Fallback                    # the same when MAX_DAY_USD is used up
