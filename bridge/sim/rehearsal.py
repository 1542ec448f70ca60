"""A call in which one thing breaks: `python -m bridge demo --fault NAME`.

The server runs as a process of its own, as a user starts it. Everything around it is simulated. The output shows what
the log says and what the caller hears. faults.py has the names. This file makes each fault.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from bridge.sim.clock import Clock
from bridge.sim.demo import ASK_HOURS, BOOKING, DETAILS, FAST, PATIENCE_MS, THANKS, ZONE, Narrator, serving
from bridge.sim.faults import ENDINGS, REHEARSED
from bridge.sim.owner import Owner
from bridge.sim.phone import Event, Phone, PhoneCall, PhoneError
from bridge.sim.process import Server, running
from bridge.sim.realtime import Call, Faults, Line, RealtimeServer, RealtimeSession, Turn
from bridge.sim.realtime.connection import Changing
from bridge.sim.speech import load_clip, write_stereo_wav
from bridge.sim.twilio_rest import TwilioRest

PACKAGE = Path(__file__).parents[1]
ACCOUNT = "AC" + "0" * 32
#: How many times faster than it plays the answer comes. Slow enough to break in the middle.
DELTA_SPEED = 2.5
#: How long a session lasts in `session-expiry`, in ms.
SHORT_SESSION_MS = 20_000
#: How long the caller's line is dead in `phone-gap`, in ms.
GAP_MS = 4000
#: How long the caller waits for an answer before asking "Hello?", in seconds.
ASK_AGAIN_S = 8
#: The longest wait for anything, in seconds.
GIVE_UP_S = 90

HELLO = "Hello?"
GREETING = Line("Hello, this is Bridge Dental. How can I help you?", load_clip("greeting"))
HOURS = Line("We are open Monday to Friday from nine to five, and on Saturdays from ten to one. On public holidays we "
             "are closed, but there is always an emergency line you can reach at any hour of the day.",
             load_clip("hours"))
WRITING = Line("I am writing it down, one second.", load_clip("writing"))
NOTED = Line("I have written that down, and you will get a confirmation. Is there anything else?", load_clip("noted"))
GOODBYE = Line("Thank you for calling. Goodbye!", load_clip("goodbye"))


def tell_log(narrator: Narrator, line: str) -> None:
    """Prints the log's lines about troubles and about the end of the call."""
    try:
        entry = json.loads(line)
    except ValueError:
        entry = {"level": "ERROR", "message": line}
    if entry["level"] != "INFO" or " closed after " in entry["message"]:
        narrator.say("log", f"{entry['level']}: {entry['message']}")


class Stage(Changing):
    """The call, and everything around the server."""

    def __init__(self, narrator: Narrator, clock: Clock) -> None:
        super().__init__()
        self.narrator, self.clock = narrator, clock
        self.model = RealtimeServer(self._answer, clock=clock, speed=DELTA_SPEED)
        self.model.listener = self._model_noticed
        self.owner = Owner(self._owner_answered)
        self.server: Server
        self.call: PhoneCall
        self.silent_from_ms = 0.0           # when the fault had struck and the caller had said everything
        self._reply = Turn((GREETING,))
        self._answers = 0                   # the model's messages that are complete

    @property
    def session(self) -> RealtimeSession:
        """The model's newest session."""
        return self.model.sessions[-1]

    @property
    def over(self) -> bool:
        return self.call.over

    async def speak(self, words: str, clip: str, *reply: Line | Call) -> None:
        """The caller says something. The model answers with `reply` from now on."""
        if reply:
            self._reply = Turn(reply, words)
        self.narrator.say("caller", words)
        with suppress(PhoneError):
            await self.call.say(load_clip(clip))

    async def until_answered(self) -> None:
        """Waits until the caller has heard a whole message of the model, or the call is over."""
        before = self._answers
        async with asyncio.timeout(GIVE_UP_S):
            while True:
                try:
                    await self.until(lambda: self._answers > before or self.over, ASK_AGAIN_S)
                    break
                except TimeoutError:
                    await self.speak(HELLO, "hello")
        with suppress(PhoneError):
            await self.call.until_quiet(timeout=GIVE_UP_S)

    def phone_noticed(self, call: PhoneCall, event: Event) -> None:
        match event.kind:
            case "Say":
                self.narrator.say("phone", f"Twilio speaks: “{event.name}”")
            case "Dial" | "Record" | "Redirect" | "Hangup":
                self.narrator.say("phone", f"Twilio goes on with <{event.kind}> {event.name}".rstrip())
            case "closed":
                self.narrator.say("phone", f"the stream has ended with code {event.name}")
        self.changed()

    def _model_noticed(self, session: RealtimeSession, kind: str, detail: dict[str, Any]) -> None:
        if session.silent:                  # the session goes on, but nobody hears it
            return
        self.narrator.model(session, kind, detail)
        if kind == "connected" and session is not self.model.sessions[0]:
            self.narrator.say("model", "a new session begins")
        self._answers += kind == "transcript" and detail["role"] == "assistant" and detail["text"] != WRITING.text
        self.changed()

    def _owner_answered(self, meeting: dict[str, Any], status: int) -> None:
        self.narrator.say("webhook", f"received the meeting of {meeting['name']}" if status < 300 else
                          f"is down: answers {status}")

    def _answer(self, session: RealtimeSession) -> Turn:
        kinds = [session.items[item_id].type for item_id in session.conversation.order]
        if kinds and kinds[-1] == "function_call_output":
            return Turn((NOTED,))
        if kinds.count("function_call") > kinds.count("function_call_output"):
            return Turn((WRITING,))          # the caller waits for a function, and the model is asked for a word
        return self._reply


