"""The sentences that the server says by itself, recorded; bridge/sim/clips/make.sh made them."""

import base64
from functools import cache
from importlib.resources import files
from typing import get_args

from bridge.call.steps import Clip, ClipName


@cache
def clips() -> dict[ClipName, Clip]:
    """All of them, by name."""
    return {name: _read(name) for name in get_args(ClipName)}


def _read(name: ClipName) -> Clip:
    audio = (files("bridge.call") / "clips" / f"{name}.ulaw").read_bytes()
    return Clip(base64.b64encode(audio).decode(), len(audio))
