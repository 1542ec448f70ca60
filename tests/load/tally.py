"""What was noticed during the calls of one run."""

from dataclasses import dataclass, field, fields


@dataclass
class Faults:
    """Each must be 0."""

    lost: int = 0              # pieces of audio that never came
    reordered: int = 0
    duplicated: int = 0
    corrupt: int = 0           # not what was said, or said in another call
    stale: int = 0             # of an interrupted reply, and came after the `clear`
    uncleared: int = 0         # interruptions of audio that the phone went on playing
    dropped: int = 0           # calls that ended before the caller hung up
    left_open: int = 0         # connections to the model that outlived their call

    @property
    def total(self) -> int:
        return sum(getattr(self, each.name) for each in fields(self))


@dataclass
class Tally:
    """Times in seconds. Delays are taken while `measuring`; what is rare, from the first call on."""

    measuring: bool = False
    to_model: list[float] = field(default_factory=list)
    to_phone: list[float] = field(default_factory=list)
    barge_in: list[float] = field(default_factory=list)       # from speech_started to `clear` at the phone
    set_up: list[float] = field(default_factory=list)         # from the webhook's request to the first audio
    lateness: list[float] = field(default_factory=list)       # of our own sending
    faults: Faults = field(default_factory=Faults)
