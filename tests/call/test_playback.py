"""How much of each reply the caller has heard: marks, the phone's time, and what `clear` does to both."""

import pytest

from bridge.call.playback import Cut, Playback

MS = 8          # bytes


class Line:
    """A phone that plays what it is sent, and returns marks as Twilio does; its time is `now`, in ms."""

    def __init__(self) -> None:
        self.playback = Playback()
        self.now = 1000
        self.queue: list[str | int] = []             # marks, and ms of audio still to be played

    def send(self, item_id: str, ms: int) -> None:
        before, after = self.playback.sending(item_id, ms * MS, self.now)
        self.queue += [*([before] if before else []), ms, after]
        self._return_marks()

    def play(self, ms: int) -> None:
        for _ in range(ms // 20):
            self.now += 20
            left = 20
            while self.queue and left:
                head = self.queue[0]
                assert isinstance(head, int)
                played = min(head, left)
                left -= played
                self.queue[0] = head - played
                if head == played:
                    self.queue.pop(0)
                    self._return_marks()

    def clear(self) -> list[Cut]:
        cuts = self.playback.interrupt(self.now)
        marks = [mark for mark in self.queue if isinstance(mark, str)]
        self.queue.clear()
        for mark in marks:
            self.playback.returned(mark, self.now)
        return cuts

    def _return_marks(self) -> None:
        while self.queue and isinstance(self.queue[0], str):
            self.playback.returned(str(self.queue.pop(0)), self.now)


@pytest.fixture
def line() -> Line:
    return Line()


def test_what_was_heard_lies_between_two_marks(line: Line) -> None:
    line.send("a", 240)
    line.send("a", 240)
    line.play(340)
    assert line.clear() == [Cut("a", 340, 480)]


def test_a_mark_within_a_frame_costs_less_than_a_frame(line: Line) -> None:
    line.send("a", 250)
    line.send("a", 250)
    line.play(340)
    [cut] = line.clear()
    assert 320 <= cut.heard_ms <= 340


def test_audio_that_waits_behind_other_audio_is_not_heard(line: Line) -> None:
    line.send("a", 300)
    line.send("b", 300)
    line.play(400)
    assert line.clear() == [Cut("b", 100, 300)]


def test_two_items_that_wait_are_both_cut(line: Line) -> None:
    line.send("a", 300)
    line.send("b", 300)
    line.play(200)
    assert line.clear() == [Cut("a", 200, 300), Cut("b", 0, 300)]


def test_all_heard_leaves_nothing_to_cut(line: Line) -> None:
    line.send("a", 300)
    line.play(400)
    assert line.playback.finished
    assert line.clear() == []


def test_a_mark_that_returns_because_of_clear_is_not_heard(line: Line) -> None:
    line.send("a", 1000)
    line.play(100)
    line.clear()
    line.send("b", 1000)
    line.play(60)
    assert line.clear() == [Cut("b", 60, 1000)]


def test_a_mark_of_cleared_audio_that_returns_late_is_not_heard() -> None:
    playback = Playback()
    start, end = playback.sending("a", 1000 * MS, 0)
    assert start
    playback.returned(start, 0)
    playback.interrupt(100)
    playback.sending("b", 1000 * MS, 100)
    playback.returned(end, 100)
    assert playback.interrupt(100) == [Cut("b", 0, 1000)]


def test_nothing_is_heard_before_the_phone_says_that_it_has_begun() -> None:
    playback = Playback()
    playback.sending("a", 1000 * MS, 0)
    assert playback.interrupt(500) == [Cut("a", 0, 1000)]


def test_a_slow_network_does_not_count_as_heard() -> None:
    playback = Playback()
    start, _ = playback.sending("a", 1000 * MS, 0)
    assert start
    playback.returned(start, 300)                    # the way there and back took 300 ms
    assert playback.interrupt(400) == [Cut("a", 100, 1000)]


def test_a_mark_that_is_late_holds_what_was_heard_back() -> None:
    playback = Playback()
    start, _ = playback.sending("a", 250 * MS, 0)
    assert start
    playback.returned(start, 0)
    playback.sending("a", 250 * MS, 0)
    assert playback.interrupt(2000) == [Cut("a", 250, 500)]


def test_a_pause_of_the_model_is_not_heard_as_speech(line: Line) -> None:
    line.send("a", 200)
    line.play(500)
    line.send("a", 400)
    line.play(100)
    assert line.clear() == [Cut("a", 300, 600)]


def test_new_audio_for_a_phone_that_is_nearly_idle_is_timed_anew() -> None:
    playback = Playback()
    start, end = playback.sending("a", 200 * MS, 0)
    assert start
    playback.returned(start, 0)
    again, _ = playback.sending("a", 500 * MS, 190)  # arrives after the first 200 ms have run out
    assert again
    playback.returned(end, 200)
    playback.returned(again, 280)
    assert playback.interrupt(380) == [Cut("a", 300, 700)]


def test_a_phone_that_is_busy_needs_no_extra_mark(line: Line) -> None:
    line.send("a", 1000)
    before, _ = line.playback.sending("a", 250 * MS, line.now)
    assert before is None


def test_mark_names_are_never_used_twice(line: Line) -> None:
    names: list[str] = []
    for _ in range(50):
        before, after = line.playback.sending("a", 10 * MS, line.now)
        names += [name for name in (before, after) if name]
    assert len(names) == len(set(names))


def test_unheard_is_what_was_sent_and_not_yet_played(line: Line) -> None:
    line.send("a", 500)
    line.play(100)
    assert line.playback.unheard_ms(line.now) == 400
    line.play(400)
    assert line.playback.unheard_ms(line.now) == 0


def test_the_ledger_of_a_long_call_stays_small(line: Line) -> None:
    for reply in range(200):
        line.send(f"item-{reply}", 100)
        line.play(100)
    assert len(line.playback._spans) <= 2 and not line.playback._awaited
