"""The functions that the model has called."""

from bridge.call.errands import Errands


def test_it_runs_until_it_has_returned() -> None:
    errands = Errands()
    errands.begin("a")
    errands.begin("b")
    errands.returned("a")
    assert errands.running == {"b"}
    errands.returned("b")
    errands.returned("b")
    assert not errands.running


def test_an_output_is_seen_when_the_server_says_so() -> None:
    errands = Errands()
    assert errands.all_seen
    errands.told("a")
    errands.told("b")
    errands.acknowledged("a")
    assert not errands.all_seen
    errands.acknowledged("b")
    assert errands.all_seen


def test_a_lost_session_leaves_nothing_unseen_and_what_runs_runs_on() -> None:
    errands = Errands()
    errands.begin("a")
    errands.told("b")
    errands.forget_session()
    assert errands.all_seen and errands.running == {"a"}
