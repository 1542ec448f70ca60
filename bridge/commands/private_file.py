"""Files that commands write for the owner alone: people's names, numbers and words are in them."""

import errno
import os
from pathlib import Path

from bridge.commands.asking import CannotDo


def write_privately(file: Path, content: bytes, *, force: bool) -> None:
    """Writes a file that only its owner may read. Raises CannotDo: one that is there is kept, unless `force`."""
    if not force and file.exists() and not file.is_dir():
        raise is_there(file)
    try:
        _write(file, content, "wb" if force else "xb")
    except FileExistsError:
        raise is_there(file) from None
    except OSError as error:
        raise CannotDo(f"{file} cannot be written: {error.strerror}") from None


def is_there(file: Path) -> CannotDo:
    """Why a file is not written."""
    return CannotDo(f"{file} is there already, and was left as it is: name another file, or write over it with --force")


def _write(file: Path, content: bytes, mode: str) -> None:
    """One that cannot be written wholly is not left."""
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    with open(file, mode, opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
        try:
            output.write(content)
            output.flush()
        except OSError:
            if mode == "xb":
                file.unlink()
            raise
