"""The phones: Twilio's end of a Media Streams websocket, and the faults that it can have.

bridge.sim.phone has others, which are as strict as Twilio and too slow for this. 200 of these share one core with as
many models.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

import json
from collections import deque
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from bridge.sim.phone import signature
from tests.load.audio import REPLY, TOO_LATE, Ear, Tally, Voice
from tests.load.stage import FRAME_MS, HURRY, KERNEL_BYTES, Stage
from tests.load.wire import Dialled

BYTES_PER_S = 8000
#: Bytes of a message with a piece of the caller's audio, about.
_MESSAGE_BYTES = 280
_TOO_LATE = TOO_LATE.mark.decode()
ACCOUNT_SID = f"AC{0:032x}"


@dataclass
class Hush:
    """The silence that the caller hears after a break at `since`, in seconds. None: it has not ended yet.

    From the end of the audio before the break to a sound of any kind, and to the assistant's next words. `back_s`: from
    the break itself to these.
    """

    since: float
    first_word: int                                  # the assistant's first piece after the break
    sound_s: float | None = None
    words_s: float | None = None
    back_s: float | None = None
    quiet_at: float = 0.0

    def heard(self, piece: int | None, now: float, playing_until: float) -> None:
        """A clip (None) or this piece of the assistant's has come. Earlier audio plays until `playing_until`."""
        if piece is not None and piece < self.first_word:
            return                                   # it was on its way before the break
        if self.sound_s is None:
            self.quiet_at = max(self.since, playing_until)
            self.sound_s = max(0.0, now - self.quiet_at)
        if piece is not None and self.words_s is None:
            self.words_s, self.back_s = max(0.0, now - self.quiet_at), now - self.since


class Phone(Dialled):
    """One caller. The caller speaks without a pause from the moment when the stream is open."""

    def __init__(
        self, stage: Stage, voice: Voice, tally: Tally, path: str, parameters: dict[str, str], rang_at: float,
    ) -> None:
        super().__init__(path)
        self._stage, self._parameters, self._rang_at = stage, parameters, rang_at
        self._voice, self._tally = voice, tally
        self.ear = Ear(REPLY, stage.models, tally, tally.to_phone)
        self._sid = f"MZ{self._voice.number:032x}"
        self._sequence = 1
        self._playing_until = 0.0
        self._marks: deque[tuple[float, str]] = deque()      # when its audio has been played, and its name
        self._cleared = False
        self.begun = False                                   # the server was told which call it is
        self.clip_at = 0.0                                   # when the server's last clip came
        self.hush: Hush | None = None
        self._longest_silence_s = 0.0
        self._speaks_again_at = 0.0
        self._missed = 0                                     # frames that were due and not sent
        self._hurried = 0                                    # pieces that are still to be sent before their time

    def account(self, tally: Tally) -> None:
        """Events from now on go to this account."""
        self._tally = tally
        self.ear.renew(tally)

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
        self.begun = True

    def _frame(self) -> None:
        """20 ms have passed."""
        if not self.live:
            return
        now = perf_counter()
        if now < self._speaks_again_at:
            self._missed += 1
        else:
            self._speak(now)
            if self._hurried > 0:
                self._hurried -= HURRY
                for _ in range(HURRY):
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
        """Queues sound: this piece of the model's, or a clip (None). It plays after the sound that plays now."""
        self._longest_silence_s = max(self._longest_silence_s, self._quiet_s(now))
        if self.hush:
            self.hush.heard(piece, now, self._playing_until)
        self._playing_until = max(self._playing_until, now) + seconds

    def _settle_interruption(self) -> None:
        """The next reply has come, so it is too late for a `clear` of the one before."""
        model = self.ear.voice
        if model and self.ear.heard > model.cut_before:
            self._tally.faults.uncleared += self.awaits_clear
            model.cut_at = None

    @property
    def awaits_clear(self) -> bool:
        """Whether the caller interrupted audio that still played, and no `clear` has come."""
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
            case {"event": "media", "media": {"payload": str(audio)}} if self._stage.clips:
                self.clip_at = now
                self._play(now, (len(audio) * 3 // 4 - audio.count("=", -2)) / BYTES_PER_S)
            case _:
                faults.corrupt += 1

    def _clear(self, now: float) -> None:
        """Forgets audio that is not played yet. All its marks come back at once."""
        self._cleared = True
        self._playing_until = now
        while self._marks:
            self._return_mark(self._marks.popleft()[1])
        model = self.ear.voice
        if model and model.cut_at is not None:
            self._tally.barge_in.append(now - model.cut_at)
            self.ear.cleared(model.cut_before)
            model.cut_at = None

    # ---- how long the caller hears nothing

    @property
    def plays(self) -> bool:
        return self.live and self._playing_until > perf_counter()

    def listen_for(self, since: float) -> None:
        """Notes from now on how long the caller hears nothing."""
        self._longest_silence_s = 0.0
        model = self.ear.voice
        self.hush = Hush(since, len(model.said_at) if model else 0)

    @property
    def silent_s(self) -> float:
        """The longest that the caller has heard nothing since `listen_for`."""
        return max(self._longest_silence_s, 0.0 if self.closed.done() else self._quiet_s(perf_counter()))

    def _quiet_s(self, now: float) -> float:
        return now - max(self._playing_until, self.hush.since if self.hush else now)

    # ---- what goes wrong

    def pause(self, seconds: float) -> None:
        """Sends no frames for a while. The server is still heard."""
        self._speaks_again_at = perf_counter() + seconds

    def hurry(self) -> None:
        """Fills the buffers between the server and a model that does not read."""
        self._hurried = KERNEL_BYTES // _MESSAGE_BYTES

    @property
    def hurries(self) -> bool:
        return self.live and self._hurried > 0

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._longest_silence_s = max(self._longest_silence_s, self._quiet_s(perf_counter()))
        self._stage.frames.leave(self._frame)
