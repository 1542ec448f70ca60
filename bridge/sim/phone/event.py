"""What a simulated call tells of itself: what happened, and what Twilio could not go on with."""

import secrets
from dataclasses import dataclass


class PhoneError(Exception):
    """The server did what Twilio would not put up with, or the call is over."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a call, at `at_ms` of the phone's clock.

    From the server: media (`bytes` of mu-law), mark (`name`), clear (`bytes` dropped).
    At the caller's ear: speaking (audio begins to play), played (it ended, after `bytes`),
    mark_back (`name`).
    From the caller: say and said (`bytes`), press (`name`: the digits), hang_up, drop; the line's own troubles are
    named after the methods of PhoneCall: lose_frames, hold_frames, stop_reading, resume_reading.
    From REST: complete, update. Verbs are named as in TwiML: Say, Pause, Connect...
    In a <Record>: beep, recorded (`name`: what ended it, `bytes`). In a <Dial>: human (one has answered),
    human_hangs_up.
    The stream: start (`name`: its sid), refused and closed (`name`: the status or code).
    """

    at_ms: float
    kind: str
    name: str = ""
    bytes: int = 0


def sid(prefix: str) -> str:
    """A new id of Twilio's kind."""
    return prefix + secrets.token_hex(16)
