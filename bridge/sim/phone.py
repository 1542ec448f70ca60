"""A strict telephone: the caller, and Twilio's part of the call, for tests and demonstrations.

It asks a voice webhook what to do, obeys the TwiML, and speaks Media Streams. It writes and checks
Twilio's messages itself and knows nothing of the server's own code, so that a mistake there cannot
agree with itself here. What Twilio would put in its debugger is kept in `PhoneCall.warnings`; where
Twilio could not go on with the call at all, PhoneError says why.

How one call walks:

    dial -> webhook -> TwiML, verb after verb -> <Connect><Stream> -> the websocket -> the next verb

While the stream is open, every 20 ms of call time (see clock.py) one frame of 160 bytes goes out,
silent or not, and 160 bytes of the queued audio are played. A mark comes back when what was queued
before it has been played, and also when `clear` drops that audio.

A stream ends by the server's close or a dropped line (the following verbs run: the caller is still
there), by the caller's hanging up or REST (they do not), or by new TwiML from REST (which runs).

Not played: Twilio's overflow warning 31930, speaking time of <Say>, DTMF tones as sound.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
https://www.twilio.com/docs/voice/twiml/stream
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import itertools
import json
import re
import secrets
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urldefrag, urlencode, urljoin, urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import aiohttp
from yarl import URL

from bridge.sim.clock import Clock
from bridge.sim.speech import BYTES_PER_MS, SILENCE

FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
DIGIT_MS = 100
"""Between two digits that are pressed, in ms of call time."""
WEBHOOK_SECONDS = 15
"""Twilio's own limit for a webhook, whatever is configured."""
CLOSING_SECONDS = 5
"""How long the phone waits for the server's half of a close."""
MOST_DOCUMENTS = 20
"""TwiML documents in one call, lest two redirect to each other for ever."""
ABNORMAL_CLOSURE = 1006
NO_STATUS = 1005

_VERBS = {"Say", "Pause", "Hangup", "Reject", "Redirect", "Dial", "Connect"}
_ANSWERING = _VERBS - {"Redirect", "Pause"}
_PLACES = {"From": "Caller", "To": "Called"}
_GEOGRAPHY = {"City": "SAN FRANCISCO", "State": "CA", "Zip": "94105", "Country": "US"}


class PhoneError(Exception):
    """The server did what Twilio would not put up with, or the call is over."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a call, at `at_ms` of the phone's clock.

    From the server: media (`bytes` of mu-law), mark (`name`), clear (`bytes` dropped).
    At the caller's ear: speaking (audio begins to play), played (it ended, after `bytes`),
    mark_back (`name`).
    From the caller: say and said (`bytes`), press (`name`: the digits), hang_up, drop.
    From REST: complete, update. Verbs are named as in TwiML: Say, Pause, Connect...
    The stream: start (`name`: its sid), refused and closed (`name`: the status or code).
    """

    at_ms: float
    kind: str
    name: str = ""
    bytes: int = 0


class Phone:
    """A caller's phone and Twilio's part of the call: what happens when `webhook` is the number's voice URL.

    `signed_as` is the public origin (https://...) Twilio would know the server by, when that is not the
    webhook's own: every request is signed for it and arrives as if through a proxy that ends TLS.
    Without `auth_token` nothing is signed. Use it as `async with Phone(...) as phone`; leaving ends
    the calls that are still running.

    Attributes to set before `dial`:
    `late_marks_ms`: marks come back that much later; `wait_before_start_ms`: between `connected` and
    `start`; `send_start`: False for a stream that never says `start`, nor any audio;
    `both_tracks`: send what is played as frames of the outbound track too;
    `dial_status`: how every <Dial> ends (`DialCallStatus`).
    """

    def __init__(self, webhook: str, *, to: str = "+15550001111", account_sid: str = "AC" + "0" * 32,
                 auth_token: str | None = None, signed_as: str | None = None,
                 clock: Clock | None = None) -> None:
        self.to = to
        self.account_sid = account_sid
        self.clock = clock or Clock()
        self.calls: list[PhoneCall] = []
        self.late_marks_ms = 0.0
        self.wait_before_start_ms = 0.0
        self.send_start = True
        self.both_tracks = False
        self.dial_status = "completed"
        self._wire = _Wire(webhook, signed_as, auth_token)

    async def __aenter__(self) -> Self:
        await self._wire.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        traceback: TracebackType | None) -> None:
        try:
            await asyncio.gather(*(call._abandon() for call in self.calls))
        finally:
            await self._wire.close()

    async def dial(self, from_: str = "+15557654321", *, method: str = "POST",
                   **parameters: str) -> "PhoneCall":
        """Call the number; `parameters` are added to, or replace, what the webhook is told.

        Returns once a stream has been told `start`, or the call is over. Raises PhoneError when the
        webhook's answer, or a verb up to there, is one that Twilio would not accept.
        """
        call = PhoneCall(self, self._wire, from_, parameters)
        self.calls.append(call)
        await call._begin(method)
        return call


