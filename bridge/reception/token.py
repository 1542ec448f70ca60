"""The token that a webhook puts into its stream's parameters, and that the stream must show in its `start`.

Pure; moments are seconds since 1970. Twilio's signature of an upgrade covers an address that never changes, so who has
seen one could show it again. A token is of one answer to one webhook: it is signed, it expires after LIFE_S, and who
takes it remembers its nonce, so that it is taken once (turnstile.py).

A token is base64url of: version (1 byte), expiry (5), nonce (12), and the first 16 bytes of HMAC-SHA256 over these and
what the token is bound to, each part with its length before it. The key is itself an HMAC of the auth token with a
label: nothing that is signed elsewhere with that token can pass for a token of ours, and the other way round.
"""

import base64
import hmac
from collections.abc import Sequence
from typing import NamedTuple

VERSION = 1
#: The stream's parameter that carries it.
PARAMETER = "token"
#: How long after its answer a stream may begin, seconds; as a rule in a few tenths.
LIFE_S = 60
NONCE_BYTES = 12

#: What the key is made with: tokens of one kind never pass for those of another.
STREAM = b"bridge: token of a stream, version 1"

_HEAD_BYTES, _TAG_BYTES = 1 + 5 + NONCE_BYTES, 16
_CHARACTERS = (_HEAD_BYTES + _TAG_BYTES) * 4 // 3 + 1


class Refused(ValueError):
    """A token that does not count; the message is why, in a word or two: they are a metric's label."""


class Token(NamedTuple):
    """What a token that counts says of itself."""

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
    """Raises Refused for what has not exactly a token's form: there is one way to write each."""
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
