"""Who stands at the door: how many may, who is closed in whose favour, and for how long one may take."""

from itertools import chain

import pytest

from bridge.reception.strangers import FIRST_S, MOST, MOST_OF_ADDRESS, Door


def test_nobody_new_is_refused_and_the_first_one_goes() -> None:
    door = Door[int]()
    assert [door.came(number, "127.0.0.1", 0) for number in range(MOST + 2)] == [None] * MOST + [0, 1]
    assert len(door) == MOST


def test_an_address_takes_no_place_from_another() -> None:
    door = Door[str]()
    assert door.came("twilio", "3.80.0.1", 0) is None
    closed = [door.came(f"stranger {number}", "1.2.3.4", 0) for number in range(MOST_OF_ADDRESS * 3)]
    assert closed == [None] * MOST_OF_ADDRESS + [f"stranger {number}" for number in range(MOST_OF_ADDRESS * 2)]
    assert len(door) == MOST_OF_ADDRESS + 1


@pytest.mark.parametrize("proxy", [
    "127.0.0.1", "::1", "10.1.2.3", "172.17.0.1", "192.168.1.1", "100.64.0.1", "fe80::1%eth0", "fd00::1",
    "::ffff:10.0.0.1", ""])
def test_before_a_proxy_everybody_stands(proxy: str) -> None:
    door = Door[int]()
    assert {door.came(number, proxy, 0) for number in range(MOST)} == {None}


@pytest.mark.parametrize("addresses", [
    ["1.2.3.4"] * 2, ["::ffff:1.2.3.4", "1.2.3.4"], ["2600:1f18::1", "2600:1f18::ffff:0:0:1"]])
def test_what_counts_as_one_address(addresses: list[str]) -> None:
    door = Door[int]()
    both = chain.from_iterable(addresses for _ in range(MOST_OF_ADDRESS))
    closed = [door.came(number, address, 0) for number, address in enumerate(both)]
    assert closed[:MOST_OF_ADDRESS] == [None] * MOST_OF_ADDRESS
    assert closed[MOST_OF_ADDRESS:] == [*range(MOST_OF_ADDRESS)]


def test_who_is_let_in_or_has_left_takes_no_place() -> None:
    door = Door[int]()
    for number in range(MOST * 2):
        assert door.came(number, "1.2.3.4", 0) is None
        door.forget(number)
        door.forget(number)
    assert len(door) == 0


def test_a_first_request_has_its_time_and_what_was_answered_may_rest() -> None:
    door = Door[str]()
    for late, name in enumerate(["slow", "answered", "let in", "later"]):
        door.came(name, "1.2.3.4", late)
    door.answered("answered")
    door.forget("let in")
    assert door.overdue(FIRST_S - 0.1) is None
    assert len(door) == 3
    assert door.overdue(FIRST_S) == "slow"
    assert door.overdue(FIRST_S) is None             # it is asked for once
    assert door.overdue(FIRST_S + 3) == "later"
    assert door.overdue(FIRST_S + 3) is None
    assert len(door) == 1