class PhoneCall:
    """One call, from its first ring until its last verb is done. Made by `Phone.dial`.

    Every `until_...` waits for at most `timeout` real seconds and then raises TimeoutError; it raises
    PhoneError when the call is over, or has failed, and what is waited for cannot happen any more.
    """

    def __init__(self, phone: Phone, wire: "_Wire", from_: str, parameters: Mapping[str, str]) -> None:
        self.phone = phone
        self.clock = phone.clock
        self.sid = _sid("CA")
        self.stream_sid = ""
        self.twiml = ""
        """The last TwiML document received."""
        self.custom_parameters: dict[str, str] = {}
        self.spoken: list[str] = []
        self.dialled: list[str] = []
        self.rejected: str | None = None
        self.stream_error: int | None = None
        """The status that refused the last stream's upgrade; 0 when nobody answered at all."""
        self.close_code: int | None = None
        """How the last stream was closed; 1006 when there was no close frame."""
        self.warnings: list[str] = []
        """Twilio's debugger. Unlike Twilio, which warns once a stream, this keeps every one."""
        self.log: list[Event] = []
        self.over = False
        self._wire = wire
        self._document_url = wire.webhook
        self._parameters = _call_parameters(phone, self.sid, from_) | dict(parameters)
        self._heard = bytearray()
        self._recording = bytearray(), bytearray()
        self._talk_starts: list[float] = []
        self._stream: _Stream | None = None
        self._runner: asyncio.Task[None] | None = None
        self._failure: PhoneError | None = None
        self._ready = asyncio.Event()
        self._changed = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._replacement: Element | None = None
        self._callbacks: set[asyncio.Task[None]] = set()

    def __str__(self) -> str:
        last = ", ".join(f"{event.kind} {event.name}".strip() for event in self.log[-5:])
        return (f"call {self.sid[:8]}: {'over' if self.over else 'running'} at {self.clock.ms():.0f} ms, "
                f"heard {self.heard_ms:.0f} ms, {self.queued_ms:.0f} ms queued, last: {last or 'nothing'}, "
                f"warnings: {self.warnings}")

    # What the caller does

    async def say(self, ulaw: bytes) -> None:
        """Speak; returns when the last frame of it is sent, or the stream has ended before.

        What is said while something is still being said comes after it.
        """
        stream = self._open_stream()
        self._note("say", bytes=len(ulaw))
        end = stream.speak(ulaw)
        while stream.frames_sent < end and not stream.ended:
            await self._changed.wait()
        self._note("said", bytes=len(ulaw))

    async def press(self, digits: str) -> None:
        """Press keys, 0-9 * # A-D, one every 100 ms."""
        if not re.fullmatch(r"[0-9*#A-D]+", digits):
            raise ValueError(f"A telephone has no keys for {digits!r}.")
        stream = self._open_stream()
        self._note("press", digits)
        for digit in digits:
            await stream.send("dtmf", {"track": "inbound_track", "digit": digit})
            await self.clock.sleep(DIGIT_MS)

    async def hang_up(self) -> None:
        """The caller hangs up: `stop`, close, and no verb after that. Returns when the call is over."""
        await self._end("hang_up")

    def drop(self) -> None:
        """Break the stream's connection: neither `stop` nor a close frame; the next verb runs."""
        stream = self._open_stream()
        self._note("drop")
        stream.abort()

    async def send_text(self, text: str) -> None:
        """Send the server any text frame at all."""
        await self._open_stream().send_text(text)

    # What REST does

    async def complete(self) -> None:
        """As REST's status=completed: `stop`, close, and no verb after that. Returns when it is over."""
        await self._end("complete")

    async def update(self, twiml: str) -> None:
        """As REST's twiml=...: `stop`, close, and the new document in place of the old one.

        Returns at once, as REST does.
        """
        if self.over:
            raise PhoneError("The call is over: it cannot be updated (Twilio's 21220).")
        document = _parsed("REST", twiml)
        self._note("update")
        self.twiml = twiml
        self._interrupt(document)

    # What a test waits for

    async def until_speaking(self, after_ms: float | None = None, *, timeout: float = 20.0) -> float:
        """The first time, at or after `after_ms`, that audio begins to play where none was queued.

        Without `after_ms`: the beginning of what is playing now, or else the next one.
        """
        if after_ms is None:
            playing = self._stream is not None and self._stream.playing
            after_ms = self._talk_starts[-1] if playing else self.clock.ms()
        await self._until(lambda: self._talk_start(after_ms) is not None,
                          f"audio after {after_ms:.0f} ms", timeout)
        start = self._talk_start(after_ms)
        assert start is not None
        return start

    async def until_heard(self, ms: float, *, timeout: float = 20.0) -> None:
        """Until `ms` of assistant audio in all have been played since the call began."""
        await self._until(lambda: self.heard_ms >= ms, f"{ms:.0f} ms heard", timeout)

    async def until_logged(self, kind: str, name: str | None = None, *, timeout: float = 20.0) -> Event:
        """The first event of that kind (and name) in the log, which may have happened already."""
        await self._until(lambda: self._logged(kind, name) is not None, f"{kind} {name or ''}", timeout)
        event = self._logged(kind, name)
        assert event is not None
        return event

    async def until_quiet(self, *, timeout: float = 20.0) -> None:
        """Until no audio is queued: all was played, or dropped."""
        await self._until(lambda: self.queued_ms == 0, "quiet", timeout)

    async def until_over(self, *, timeout: float = 20.0) -> None:
        """Until all verbs are done. Raises PhoneError when one could not be carried out."""
        await self._until(lambda: self.over, "the end of the call", timeout)
        if self._failure:
            raise self._failure

    # What was heard

    @property
    def heard_ms(self) -> float:
        """Assistant audio played so far, in ms."""
        return len(self._heard) / BYTES_PER_MS

    @property
    def queued_ms(self) -> float:
        """Assistant audio that waits to be played, in ms."""
        return self._stream.queued_bytes / BYTES_PER_MS if self._stream else 0.0

    @property
    def played(self) -> bytes:
        """All assistant audio really played, mu-law, without the gaps."""
        return bytes(self._heard)

    def recording(self) -> tuple[bytes, bytes]:
        """The caller's and the assistant's side, mu-law, of equal length, silence where nothing was.

        Both begin with the first stream; a further stream follows without a gap.
        """
        caller, assistant = self._recording
        return bytes(caller), bytes(assistant)

    # The verbs

    async def _begin(self, method: str) -> None:
        document = await self._fetch(self._wire.webhook, method)
        self._parameters["CallStatus"] = "in-progress"
        self._runner = asyncio.create_task(self._run(document))
        await self._ready.wait()
        if self._failure:
            raise self._failure

    async def _run(self, document: Element | None) -> None:
        try:
            try:
                await self._run_documents(document)
            except PhoneError as error:
                # Nobody awaits this task: `dial` and `until_...` raise it.
                self._failure = error
            if self._callbacks:
                await asyncio.wait(self._callbacks)
        finally:
            self.over = True
            self._ready.set()
            self._notify()

    async def _run_documents(self, document: Element | None) -> None:
        documents = 0
        while document is not None:
            documents += 1
            if documents > MOST_DOCUMENTS:
                raise PhoneError(f"The call went through {MOST_DOCUMENTS} TwiML documents without an end.")
            document = await self._run_document(document)

    async def _run_document(self, document: Element) -> Element | None:
        """Run the verbs in order; the document that takes over from this one, or None at the end."""
        for verb in document:
            following = await self._run_verb(verb)
            if self._interrupted.is_set():
                self._interrupted.clear()
                return self._replacement
            if following is not None:
                return following
        return None

    async def _run_verb(self, verb: Element) -> Element | None:
        """Run one verb; the document that takes over after it, or None to go on with the next verb."""
        self._note(verb.tag, (verb.text or "").strip())
        match verb.tag:
            case "Say":
                self.spoken.append("".join(verb.itertext()).strip())
            case "Pause":
                await self._pause(float(verb.get("length", "1")) * 1000)
            case "Hangup":
                return Element("Response")
            case "Reject":
                return self._reject(verb)
            case "Redirect":
                address = self._resolve((verb.text or "").strip())
                return await self._fetch(address, verb.get("method", "POST"))
            case "Dial":
                return await self._dial(verb)
            case "Connect":
                return await self._connect(verb)
        return None

    async def _pause(self, ms: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(ms / 1000 / self.clock.speed):
                await self._interrupted.wait()

    def _reject(self, verb: Element) -> Element:
        reason = verb.get("reason", "rejected")
        if reason not in ("busy", "rejected"):
            raise PhoneError(f'<Reject reason="{reason}"> is neither busy nor rejected.')
        if any(event.kind in _ANSWERING for event in self.log[:-1]):
            raise PhoneError("<Reject> comes too late: the call has been answered.")
        self.rejected = reason
        return Element("Response")

    async def _dial(self, verb: Element) -> Element | None:
        numbers = [(noun.text or "").strip() for noun in verb] or [(verb.text or "").strip()]
        if not all(numbers):
            raise PhoneError("<Dial> names nobody to dial.")
        self.dialled.extend(numbers)
        return await self._action(verb, DialCallStatus=self.phone.dial_status, DialCallSid=_sid("CA"),
                                  DialCallDuration="1")

    async def _connect(self, verb: Element) -> Element | None:
        if [noun.tag for noun in verb] != ["Stream"]:
            raise PhoneError("<Connect> must hold exactly one <Stream>: this phone connects nothing else.")
        await self._run_stream(verb[0])
        if self._interrupted.is_set():
            return None
        return await self._action(verb)

    async def _action(self, verb: Element, **parameters: str) -> Element | None:
        action = verb.get("action")
        if action is None:
            return None
        return await self._fetch(self._resolve(action), verb.get("method", "POST"), parameters)

    async def _fetch(self, url: str, method: str, parameters: Mapping[str, str] = {}) -> Element:
        self._document_url = url
        self.twiml = await self._wire.twiml(url, method, self._parameters | dict(parameters))
        return _parsed(url, self.twiml)

    def _resolve(self, address: str) -> str:
        if not address:
            raise PhoneError("A TwiML document leaves out the address to go to.")
        return urljoin(self._document_url, address)

    # The stream

    async def _run_stream(self, noun: Element) -> None:
        """Connect <Stream> and stay until it ends; says in stream_error, close_code how it went."""
        url = _stream_url(noun, self._resolve(noun.get("url", "")))
        self.custom_parameters = _custom_parameters(noun)
        self.stream_sid = _sid("MZ")
        self.stream_error = self.close_code = None
        # A connector for this one socket: closing it is the public way to break the connection.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector()) as session:
            try:
                ws = await self._wire.connect(session, url)
            except aiohttp.WSServerHandshakeError as error:
                self._refused(noun, error.status)
            except (aiohttp.ClientError, TimeoutError):
                self._refused(noun, 0)
            else:
                await self._stay_in(_Stream(self, session, ws), noun)

    def _refused(self, noun: Element, status: int) -> None:
        self.stream_error = status
        self._note("refused", str(status))
        self._report(noun, "stream-error", StreamError="31920" if status else "31902")

    async def _stay_in(self, stream: "_Stream", noun: Element) -> None:
        self._stream = stream
        if self._interrupted.is_set():
            stream.leave()
        self._report(noun, "stream-started")
        try:
            self.close_code = await stream.run()
        finally:
            await stream.close()
            self._stream = None
            self._note("closed", str(self.close_code))
        self._report(noun, "stream-stopped")

    def _report(self, noun: Element, event: str, **parameters: str) -> None:
        """Tell <Stream statusCallback>; its answer changes nothing, so the call does not wait for it."""
        callback = noun.get("statusCallback")
        if callback is None:
            return
        form = {"AccountSid": self.phone.account_sid, "CallSid": self.sid, "StreamSid": self.stream_sid,
                "StreamName": noun.get("name", self.stream_sid), "StreamEvent": event,
                "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")}
        task = asyncio.create_task(self._wire.tell(
            callback, noun.get("statusCallbackMethod", "POST"), form | parameters))
        self._callbacks.add(task)

    def _open_stream(self) -> "_Stream":
        if self._stream is None:
            raise PhoneError(f"There is no stream at the moment ({self}).")
        return self._stream

    def _started(self) -> None:
        self._note("start", self.stream_sid)
        self._ready.set()

    # Endings

    async def _end(self, kind: str) -> None:
        if not self.over:
            self._note(kind)
            self._interrupt(None)
        await self.until_over()

    def _interrupt(self, replacement: Element | None) -> None:
        """Stop the verb that is running; go on with `replacement`, or not at all."""
        self._replacement = replacement
        self._interrupted.set()
        if self._stream:
            self._stream.leave()

    async def _abandon(self) -> None:
        for callback in self._callbacks:
            callback.cancel()
        await asyncio.gather(*self._callbacks, return_exceptions=True)
        if self._runner:
            self._runner.cancel()
            with suppress(asyncio.CancelledError):
                await self._runner

    # Notes and waiting

    def _note(self, kind: str, name: str = "", bytes: int = 0) -> None:
        self.log.append(Event(self.clock.ms(), kind, name, bytes))
        self._notify()

    def _notify(self) -> None:
        # Everyone who waits looks again; who waits from now on waits for the next time.
        self._changed.set()
        self._changed = asyncio.Event()

    def _talk_start(self, after_ms: float) -> float | None:
        return next((start for start in self._talk_starts if start >= after_ms), None)

    def _logged(self, kind: str, name: str | None) -> Event | None:
        return next((event for event in self.log if event.kind == kind and name in (None, event.name)), None)

    async def _until(self, reached: Callable[[], bool], what: str, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not reached():
                    if self.over:
                        raise PhoneError(f"The call was over before {what} ({self}).") from self._failure
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"Waited {timeout:g} s in vain for {what} ({self}).") from None


