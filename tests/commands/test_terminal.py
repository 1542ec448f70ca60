"""Commands at a real terminal: Ctrl-C and Ctrl-D end what asks for something, in a line or less."""

import asyncio
import os
from pathlib import Path

import pytest

from bridge.records.database import open_database, parse_url
from bridge.records.meetings import Meetings
from tests.stage.store import ALICE, make_meeting, no_news
from tests.stage.terminal import CTRL_C, CTRL_D, typed


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
