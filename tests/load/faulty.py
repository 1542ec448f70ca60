"""Phones and models that break on purpose, and the call that they are part of.

A call has one phone, and one connection to the model after the other: the model knows whose call a connection is by
the caller's number in the session's instructions, and goes on in the same voice.
"""

import asyncio
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle
from time import perf_counter
from typing import Any, Literal

from tests.load.audio import REPLY, TOO_LATE, Voice
from tests.load.model import Model
from tests.load.phone import BYTES_PER_S, Phone
from tests.load.stage import Stage
from tests.load.tally import Faults, Tally
from tests.load.wire import Wire

#: From the set-up of a connection in mid-call to the end of a turn of the caller, who speaks without a pause, s.
TURN_S = 0.75
#: Whose voice a connection has until it is known whose call it belongs to.
NOBODY = 9999
#: How many pieces are sent in place of one by who hurries.
_HURRY = 20
#: As many bytes as the kernel takes for a peer that does not read: at its usual pace a call fills them in minutes.
_KERNEL_BYTES = 1_400_000
#: Between the numbers of the responses of two connections of one call.
_RESPONSES = 10_000

_NUMBER = re.compile(r"\+1555\d{7}")
_TOO_LATE = TOO_LATE.mark.decode()


class Call:
    """One call, with an account of what was noticed in it since the account was opened."""

    def __init__(self, stage: Stage, caller: str) -> None:
        self.caller, self._stage = caller, stage
        self.caller_voice, self.voice = stage.new_caller(), stage.new_model()
        self.sid = stage.call_sid(self.caller_voice.number)
        self.phone: FaultyPhone | None = None
        self.models: list[FaultyModel] = []
        self.afterwards: tuple[str, ...] = ()        # the TwiML verbs that follow the stream
        self.tally: Tally = replace(stage.tally, faults=Faults())

    @property
    def live(self) -> bool:
        return self.phone is not None and self.phone.live

    @property
    def model(self) -> "FaultyModel | None":
        """The newest connection."""
        return self.models[-1] if self.models else None

    @property
    def speaks(self) -> bool:
        """Whether the assistant is in mid-speech: in the response, and at the caller's ear."""
        return bool(self.model and self.model.can_call and self.phone and self.phone.plays)

    @property
    def outstanding(self) -> list[int]:
        """Of both ends: audio that was said and has not come, besides what was skipped."""
        return [end.ear.outstanding - end.ear.skipped for end in (self.phone, self.model) if end and end.live]

    @property
    def awaits_something(self) -> bool:
        return any(self.outstanding) or bool(self.phone and self.phone.awaits_clear)

    def flows_since(self, moment: float) -> bool:
        """Whether both ends have heard what the other said after this moment."""
        phone, model = self.phone, self.model
        return bool(phone and model and phone.ear.heard_since(moment) and model.ear.heard_since(moment))

    def close_account(self, total: Faults, *, measuring: bool) -> None:
        """Add what was noticed to `total`, and begin anew: with the next piece of audio that comes.

        `measuring`: the delays from now on are of interest.
        """
        for name, count in vars(self.tally.faults).items():
            setattr(total, name, getattr(total, name) + count)
        ends: list[FaultyPhone | FaultyModel] = [*([self.phone] if self.phone else []), *self.models]
        total.lost += sum(end.ear.skipped for end in ends)
        self.tally = replace(self._stage.tally, faults=Faults(), measuring=measuring)
        for end in ends:
            end.account(self.tally)


@dataclass
class Hush:
    """What the caller hears of a break at `since`, in seconds; None while there was none.

    From the end of what had come before it to a sound of any kind, and to the assistant's next words; `back_s`: from
    the break itself to these.
    """

    since: float
    first_word: int                                  # the first piece of the assistant's that is said after it
    sound_s: float | None = None
    words_s: float | None = None
    back_s: float | None = None
    quiet_at: float = 0.0

    def heard(self, piece: int | None, now: float, playing_until: float) -> None:
        """The phone was sent a clip (None), or this piece of the assistant's while it still played so long."""
        if piece is not None and piece < self.first_word:
            return                                   # was on its way already
        if self.sound_s is None:
            self.quiet_at = max(self.since, playing_until)
            self.sound_s = max(0.0, now - self.quiet_at)
        if piece is not None and self.words_s is None:
            self.words_s, self.back_s = max(0.0, now - self.quiet_at), now - self.since