class _Stream:
    """One websocket of Media Streams: paced frames out, strictly read messages in, a queue being played."""

    def __init__(self, call: PhoneCall, session: aiohttp.ClientSession,
                 ws: aiohttp.ClientWebSocketResponse) -> None:
        self.frames_sent = 0
        self.ended = False
        self.playing = False
        """Audio has begun to play and has not run out yet."""
        self._call = call
        self._phone = call.phone
        self._clock = call.clock
        self._session = session
        self._ws = ws
        self._sid = call.stream_sid
        self._sequence = itertools.count(1)
        self._voice: deque[bytes] = deque()
        self._playback = _Playback()
        self._talk_bytes = 0
        self._marks_due: deque[tuple[float, str]] = deque()
        self._leaving = asyncio.Event()
        self._aborting = False

    @property
    def queued_bytes(self) -> int:
        return self._playback.queued

    async def run(self) -> int:
        """Be a stream until either side ends it; the close code."""
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
        """Queue the caller's speech; how many frames will have been sent when its last one is."""
        frames = (ulaw[start:start + FRAME_BYTES] for start in range(0, len(ulaw), FRAME_BYTES))
        self._voice.extend(frame.ljust(FRAME_BYTES, SILENCE) for frame in frames)
        return self.frames_sent + len(self._voice)

    def leave(self) -> None:
        """Send `stop` and close."""
        self._leaving.set()

    def abort(self) -> None:
        """Break the connection without a word."""
        self._aborting = True
        self._leaving.set()

    async def close(self) -> None:
        """Let go of the connection, however the stream ended."""
        self.ended = True
        await self._ws.close()

    # Out

    async def send(self, event: str, detail: Mapping[str, object]) -> None:
        message = {"event": event, "sequenceNumber": str(next(self._sequence)), "streamSid": self._sid}
        await self.send_text(json.dumps(message | {event: detail}))

    async def send_text(self, text: str) -> None:
        # A connection that is gone is noticed by the reading side, which ends the stream.
        with suppress(ConnectionError, aiohttp.ClientError):
            await self._ws.send_str(text)

    async def _send_start(self) -> None:
        tracks = ["inbound", "outbound"] if self._phone.both_tracks else ["inbound"]
        await self.send("start", {
            "accountSid": self._phone.account_sid, "streamSid": self._sid, "callSid": self._call.sid,
            "tracks": tracks,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self._call.custom_parameters})

    async def _keep_time(self) -> None:
        """`start`, then a frame out and a frame's time of playing every 20 ms, however late it gets."""
        if not self._phone.send_start:
            self._call._ready.set()
            return
        if self._phone.wait_before_start_ms:
            await self._clock.sleep(self._phone.wait_before_start_ms)
        await self._send_start()
        self._call._started()
        started = self._clock.ms()
        for number in itertools.count(1):
            await self._clock.until(started + number * FRAME_MS)
            if self._leaving.is_set():
                return                               # nothing comes after `stop`
            await self._tick(number)

    async def _tick(self, number: int) -> None:
        said = self._voice.popleft() if self._voice else SILENCE * FRAME_BYTES
        await self._send_frame("inbound", number, said)
        self.frames_sent = number
        heard = self._play().ljust(FRAME_BYTES, SILENCE)
        for side, frame in zip(self._call._recording, (said, heard)):
            side.extend(frame)
        if self._phone.both_tracks:
            await self._send_frame("outbound", number, heard)
        await self._echo_marks()
        self._call._notify()

    async def _send_frame(self, track: str, number: int, frame: bytes) -> None:
        await self.send("media", {
            "track": track, "chunk": str(number), "timestamp": str((number - 1) * FRAME_MS),
            "payload": base64.b64encode(frame).decode()})

    # Playing

    def _play(self) -> bytes:
        heard, marks = self._playback.play(FRAME_BYTES)
        if heard and not self.playing:
            self.playing = True
            self._call._talk_starts.append(self._clock.ms())
            self._call._note("speaking")
        self._talk_bytes += len(heard)
        self._call._heard.extend(heard)
        if not self._playback.queued:
            self._stop_playing()
        self._return_marks(marks)
        return heard

    def _stop_playing(self) -> None:
        if self.playing:
            self._call._note("played", bytes=self._talk_bytes)
        self.playing = False
        self._talk_bytes = 0

    def _return_marks(self, names: list[str]) -> None:
        due = self._clock.ms() + self._phone.late_marks_ms
        self._marks_due.extend((due, name) for name in names)

    async def _echo_marks(self) -> None:
        while self._marks_due and self._marks_due[0][0] <= self._clock.ms():
            _, name = self._marks_due.popleft()
            self._call._note("mark_back", name)
            await self.send("mark", {"name": name})

    # In

    async def _read(self) -> int:
        """Obey the server's messages until there are no more; the close code."""
        while True:
            message = await self._ws.receive()
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    await self._obey(message.data)
                case aiohttp.WSMsgType.BINARY:
                    self._call.warnings.append(f"31950 a binary frame of {len(message.data)} bytes")
                case aiohttp.WSMsgType.CLOSE:
                    return int(message.data or NO_STATUS)
                case aiohttp.WSMsgType.ERROR:
                    self._call.warnings.append(f"31924 websocket protocol violation: {message.data}")
                    return self._ws.close_code or ABNORMAL_CLOSURE
                case _:
                    return ABNORMAL_CLOSURE

    async def _obey(self, text: str) -> None:
        try:
            event, value = _server_message(text, self._sid)
        except _Unusable as reason:
            self._call.warnings.append(f"31951 {reason}: {text[:200]}")
            return
        match event:
            case "media":
                audio = base64.b64decode(value)
                self._call._note("media", bytes=len(audio))
                self._playback.add(audio)
            case "mark":
                self._call._note("mark", value)
                self._return_marks(self._playback.mark(value))
            case "clear":
                self._call._note("clear", bytes=self._playback.queued)
                self._return_marks(self._playback.clear())
                self._stop_playing()
        await self._echo_marks()

    # The end

    async def _leave(self) -> None:
        await self._leaving.wait()
        if self._aborting:
            # Zero lingering makes the kernel reset the connection rather than end it politely.
            self._ws.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await self._session.close()
        else:
            await self.send("stop", {"accountSid": self._phone.account_sid, "callSid": self._call.sid})
            await self._ws.close()


