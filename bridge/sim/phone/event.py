"""The events of a simulated call, and the error with which Twilio could not go on."""

import secrets
from dataclasses import dataclass


class PhoneError(Exception):
    """The server did what Twilio does not accept, or the call is over."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a call, at `at_ms` of the phone's clock.

    From the server: media (`bytes` of mu-law), mark (`name`), clear (`bytes` dropped).
    At the caller's ear: speaking (audio begins to play), played (it ended, after `bytes`), mark_back (`name`).
    From the caller: say and said (`bytes`), press (`name`: the digits), hang_up, drop. The line's own troubles have the
    names of PhoneCall's methods: lose_frames, hold_frames, stop_reading, resume_reading.
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
