"""What is installed beside us is bounded, and importing us does nothing but that."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("file", ["requirements.txt", "tests/requirements.txt"])
def test_each_requirement_is_bounded_to_compatible_versions(file: str) -> None:
    lines = [line for line in (ROOT / file).read_text().splitlines() if line and not line.startswith(("#", "-r "))]
    assert lines
    for line in lines:
        requirement = line.partition(";")[0].strip()
        name = re.match(r"[\w.-]+", requirement)
        assert name
        # tzdata has the year for a version; each is as compatible as the next.
        bounded = r"[\w.-]+(\[\w+\])?>=[\d.]+" + ("" if name[0] == "tzdata" else r",<\d+(\.\d+)*")
        assert re.fullmatch(bounded, requirement), line
        assert "://" not in line and "--" not in line, "from the package index, and nowhere else"


PROGRAM = """
import json, os, pkgutil, sys
seen = []
FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "subprocess.Popen", "os.system",
             "os.exec", "os.posix_spawn", "os.fork", "os.remove", "os.rename", "os.mkdir", "os.chmod", "shutil.",
             "urllib.Request", "http.client.connect", "sqlite3.connect", "webbrowser.open", "tempfile.")

def look(event, args):
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event.startswith(FORBIDDEN) or writes:
        seen.append([event, repr(args)[:200]])

import bridge
names = [each.name for each in pkgutil.walk_packages(bridge.__path__, "bridge.")]
# What is begun by being imported by somebody else: a program's entry, and alembic's.
names = [name for name in names if not name.endswith((".__main__", ".migrations.env"))]
sys.addaudithook(look)
for name in names:
    __import__(name)
print(json.dumps([names, seen]))
"""


def test_nothing_is_done_at_import() -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")})
    names, seen = json.loads(done.stdout.splitlines()[-1])
    assert {"bridge.app", "bridge.settings", "bridge.sim.demo", "bridge.commands.meetings"} <= set(names)
    assert seen == []
    assert done.stdout.count("\n") == 1 and done.stderr == "", "and nothing is said"
