"""One call: the caller's actions, REST's actions, what a test waits for and what was heard."""

import re

from bridge.sim.phone.event import PhoneError
from bridge.sim.phone.recorder import Recorder
from bridge.sim.phone.twiml import parsed
from bridge.sim.phone.verbs import Verbs
from bridge.sim.speech import BYTES_PER_MS

DIGIT_MS = 100
"""The time between two pressed digits, in ms of call time."""


class PhoneCall(Verbs):
    """One call, from its first ring until its last verb is done. Made by `Phone.dial`.

    Every `until_...` waits for at most `timeout` real seconds and then raises TimeoutError. It raises PhoneError if the
    call is over or has failed, so that the wait would be in vain.
    """

    def __str__(self) -> str:
        last = ", ".join(f"{event.kind} {event.name}".strip() for event in self.log[-5:])
        return (f"call {self.sid[:8]}: {'over' if self.over else 'running'} at {self.clock.ms():.0f} ms, "
                f"heard {self.heard_ms:.0f} ms, {self.queued_ms:.0f} ms queued, last: {last or 'nothing'}, "
                f"warnings: {self.warnings}")

    # What the caller does

    async def say(self, ulaw: bytes) -> None:
        """Speak mu-law. Returns when its last frame is sent, or the stream has ended before.

        Speech that is queued already comes first.
        """
        line = self._recorder or self._open_stream()
        self.note("say", bytes=len(ulaw))
        if isinstance(line, Recorder):
            await line.say(ulaw)
        else:
            end = line.speak(ulaw)
            while line.frames_spoken < end and not line.ended:
                await self._changed.wait()
        self.note("said", bytes=len(ulaw))

    async def press(self, digits: str) -> None:
        """Press keys, 0-9 * # A-D, one every 100 ms. Raises ValueError for another."""
        if not re.fullmatch(r"[0-9*#A-D]+", digits):
            raise ValueError(f"A telephone has no keys for {digits!r}.")
        line = self._recorder or self._open_stream()
        self.note("press", digits)
        for digit in digits:
            if isinstance(line, Recorder):
                line.press(digit)
            else:
                await line.send("dtmf", {"track": "inbound_track", "digit": digit})
            await self.clock.sleep(DIGIT_MS)

    async def hang_up(self) -> None:
        """Hang up as the caller: `stop`, close, and no verb after that. Returns when the call is over."""
        await self._end("hang_up")

    def drop(self) -> None:
        """Break the stream's connection, with neither `stop` nor a close frame. The next verb runs."""
        stream = self._open_stream()
        self.note("drop")
        stream.abort()

    def lose_frames(self, ms: float) -> None:
        """Lose the caller's frames for `ms` from now. Timestamps go on, so there is a gap in them."""
        self.note("lose_frames")
        self._open_stream().lose_frames(ms)

    def hold_frames(self, ms: float) -> None:
        """Hold back the frames for `ms` from now. They then go on as if no time had passed."""
        self.note("hold_frames")
        self._open_stream().hold_frames(ms)

    def stop_reading(self) -> None:
        """Read nothing from the server, not even pings, until `resume_reading`. Frames still go out.

        With `lose_frames(math.inf)` the line is dead, and only a missing pong shows it.
        """
        self.note("stop_reading")
        self._open_stream().stop_reading()

    def resume_reading(self) -> None:
        """Read from the server again, beginning with what has been waiting."""
        self.note("resume_reading")
        self._open_stream().resume_reading()

    async def send_text(self, text: str) -> None:
        """Send the server a text frame, also one that Twilio would never send."""
        await self._open_stream().send_text(text)

    # What others do

    def human_hangs_up(self) -> None:
        """The human whom <Dial> reached hangs up. The caller is still there."""
        if self._human_left is None:
            raise PhoneError(f"No dialled human is on the line ({self}).")
        self.note("human_hangs_up")
        self._human_left.set()

    # What REST does

    async def complete(self) -> None:
        """Do REST's status=completed: `stop`, close, and no verb after that. Returns when the call is over."""
        await self._end("complete")

    async def update(self, twiml: str) -> None:
        """Do REST's twiml=...: `stop`, close, and the new document in place of the old one.

        Returns at once, as REST does. Raises PhoneError if the call is over or the document is wrong.
        """
        if self.over:
            raise PhoneError("The call is over: it cannot be updated (Twilio's 21220).")
        document = parsed("REST", twiml)
        self.note("update")
        self.twiml = twiml
        self._interrupt(document)

    # What a test waits for

    async def until_speaking(self, after_ms: float | None = None, *, timeout: float = 20.0) -> float:
        """Waits until audio begins to play where none was queued, at or after `after_ms`. Returns that time, in ms.

        Without `after_ms` it is the beginning of the audio that plays now, or else the next beginning.
        """
        if after_ms is None:
            playing = self._stream is not None and self._stream.playing
            after_ms = self._tape.talk_starts[-1] if playing else self.clock.ms()
        await self._until(lambda: self._tape.talk_start(after_ms) is not None,
                          f"audio after {after_ms:.0f} ms", timeout)
        start = self._tape.talk_start(after_ms)
        assert start is not None
        return start

    async def until_heard(self, ms: float, *, timeout: float = 20.0) -> None:
        """Waits until `ms` of assistant audio in all have been played since the call began."""
        await self._until(lambda: self.heard_ms >= ms, f"{ms:.0f} ms heard", timeout)

    async def until_quiet(self, *, timeout: float = 20.0) -> None:
        """Waits until no audio is queued: all was played or dropped."""
        await self._until(lambda: self.queued_ms == 0, "quiet", timeout)

    # What was heard

    @property
    def status(self) -> str:
        """`ringing` until the webhook has answered, then `in-progress`, at the end `completed`."""
        return "completed" if self.over else self._parameters["CallStatus"]

    @property
    def heard_ms(self) -> float:
        """Assistant audio played so far, in ms."""
        return self._tape.heard_ms

    @property
    def queued_ms(self) -> float:
        """Assistant audio that waits to be played, in ms."""
        return self._stream.queued_bytes / BYTES_PER_MS if self._stream else 0.0

    @property
    def played(self) -> bytes:
        """All assistant audio really played, mu-law, without the gaps."""
        return bytes(self._tape.heard)

    def recording(self) -> tuple[bytes, bytes]:
        """The caller's and the assistant's side, mu-law, of equal length, with silence where there was no sound.

        Both begin with the first stream. A further stream follows without a gap.
        """
        return self._tape.recording()

    # Notes

    def note(self, kind: str, name: str = "", bytes: int = 0) -> None:
        super().note(kind, name, bytes)
        if self.phone.listener:
            self.phone.listener(self, self.log[-1])

    # Endings

    async def _end(self, kind: str) -> None:
        if not self.over:
            self.note(kind)
            self._interrupt(None)
        await self.until_over()
