"""What is not audio gives way to audio.

A booking is some milliseconds of computing, in the event loop and in a database thread. A frame that comes in the
middle of it waits, at most to the end of the piece that is under way; so pieces are short, and others go first between
them.
"""

import os
import threading
from collections.abc import Generator
from time import perf_counter
from types import coroutine

#: What a thread computes at a time, s: with less, changing places costs more than it brings.
PIECE_S = 0.0001


class _Piece(threading.local):
    """What this thread computes now; `began`: by perf_counter."""

    began = 0.0


_piece = _Piece()


def yield_core() -> None:
    """In a thread, between any two steps: lets the event loop go first if PIECE_S have passed since it was let.

    Linux lets a thread run to the end of its slice, about 3 ms, also when another of the same core wakes up meanwhile
    (EEVDF, "run to parity"). This lets go of the interpreter and of the core; with nothing else to run it takes some
    microseconds.
    """
    if perf_counter() - _piece.began >= PIECE_S:
        os.sched_yield()
        _piece.began = perf_counter()


@coroutine
def yield_loop() -> Generator[None, None, None]:
    """In the event loop, as asyncio.sleep(0) does it: what has come from sockets meanwhile is taken first.

    The first turn reads the sockets, and whoever waits for what was read is queued behind us: hence the second.
    """
    yield
    yield
