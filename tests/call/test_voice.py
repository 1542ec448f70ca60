"""What the caller hears, and how much of it."""

import json

import pytest

from bridge.call.bounds import Bounds
from bridge.call.ear import Ear
from bridge.call.history import History
from bridge.call.steps import Clip, Step, ToCaller, ToModel
from bridge.call.timing import Timing
from bridge.call.voice import CUTS_REMEMBERED, Voice
from bridge.openai_side import realtime
from bridge.twilio_side.media_streams import MediaBody

TIMING = Timing()

AUDIO, SIZE = "/" * 2664 + "==", 2000        # 250 ms


class Line:
    def __init__(self) -> None:
        self.ear, self.history = Ear(100, TIMING), History()
        self.bounds = Bounds()
        self.voice = Voice(self.bounds, TIMING, self.ear, self.history)
        self.voice.stream = "MZ1"

    def phone_at(self, ms: int) -> None:
        self.ear.hear(MediaBody(b"\xff" * 160, "inbound", ms), ms)

    def says(self, item: str) -> str:
        self.history.added(realtime.Item(id=item, type="message", role="assistant"))
        self.history.sounded(item, SIZE / 8)
        return self.voice.play(item, AUDIO, SIZE, 0)[1]


@pytest.fixture
def line() -> Line:
    return Line()


def told(steps: list[Step]) -> list[dict[str, object]]:
    return [json.loads(step.message) for step in steps if isinstance(step, ToCaller | ToModel)]


def test_audio_for_an_idle_phone_stands_between_two_marks(line: Line) -> None:
    steps, begins = line.voice.play("item", AUDIO, SIZE, 0)
    assert [message["event"] for message in told(steps)] == ["mark", "media", "mark"]
    assert begins == "1" and not line.voice.silent and line.voice.unheard_ms == 250


def test_it_is_silent_when_the_last_mark_is_back(line: Line) -> None:
    line.says("item")
    line.voice.mark_back("1")
    assert not line.voice.silent
    line.voice.mark_back("2")
    assert line.voice.silent and line.voice.unheard_ms == 0


def test_each_item_is_cut_at_what_was_heard(line: Line) -> None:
    begins = line.says("first")
    line.says("second")
    line.voice.mark_back(begins)
    line.phone_at(100)
    clear, cut, gone = told(line.voice.cut_off())
    assert clear["event"] == "clear"
    assert (cut["type"], cut["item_id"], cut["audio_end_ms"]) == ("conversation.item.truncate", "first", 100)
    assert (gone["type"], gone["item_id"]) == ("conversation.item.delete", "second")
    assert line.voice.silent


def test_who_is_silent_is_not_cut_off(line: Line) -> None:
    assert line.voice.cut_off() == []


def test_a_recorded_sentence_is_cut_without_the_model_knowing(line: Line) -> None:
    line.voice.play_clip(Clip(AUDIO, SIZE), 0)
    assert [message["event"] for message in told(line.voice.cut_off())] == ["clear"]


def test_an_item_is_forgotten_once(line: Line) -> None:
    assert [message["type"] for message in told(line.voice.forget("item"))] == ["conversation.item.delete"]
    assert line.voice.forget("item") == []


def test_dropped_responses_are_remembered_and_not_for_ever(line: Line) -> None:
    for number in range(1_000):
        line.voice.drop(f"resp_{number}")
    assert line.voice.drops("resp_999") and not line.voice.drops("resp_0")
    assert len(line.voice._dropped) <= CUTS_REMEMBERED + 1
    line.voice.forget_session()
    assert not line.voice.drops("resp_999")


def test_marks_that_never_come_back_are_not_waited_for_for_ever(line: Line) -> None:
    line.says("item")
    assert line.bounds.due(250 + TIMING.unplayed_ms) == "played"
    line.voice.assume_heard()
    assert line.voice.silent and line.voice.unheard_ms == 0


def test_what_was_heard_or_cut_is_not_waited_for(line: Line) -> None:
    line.says("first")
    line.voice.mark_back("2")
    assert line.bounds.soonest is None
    line.says("second")
    line.voice.cut_off()
    assert line.bounds.soonest is None
