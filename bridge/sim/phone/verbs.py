"""Twilio's part of a call: it fetches TwiML and runs it verb after verb."""

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urljoin
from xml.etree.ElementTree import Element

import aiohttp

from bridge.sim.phone.event import PhoneError, sid
from bridge.sim.phone.habits import Habits
from bridge.sim.phone.log import CallLog
from bridge.sim.phone.recorder import Recorder, Recording
from bridge.sim.phone.stream import Stream, StreamIds
from bridge.sim.phone.tape import Tape
from bridge.sim.phone.twiml import ANSWERING, custom_parameters, dialled, parsed, stream_url
from bridge.sim.phone.wire import Wire

MOST_DOCUMENTS = 20
"""The most TwiML documents in one call, because two may redirect to each other for ever."""
DIAL_STATUSES = {"completed", "answered", "busy", "no-answer", "failed", "canceled"}
_PLACES = {"From": "Caller", "To": "Called"}
_GEOGRAPHY = {"City": "SAN FRANCISCO", "State": "CA", "Zip": "94105", "Country": "US"}


class Verbs(CallLog):
    """The part of a call that the server's documents decide."""

    def __init__(self, phone: Habits, wire: Wire, from_: str, parameters: Mapping[str, str]) -> None:
        super().__init__(phone.clock)
        self.phone = phone
        self.sid = sid("CA")
        self.stream_sid = ""
        self.twiml = ""
        """The last TwiML document received."""
        self.custom_parameters: dict[str, str] = {}
        self.spoken: list[str] = []
        self.dialled: list[str] = []
        self.clips: list[str] = []
        """The addresses that <Play> played."""
        self.recorded: list[Recording] = []
        """The recordings of <Record>."""
        self.rejected: str | None = None
        self.stream_error: int | None = None
        """The HTTP status that refused the last stream's upgrade. 0: nobody answered."""
        self.close_code: int | None = None
        """The close code of the last stream. 1006: there was no close frame."""
        self._wire = wire
        self._document_url = wire.webhook
        self._parameters = call_parameters(phone, self.sid, from_) | dict(parameters)
        self._tape = Tape()
        self._stream: Stream | None = None
        self._recorder: Recorder | None = None
        self._human_left: asyncio.Event | None = None      # while a dialled human is on the line
        self._runner: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._replacement: Element | None = None
        self._callbacks: set[asyncio.Task[None]] = set()

    # Documents

    async def _begin(self, method: str) -> None:
        token = str(uuid.uuid4())
        for _ in range(self.phone.repeated_webhooks):
            await self._fetch(self._wire.webhook, method, token=token)
        document = await self._fetch(self._wire.webhook, method, token=token)
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
                # Nobody awaits this task, so `dial` and `until_...` raise the error.
                self._failure = error
            if self._callbacks:
                await asyncio.wait(self._callbacks)
        finally:
            self.over = True
            self._ready.set()
            self.notify()

    async def _run_documents(self, document: Element | None) -> None:
        documents = 0
        while document is not None:
            documents += 1
            if documents > MOST_DOCUMENTS:
                raise PhoneError(f"The call went through {MOST_DOCUMENTS} TwiML documents without an end.")
            document = await self._run_document(document)

    async def _run_document(self, document: Element) -> Element | None:
        """Runs the verbs in order. Returns the document that replaces this one, or None at the end."""
        for verb in document:
            following = await self._run_verb(verb)
            if self._interrupted.is_set():
                self._interrupted.clear()
                replacement, self._replacement = self._replacement, None
                return replacement
            if following is not None:
                return following
        return None

    async def _run_verb(self, verb: Element) -> Element | None:
        """Runs one verb. Returns the document that takes over after it, or None to go on with the next verb."""
        self.note(verb.tag, (verb.text or "").strip())
        match verb.tag:
            case "Say":
                self.spoken.append("".join(verb.itertext()).strip())
            case "Play":
                await self._play(verb)
            case "Pause":
                await self._pause(float(verb.get("length", "1")) * 1000)
            case "Hangup":
                return Element("Response")
            case "Reject":
                return self._reject(verb)
            case "Redirect":
                address = self._resolve((verb.text or "").strip())
                return await self._fetch(address, verb.get("method", "POST"))
            case "Record":
                return await self._record(verb)
            case "Dial":
                return await self._dial(verb)
            case "Connect":
                return await self._connect(verb)
        return None

    # Verbs

    async def _play(self, verb: Element) -> None:
        if verb.get("digits") is None:
            address = self._resolve((verb.text or "").strip())
            await self._wire.fetch_clip(address)
            self.clips.append(address)

    async def _pause(self, ms: float) -> None:
        await self._first(self._interrupted, ms)

    def _reject(self, verb: Element) -> Element:
        reason = verb.get("reason", "rejected")
        if reason not in ("busy", "rejected"):
            raise PhoneError(f'<Reject reason="{reason}"> is neither busy nor rejected.')
        if any(event.kind in ANSWERING for event in self.log[:-1]):
            raise PhoneError("<Reject> comes too late: the call has been answered.")
        self.rejected = reason
        return Element("Response")

    async def _dial(self, verb: Element) -> Element | None:
        self.dialled.extend(dialled(verb, {self.phone.to, self._parameters["From"]}))
        statuses = self.phone.dial_statuses
        status = statuses.pop(0) if statuses else self.phone.dial_status
        if status not in DIAL_STATUSES:
            raise PhoneError(f"No <Dial> ends as {status!r}: mind `Phone.dial_statuses`.")
        began = self.clock.ms()
        if status == "answered":
            status = "completed"
            await self._talk_to_human(float(verb.get("timeLimit", "14400")) * 1000)
            if self._interrupted.is_set():
                return None
        seconds = str(max(1, round((self.clock.ms() - began) / 1000)))
        return await self._action(
            verb, DialCallStatus=status, DialCallSid=sid("CA"),
            **({"DialCallDuration": seconds} if status == "completed" else {}))

    async def _talk_to_human(self, longest_ms: float) -> None:
        """Waits until the human or the caller hangs up, or the time is over."""
        self._human_left = asyncio.Event()
        self.note("human")
        await self._first(self._human_left, longest_ms)
        self._human_left = None

    async def _record(self, verb: Element) -> Element | None:
        if verb.get("action") is None:
            raise PhoneError("A <Record> without an action is a loop: Twilio requests the same document again.")
        if verb.get("playBeep", "true") == "true":
            self.note("beep")
        self._recorder = Recorder(verb, self.clock)
        self._tell_recording(verb, "in-progress")
        await self._recorder.run()
        recording, self._recorder = self._recorder.result(self.phone.account_sid), None
        if recording is None:
            self._tell_recording(verb, "absent")
            return None                                  # Twilio goes on with the next verb
        self.recorded.append(recording)
        self.note("recorded", recording.digits, len(recording.audio))
        self._tell_recording(verb, "completed", recording)
        if self._replacement is not None:
            return None
        if self._interrupted.is_set():                   # the caller has gone, and `action` is requested all the same
            self._parameters["CallStatus"] = "completed"
        return await self._action(verb, **recording.for_action())

    def _tell_recording(self, verb: Element, status: str, recording: Recording | None = None) -> None:
        """Requests `recordingStatusCallback`, if it asked for that status."""
        callback = verb.get("recordingStatusCallback")
        if callback and status in verb.get("recordingStatusCallbackEvent", "completed").split():
            self._tell(self._resolve(callback), verb.get("recordingStatusCallbackMethod", "POST"), {
                "AccountSid": self.phone.account_sid, "CallSid": self.sid, "RecordingStatus": status,
                **(recording.for_callback() if recording else {})})

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

    async def _fetch(self, url: str, method: str, parameters: Mapping[str, str] = {}, token: str = "") -> Element:
        self._document_url = url
        self.twiml = await self._wire.twiml(url, method, self._parameters | dict(parameters), token)
        return parsed(url, self.twiml)

    def _resolve(self, address: str) -> str:
        if not address:
            raise PhoneError("A TwiML document leaves out the address to go to.")
        return urljoin(self._document_url, address)

    # The stream

    async def _run_stream(self, noun: Element) -> None:
        """Connects <Stream> and stays until it ends. stream_error and close_code say how it went."""
        url = stream_url(noun, self._resolve(noun.get("url", "")))
        self.custom_parameters = custom_parameters(noun)
        self.stream_sid = sid("MZ")
        self.stream_error = self.close_code = None
        # A connector for this one socket. Closing it is aiohttp's public way to break the connection.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector()) as session:
            try:
                ws = await self._wire.connect(session, url)
            except aiohttp.WSServerHandshakeError as error:
                self._refused(noun, error.status)
            except (aiohttp.ClientError, TimeoutError):
                self._refused(noun, 0)
            else:
                ids = StreamIds(self.sid, self.stream_sid, self.custom_parameters)
                stream = Stream(self, self._tape, self.phone, ids, self._ready, session, ws)
                await self._stay_in(stream, noun)

    def _refused(self, noun: Element, status: int) -> None:
        self.stream_error = status
        self.note("refused", str(status))
        self._report(noun, "stream-error", StreamError="31920" if status else "31902")

    async def _stay_in(self, stream: Stream, noun: Element) -> None:
        self._stream = stream
        if self._interrupted.is_set():
            stream.leave()
        self._report(noun, "stream-started")
        try:
            self.close_code = await stream.run()
        finally:
            await stream.close()
            self._stream = None
            self.note("closed", str(self.close_code))
        self._report(noun, "stream-stopped")

    def _report(self, noun: Element, event: str, **parameters: str) -> None:
        """Requests <Stream statusCallback>. The call does not wait for the answer, which changes nothing."""
        callback = noun.get("statusCallback")
        if callback is None:
            return
        form = {"AccountSid": self.phone.account_sid, "CallSid": self.sid, "StreamSid": self.stream_sid,
                "StreamName": noun.get("name", self.stream_sid), "StreamEvent": event,
                "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")}
        self._tell(callback, noun.get("statusCallbackMethod", "POST"), form | parameters)

    def _tell(self, callback: str, method: str, parameters: Mapping[str, str]) -> None:
        self._callbacks.add(asyncio.create_task(self._wire.tell(callback, method, parameters)))

    def _open_stream(self) -> Stream:
        if self._stream is None:
            raise PhoneError(f"There is no stream at the moment ({self}).")
        return self._stream

    # Endings

    def _interrupt(self, replacement: Element | None) -> None:
        """Stops the verb that runs. The call goes on with `replacement`, or ends."""
        self._replacement = replacement
        self._interrupted.set()
        if self._stream:
            self._stream.leave()
        if self._recorder:
            self._recorder.end("hangup" if replacement is None else "")
        if self._human_left:
            self._human_left.set()

    async def _first(self, event: asyncio.Event, ms: float) -> None:
        """Waits for the event, `ms` of call time at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ms / 1000 / self.clock.speed):
                await event.wait()

    async def _abandon(self) -> None:
        for callback in self._callbacks:
            callback.cancel()
        await asyncio.gather(*self._callbacks, return_exceptions=True)
        if self._runner:
            self._runner.cancel()
            with suppress(asyncio.CancelledError):
                await self._runner


def call_parameters(phone: Habits, sid: str, from_: str) -> dict[str, str]:
    """The parameters of the first request of an incoming call."""
    parameters = {
        "CallSid": sid, "AccountSid": phone.account_sid, "ApiVersion": "2010-04-01", "Direction": "inbound",
        "CallStatus": "ringing", "From": from_, "To": phone.to, "Caller": from_, "Called": phone.to,
        "StirVerstat": "TN-Validation-Passed-A"}
    for side, alias in _PLACES.items():
        for kind, place in _GEOGRAPHY.items():
            parameters[side + kind] = parameters[alias + kind] = place
    return parameters
