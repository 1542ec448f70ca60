"""What the model hears of the caller: every frame in order, and silence in the place of what the phone leaves out."""

from bridge.call.ear import FRAME_MS, MOST_GAP_MS, MOST_MISSING_MS, SILENCE, Ear
from bridge.call.timing import Timing
from bridge.twilio_side.media_streams import MediaBody

TIMING = Timing()


def frame(at: int, payload: bytes = b"AAAA") -> MediaBody:
    return MediaBody(payload, "inbound", at)


def test_frames_in_a_row_pass_as_they_are() -> None:
    ear = Ear(10, TIMING)
    ear.release()
    heard = [ear.hear(frame(at, payload), at) for at, payload in ((5, b"A"), (25, b"B"), (45, b"C"))]
    assert heard == [(b"A",), (b"B",), (b"C",)]


def test_a_stream_that_begins_late_has_no_gap() -> None:
    ear = Ear(10, TIMING)
    ear.release()
    assert ear.hear(frame(5000), 0) == (b"AAAA",)


def test_a_jump_of_the_phones_time_is_heard_as_silence() -> None:
    ear = Ear(10, TIMING)
    ear.release()
    ear.hear(frame(0), 0)
    assert ear.hear(frame(20 + 400), 420) == [SILENCE] * 20 + [b"AAAA"]
    assert ear.hear(frame(440), 440) == (b"AAAA",)


def test_a_very_long_jump_ends_the_turn_and_no_more() -> None:
    ear = Ear(10, TIMING)
    ear.release()
    ear.hear(frame(0), 0)
    assert len(ear.hear(frame(3_600_000), 20)) == MOST_GAP_MS // FRAME_MS + 1


def test_a_phone_that_sends_nothing_is_heard_as_silence_as_long_as_it_lasts() -> None:
    ear = Ear(10, TIMING)
    ear.release()
    ear.hear(frame(0), 0)
    assert ear.missing(TIMING.missing_ms - 1) == ()
    silence = [len(ear.missing(now)) * FRAME_MS for now in range(TIMING.missing_ms, 30_000, 1000)]
    assert silence[0] == TIMING.missing_ms
    assert set(silence[1:9]) == {1000}
    assert sum(silence) == MOST_MISSING_MS


def test_silence_is_not_heard_twice_when_the_phone_comes_back() -> None:
    ear = Ear(10, TIMING)
    ear.release()
    ear.hear(frame(0), 0)
    filled = len(ear.missing(3000))
    back = ear.hear(frame(4000), 4000)
    assert filled + len(back) - 1 in range(4000 // FRAME_MS - 5, 4000 // FRAME_MS + 1)
    assert ear.hear(frame(4020), 4020) == (b"AAAA",)


def test_nothing_is_missing_before_the_first_frame() -> None:
    assert Ear(10, TIMING).missing(100_000) == ()


def test_the_newest_frames_are_kept_while_nobody_listens() -> None:
    ear = Ear(3, TIMING)
    for number in range(5):
        assert ear.hear(frame(number * 20, b"%d" % number), number * 20) == ()
    assert ear.release() == (b"2", b"3", b"4")
    ear.hold(2)
    for number in range(5, 8):
        ear.hear(frame(number * 20, b"%d" % number), number * 20)
    assert ear.release() == (b"6", b"7")


def test_what_is_kept_stays_when_nobody_listens_once_more() -> None:
    ear = Ear(250, TIMING)
    ear.hear(frame(0), 0)
    ear.hold(100)
    assert ear.release() == (b"AAAA",)
