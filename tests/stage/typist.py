"""Who types commands in a folder of their own: `python -m bridge`, in this process, and what it said."""

import asyncio
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.__main__ import main
from bridge.settings import NAMES


@dataclass
class Typist:
    """`out` and `error` are what the last command printed."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    out: str = ""
    error: str = ""

    def __post_init__(self) -> None:
        self.monkeypatch.chdir(self.folder)
        for name in NAMES:
            self.monkeypatch.delenv(name, raising=False)

    def sets(self, **environ: str) -> None:
        for name, value in environ.items():
            self.monkeypatch.setenv(name, value)

    async def types(self, *arguments: str) -> int:
        """The exit code. A simulated vendor of this event loop can answer meanwhile; nobody answers a question."""
        self.monkeypatch.setattr("sys.stdin", io.StringIO())
        code = await asyncio.to_thread(self._main, arguments)
        self.out, self.error = self.capture.readouterr()
        assert "Traceback" not in self.error
        return code

    def _main(self, arguments: tuple[str, ...]) -> int:
        try:
            return main([*arguments])
        except SystemExit as exit:                   # argparse's
            return int(exit.code or 0)
