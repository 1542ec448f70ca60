"""What counts as one address, and what is this machine's. Which are public is asked in test_reach.py."""

import pytest

from bridge.addresses import is_address, is_loopback, network


@pytest.mark.parametrize(("text", "counted"), [
    ("93.184.216.34", "93.184.216.34"), ("::ffff:93.184.216.34", "93.184.216.34"),
    ("2606:4700:1:2:3:4:5:6", "2606:4700:1:2::/64"), ("2606:4700:1:2::9", "2606:4700:1:2::/64"),
    ("::1", "::/64"), ("fe80::1%eth0", "fe80::/64"), ("no address", "no address"), ("", ""),
])
def test_who_is_counted_by_an_address(text: str, counted: str) -> None:
    assert network(text) == counted


@pytest.mark.parametrize(("text", "loopback"), [
    ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
    ("10.0.0.1", False), ("localhost.example.com", False), ("", False)])
def test_what_nobody_reaches_from_elsewhere(text: str, loopback: bool) -> None:
    assert is_loopback(text) == loopback


@pytest.mark.parametrize(("text", "is_one"), [("10.0.0.1", True), ("::1", True), ("example.com", False), ("", False)])
def test_a_name_is_no_address(text: str, is_one: bool) -> None:
    assert is_address(text) == is_one
