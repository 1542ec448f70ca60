"""What each ending of a call means for what follows."""

import pytest

from bridge.records.endings import Ending

IN_ORDER = {
    "caller hung up", "assistant ended", "caller silent", "line too noisy", "time used up", "money used up",
    "transferred", "server stopping"}


def test_after_an_ending_in_order_nothing_more_is_owed_to_the_caller() -> None:
    assert {each.value for each in Ending if each.in_order} == IN_ORDER


@pytest.mark.parametrize(("meaning", "endings"), [
    ("by_caller", {"caller hung up", "transferred"}),
    ("by_server", {"server stopping", "server killed"}),
    ("by_model", {"model unreachable", "model refused", "model failed"}),
    ("comes_back", {"transferred"}),
])
def test_an_ending_says_what_it_means(meaning: str, endings: set[str]) -> None:
    assert {each.value for each in Ending if getattr(each, meaning)} == endings


def test_a_call_ends_for_one_side_only() -> None:
    assert all(each.by_caller + each.by_server + each.by_model <= 1 for each in Ending)


@pytest.mark.parametrize("ending", Ending)
def test_a_stored_word_is_read_as_the_ending_that_wrote_it(ending: Ending) -> None:
    assert Ending.read(ending.value) is ending


@pytest.mark.parametrize("word", ["taken by a bird", "Caller hung up", "model lost"])
def test_a_word_that_this_version_does_not_know_is_no_ending_in_order(word: str) -> None:
    assert Ending.read(word) is Ending.UNKNOWN
    assert not Ending.read(word).in_order


def test_an_ending_reads_as_its_words() -> None:
    assert f"{Ending.CALLER_HUNG_UP}" == "caller hung up"
