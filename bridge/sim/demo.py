"""A whole call on this machine, without any account: `python -m bridge demo`.

The real application answers a simulated phone and talks to a simulated Realtime server, over real sockets and with
recorded speech. The terminal shows the call as it happens, and the application records it as a stereo WAV.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from aiohttp import web

from bridge import log
from bridge.app import create_app
from bridge.settings import load
from bridge.sim.clock import Clock
from bridge.sim.owner import Owner
from bridge.sim.phone import Phone, PhoneCall
from bridge.sim.realtime import AFTERWARDS, Call, Line, RealtimeServer, RealtimeSession, Turn
from bridge.sim.speech import load_clip

#: How many times faster than real time `--fast` is.
FAST = 10
ZONE = "Europe/Berlin"
#: How much of the answer the caller hears before interrupting it, in ms.
PATIENCE_MS = 3000

ASK_HOURS = "Hi, what are your opening hours?"
INTERRUPT = "Sorry, I would just like to book a meeting, please."
DETAILS = "My name is Ada Lovelace, A D A at example dot com, and next Thursday at ten in the morning."
THANKS = "No, that is all. Thank you, bye!"


YES = "Yes, please."
BOOKING = {
    "name": "Ada Lovelace", "email": "ada@example.com", "datetime": "next Thursday at ten in the morning",
    "description": "A first appointment."}


def script() -> Iterator[Callable[[RealtimeSession], Turn]]:
    """The simulated model's turns, in order."""
    def line(clip: str, text: str, caller: str = "", *calls: Call) -> Callable[[RealtimeSession], Turn]:
        return lambda session: Turn((Line(text, load_clip(clip)), *calls), caller)

    def call(arguments: Callable[[RealtimeSession], dict[str, str]], caller: str) -> Callable[[RealtimeSession], Turn]:
        return lambda session: Turn((Call("schedule_meeting", {**BOOKING, **arguments(session)}),), caller)

    yield line("greeting", "Hello, this is Bridge Dental. How can I help you?")
    yield line("hours", "We are open Monday to Friday from nine to five, and on Saturdays from ten to one. On public "
               "holidays we are closed, but there is always an emergency line you can reach at any hour of the day.",
               ASK_HOURS)
    yield line("ask_details", "Of course. What is your name, your e-mail address, and which day and time would suit "
               "you?", INTERRUPT)
    yield call(lambda session: {}, DETAILS)
    yield line("read_back", "That is next Thursday at ten in the morning, and your e-mail address is ada at example "
               "dot com. Shall I book it?")
    yield call(confirmation, YES)
    yield line("booked", "Your meeting is booked for next Thursday at ten in the morning. Is there anything else?")
    yield line("goodbye", "Thank you for calling. Goodbye!", THANKS,
               Call("end_call", {"reason": "The caller said goodbye."}))


def confirmation(session: RealtimeSession) -> dict[str, str]:
    """The confirmation_id that the function's first call returned, for its second."""
    outputs = [item.body["output"] for item in session.items.values() if item.type == "function_call_output"]
    return {"confirmation_id": json.loads(outputs[-1])["confirmation_id"]}


class Narrator:
    """Prints the call while it happens: when, who, what."""

    def __init__(self, clock: Clock, out: TextIO) -> None:
        self._clock, self._out = clock, out
        self._outputs: list[str] = []
        self._colour = {"caller": "36", "assistant": "33", "bridge": "35"} if out.isatty() else {}

    def say(self, who: str, what: str) -> None:
        seconds = self._clock.ms() / 1000
        name = f"{who:<10}"
        if colour := self._colour.get(who):
            name = f"\033[1;{colour}m{name}\033[0m"
        print(f"{seconds:7.2f} s  {name} {what}", file=self._out, flush=True)

    def model(self, session: RealtimeSession, kind: str, detail: dict[str, Any]) -> None:
        """A listener to the simulated Realtime server: prints what it notices."""
        match kind:
            case "session_updated":
                self.say("model", "session.updated: audio/pcmu both ways" if session.config["audio"]["input"][
                    "turn_detection"] is None else "session.updated: listening to the caller")
            case "transcript" if detail["role"] == "assistant":
                self.say("assistant", detail["text"])
            case "transcript":
                self.say("model", f"heard: “{detail['text']}”")
            case "function_call":
                self.say("model", f"calls {detail['name']}({detail['arguments']})")
            case "function_output":
                self.say("bridge", f"answers {detail['output']}")
            case "truncated":
                self.say("bridge", f"cut the assistant off at {detail['audio_end_ms']} ms of {detail['audio_ms']} ms: "
                         "so much the caller has heard, and so much the model remembers")
            case "error":
                self.say("model", f"REFUSES: {detail['code']}: {detail['message']}")