class _Playback:
    """The audio and the marks that wait to be played, in order."""

    def __init__(self) -> None:
        self.queued = 0
        """Bytes of audio."""
        self._queue: deque[bytes | str] = deque()

    def add(self, audio: bytes) -> None:
        if audio:
            self._queue.append(audio)
            self.queued += len(audio)

    def mark(self, name: str) -> list[str]:
        """Queue a mark; the marks that are returned at once because no audio is before them."""
        self._queue.append(name)
        return self._marks_in_front()

    def play(self, size: int) -> tuple[bytes, list[str]]:
        """Play up to `size` bytes; these, and the marks reached with them."""
        heard = bytearray()
        marks = self._marks_in_front()
        while self._queue and len(heard) < size:
            audio = self._queue.popleft()
            assert isinstance(audio, bytes)
            room = size - len(heard)
            heard += audio[:room]
            if audio[room:]:
                self._queue.appendleft(audio[room:])
            marks += self._marks_in_front()
        self.queued -= len(heard)
        return bytes(heard), marks

    def clear(self) -> list[str]:
        """Drop all audio; every mark that was waiting."""
        marks = [item for item in self._queue if isinstance(item, str)]
        self._queue.clear()
        self.queued = 0
        return marks

    def _marks_in_front(self) -> list[str]:
        marks = []
        while self._queue and isinstance(self._queue[0], str):
            marks.append(self._queue[0])
            self._queue.popleft()
        return marks


