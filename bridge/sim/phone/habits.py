"""How a phone, its number and Twilio behave in a test."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bridge.sim.clock import Clock
from bridge.sim.phone.event import Event


@dataclass(eq=False)
class Habits:
    """What a test may set before `Phone.dial`. Every call of the phone reads it as it goes."""

    to: str = "+15550001111"
    """The number that is called."""
    account_sid: str = "AC" + "0" * 32
    clock: Clock = field(default_factory=Clock)
    late_marks_ms: float = 0.0
    """How much later marks come back."""
    wait_before_start_ms: float = 0.0
    """The time between `connected` and `start`."""
    send_start: bool = True
    """False for a stream that never says `start`, nor any audio."""
    both_tracks: bool = False
    """Send played audio too, as frames of the outbound track."""
    dial_status: str = "completed"
    """How a <Dial> ends (`DialCallStatus`) once `dial_statuses` are used up.

    With `answered` the human stays on the line until `PhoneCall.human_hangs_up`, or the caller hangs up.
    """
    dial_statuses: list[str] = field(default_factory=list)
    """How the next <Dial>s end, in order."""
    repeated_webhooks: int = 0
    """How many times more the voice webhook is asked, as if its answer had been lost."""
    listener: Callable[[Any, Event], None] | None = None
    """Called with the call and the event whenever something happens in a call."""