# The faults

async def _drop_model(stage: Stage) -> None:
    stage.session.close(1006)


async def _refuse_key(stage: Stage) -> None:
    stage.model.key = "another key"


async def _silence_model(stage: Stage) -> None:
    stage.session.go_silent()


async def _slow_reconnect(stage: Stage) -> None:
    stage.model.refuse(5)
    stage.session.close(1006)


async def _expire(stage: Stage) -> None:
    first = stage.model.sessions[0]
    await stage.until(lambda: len(stage.model.sessions) > 1 or first.closed, GIVE_UP_S)


async def _limit_rate(stage: Stage) -> None:
    stage.session.faults = replace(stage.session.faults, fail_responses=1, limit_responses=1)


async def _lose_caller(stage: Stage) -> None:
    stage.call.lose_frames(GAP_MS)


async def _drop_phone(stage: Stage) -> None:
    stage.call.drop()


async def _webhook_down(stage: Stage) -> None:
    stage.owner.status = 503


async def _stop_server(stage: Stage) -> None:
    stage.server.process.terminate()


INJECT: dict[str, Callable[[Stage], Awaitable[None]]] = {
    "model-drop": _drop_model, "model-refused": _refuse_key, "model-silent": _silence_model,
    "model-slow-reconnect": _slow_reconnect, "session-expiry": _expire, "rate-limit": _limit_rate,
    "phone-gap": _lose_caller, "phone-drop": _drop_phone, "webhook-down": _webhook_down, "server-stop": _stop_server,
}


# The call

async def rehearse(name: str, wav: Path, *, fast: bool, out: TextIO | None = None) -> int:
    """Plays the call and writes the WAV. Returns 0 if it ended in a way that is promised for the fault, else 1."""
    clock = Clock(FAST if fast else 1)
    narrator = Narrator(clock, out or sys.stdout)
    narrator.say("demo", f"{name}: {REHEARSED[name].what}. The server starts as a process of its own")
    stage, token = Stage(narrator, clock), secrets.token_hex(16)
    if name == "session-expiry":
        stage.model.faults = Faults(expire_after_ms=SHORT_SESSION_MS)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stage.model)
        rest = await stack.enter_async_context(TwilioRest(ACCOUNT, token))
        receiver = await stack.enter_async_context(serving(stage.owner.app()))
        folder = stack.enter_context(TemporaryDirectory())
        environ = settings(stage, token, f"{receiver}/meetings", rest.url, folder)
        stage.server = await stack.enter_async_context(
            running(folder, environ, within_s=GIVE_UP_S, heard=partial(tell_log, narrator)))
        phone = await stack.enter_async_context(
            Phone(f"{stage.server.origin}/incoming-call", account_sid=ACCOUNT, auth_token=token, clock=clock))
        phone.listener = stage.phone_noticed
        rest.phones.append(phone)
        failure = await converse(stage, phone, name)
        problems = await aftermath(stage, name)
        await stage.server.stop(within_s=GIVE_UP_S)
    write_stereo_wav(wav, *stage.call.recording())
    return summary(stage, name, failure, problems, wav)


def settings(stage: Stage, token: str, webhook: str, rest: str, folder: str) -> dict[str, str]:
    """The server's environment, with all of its world on this machine."""
    return {
        "OPENAI_API_KEY": stage.model.key, "OPENAI_REALTIME_URL": stage.model.url,
        "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": token, "TWILIO_API_URL": rest,
        "WEBHOOK_URL": webhook, "CONFIRM_MEETINGS": "0", "TIMEZONE": ZONE, "GREETINGS_RESPONSE": GREETING.text,
        "DATABASE_URL": f"sqlite:///{folder}/bridge.db", "HOST": "127.0.0.1", "PORT": "0", "LOG_FORMAT": "json",
        "MAX_MESSAGES_PER_S": "0",          # --fast sends ten times as many
        "DRAIN_S": "1"}                     # so short that the goodbye comes in mid-sentence


