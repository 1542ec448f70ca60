"""The programs that make a tunnel: how each is started, and what it says.

Pure but for `found`. `cloudflared` prints a box with the address, on standard error, and needs no account for it.
`ngrok` prints JSON lines, and needs an authtoken.
Sources: https://developers.cloudflare.com/cloudflare-one/ (TryCloudflare) and https://ngrok.com/docs/agent/cli
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.twilio_side.public_url import parse_public_url


@dataclass(frozen=True, slots=True)
class Said:
    """What a line of a program tells: the tunnel's address, that it is up, or what went wrong.

    `final`: trying again is of no use before somebody has done something.
    """

    address: str = ""
    up: bool = False
    problem: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """`arguments` of the address to forward to; `read`: what a line tells."""

    name: str
    arguments: Callable[[str], list[str]]
    read: Callable[[str], Said]


# ---- cloudflared

#: The address stands alone in a line of the box; other lines name pages, and the interface that could not be asked.
_BOX = re.compile(r"\|\s+(https?://\S+)\s+\|\s*$")
_REGISTERED = re.compile(r"\bRegistered tunnel connection\b")
_ERROR = re.compile(r"\bERR\s+(.*)")
_FAILED = re.compile(r"failed to (?:request|unmarshal|parse) quick Tunnel.*", re.IGNORECASE)


def _read_cloudflared(line: str) -> Said:
    if (box := _BOX.search(line)) and (address := _address(box[1])) and "//api." not in address:
        return Said(address=address)
    if _REGISTERED.search(line):
        return Said(up=True)
    if failed := _FAILED.search(line):
        return Said(problem=_short(failed[0]))
    if (error := _ERROR.search(line)) and "was empty" not in error[1]:       # the configuration that it was given
        return Said(problem=_short(error[1]))
    return Said()


# ---- ngrok

def _read_ngrok(line: str) -> Said:
    try:
        said: Any = json.loads(line)
    except ValueError:
        # What ends it is told once more, for people.
        return Said(problem=_short(line[6:]), final="ERR_NGROK_" in line) if line.startswith("ERROR:") else Said()
    if not isinstance(said, dict):
        return Said()
    if said.get("msg") == "started tunnel" and (address := _address(str(said.get("url", "")))):
        return Said(address=address, up=True)
    problem = str(said.get("err") or "")
    if said.get("lvl") in ("eror", "error", "crit") and problem not in ("", "<nil>"):
        return Said(problem=_short(problem), final="ERR_NGROK_" in problem or "authentication failed" in problem)
    return Said()


def _address(text: str) -> str:
    """An address that the server can be reached by; "" for what is none."""
    try:
        return parse_public_url(text) if text.startswith(("https://", "http://127.0.0.1:")) else ""
    except ValueError:
        return ""


def _short(text: str) -> str:
    """On one line, and no longer than a log line should be."""
    return " ".join(text.split())[:300]


# ---- both

PROGRAMS = (
    # A config.yml of the owner's other tunnels would answer 404 for this one, so it gets an empty one.
    Program("cloudflared", lambda address: [
        "tunnel", "--config", "/dev/null", "--no-autoupdate", "--url", address], _read_cloudflared),
    Program("ngrok", lambda address: ["http", address, "--log=stdout", "--log-format=json"], _read_ngrok),
)
NAMES = tuple(each.name for each in PROGRAMS)
#: What to do where there is none.
HOW_TO_GET_ONE = (
    "cloudflared needs no account: `brew install cloudflared`, or see "
    "https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/downloads/ . "
    "ngrok needs a free one: https://ngrok.com/download")


class NoProgram(Exception):
    """There is none: one line, with how to get one."""


def found(name: str, path: str) -> tuple[Program, str]:
    """A program, and the file that it is, by PATH; `name`: this one, or "" for the first that is there.

    Raises NoProgram.
    """
    for each in PROGRAMS:
        if name in ("", each.name) and (file := shutil.which(each.name, path=path)):
            return each, file
    raise NoProgram(f"there is no {name or ' and no '.join(NAMES)} on PATH. {HOW_TO_GET_ONE}")