class FaultyPhone(Phone):
    """A phone to which the server may play clips of its own."""

    def __init__(self, stage: Stage, call: Call, path: str, parameters: dict[str, str]) -> None:
        super().__init__(stage, call.caller_voice, path, parameters, perf_counter())
        self.clip_at = 0.0                           # when the last clip came
        self.begun = False                           # the server was told which call it is
        self.hush: Hush | None = None
        self.longest_silence_s = 0.0
        self._speaks_again_at = 0.0
        self._hurried = 0                            # pieces that are still to be sent before their time
        self.account(call.tally)

    def account(self, tally: Tally) -> None:
        self._tally = tally
        self.ear.renew(tally)

    def listen_for(self, since: float) -> Hush:
        """From now on note how long the caller hears nothing."""
        self.longest_silence_s = 0.0
        model = self.ear.voice
        self.hush = Hush(since, len(model.said_at) if model else 0)
        return self.hush

    @property
    def plays(self) -> bool:
        return self.live and self._playing_until > perf_counter()

    @property
    def hurries(self) -> bool:
        return self.live and self._hurried > 0

    @property
    def silent_s(self) -> float:
        """For how long the caller has heard nothing, at most, since `listen_for`."""
        return max(self.longest_silence_s, 0.0 if self.closed.done() else self._quiet_s(perf_counter()))

    def _quiet_s(self, now: float) -> float:
        return now - max(self._playing_until, self.hush.since if self.hush else now)

    # ---- faults

    def pause(self, seconds: float) -> None:
        """No frames for so long; what the server sends is heard."""
        self._speaks_again_at = perf_counter() + seconds

    def hurry(self) -> None:
        """Fill what lies between the server and a model that does not read."""
        self._hurried = _KERNEL_BYTES // 280

    def stop_reading(self) -> None:
        self.transport.pause_reading()

    def read_again(self) -> None:
        _read_again(self)

    def reset(self) -> None:
        _reset(self)

    # ---- what is different

    def begin(self) -> None:
        super().begin()
        self.begun = True

    def _speak(self, now: float) -> None:
        if now < self._speaks_again_at:
            self._missed += 1
            return
        super()._speak(now)
        if self._hurried > 0:
            self._hurried -= _HURRY
            for _ in range(_HURRY):
                super()._speak(now)

    def _play(self, now: float, seconds: float, piece: int | None = None) -> None:
        self.longest_silence_s = max(self.longest_silence_s, self._quiet_s(now))
        if self.hush:
            self.hush.heard(piece, now, self._playing_until)
        super()._play(now, seconds, piece)

    def _act(self, message: dict[str, Any], now: float) -> None:
        match message:
            case {"event": "media", "media": {"payload": str(audio)}} if not audio.startswith(_TOO_LATE):
                self.clip_at = now
                self._play(now, (len(audio) * 3 // 4 - audio.count("=", -2)) / BYTES_PER_S)
            case _:
                super()._act(message, now)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.longest_silence_s = max(self.longest_silence_s, self._quiet_s(perf_counter()))
        self._stage.frames.leave(self._frame)


class FaultyModel(Model):
    """A connection of some call; `owner` is known as soon as the session is set up."""

    def __init__(self, stage: Stage, switchboard: "Switchboard") -> None:
        super().__init__(stage, Voice(REPLY, NOBODY))
        self.owner: Call | None = None
        self._switchboard = switchboard
        self._mute = False
        self._hurried = 0                            # pieces that are still to be sent before their time
        self._trouble: Literal["failed", "rate limit"] | None = None

    def account(self, tally: Tally) -> None:
        self.ear.renew(tally)

    # ---- faults

    def reset(self) -> None:
        _reset(self)

    def fall_silent(self) -> None:
        """Neither an event nor a pong, and nothing that comes is understood."""
        self._mute = True

    def hurry(self) -> None:
        """Fill what lies between the server and a phone that does not read: the real one always runs ahead."""
        self._hurried = _KERNEL_BYTES // 2800

    def stop_reading(self) -> None:
        self.transport.pause_reading()

    def read_again(self) -> None:
        _read_again(self)

    def fail_next(self, trouble: Literal["failed", "rate limit"]) -> None:
        """The response after this one fails; then nothing is said until a response is asked for."""
        self._trouble = trouble

    @property
    def hurries(self) -> bool:
        return self.live and self._hurried > 0

    @property
    def failing(self) -> bool:
        return self._trouble is not None

    # ---- what is different

    def shake(self, head: str) -> None:
        if perf_counter() < self._switchboard.refusing_until:
            self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.transport.close()
        else:
            super().shake(head)

    def _take(self, first_byte: int, payload: bytes) -> None:
        if not self._mute:
            super()._take(first_byte, payload)

    def _beat(self) -> None:
        if not self._mute:
            super()._beat()

    def _delta(self) -> None:
        super()._delta()
        if self._hurried > 0:
            self._hurried -= _HURRY
            for _ in range(_HURRY):
                super()._delta()

    def _act(self, event: dict[str, Any]) -> None:
        if self.owner is None and event.get("type") == "session.update":
            self._join(event)
        if event.get("type") == "response.cancel" and self._responding:
            self._end_response("cancelled")
            self._script = self._turns()
        super()._act(event)

    def _join(self, setup: dict[str, Any]) -> None:
        instructions = setup["session"].get("instructions", "")
        if not instructions:
            return                                   # no call's: the server tries whether the model is back
        found = _NUMBER.search(instructions)
        self.owner = self._switchboard.calls.get(found[0]) if found else None
        if self.owner is None:
            self._switchboard.strangers += 1
            self.reset()
            return
        self._voice = self.owner.voice
        self._responses = _RESPONSES * len(self.owner.models)
        self.owner.models.append(self)
        self.account(self.owner.tally)
        if len(self.owner.models) > 1:
            asyncio.get_running_loop().call_later(TURN_S, self._caller_turn)

    def _caller_turn(self) -> None:
        """In mid-call: the caller was heard, and is answered, unless a response was asked for meanwhile."""
        if not self.live or self._script is not None:
            return
        if self.ear.voice is None:
            asyncio.get_running_loop().call_later(TURN_S, self._caller_turn)
            return
        self._caller_speaks()
        self._talk()

    def _caller_speaks(self) -> None:
        """A whole turn of the caller's, who waits for an answer from then on."""
        self._write("input_audio_buffer.speech_started", audio_start_ms=0, item_id=self._caller_item_id)
        self._caller_spoke()

    def _turns(self) -> Iterator[None]:
        for response in cycle((self._interrupted_response, self._whole_response)):
            yield from response()
            if self._trouble == "failed":
                yield from self._failed_response()
            elif self._trouble == "rate limit":
                yield from self._refused_response()

    def _failed_response(self) -> Iterator[None]:
        self._caller_speaks()
        self._responses += 1
        self._write("response.created", response=self._response_object("in_progress"))
        self._metadata, self._responding = None, True
        yield
        self._responding = False
        error = {"type": "server_error", "code": "inference_rate_limit_exceeded"}
        self._write("response.done", response={
            **self._response_object("failed"), "status_details": {"type": "failed", "error": error}})
        yield from self._until_asked()

    def _refused_response(self) -> Iterator[None]:
        self._caller_speaks()
        self._write("error", error={
            "type": "requests", "code": "rate_limit_exceeded", "param": None, "event_id": None,
            "message": "Rate limit reached. Please try again in 1s."})
        yield from self._until_asked()

    def _until_asked(self) -> Iterator[None]:
        self._trouble = None
        while self._metadata is None:
            yield

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._stage.deltas.leave(self._beat)
        self._switchboard.models.discard(self)


@dataclass
class Switchboard:
    """What the model's end of all calls knows."""

    stage: Stage
    calls: dict[str, Call] = field(default_factory=dict)         # the newest of each caller
    refusing_until: float = 0.0                                  # upgrades are answered with 503
    strangers: int = 0                                           # sessions that belong to no call
    models: set[FaultyModel] = field(default_factory=set)        # the open connections

    def new_model(self) -> FaultyModel:
        model = FaultyModel(self.stage, self)
        self.models.add(model)
        return model


def _read_again(end: Wire) -> None:
    if not end.transport.is_closing() and not end.transport.is_reading():
        end.transport.resume_reading()


def _reset(end: Wire) -> None:
    """RST, without a word."""
    connection = end.transport.get_extra_info("socket")
    # uvloop's stand-in for a socket has no options; a duplicate of what it stands for has.
    with socket.fromfd(connection.fileno(), connection.family, connection.type) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.live = False
    end.transport.abort()
