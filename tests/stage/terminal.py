"""A real terminal, and a command that was typed there."""

import fcntl
import os
import pty
import subprocess
import sys
import termios
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from tests.stage.program import PATIENCE_S, ROOT

CTRL_C, CTRL_D = b"\x03", b"\x04"


@dataclass
class Terminal:
    """Where a command was typed."""

    master: int
    process: subprocess.Popen[bytes]
    kill: Timer
    shown: str = ""

    def until(self, prompt: str) -> None:
        while prompt not in self.shown:
            self.shown += os.read(self.master, 4096).decode()
        asleep = 0
        while asleep < 3:                            # a signal just before the read is noticed after it
            asleep = asleep + 1 if self._sleeps() else 0
            time.sleep(0.01)

    def _sleeps(self) -> bool:
        stat = Path(f"/proc/{self.process.pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "S"

    def answer(self, prompt: str, text: str) -> None:
        """Once this is asked, behind all that was shown before."""
        seen = len(self.shown)
        while prompt not in self.shown[seen:]:
            self.shown += os.read(self.master, 4096).decode()
        self.until(prompt)
        os.write(self.master, f"{text}\n".encode())

    def ends(self) -> int:
        try:
            while came := os.read(self.master, 4096):
                self.shown += came.decode()
        except OSError:                              # nobody holds its other end any more
            pass
        os.close(self.master)
        self.kill.cancel()
        return self.process.wait()


def typed(folder: Path, *arguments: str, **environ: str) -> Terminal:
    master, slave = pty.openpty()
    with closing(os.fdopen(slave, "wb")) as end:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", *arguments], cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": "", **environ}, stdin=end, stdout=end, stderr=end,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    kill = Timer(PATIENCE_S, process.kill)
    kill.start()
    return Terminal(master, process, kill)
