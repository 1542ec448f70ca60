"""One stream of a call: paced frames go out, messages come in and are read strictly, queued audio is played."""

import asyncio
import base64
import itertools
import json
import socket
import struct
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import aiohttp

from bridge.sim.phone.habits import Habits
from bridge.sim.phone.log import CallLog
from bridge.sim.phone.messages import Unusable, server_message
from bridge.sim.phone.playback import Playback
from bridge.sim.phone.tape import Tape
from bridge.sim.speech import BYTES_PER_MS, SILENCE

FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
ABNORMAL_CLOSURE = 1006
NO_STATUS = 1005


@dataclass(frozen=True)
class StreamIds:
    """What a stream says about itself in `start`."""

    call_sid: str
    stream_sid: str
    custom_parameters: dict[str, str]


class Stream:
    """One websocket of Media Streams.

    Events go to `log`, sound goes to `tape`. `ready` is set when `start` has been sent, or will never be.
    """

    def __init__(self, log: CallLog, tape: Tape, habits: Habits, ids: StreamIds, ready: asyncio.Event,
                 session: aiohttp.ClientSession, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.frames_spoken = 0
        """The caller's frames so far, with the lost ones."""
        self.ended = False
        self.playing = False
        """Audio has begun to play and has not run out yet."""
        self._log, self._tape, self._habits, self._ids, self._ready = log, tape, habits, ids, ready
        self._clock = habits.clock
        self._session, self._ws = session, ws
        self._sequence = itertools.count(1)
        self._chunks = 0
        self._voice: deque[bytes] = deque()
        self._playback = Playback()
        self._talk_bytes = 0
        self._marks_due: deque[tuple[float, str]] = deque()
        self._leaving = asyncio.Event()
        self._aborting = False
        self._to_lose = self._to_hold = 0.0     # in frames
        self._reading = asyncio.Event()
        self._reading.set()

    @property
    def queued_bytes(self) -> int:
        return self._playback.queued

    async def run(self) -> int:
        """Runs the stream until either side ends it. Returns the close code."""
        await self.send_text(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(self._keep_time())
            leaving = tasks.create_task(self._leave())
            code = await self._read()
            ticking.cancel()
            if not self._leaving.is_set():
                leaving.cancel()
        self._stop_playing()
        if code == ABNORMAL_CLOSURE and self._leaving.is_set() and not self._aborting:
            return self._ws.close_code or ABNORMAL_CLOSURE
        return code

    def speak(self, ulaw: bytes) -> int:
        """Queue the caller's speech. Returns the count of frames that will be sent by its end."""
        frames = (ulaw[start:start + FRAME_BYTES] for start in range(0, len(ulaw), FRAME_BYTES))
        self._voice.extend(frame.ljust(FRAME_BYTES, SILENCE) for frame in frames)
        return self.frames_spoken + len(self._voice)

    def lose_frames(self, ms: float) -> None:
        """Lose the caller's frames for `ms`. Timestamps go on."""
        self._to_lose = ms / FRAME_MS

    def hold_frames(self, ms: float) -> None:
        """Hold back the caller's frames for `ms`. Timestamps wait too."""
        self._to_hold = ms / FRAME_MS

    def stop_reading(self) -> None:
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    def leave(self) -> None:
        """Send `stop` and close."""
        self._leaving.set()
        self._reading.set()

    def abort(self) -> None:
        """Break the connection without a word."""
        self._aborting = True
        self.leave()

    async def close(self) -> None:
        """Let go of the connection, however the stream ended."""
        self.ended = True
        await self._ws.close()

    # Out

    async def send(self, event: str, detail: Mapping[str, object]) -> None:
        message = {"event": event, "sequenceNumber": str(next(self._sequence)), "streamSid": self._ids.stream_sid}
        await self.send_text(json.dumps(message | {event: detail}))

    async def send_text(self, text: str) -> None:
        # The reading side notices a lost connection, and ends the stream.
        with suppress(ConnectionError, aiohttp.ClientError):
            await self._ws.send_str(text)

    async def _send_start(self) -> None:
        tracks = ["inbound", "outbound"] if self._habits.both_tracks else ["inbound"]
        await self.send("start", {
            "accountSid": self._habits.account_sid, "streamSid": self._ids.stream_sid, "callSid": self._ids.call_sid,
            "tracks": tracks,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self._ids.custom_parameters})

    async def _keep_time(self) -> None:
        """Sends `start`. Then it sends a frame and plays a frame every 20 ms, however late it gets."""
        if not self._habits.send_start:
            self._ready.set()
            return
        if self._habits.wait_before_start_ms:
            await self._clock.sleep(self._habits.wait_before_start_ms)
        await self._send_start()
        self._log.note("start", self._ids.stream_sid)
        self._ready.set()
        started = self._clock.ms()
        for number in itertools.count(1):
            await self._clock.until(started + number * FRAME_MS)
            if self._leaving.is_set():
                return                               # nothing comes after `stop`
            await self._tick()

    async def _tick(self) -> None:
        held, lost = self._to_hold > 0, self._to_lose > 0
        self._to_hold, self._to_lose = self._to_hold - 1, self._to_lose - 1
        said = self._voice.popleft() if self._voice and not held else SILENCE * FRAME_BYTES
        if not held and not lost:
            self._chunks += 1
            await self._send_frame("inbound", said)
        heard = self._play().ljust(FRAME_BYTES, SILENCE)
        self._tape.frame(said, heard)
        if self._habits.both_tracks and not held and not lost:
            await self._send_frame("outbound", heard)
        if not held:
            self.frames_spoken += 1
        await self._echo_marks()
        self._log.notify()

    async def _send_frame(self, track: str, frame: bytes) -> None:
        await self.send("media", {
            "track": track, "chunk": str(self._chunks), "timestamp": str(self.frames_spoken * FRAME_MS),
            "payload": base64.b64encode(frame).decode()})

    # Playing

    def _play(self) -> bytes:
        heard, marks = self._playback.play(FRAME_BYTES)
        if heard and not self.playing:
            self.playing = True
            self._tape.talk_starts.append(self._clock.ms())
            self._log.note("speaking")
        self._talk_bytes += len(heard)
        self._tape.heard.extend(heard)
        if not self._playback.queued:
            self._stop_playing()
        self._return_marks(marks)
        return heard

    def _stop_playing(self) -> None:
        if self.playing:
            self._log.note("played", bytes=self._talk_bytes)
        self.playing = False
        self._talk_bytes = 0

    def _return_marks(self, names: list[str]) -> None:
        due = self._clock.ms() + self._habits.late_marks_ms
        self._marks_due.extend((due, name) for name in names)

    async def _echo_marks(self) -> None:
        while self._marks_due and self._marks_due[0][0] <= self._clock.ms():
            _, name = self._marks_due.popleft()
            self._log.note("mark_back", name)
            await self.send("mark", {"name": name})

    # In

    async def _read(self) -> int:
        """Obeys the server's messages until there are no more. Returns the close code."""
        while True:
            message = await self._ws.receive()
            await self._reading.wait()
            match message.type:
                case aiohttp.WSMsgType.PING:
                    with suppress(ConnectionError, aiohttp.ClientError):
                        await self._ws.pong(message.data)
                case aiohttp.WSMsgType.PONG:
                    pass
                case aiohttp.WSMsgType.TEXT:
                    await self._obey(message.data)
                case aiohttp.WSMsgType.BINARY:
                    self._log.warnings.append(f"31950 a binary frame of {len(message.data)} bytes")
                case aiohttp.WSMsgType.CLOSE:
                    return int(message.data or NO_STATUS)
                case aiohttp.WSMsgType.ERROR:
                    self._log.warnings.append(f"31924 websocket protocol violation: {message.data}")
                    return self._ws.close_code or ABNORMAL_CLOSURE
                case _:
                    return ABNORMAL_CLOSURE

    async def _obey(self, text: str) -> None:
        try:
            event, value = server_message(text, self._ids.stream_sid)
        except Unusable as reason:
            self._log.warnings.append(f"31951 {reason}: {text[:200]}")
            return
        match event:
            case "media":
                audio = base64.b64decode(value)
                self._log.note("media", bytes=len(audio))
                self._playback.add(audio)
            case "mark":
                self._log.note("mark", value)
                self._return_marks(self._playback.mark(value))
            case "clear":
                self._log.note("clear", bytes=self._playback.queued)
                self._return_marks(self._playback.clear())
                self._stop_playing()
        await self._echo_marks()

    # The end

    async def _leave(self) -> None:
        await self._leaving.wait()
        if self._aborting:
            # Zero lingering makes the kernel reset the connection in place of an orderly end.
            self._ws.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await self._session.close()
        else:
            await self.send("stop", {"accountSid": self._habits.account_sid, "callSid": self._ids.call_sid})
            await self._ws.close()
