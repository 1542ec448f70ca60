"""The tape holds what the caller said and what the phone played, sample by sample."""

import base64
import json
import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.call import tape as tape_module
from bridge.call.bounds import Bounds
from bridge.call.ear import Ear
from bridge.call.history import History
from bridge.call.steps import Step, ToCaller
from bridge.call.tape import FRAME, SILENCE, Tape, file_name
from bridge.call.timing import Timing
from bridge.call.voice import Voice
from bridge.sim.phone.playback import Playback
from bridge.twilio_side.media_streams import MediaBody

SILENT = SILENCE * FRAME


def sound(size: int, seed: int) -> bytes:
    """Audio without a silent sample, so that what is silent is known to be none of it."""
    return bytes(random.Random(seed).choices(range(0xFF), k=size))


@dataclass
class Line:
    """A phone that plays as the simulated one does, a network that takes frames' time, and our side with its tape."""

    to_phone_frames: int = 0
    to_us_frames: int = 0
    tape: Tape = field(default_factory=Tape)

    def __post_init__(self) -> None:
        timing = Timing()
        ear = Ear(100, timing, self.tape)
        self.ear, self.voice = ear, Voice(Bounds(), timing, ear, History(), self.tape)
        self.phone, self.frames, self.sounds = Playback(), 0, 0
        self.said, self.heard = bytearray(), bytearray()
        self.down: deque[tuple[int, dict[str, object]]] = deque()
        self.up: deque[tuple[int, bytes | str, int]] = deque()
        self.left, self.right = bytearray(), bytearray()

    # ---- our side

    def speaks(self, size: int) -> None:
        self.sounds += 1
        audio = base64.b64encode(sound(size, self.sounds)).decode()
        self._send(self.voice.play("item", audio, size, 0)[0])

    def cuts(self) -> None:
        self._send(self.voice.cut_off())

    def _send(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, ToCaller):
                self.down.append((self.frames + self.to_phone_frames, json.loads(step.message)))

    def takes(self, *, last: bool = False) -> None:
        if piece := self.tape.take(last=last):
            both = piece.stereo()
            assert len(both) == 2 * len(piece.said)
            self.left += both[0::2]
            self.right += both[1::2]

    # ---- time passes

    def passes(self, frames: int = 1) -> None:
        for _ in range(frames):
            self._to_phone()
            said = sound(FRAME, -self.frames)
            self.up.append((self.frames + self.to_us_frames, said, self.frames * 20))
            audio, marks = self.phone.play(FRAME)
            self.said += said
            self.heard += audio.ljust(FRAME, SILENCE)
            self._echo(marks)
            self.frames += 1
            self._to_us()

    def _to_phone(self) -> None:
        while self.down and self.down[0][0] <= self.frames:
            _, message = self.down.popleft()
            match message:
                case {"event": "media", "media": {"payload": str(payload)}}:
                    self.phone.add(base64.b64decode(payload))
                case {"event": "mark", "mark": {"name": str(name)}}:
                    self._echo(self.phone.mark(name))
                case {"event": "clear"}:
                    self._echo(self.phone.clear())

    def _echo(self, names: list[str]) -> None:
        self.up += [(self.frames + self.to_us_frames, name, 0) for name in names]

    def _to_us(self) -> None:
        while self.up and self.up[0][0] < self.frames:
            _, what, at = self.up.popleft()
            if isinstance(what, str):
                self.voice.mark_back(what)
            else:
                self.ear.hear(MediaBody(what, "inbound", at), at)

    def ends(self) -> None:
        """All that was said in the call has come."""
        self.passes(self.to_us_frames + 1)
        self.takes(last=True)


@pytest.fixture
def line() -> Line:
    made = Line(to_phone_frames=2, to_us_frames=3)
    made.tape.start()
    return made


def test_both_sides_stand_where_they_were_heard(line: Line) -> None:
    line.passes(10)
    line.speaks(FRAME * 7 + 33)
    line.passes(40)
    line.ends()
    assert line.left == line.said[:len(line.left)] and len(line.left) >= 50 * FRAME
    assert line.right == line.heard[:len(line.right)]
    assert sound(FRAME * 7 + 33, 1) in line.right


def test_what_the_caller_cut_is_not_on_it(line: Line) -> None:
    line.speaks(50 * FRAME)
    line.passes(20)
    line.cuts()
    line.passes(30)
    line.ends()
    heard = line.heard[:len(line.right)]
    assert line.right == heard
    assert heard.rstrip(SILENCE).endswith(sound(50 * FRAME, 1)[18 * FRAME:20 * FRAME]), "the clear took two frames"


