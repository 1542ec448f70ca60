"""The process's one event loop: which one it is, what must not stop it, and how late it is."""

import asyncio
import gc
import time
from collections.abc import Callable

#: How often the event loop is looked at, seconds.
SAMPLE_S = 0.5


def event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, a tenth faster on audio, where it can be installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def spare_the_collector() -> None:
    """Leaves what is there so far out of garbage collections, each of which would stop all calls for 40 ms."""
    gc.collect()
    gc.freeze()


async def watch_lag(observe: Callable[[float], None]) -> None:
    """Tells, until it is cancelled, how much later than it should the event loop does its work, seconds."""
    while True:
        due = time.monotonic() + SAMPLE_S
        await asyncio.sleep(SAMPLE_S)
        observe(max(time.monotonic() - due, 0.0))
