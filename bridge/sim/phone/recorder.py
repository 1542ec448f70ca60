"""<Record>: the caller's words after the beep, until a pause, a key, the longest time or the end of the call.

https://www.twilio.com/docs/voice/twiml/record
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element

from bridge.sim.clock import Clock
from bridge.sim.phone.event import sid
from bridge.sim.speech import BYTES_PER_MS, RATE

KEYS = "1234567890*#"
"""The keys that end a recording, unless `finishOnKey` names others."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that Twilio keeps. `digits`: the key that ended it, `hangup`, or empty for a pause."""

    sid: str
    url: str
    audio: bytes
    digits: str
    began: datetime

    @property
    def seconds(self) -> str:
        """Its length as Twilio tells it: whole seconds, at least 1."""
        return str(max(1, round(len(self.audio) / RATE)))

    def for_action(self) -> dict[str, str]:
        """Its parameters in the request to `action`."""
        parameters = {"RecordingSid": self.sid, "RecordingUrl": self.url, "RecordingDuration": self.seconds}
        return parameters | ({"Digits": self.digits} if self.digits else {})

    def for_callback(self) -> dict[str, str]:
        """Its parameters in the request to `recordingStatusCallback`."""
        return {
            "RecordingSid": self.sid, "RecordingUrl": self.url, "RecordingDuration": self.seconds,
            "RecordingChannels": "1", "RecordingSource": "RecordVerb", "RecordingTrack": "inbound",
            "RecordingStartTime": self.began.strftime("%a, %d %b %Y %H:%M:%S +0000")}


class Recorder:
    """A recording under way. Silence is left out of it."""

    def __init__(self, verb: Element, clock: Clock) -> None:
        self._clock = clock
        self._began, self._began_ms = datetime.now(UTC), clock.ms()
        self._pause_ms = int(verb.get("timeout", "5")) * 1000
        self._longest_ms = int(verb.get("maxLength", "3600")) * 1000
        self._keys = verb.get("finishOnKey", KEYS)
        self._audio = bytearray()
        self._quiet_from = self._began_ms       # when the caller's last word ends
        self._digits = ""
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Records until it is ended, the caller pauses, or the longest time is over."""
        while not self._ended.is_set() and (left := self._deadline - self._clock.ms()) > 0:
            await self._wait(left)
        over = min(self._clock.ms(), self._deadline)     # however late a busy machine wakes us
        unsaid = max(0, int((self._quiet_from - over) * BYTES_PER_MS))
        del self._audio[max(0, len(self._audio) - unsaid):]
        self.end()

    async def _wait(self, ms: float) -> None:
        """Until it is ended, for so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ms / 1000 / self._clock.speed):
                await self._ended.wait()

    @property
    def _deadline(self) -> float:
        return min(self._quiet_from + self._pause_ms, self._began_ms + self._longest_ms)

    async def say(self, ulaw: bytes) -> None:
        """Speak. Returns when everything is said, or the recording has ended before."""
        self._audio += ulaw
        self._quiet_from = max(self._quiet_from, self._clock.ms()) + len(ulaw) / BYTES_PER_MS
        # A loop may wake up a little too early, and the last word would be cut.
        while not self._ended.is_set() and (left := self._quiet_from - self._clock.ms()) > 0:
            await self._wait(left)

    def press(self, digit: str) -> None:
        if digit in self._keys:
            self.end(digit)

    def end(self, digits: str = "") -> None:
        """Stop recording. `digits` says why, as in Recording."""
        if not self._ended.is_set():
            self._digits = digits
            self._ended.set()

    def result(self, account_sid: str) -> Recording | None:
        """The recording, or None if the caller said nothing."""
        if not self._audio:
            return None
        recording_sid = sid("RE")
        address = f"https://api.twilio.com/2010-04-01/Accounts/{account_sid}/Recordings/{recording_sid}"
        return Recording(recording_sid, address, bytes(self._audio), self._digits, self._began)