async def run(wav: Path, *, fast: bool, out: TextIO | None = None) -> int:
    """Plays the call and writes the WAV. Returns 0 if everything went as it should, else 1."""
    log.set_up("WARNING", "text")
    clock = Clock(FAST if fast else 1)
    narrator = Narrator(clock, out or sys.stdout)
    owner = Owner(lambda meeting, status: narrator.say(
        "webhook", f"received the meeting of {meeting['name']} at {meeting['datetime']}"))
    token = secrets.token_hex(16)
    turns = script()
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(
            RealtimeServer(lambda session: next(turns, lambda _: AFTERWARDS)(session), clock=clock))
        model.listener = narrator.model
        receiver = await stack.enter_async_context(serving(owner.app()))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        # The caller is the demo's own, so that nobody has to be told of the recording.
        async with serving(create_app(load({
                "OPENAI_API_KEY": model.key, "OPENAI_REALTIME_URL": model.url, "WEBHOOK_URL": f"{receiver}/meetings",
                "TWILIO_AUTH_TOKEN": token, "TIMEZONE": ZONE, "MAX_MESSAGES_PER_S": "0",
                "DATABASE_URL": f"sqlite:///{folder}/bridge.db", "RECORD": "1", "RECORD_ANNOUNCEMENT": "",
                "RECORDINGS": str(folder / "recordings"),
                "GREETINGS_RESPONSE": "Hello, this is Bridge Dental. How can I help you?"}))) as origin:
            async with Phone(f"{origin}/incoming-call", auth_token=token, clock=clock) as phone:
                call, replies = await converse(phone, narrator)
        for recording in (folder / "recordings").glob("*.wav"):      # the call's, now that the server has stopped
            wav.write_bytes(recording.read_bytes())
    return summary(narrator, call, model.sessions[0], replies, owner.taken, wav)


async def converse(phone: Phone, narrator: Narrator) -> tuple[PhoneCall, list[float]]:
    """Plays the caller's part. Returns the call, and how long each answer took to sound, in ms."""
    replies: list[float] = []
    narrator.say("phone", f"+15557654321 calls {phone.to}; the webhook is asked what to do")
    call = await phone.dial()
    narrator.say("phone", f"connected; stream {call.stream_sid[:8]}… is open, signed by Twilio's key")

    async def speak(words: str, clip: str) -> None:
        narrator.say("caller", words)
        await call.say(load_clip(clip))
        said = phone.clock.ms()
        replies.append(await call.until_speaking(after_ms=said) - said)

    await call.until_speaking()
    await call.until_quiet()
    await speak(ASK_HOURS, "ask_hours")
    await call.until_heard(call.heard_ms + PATIENCE_MS)
    await speak(f"{INTERRUPT}  (in mid-sentence)", "interrupt")
    await call.until_quiet()
    await speak(DETAILS, "details")
    await call.until_quiet()
    await speak(YES, "yes")
    await call.until_quiet()
    await speak(THANKS, "thanks")
    await call.until_over()
    narrator.say("phone", "the call is over")
    return call, replies


def summary(
    narrator: Narrator, call: PhoneCall, session: RealtimeSession, replies: list[float],
    meetings: list[dict[str, Any]], wav: Path,
) -> int:
    """Prints the call's figures and problems. Returns 1 if there are problems, else 0."""
    times = {kind: [event.at_ms for event in call.log if event.kind == kind] for kind in ("start", "speaking", "clear")}
    speech_started = [at for at, kind, _ in session.log if kind == "speech_started"]
    problems = [*call.warnings, *(error["error"]["message"] for error in session.errors)]
    problems += [] if len(meetings) == 1 else [f"{len(meetings)} meetings arrived at the webhook, not 1"]
    problems += [] if wav.stat().st_size else ["the call was not recorded"]
    problems += [] if len(times["clear"]) == 1 else [f"{len(times['clear'])} interruptions, not 1"]
    figures = {
        "pick-up to first sound": times["speaking"][0] - times["start"][0],
        "caller's last sound to the answer's first": sum(replies) / len(replies),
    }
    if times["clear"]:
        began = max(at for at in speech_started if at <= times["clear"][0])
        figures["interruption noticed to silence"] = times["clear"][0] - began
    print(file=narrator._out)
    for what, ms in figures.items():
        print(f"  {what + ':':<45}{ms:6.0f} ms", file=narrator._out)
    print("  (of the simulated 700 ms before an answer, 500 are the silence that ends a turn)", file=narrator._out)
    print(f"\n{wav} has the call: the caller on the left, the assistant on the right as the caller heard it.",
          file=narrator._out)
    for problem in problems:
        print(f"PROBLEM: {problem}", file=narrator._out)
    return 1 if problems else 0


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    """Serves an application on a free port of this machine while it is entered. Yields its origin."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await asyncio.shield(runner.cleanup())
