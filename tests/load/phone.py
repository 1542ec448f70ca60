"""The phones: what Twilio does at its end of a Media Streams websocket.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

import json
from collections import deque
from time import perf_counter
from typing import Any

from bridge.sim.phone import signature
from tests.load.audio import REPLY, TOO_LATE, Ear, Voice
from tests.load.stage import FRAME_MS, Stage
from tests.load.wire import Dialled

BYTES_PER_S = 8000
_TOO_LATE = TOO_LATE.mark.decode()
ACCOUNT_SID = f"AC{0:032x}"


class Phone(Dialled):
    """One caller, who speaks without a pause from the moment the stream is open."""

    def __init__(
        self, stage: Stage, voice: Voice, path: str, parameters: dict[str, str], rang_at: float,
    ) -> None:
        super().__init__(path)
        self._stage, self._parameters, self._rang_at = stage, parameters, rang_at
        self._voice, self._tally = voice, stage.tally
        self.ear = Ear(REPLY, stage.models, stage.tally, stage.tally.to_phone)
        self._sid = f"MZ{self._voice.number:032x}"
        self._sequence = 1
        self._missed = 0                                     # frames that were due and not sent
        self._playing_until = 0.0
        self._marks: deque[tuple[float, str]] = deque()      # when its audio has been played; its name
        self._cleared = False
        self.hung_up = False

    def _credentials(self, address: str) -> str:
        token = self._stage.token
        return f"{signature.HEADER}: {signature.sign(token, address)}\r\n" if token else ""

    # ---- what the phone says

    def begin(self) -> None:
        super().begin()
        if not self._stage.plain:
            self._write({"event": "connected", "protocol": "Call", "version": "1.0.0"})
            self._write({"event": "start", "sequenceNumber": "1", "streamSid": self._sid, "start": {
                "accountSid": ACCOUNT_SID, "streamSid": self._sid, "callSid": self._stage.call_sid(self._voice.number),
                "tracks": ["inbound"], "customParameters": self._parameters,
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}}})
        self._stage.frames.join(self._frame)

    def _frame(self) -> None:
        """20 ms have passed."""
        if not self.live:
            return
        now = perf_counter()
        self._speak(now)
        while self._marks and self._marks[0][0] <= now:
            self._return_mark(self._marks.popleft()[1])

    def _speak(self, now: float) -> None:
        self._sequence += 1
        chunk = len(self._voice.said_at) + 1
        self.send(
            b'{"event":"media","sequenceNumber":"%d","streamSid":"%s",'
            b'"media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"%s}}'
            % (self._sequence, self._sid.encode(), chunk, (chunk + self._missed) * FRAME_MS, self._voice.say(now)))

    def _return_mark(self, name: str) -> None:
        self._sequence += 1
        self._write({"event": "mark", "sequenceNumber": str(self._sequence), "streamSid": self._sid,
                     "mark": {"name": name}})

    def hang_up(self) -> None:
        self.hung_up = True
        if not self.live:
            return
        if not self._stage.plain:
            self._write({
                "event": "stop", "sequenceNumber": str(self._sequence + 1), "streamSid": self._sid,
                "stop": {"accountSid": ACCOUNT_SID, "callSid": self._stage.call_sid(self._voice.number)}})
        self.close()

    def _write(self, message: dict[str, Any]) -> None:
        self.send(json.dumps(message, separators=(",", ":")).encode())

    # ---- what the phone hears

    def received(self, message: bytes) -> None:
        now = perf_counter()
        if self.ear.hear(message, now):
            if not self._playing_until:
                self._tally.set_up.append(now - self._rang_at)
            self._settle_interruption()
            self._play(now, REPLY.size / BYTES_PER_S, self.ear.heard - 1)
        elif not self._stage.plain:
            self._act(json.loads(message), now)

    def _play(self, now: float, seconds: float, piece: int | None = None) -> None:
        """So much sound has come, this piece of the model's, and plays after what is playing."""
        self._playing_until = max(self._playing_until, now) + seconds

    def _settle_interruption(self) -> None:
        """With the next reply it is too late for a `clear` of the one before."""
        model = self.ear.voice
        if model and self.ear.heard > model.cut_before:
            self._tally.faults.uncleared += self.awaits_clear
            model.cut_at = None

    @property
    def awaits_clear(self) -> bool:
        """Whether the caller interrupted audio that was still playing, and nobody has told the phone."""
        model = self.ear.voice
        if model is None or model.cut_at is None or self._stage.plain:
            return False
        return self._playing_until > model.cut_at

    def _act(self, message: dict[str, Any], now: float) -> None:
        faults = self._tally.faults
        match message:
            case {"event": "mark", "streamSid": self._sid, "mark": {"name": str(name)}}:
                if self._playing_until > now:
                    self._marks.append((self._playing_until, name))
                else:
                    self._return_mark(name)
            case {"event": "clear", "streamSid": self._sid}:
                self._clear(now)
            case {"event": "media", "media": {"payload": str(audio)}} if audio.startswith(_TOO_LATE):
                faults.stale += self._cleared
            case _:
                faults.corrupt += 1

    def _clear(self, now: float) -> None:
        """Forget what is not played yet; every mark that is still awaited comes back at once."""
        self._cleared = True
        self._playing_until = now
        while self._marks:
            self._return_mark(self._marks.popleft()[1])
        model = self.ear.voice
        if model and model.cut_at is not None:
            self._tally.barge_in.append(now - model.cut_at)
            self.ear.cleared(model.cut_before)
            model.cut_at = None