def test_a_sentence_after_a_cut_begins_where_it_was_heard(line: Line) -> None:
    line.speaks(50 * FRAME)
    line.passes(20)
    line.cuts()
    line.passes(4)
    line.speaks(10 * FRAME)
    line.passes(40)
    line.ends()
    assert line.right == line.heard[:len(line.right)]


def test_pieces_of_one_sentence_have_no_gap_between_them(line: Line) -> None:
    for _ in range(20):
        line.speaks(250 * 8 - 2)
        line.passes(12)
        line.takes()
    line.passes(40)
    line.ends()
    assert line.right == line.heard[:len(line.right)]


def test_what_was_taken_before_a_cut_is_known_stays_true(line: Line) -> None:
    line.speaks(100 * FRAME)
    for _ in range(12):
        line.passes(4)
        line.takes()
    line.cuts()
    line.takes()
    for _ in range(12):
        line.passes(4)
        line.takes()
    line.ends()
    assert line.right == line.heard[:len(line.right)]


def test_a_phone_that_loses_marks_holds_nothing_up(line: Line) -> None:
    line.speaks(20 * FRAME)
    line.passes(15)
    line.cuts()
    line.up = deque(each for each in line.up if not isinstance(each[1], str))
    line.to_us_frames = 0
    line.passes(200)
    line.takes()
    assert len(line.left) > 180 * FRAME


def test_a_gap_in_the_callers_frames_is_silence(line: Line) -> None:
    line.ear.hear(MediaBody(b"\x01" * FRAME, "inbound", 0), 0)
    line.ear.hear(MediaBody(b"\x02" * FRAME, "inbound", 220), 220)
    line.takes(last=True)
    assert line.left == b"\x01" * FRAME + SILENT * 10 + b"\x02" * FRAME


def test_jitter_of_the_phones_clock_is_no_gap(line: Line) -> None:
    for number, at in enumerate((5, 30, 41, 66, 80, 105)):
        line.ear.hear(MediaBody(bytes([number]) * FRAME, "inbound", at), at)
    line.takes(last=True)
    assert line.left == b"".join(bytes([number]) * FRAME for number in range(6))


def test_nothing_is_kept_until_it_is_started() -> None:
    line = Line()
    line.speaks(30 * FRAME)
    line.passes(20)
    line.takes()
    assert line.left == b"" and not line.tape._said
    line.tape.start()
    line.passes(20)
    line.ends()
    begin = 20 * FRAME
    assert line.left == line.said[begin:begin + len(line.left)]
    assert line.right == line.heard[begin:begin + len(line.right)]


def test_nothing_is_kept_of_a_tape_that_was_stopped(line: Line) -> None:
    line.speaks(10 * FRAME)
    line.passes(20)
    line.tape.stop()
    line.passes(20)
    line.takes(last=True)
    assert line.left == line.right == b"" and not line.tape._said and not line.tape._sounds


def test_a_tape_that_nobody_takes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape_module, "MOST_UNTAKEN", 100 * FRAME)
    line = Line()
    line.tape.start()
    line.passes(100)
    line.speaks(FRAME)
    assert line.tape.on and line.tape.lost is None
    line.passes(5)
    line.speaks(FRAME)
    assert not line.tape.on and line.tape.lost is True and not line.tape._said


def test_its_file_has_the_name_of_its_call_and_stream() -> None:
    assert file_name("CA" + "1" * 32, "MZ" + "2" * 24 + "0123abcd") == "CA" + "1" * 32 + "-0123abcd.wav"


WHAT = st.one_of(
    st.tuples(st.just("speaks"), st.integers(1, 60 * FRAME)), st.tuples(st.just("passes"), st.integers(1, 60)),
    st.tuples(st.just("cuts"), st.just(0)), st.tuples(st.just("takes"), st.just(0)))


@given(st.lists(WHAT, max_size=40), st.integers(0, 8), st.integers(0, 8))
def test_of_any_call_it_holds_what_was_heard_and_not_a_sample_else(
    what: list[tuple[str, int]], to_phone: int, to_us: int,
) -> None:
    """Where a sentence begins may be off by a frame or two: no mark says so to the sample."""
    line = Line(to_phone, to_us)
    line.tape.start()
    for name, number in what:
        getattr(line, name)(*[number] if number else [])
    line.passes(200 + to_phone + to_us)
    line.ends()
    assert line.left == line.said[:len(line.left)]
    assert line.right.replace(SILENCE, b"") == line.heard.replace(SILENCE, b"")
    for seed in range(1, line.sounds + 1):
        first = sound(16, seed)
        if (at := line.right.find(first)) >= 0:
            assert abs(at - line.heard.find(first)) <= 3 * FRAME
