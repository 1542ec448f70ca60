"""Lets audio go before other work.

A booking takes some milliseconds of computing, in the event loop and in a database thread. A frame that comes meanwhile
waits for the end of the piece under way. So pieces are short, and audio goes first between them.
"""

import os
import threading
from collections.abc import Generator
from time import perf_counter
from types import coroutine

#: How long a thread computes at a time, in seconds. With less, switching costs more than it brings.
PIECE_S = 0.0001


class _Piece(threading.local):
    """The piece that this thread computes. `began`: by perf_counter."""

    began = 0.0


_piece = _Piece()


def yield_core() -> None:
    """Lets the event loop go first, if PIECE_S have passed since the last time. Call it in a thread, between steps.

    Linux lets a thread run to the end of its slice, about 3 ms, even if another thread of the same core wakes up
    (EEVDF, "run to parity"). This gives up the interpreter and the core. With nothing else to run it takes some
    microseconds.
    """
    if perf_counter() - _piece.began >= PIECE_S:
        os.sched_yield()
        _piece.began = perf_counter()


@coroutine
def yield_loop() -> Generator[None, None, None]:
    """Lets the tasks with new data from sockets go first. Call it in the event loop, between steps.

    asyncio.sleep(0) is one turn of the loop, which reads the sockets. The tasks that wait for that data are queued
    behind this one, so it takes a second turn.
    """
    yield
    yield
