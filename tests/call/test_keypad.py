"""Keys that belong together."""

from bridge.call.bounds import Bounds
from bridge.call.keypad import DIGITS_MS, MOST_DIGITS, Keypad


def test_keys_are_one_number_until_a_pause() -> None:
    bounds = Bounds()
    keypad = Keypad(bounds)
    assert not keypad.press("1", 0)
    assert not keypad.press("2", 1_500)
    assert bounds.due(DIGITS_MS) is None
    assert bounds.due(1_500 + DIGITS_MS) == "digits"
    assert keypad.typed() == "12" and keypad.digits == ""


def test_the_hash_key_ends_a_number() -> None:
    bounds = Bounds()
    keypad = Keypad(bounds)
    keypad.press("7", 0)
    assert keypad.press("#", 100)
    assert keypad.typed() == "7"
    assert bounds.soonest is None


def test_no_more_than_so_many_keys_count() -> None:
    keypad = Keypad(Bounds())
    for _ in range(MOST_DIGITS + 10):
        keypad.press("1", 0)
    assert keypad.typed() == "1" * MOST_DIGITS