class _Wire:
    """The requests of Twilio: to which address, signed for which one.

    Addresses are spelled as Twilio knows them; only here is it decided where they are dialled.
    """

    def __init__(self, webhook: str, signed_as: str | None, auth_token: str | None) -> None:
        self._server = urlsplit(webhook)
        self._public = urlsplit(signed_as) if signed_as else None
        self._auth_token = auth_token
        self._session: aiohttp.ClientSession | None = None
        self.webhook = webhook
        if self._public:
            path = self._server._replace(scheme="", netloc="").geturl()
            self.webhook = f"{self._public.scheme}://{self._public.netloc}{path}"

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WEBHOOK_SECONDS))

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def twiml(self, url: str, method: str, parameters: Mapping[str, str]) -> str:
        """Ask a webhook what to do. Raises PhoneError when Twilio would not take the answer."""
        try:
            status, headers, body = await self._request(url, method, parameters)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PhoneError(f"11200: {url} could not be asked: {error!r}.") from error
        if status != 200:
            raise PhoneError(f"11200: {url} answered {status}, not 200: {body[:200]!r}.")
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in ("text/xml", "application/xml"):
            raise PhoneError(f"12300: {url} answered with Content-Type {kind!r}, not text/xml.")
        if "Content-Length" not in headers or "Transfer-Encoding" in headers:
            raise PhoneError(f"{url} answered without Content-Length: Twilio may cut such TwiML short.")
        return body.decode(errors="replace")

    async def tell(self, url: str, method: str, parameters: Mapping[str, str]) -> None:
        """Send a status callback, of which nobody reads the answer."""
        with suppress(aiohttp.ClientError, TimeoutError):
            await self._request(url, method, parameters)

    async def connect(self, session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
        """Open a stream's websocket. Raises aiohttp's errors and TimeoutError."""
        address, headers = self._reach(url)
        async with asyncio.timeout(WEBHOOK_SECONDS):
            return await session.ws_connect(
                URL(address, encoded=True), headers=headers | self._signature(url, {}), max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSING_SECONDS))

    async def _request(self, url: str, method: str,
                       parameters: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            raise PhoneError("The phone is not plugged in: use it as `async with Phone(...) as phone`.")
        url = urldefrag(url).url
        form: dict[str, str] | None = dict(parameters)
        if method == "GET":
            url, form = url + ("&" if "?" in url else "?") + urlencode(parameters), None
        address, headers = self._reach(url)
        headers |= {"User-Agent": "TwilioProxy/1.1"} | self._signature(url, form or {})
        async with self._session.request(method, URL(address, encoded=True), data=form, headers=headers,
                                         allow_redirects=False) as response:
            return response.status, response.headers, await response.read()

    def _reach(self, url: str) -> tuple[str, dict[str, str]]:
        """Where to dial `url`, and the headers that a proxy in front of the server would add."""
        parts = urlsplit(url)
        if self._public and parts.hostname == self._public.hostname:
            scheme = self._server.scheme
            if parts.scheme == "wss":
                scheme = scheme.replace("http", "ws", 1)
            address = parts._replace(scheme=scheme, netloc=self._server.netloc)
            return address.geturl(), {"Host": parts.netloc, "X-Forwarded-Proto": "https"}
        if parts.scheme == "wss" and _is_loopback(parts.hostname or ""):
            return parts._replace(scheme="ws").geturl(), {}
        return url, {}

    def _signature(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        """https://www.twilio.com/docs/usage/security: over the address, and a form sorted by name."""
        if self._auth_token is None:
            return {}
        signed = _signed_address(url) + "".join(name + form[name] for name in sorted(form))
        digest = hmac.digest(self._auth_token.encode(), signed.encode(), "sha1")
        return {"X-Twilio-Signature": base64.b64encode(digest).decode()}


def _stream_url(noun: Element, url: str) -> str:
    """The wss:// address to dial for <Stream>, without the query, which Twilio drops."""
    if noun.get("track", "inbound_track") != "inbound_track":
        raise PhoneError("31941: inside <Connect> a <Stream> has only the inbound_track.")
    parts = urlsplit(url)._replace(query="", fragment="")
    if not urlsplit(noun.get("url", "")).scheme:
        parts = parts._replace(scheme="wss")
    if parts.scheme != "wss" or not parts.hostname:
        raise PhoneError(f"31922: a <Stream> needs a wss:// address, not {url!r}.")
    return parts.geturl()


def _signed_address(url: str) -> str:
    """The address as Twilio signs it: over https without user and port, else only without the user."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "https":
        host = re.sub(r":\d+$", "", host)
    return parts._replace(netloc=host).geturl()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sid(prefix: str) -> str:
    return prefix + secrets.token_hex(16)


def _call_parameters(phone: Phone, sid: str, from_: str) -> dict[str, str]:
    """What the first request of an incoming call says."""
    parameters = {
        "CallSid": sid, "AccountSid": phone.account_sid, "ApiVersion": "2010-04-01", "Direction": "inbound",
        "CallStatus": "ringing", "From": from_, "To": phone.to, "Caller": from_, "Called": phone.to,
        "StirVerstat": "TN-Validation-Passed-A"}
    for side, alias in _PLACES.items():
        for kind, place in _GEOGRAPHY.items():
            parameters[side + kind] = parameters[alias + kind] = place
    return parameters


def _custom_parameters(noun: Element) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for parameter in noun:
        name, value = parameter.get("name"), parameter.get("value")
        if parameter.tag != "Parameter" or not name or value is None:
            raise PhoneError("<Stream> may hold only <Parameter>, each with a name and a value.")
        if len(name) + len(value) >= 500:
            raise PhoneError(f"<Parameter> {name!r} and its value have 500 characters or more.")
        parameters[name] = value
    return parameters


def _parsed(source: str, twiml: str) -> Element:
    """The <Response> of a TwiML document. Raises PhoneError when it is none, or has a verb unknown here."""
    if not twiml.startswith("<?xml"):
        raise PhoneError(f"12100: {source}'s answer does not begin with the XML declaration: {twiml[:80]!r}.")
    try:
        document = ElementTree.fromstring(twiml.encode())
    except ElementTree.ParseError as error:
        raise PhoneError(f"12100: the answer of {source} is not XML: {error}.") from error
    if document.tag != "Response":
        raise PhoneError(f"12100: the root of {source}'s answer is <{document.tag}>, not <Response>.")
    for verb in document:
        if verb.tag not in _VERBS:
            raise PhoneError(f"12200: this phone knows no verb <{verb.tag}> ({source}).")
    return document


class _Unusable(ValueError):
    """A message that Twilio ignores, with error 31951."""


_CONTENTS = {"media": "payload", "mark": "name", "clear": None}


def _server_message(text: str, stream_sid: str) -> tuple[str, str]:
    """(event, its payload or name). Raises _Unusable for anything that is not exactly as documented."""
    try:
        message = json.loads(text)
    except ValueError:
        raise _Unusable("not JSON") from None
    event = message.get("event") if isinstance(message, dict) else None
    if not isinstance(event, str) or event not in _CONTENTS:
        raise _Unusable(f"unknown event {event!r}")
    content = _CONTENTS[event]
    _require_keys(message, {"event", "streamSid"} | ({event} if content else set()))
    if message["streamSid"] != stream_sid:
        raise _Unusable("not this stream's streamSid")
    if content is None:
        return event, ""
    _require_keys(message[event], {content})
    value = message[event][content]
    if not isinstance(value, str) or (event == "media" and not _is_base64(value)):
        raise _Unusable(f"{event}.{content} is not a {'base64 ' * (event == 'media')}string")
    return event, value


def _require_keys(part: Any, names: set[str]) -> None:
    if not isinstance(part, dict):
        raise _Unusable("not an object where one is expected")
    if missing := names - part.keys():
        raise _Unusable(f"missing {', '.join(sorted(missing))}")
    if extra := part.keys() - names:
        raise _Unusable(f"extra {', '.join(sorted(extra))}")


def _is_base64(payload: str) -> bool:
    try:
        base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
