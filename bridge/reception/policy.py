"""The reception's rules for answering Twilio's requests, made from the settings once, when the server starts."""

from dataclasses import dataclass

from bridge.reception.blocklist import Blocklist
from bridge.records.calls import Limits
from bridge.twilio_side.signature import Keys
from bridge.twilio_side.twiml import Fallback


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who is let in, and what a caller gets if the assistant cannot serve them."""

    keys: Keys                           # without tokens anybody is answered (ALLOW_UNSIGNED)
    account_sid: str                     # "": calls of any account are taken
    api: str                             # an origin besides twilio.com where recordings may be
    ends_by_rest: bool                   # calls are completed by REST, so the fallback's verbs follow each stream
    limits: Limits
    blocked: Blocklist | None            # None: nobody is blocked
    fallback: Fallback
    used_up: Fallback                    # the fallback when MAX_DAY_USD is used up
