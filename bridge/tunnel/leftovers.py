"""Which numbers a tunnel has borrowed, and where they led before: on disk while it holds them.

A process that is killed cannot lead its number back. What it has written here can, by the next one's hand or by
`python -m bridge number restore`. One file in the server's folder, its owner's alone.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from bridge.twilio_side.account import Account, TwilioFailed

NAME = ".bridge-tunnel.json"


class Borrowed(msgspec.Struct, frozen=True):
    """A number: the voice URLs that it has, or may have, from us, and what it had before, by Twilio's fields' names."""

    sid: str
    phone_number: str
    voice_urls: tuple[str, ...]
    before: dict[str, str]


def read(folder: Path) -> list[Borrowed]:
    """What is borrowed; nothing where there is no such file, or none that can be read."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=list[Borrowed])
    except (OSError, msgspec.DecodeError):
        return []


def remember(folder: Path, borrowed: Borrowed) -> None:
    """Instead of what was known of this number. Raises OSError."""
    _write(folder, [*(each for each in read(folder) if each.sid != borrowed.sid), borrowed])


def forget(folder: Path, borrowed: Borrowed) -> None:
    """Once it is led back; not what another tunnel has written of the number since.

    A file that cannot be written is no reason to stop: the number itself says how it is.
    """
    with suppress(OSError):
        _write(folder, [each for each in read(folder) if each != borrowed])


def _write(folder: Path, all: Sequence[Borrowed]) -> None:
    file = folder / NAME
    if not all:
        file.unlink(missing_ok=True)
        return
    new = file.with_suffix(".new")
    with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as output:
        output.write(msgspec.json.encode(all))
    os.replace(new, file)


def still_leads(account: Account, folder: Path, borrowed: Borrowed) -> bool:
    """Whether the number still leads to the tunnel; one that does not, or is not there any more, is forgotten.

    Raises TwilioFailed.
    """
    try:
        ours = account.number(borrowed.sid).voice_url in borrowed.voice_urls
    except TwilioFailed as failed:
        if failed.status != 404:
            raise
        ours = False
    if not ours:
        forget(folder, borrowed)
    return ours


def lead_back(account: Account, folder: Path, borrowed: Borrowed) -> bool:
    """Whether the number leads again to where it did; False: it leads elsewhere meanwhile, and stays so.

    Raises TwilioFailed.
    """
    ours = still_leads(account, folder, borrowed)
    if ours:
        account.change(borrowed.sid, **borrowed.before)
        forget(folder, borrowed)
    return ours
