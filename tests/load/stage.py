"""What all phones and model connections of one run share: their voices, and the one clock of all their sending."""

import asyncio
import secrets
from collections.abc import Callable
from time import perf_counter

from tests.load.audio import CALLER, REPLY, Tally, Voice

FRAME_MS = 20
DELTA_MS = 250
#: How many pieces an end that hurries sends in place of one, and how many bytes the kernel takes for a peer that does
#: not read. At its usual pace a call would take minutes to fill them.
HURRY = 20
KERNEL_BYTES = 1_400_000
_SLOT_S = 0.001


class Metronome:
    """Calls each of its members once per period (ms), a member in one of as many slots as the period has ms.

    Deadlines are counted from the start, so they do not drift. After a delay the missed ones are made up for.
    """

    def __init__(self, period_ms: int, tally: Tally) -> None:
        self._slots: list[list[Callable[[], None]]] = [[] for _ in range(period_ms)]
        self._slot = 0
        self._due = perf_counter()
        self._tally = tally
        self._timer: asyncio.TimerHandle | None = None

    def join(self, beat: Callable[[], None]) -> None:
        """Calls `beat` from now on, for the first time one period from now."""
        self._slots[self._slot - 1].append(beat)

    def leave(self, beat: Callable[[], None]) -> None:
        """Calls `beat` no more. It need not have been added."""
        self._slots = [[each for each in slot if each != beat] if slot else slot for slot in self._slots]

    def start(self) -> None:
        self._due = perf_counter()
        self._tick()

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _tick(self) -> None:
        while (late := perf_counter() - self._due) >= 0:
            members = self._slots[self._slot]
            self._slot = (self._slot + 1) % len(self._slots)
            for beat in members:
                beat()
            if members and self._tally.measuring:
                self._tally.lateness.append(perf_counter() - self._due)
            self._due += _SLOT_S
        self._timer = asyncio.get_running_loop().call_later(-late, self._tick)


class Stage:
    """`plain`: the relay stands between the two ends, and speaks neither protocol. `token`: Twilio signs with it.

    `clips`: faults are made in calls, so the server may play sounds of its own.
    """

    def __init__(self, plain: bool = False, token: str = "", clips: bool = False) -> None:
        self.plain, self.token, self.clips = plain, token, clips
        self.tally = Tally()
        self.frames = Metronome(FRAME_MS, self.tally)
        self.deltas = Metronome(DELTA_MS, self.tally)
        self.callers: list[Voice] = []
        self.models: list[Voice] = []
        self._run = secrets.token_hex(12)
        #: Called with a function's call id and its output when a model gets it.
        self.on_output: Callable[[str, str], None] = lambda call_id, output: None

    def call_sid(self, number: int) -> str:
        """The CallSid of this caller's call. No two runs share one."""
        return f"CA{self._run}{number:08x}"

    def new_caller(self) -> Voice:
        self.callers.append(Voice(CALLER, len(self.callers)))
        return self.callers[-1]

    def new_model(self) -> Voice:
        self.models.append(Voice(REPLY, len(self.models)))
        return self.models[-1]

    def start(self) -> None:
        self.frames.start()
        self.deltas.start()

    def stop(self) -> None:
        self.frames.stop()
        self.deltas.stop()
