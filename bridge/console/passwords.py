"""The hash of a password, for ADMIN_PASSWORD_HASH: `scrypt:16384:8:1:salt:key`. Salt and key are in URL-safe base64.

Pure, but slow on purpose. No character of the hash needs quotes in .env, a shell or YAML.
"""

import base64
import hashlib
import hmac
import re
import secrets

#: The shortest password that is taken, in characters. A shorter one can be guessed.
SHORTEST = 12
#: The parameters of scrypt: 16 MB and some 50 ms for each guess.
N, R, P = 16_384, 8, 1
#: The most memory that scrypt may take, in bytes. A hash with greater parameters is refused when it is read.
_MEMORY = 64 * 1024 * 1024

_HASH = re.compile(r"scrypt:([0-9]{2,6}):([0-9]{1,2}):([0-9]):([\w-]{22,86}):([\w-]{43})")


def hashed(password: str, salt: bytes | None = None) -> str:
    salt = salt or secrets.token_bytes(16)
    return ":".join(["scrypt", str(N), str(R), str(P), _text(salt), _text(_scrypt(password, salt, N, R, P))])


def matches(password: str, hash: str) -> bool:
    """Whether a password has this hash. It takes some 50 ms, so call it in a thread."""
    found = _HASH.fullmatch(hash)
    if not found:
        return False
    n, r, p = map(int, found.groups()[:3])
    return hmac.compare_digest(_scrypt(password, _bytes(found[4]), n, r, p), _bytes(found[5]))


def parse_hash(text: str) -> str:
    """The hash as it is, if it can be used. Raises ValueError with what is wrong, as the end of a sentence."""
    try:
        matches("", text)
        found = _HASH.fullmatch(text)
    except ValueError:
        found = None
    if not found:
        raise ValueError("must be what `python -m bridge hash-password` prints")
    return text


def parse_password(text: str) -> str:
    if len(text) < SHORTEST:
        raise ValueError(f"must have {SHORTEST} characters at least")
    return text


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(errors="surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
