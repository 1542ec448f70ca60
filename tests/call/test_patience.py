"""Three silences: the caller waits for us, for a function, or we wait for the caller."""

from bridge.call.bounds import Bounds
from bridge.call.patience import FILLER_MS, Patience
from bridge.call.timing import Timing

TIMING = Timing()


def patience(prompt_ms: float = 12_000, has_clips: bool = True) -> tuple[Patience, Bounds]:
    bounds = Bounds()
    return Patience(bounds, TIMING, prompt_ms=prompt_ms, has_clips=has_clips), bounds


def look(part: Patience, now: float, *, caller: bool = False, errand: bool = False, we: bool = False) -> None:
    part.look(now, hush_ms=TIMING.hush_ms, caller_waits=caller, errand_waits=errand, we_wait=we)


def test_a_wait_that_goes_on_keeps_its_time_whatever_happens_meanwhile() -> None:
    part, bounds = patience()
    for now in (0, 500, 1_000):
        look(part, now, caller=True)
    assert bounds.due(TIMING.hush_ms) == "hush"


def test_a_wait_that_is_over_begins_anew() -> None:
    part, bounds = patience()
    look(part, 0, caller=True)
    look(part, 500)
    assert bounds.soonest is None
    look(part, 1_000, caller=True)
    assert bounds.soonest == 1_000 + TIMING.hush_ms


def test_recorded_sentences_take_turns_until_the_assistant_speaks() -> None:
    part, bounds = patience()
    assert [part.hushed(), part.hushed(), part.hushed()] == ["moment", "still_here", "moment"]
    look(part, 0, caller=True)
    assert bounds.soonest == TIMING.hush_again_ms
    look(part, 10)
    part.sounded()
    look(part, 100, caller=True)
    assert bounds.soonest == 100 + TIMING.hush_ms and part.hushed() == "moment"


def test_without_recorded_sentences_there_is_nothing_to_wait_for() -> None:
    part, bounds = patience(has_clips=False)
    look(part, 0, caller=True)
    assert bounds.soonest is None


def test_an_errand_is_explained_once() -> None:
    part, bounds = patience()
    part.errand_begins()
    look(part, 0, errand=True)
    look(part, 400, errand=True)
    assert bounds.due(FILLER_MS) == "filler"
    part.filled()
    look(part, 2_000, errand=True)
    assert bounds.soonest is None
    part.errand_begins()
    look(part, 3_000, errand=True)
    assert bounds.soonest == 3_000 + FILLER_MS


def test_a_sign_of_the_callers_begins_our_wait_anew() -> None:
    part, bounds = patience()
    look(part, 0, we=True)
    assert part.prompted() == 1 and part.prompted() == 2
    part.caller_gave_a_sign()
    look(part, 5_000, we=True)
    assert bounds.soonest == 17_000 and part.prompted() == 1


def test_a_caller_who_is_never_to_be_asked_is_not() -> None:
    part, bounds = patience(prompt_ms=0)
    look(part, 0, we=True)
    assert bounds.soonest is None
