"""A real file system of a test's own. It is small, so it can be full, and mounted, so it can become read-only."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

#: The disk's size. A database with its log takes about a tenth.
SIZE = "2m"


@dataclass
class Disk:
    path: Path

    def fill(self) -> None:
        """Fills the disk until not one byte more can be written."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (2 ** 16, 1):
                while True:
                    try:
                        file.write(bytes(size))
                    except OSError:
                        break

    def empty(self) -> None:
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        return self.path / "filler"

    def remount(self, how: str) -> None:
        """Remounts it `ro` or `rw`. Linux refuses `ro` while a file is open for writing."""
        mount("-o", f"remount,{how}", str(self.path))


@contextmanager
def disk(path: Path) -> Iterator[Disk]:
    """A disk mounted at an empty folder. Skips the test if mounting is not allowed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount a small file system")
    try:
        mount("-t", "tmpfs", "-o", f"size={SIZE}", "bridge-test", str(path))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
