"""What all phones and model connections of one run share."""

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.load.audio import CALLER, REPLY, Voice
from tests.load.metronome import Metronome
from tests.load.tally import Tally

FRAME_MS = 20
DELTA_MS = 250
#: How long after our own garbage collection its lateness may be heard, s.
_CAUGHT_UP_S = 0.5


class Stage:
    """`plain`: between the two ends stands the relay, which speaks neither protocol. `token`: Twilio signs with it."""

    def __init__(self, plain: bool, token: str = "") -> None:
        self.plain, self.token = plain, token
        self.tally = Tally()
        self.frames = Metronome(FRAME_MS, self.tally)
        self.deltas = Metronome(DELTA_MS, self.tally)
        self.callers: list[Voice] = []
        self.models: list[Voice] = []
        self._run = secrets.token_hex(12)
        #: Called with a function's call id and its output, when a model is given it.
        self.on_output: Callable[[str, str], None] = lambda call_id, output: None

    def call_sid(self, number: int) -> str:
        """The CallSid of this caller's call: no two runs have one in common."""
        return f"CA{self._run}{number:08x}"

    def new_caller(self) -> Voice:
        self.callers.append(Voice(CALLER, len(self.callers)))
        return self.callers[-1]

    def new_model(self) -> Voice:
        self.models.append(Voice(REPLY, len(self.models)))
        return self.models[-1]

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Take delays, and let no garbage collection of ours make them longer."""
        gc.collect()
        gc.freeze()
        gc.disable()
        await asyncio.sleep(_CAUGHT_UP_S)
        self.tally.measuring = True
        try:
            yield
        finally:
            self.tally.measuring = False
            gc.enable()
            gc.unfreeze()

    def start(self) -> None:
        self.frames.start()
        self.deltas.start()

    def stop(self) -> None:
        self.frames.stop()
        self.deltas.stop()
