"""The recorded sentences that the server says by itself. bridge/sim/clips/make.sh makes them."""

import base64
from functools import cache
from importlib.resources import files
from typing import get_args

from bridge.call.steps import Clip, ClipName


@cache
def clips() -> dict[ClipName, Clip]:
    """All clips by name, read once. Used to build the `Plan` of calls."""
    return {name: _read(name) for name in get_args(ClipName)}


def _read(name: ClipName) -> Clip:
    audio = (files("bridge.call") / "clips" / f"{name}.ulaw").read_bytes()
    return Clip(base64.b64encode(audio).decode(), len(audio))