async def converse(stage: Stage, phone: Phone, name: str) -> PhoneError | None:
    """Plays the caller's part and makes the fault. Returns the error with which Twilio could not go on, or None."""
    async def strike_at(moment: str) -> None:
        if REHEARSED[name].strikes == moment:
            stage.narrator.say("FAULT", REHEARSED[name].what)
            await INJECT[name](stage)
            stage.silent_from_ms = stage.clock.ms()

    await strike_at("start")
    stage.narrator.say("phone", f"+15557654321 calls {phone.to}")
    stage.call = call = await phone.dial()
    ended = asyncio.create_task(call.until_over(timeout=GIVE_UP_S * 3))
    ended.add_done_callback(lambda _: stage.changed())
    with suppress(PhoneError):              # the call was over before everything was said
        if REHEARSED[name].strikes != "start":
            await stage.until_answered()            # the greeting
            await strike_at("question")
            await ask(stage, booking=name == "webhook-down")
            stage.silent_from_ms = stage.clock.ms()
            await strike_at("asked")
            if REHEARSED[name].strikes == "answer":
                await call.until_heard(call.heard_ms + PATIENCE_MS, timeout=GIVE_UP_S)
                await strike_at("answer")
            await stage.until_answered()
            await say_goodbye(stage)
    try:
        await ended
    except PhoneError as error:
        return error
    return None


async def say_goodbye(stage: Stage) -> None:
    """Says goodbye until the assistant ends the call. After three times without an answer the caller hangs up."""
    for _ in range(3):
        if stage.over:
            return
        await stage.speak(THANKS, "thanks", GOODBYE, Call("end_call", {"reason": "The caller said goodbye."}))
        with suppress(TimeoutError):
            await stage.until(lambda: stage.over, 3 * ASK_AGAIN_S)
    if not stage.over:
        stage.narrator.say("caller", "hangs up")
        await stage.call.hang_up()


async def ask(stage: Stage, *, booking: bool) -> None:
    if booking:
        when = "next Thursday at ten in the morning"
        await stage.speak(DETAILS, "details", Call("schedule_meeting", BOOKING | {"datetime": when}))
    else:
        await stage.speak(ASK_HOURS, "ask_hours", HOURS)


async def aftermath(stage: Stage, name: str) -> list[str]:
    """Checks what must happen after the call. Returns the problems."""
    problems = []
    if name == "webhook-down":
        stage.owner.status = 204
        stage.narrator.say("webhook", "is up again")
        async with asyncio.timeout(GIVE_UP_S):
            while not stage.owner.taken:
                await asyncio.sleep(0.05)
    if name == "server-stop":
        code = await stage.server.ended(GIVE_UP_S)
        stage.narrator.say("server", f"has stopped with exit code {code}")
        problems += [f"the server's exit code is {code}, not 0"] if code else []
    return problems


# What the caller heard

def clips() -> dict[str, bytes]:
    """The recordings that the server itself can play, by name."""
    ours = PACKAGE / "sim"
    return {path.stem: path.read_bytes() for path in PACKAGE.rglob("*.ulaw") if ours not in path.parents}


def heard(call: PhoneCall, clip: bytes) -> bool:
    """Whether at least the first half of the clip was played."""
    return clip[:len(clip) // 2] in call.played


def ending(call: PhoneCall, names: list[str], failure: PhoneError | None) -> str:
    """How the call ended: one of ENDINGS. `names`: the server's own clips that were heard."""
    if failure:
        return "error"
    if heard(call, GOODBYE.audio):
        return "went on"
    if call.dialled:
        return "human"
    if any(event.kind == "Record" for event in call.log):
        return "message"
    return "apology" if call.spoken or "goodbye" in names else "silence"


def silence_ms(call: PhoneCall, from_ms: float) -> float | None:
    """How long the caller heard nothing after the fault, in ms. None: for good.

    If audio was playing when the fault struck, the silence begins after it.
    """
    sounds = [event for event in call.log if event.kind in ("speaking", "played", "Say", "Dial", "Record")]
    before = [event for event in sounds if event.at_ms <= from_ms]
    after = [event for event in sounds if event.at_ms > from_ms]
    if after and before and before[-1].kind == "speaking":
        from_ms, after = after[0].at_ms, after[1:]
    return after[0].at_ms - from_ms if after else None


def summary(stage: Stage, name: str, failure: PhoneError | None, problems: list[str], wav: Path) -> int:
    """Prints how the call ended, and its problems. Returns 1 if there are problems, else 0."""
    call, out = stage.call, stage.narrator._out
    names = sorted(clip for clip, audio in clips().items() if heard(call, audio))
    how = ending(call, names, failure)
    silence = silence_ms(call, stage.silent_from_ms)
    problems = [*problems, *call.warnings, *([str(failure)] if failure else [])]
    if how not in REHEARSED[name].endings:
        problems.append(f"the README promises another ending: {', '.join(REHEARSED[name].endings)}")
    print(f"\n  {'fault:':<45}{REHEARSED[name].what}", file=out)
    print(f"  {'ending:':<45}{ENDINGS[how]}", file=out)
    print(f"  {'silence after the fault:':<45}{'for good' if silence is None else f'{silence / 1000:.1f} s'}", file=out)
    print(f"  {'recordings of the server that were heard:':<45}{', '.join(names) or 'none'}", file=out)
    print(f"  {'sessions at the model:':<45}{len(stage.model.sessions)}, {stage.model.refused} refused", file=out)
    print(f"\n{wav} has the call: the caller on the left, the assistant on the right as the caller heard it.", file=out)
    for problem in problems:
        print(f"PROBLEM: {problem}", file=out)
    return 1 if problems else 0
