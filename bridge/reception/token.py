"""The token that a webhook's answer puts into its stream's parameters, and that the stream must show in its `start`.

Pure. Moments are seconds since 1970. Twilio's signature of an upgrade covers only the address, which is the same for
every call of a caller. So an overheard signature could be shown again. A token belongs to one answer to one webhook. It
is signed, it expires after LIFE_S, and the turnstile remembers its nonce, so that it is taken once (turnstile.py).

A token is base64url of: version (1 byte), expiry (5 bytes), nonce (12 bytes), and the first 16 bytes of HMAC-SHA256
over these and over the values that the token is bound to, each part with its length before it. The key is an HMAC of a
label with the auth token. So a signature made elsewhere with that auth token cannot pass for a token of ours, nor the
reverse.
"""

import base64
import hmac
from collections.abc import Sequence
from typing import NamedTuple

VERSION = 1
#: The name of the stream's parameter that carries the token.
PARAMETER = "token"
#: How long after its webhook's answer a stream may begin (s). As a rule it begins within a few tenths.
LIFE_S = 60
NONCE_BYTES = 12

#: What the key is made with: tokens of one kind never pass for those of another.
STREAM = b"bridge: token of a stream, version 1"

_HEAD_BYTES, _TAG_BYTES = 1 + 5 + NONCE_BYTES, 16
_CHARACTERS = (_HEAD_BYTES + _TAG_BYTES) * 4 // 3 + 1


class Refused(ValueError):
    """The token does not count. The message says why, in a word or two, because it becomes a metric's label."""


class Token(NamedTuple):
    """A valid token: its nonce as hex, and when it expires (s since 1970)."""

    nonce: str
    expires: int


def mint(secret: str, bound_to: Sequence[str], nonce: bytes, now: float, label: bytes = STREAM) -> str:
    """A token for one stream; `nonce` is NONCE_BYTES of chance. Another `label` makes a token for something else."""
    head = bytes([VERSION]) + (int(now) + LIFE_S).to_bytes(5, "big") + nonce
    return base64.urlsafe_b64encode(head + _tag(secret, head, bound_to, label)).rstrip(b"=").decode()


def read(secrets: Sequence[str], token: str, bound_to: Sequence[str], now: float, label: bytes = STREAM) -> Token:
    """What a token says that was made with one of `secrets`, for this and not longer ago. Raises Refused."""
    if not token:
        raise Refused("no token")
    raw = _decoded(token)
    head, tag = raw[:_HEAD_BYTES], raw[_HEAD_BYTES:]
    if not any([hmac.compare_digest(tag, _tag(secret, head, bound_to, label)) for secret in secrets]):
        raise Refused("wrong token")
    expires = int.from_bytes(head[1:6], "big")
    if not now < expires:
        raise Refused("expired token")
    return Token(head[6:].hex(), expires)


def _decoded(token: str) -> bytes:
    """The token's bytes. Raises Refused for any text that is not exactly how `mint` writes a token."""
    if len(token) != _CHARACTERS:
        raise Refused("wrong token")
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
    except ValueError:
        raise Refused("wrong token") from None
    if raw[0] != VERSION or base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != token:
        raise Refused("wrong token")
    return raw


def _tag(secret: str, head: bytes, bound_to: Sequence[str], label: bytes) -> bytes:
    key = hmac.digest(secret.encode(), label, "sha256")
    parts = [head, *(each.encode("utf-8", "surrogatepass") for each in bound_to)]
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(key, message, "sha256")[:_TAG_BYTES]
