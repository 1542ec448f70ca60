"""Commands at a real terminal: Ctrl-C and Ctrl-D end what asks for something, in a line or less."""

import asyncio
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

import pytest

from bridge.records.database import open_database, parse_url
from bridge.records.meetings import Meetings
from tests.stage.program import PATIENCE_S, ROOT
from tests.stage.store import ALICE, make_meeting, no_news

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

    def ends(self) -> int:
        try:
            while came := os.read(self.master, 4096):
                self.shown += came.decode()
        except OSError:                              # nobody holds its other end any more
            pass
        os.close(self.master)
        self.kill.cancel()
        return self.process.wait()


def typed(folder: Path, *arguments: str) -> Terminal:
    master, slave = pty.openpty()
    with closing(os.fdopen(slave, "wb")) as end:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", *arguments], cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""},
            stdin=end, stdout=end, stderr=end, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    kill = Timer(PATIENCE_S, process.kill)
    kill.start()
    return Terminal(master, process, kill)


@pytest.mark.parametrize(("key", "code", "said"), [(CTRL_C, 130, ""), (CTRL_D, 1, "the password was not given")])
def test_who_does_not_give_a_password_is_not_shown_a_traceback(
    tmp_path: Path, key: bytes, code: int, said: str,
) -> None:
    terminal = typed(tmp_path, "hash-password")
    terminal.until("Password: ")
    os.write(terminal.master, key)
    assert terminal.ends() == code
    assert terminal.shown.partition("Password: ")[2].removeprefix("^C").strip() == said


def test_the_first_ctrl_c_keeps_a_caller_who_was_to_be_erased(tmp_path: Path) -> None:
    async def known() -> bool:
        async with open_database(parse_url(f"sqlite:///{tmp_path}/bridge.db")) as database:
            if not await Meetings(database).all(10):
                await Meetings(database).book(make_meeting(caller=ALICE), no_news)
            return bool(await Meetings(database).all(10))
    asyncio.run(known())
    terminal = typed(tmp_path, "erase", ALICE)
    terminal.until("(yes/no) ")
    os.write(terminal.master, CTRL_C)
    assert terminal.ends() == 130
    assert "Traceback" not in terminal.shown and "removed:" not in terminal.shown.split("(yes/no)")[1]
