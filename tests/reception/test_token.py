"""The token of a stream: what it is bound to, how long it counts, and that nothing else passes for one."""

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.reception.token import LIFE_S, NONCE_BYTES, PARAMETER, Refused, Token, mint, read

SECRET, NOW, NONCE = "the auth token", 1_900_000_000.5, bytes(range(NONCE_BYTES))
BOUND = ("CA" + "1" * 32, "AC" + "0" * 32, "+15551234567")
MADE = mint(SECRET, BOUND, NONCE, NOW)


def refusal(token: str, bound: tuple[str, ...] = BOUND, now: float = NOW, *secrets: str) -> str:
    with pytest.raises(Refused) as refused:
        read(secrets or [SECRET], token, bound, now)
    return str(refused.value)


def test_a_token_counts_for_what_it_was_made_for_until_it_expires() -> None:
    assert read([SECRET], MADE, BOUND, NOW) == Token(NONCE.hex(), int(NOW) + LIFE_S)
    assert read([SECRET], MADE, BOUND, NOW + LIFE_S - 1)
    assert refusal(MADE, now=NOW + LIFE_S) == "expired token"


def test_the_token_before_counts_too_while_it_is_changed() -> None:
    assert read(["a new one", SECRET], MADE, BOUND, NOW)
    assert refusal(MADE, BOUND, NOW, "a new one", "another") == "wrong token"
    assert refusal(MADE, BOUND, NOW + LIFE_S, "a new one", "another") == "wrong token", "what it says is not believed"


PARTS = st.lists(st.text("a1\x00é", max_size=3), max_size=4).map(tuple)


@given(PARTS, PARTS)
def test_it_is_bound_to_every_part_and_to_where_one_ends(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    token = mint(SECRET, one, NONCE, NOW)
    if one == other:
        assert read([SECRET], token, other, NOW)
    else:
        assert refusal(token, other) == "wrong token"


def test_parts_cannot_be_moved_from_one_to_the_next() -> None:
    token = mint(SECRET, ("CA1", "23"), NONCE, NOW)
    for other in [("CA12", "3"), ("CA123", ""), ("CA123",), ("", "CA123"), ("CA1", "23", "")]:
        assert refusal(token, other) == "wrong token"


def test_a_change_of_any_bit_is_noticed() -> None:
    raw = base64.urlsafe_b64decode(MADE + "==")
    for place in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << place % 8
        assert refusal(base64.urlsafe_b64encode(changed).rstrip(b"=").decode()) == "wrong token"


@pytest.mark.parametrize("token", [
    MADE[:-1], MADE[:20], MADE + "=", MADE + "==", MADE + "A", " " + MADE, MADE + "\n", MADE[:-1] + "é",
    "A" * len(MADE), "!" * len(MADE), "\ud800" * len(MADE), "A" * 60_000,
    MADE[:-1] + chr(ord(MADE[-1]) + 1),             # the same bytes, written differently
])
def test_what_is_not_exactly_a_token_is_none(token: str) -> None:
    assert refusal(token) == "wrong token"


def test_no_token_is_said_to_be_none() -> None:
    assert refusal("") == "no token"


@given(st.text() | st.from_regex("[A-Za-z0-9_-]{46}", fullmatch=True))
def test_nothing_that_somebody_makes_up_counts(token: str) -> None:
    assert refusal(token) in ("wrong token", "no token")


def test_what_twilio_signs_with_the_same_secret_is_no_token_of_ours() -> None:
    """Even what is signed as ours is, but with the auth token itself as the key."""
    head = base64.urlsafe_b64decode(MADE + "==")[:-16]
    parts = [head, *(part.encode() for part in BOUND)]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    forged = head + hmac.digest(SECRET.encode(), message, "sha256")[:16]
    assert refusal(base64.urlsafe_b64encode(forged).rstrip(b"=").decode()) == "wrong token"


def test_it_fits_into_a_parameter() -> None:
    assert len(PARAMETER) + len(MADE) < 500
    assert MADE.isascii() and MADE.replace("-", "").replace("_", "").isalnum()
